"""Ray's private interfaces: an upgrade that renames one fails here by name; the code works without it."""

import subprocess
import sys
from functools import reduce
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import ray

from experiments.cluster.check import check
from experiments.ray_internals import bare_instance, draining_nodes, has_autoscaler, launcher_check, same_imports

ROOT = Path(__file__).parents[2]

API_SERVER = {"self": None, "include_dashboard": False, "raise_on_failure": False}
INTERFACES: list[tuple[str, str, dict[str, Any], str]] = [
    ("ray._private.state", "state.get_draining_nodes", {}, "draining_nodes"),
    ("ray._private.node", "Node.start_api_server", API_SERVER, "bare_instance"),
    ("ray._private.node", "Node.start_monitor", {"self": None}, "bare_instance"),
    ("ray._private.node", "Node.start_log_monitor", {"self": None}, "bare_instance"),
    ("ray._private.utils", "get_dashboard_dependency_error", {}, "bare_instance"),
    ("ray.job_config", "JobConfig", {"_py_driver_sys_path": []}, "same_imports"),
    ("ray.autoscaler.v2.utils", "is_autoscaler_v2", {"fetch_from_server": True}, "has_autoscaler"),
    ("ray.autoscaler._private.util", "prepare_config", {"config": {}}, "launcher_check"),
    ("ray.autoscaler._private.util", "validate_config", {"config": {}}, "launcher_check"),
]


@pytest.mark.parametrize(("module", "name", "arguments", "function"), INTERFACES)
def test_ray_has_the_interface(module: str, name: str, arguments: dict[str, Any], function: str) -> None:
    try:
        interface = found(module, name)
        if callable(interface):
            signature(interface).bind(**arguments)
    except (ImportError, AttributeError, TypeError) as error:
        pytest.fail(
            f"Ray {ray.__version__} lacks {module}.{name} as experiments/ray_internals.py calls it ({error}):"
            f" adapt {function}(), which now takes its fallback"
        )


def found(module: str, name: str) -> Any:
    return reduce(getattr, name.split("."), import_module(module))


def break_interface(monkeypatch: pytest.MonkeyPatch, module: str, name: str, kind: str) -> None:
    """Remove the module or the attribute, or give the function another parameter."""
    if kind == "module":
        monkeypatch.setitem(sys.modules, module, None)
        return
    *owners, last = name.split(".")
    owner = reduce(getattr, owners, import_module(module))
    if kind == "attribute":
        monkeypatch.delattr(owner, last)
    else:
        monkeypatch.setattr(owner, last, lambda renamed, /, more: None)


KINDS = pytest.mark.parametrize("kind", ["module", "attribute", "parameter"])


@pytest.mark.parametrize("kind", ["module", "class", "parameter"])
def test_without_the_state_no_node_drains(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    if kind == "class":
        monkeypatch.delattr("ray._private.state.GlobalState.get_draining_nodes")
    else:
        break_interface(monkeypatch, "ray._private.state", "state.get_draining_nodes", kind)
    assert draining_nodes() == frozenset()


UNUSED = [(module, name) for module, name, _, function in INTERFACES if function == "bare_instance"]


@pytest.mark.parametrize(("module", "name"), UNUSED)
@pytest.mark.parametrize("kind", ["module", "attribute"])
def test_a_service_that_cannot_be_left_out_starts(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, kind: str
) -> None:
    others = [(there, other) for there, other in UNUSED if other != name and (there != module or kind == "attribute")]
    break_interface(monkeypatch, module, name, kind)
    before = [found(*other) for other in others]
    with bare_instance():
        assert all(found(*other) is not one for other, one in zip(others, before, strict=True))
    assert [found(*other) for other in others] == before


@KINDS
def test_without_the_parameter_ray_takes_its_own_paths(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    break_interface(monkeypatch, "ray.job_config", "JobConfig", kind)
    assert same_imports() == {}


def test_workers_look_where_this_process_does_and_nowhere_else_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine, further = tmp_path / "mine", tmp_path / "further"
    for folder in (mine, further):
        folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(mine), str(tmp_path / "absent"), str(further), *sys.path[-1:]])
    paths = same_imports()["job_config"]._py_driver_sys_path
    paths.extend([str(tmp_path)])  # as Ray does with the current folder
    assert list(paths) == [str(further), str(mine)]  # each is put in front of those before it
    monkeypatch.setattr(sys, "path", sys.path[-1:])
    assert (list(same_imports()["job_config"]._py_driver_sys_path), bool(paths)) == ([], True)


@KINDS
def test_without_the_autoscaler_utilities_no_cluster_grows(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    break_interface(monkeypatch, "ray.autoscaler.v2.utils", "is_autoscaler_v2", kind)
    assert has_autoscaler() is False


@KINDS
@pytest.mark.parametrize("name", ["prepare_config", "validate_config"])
def test_without_rays_check_the_schema_checks_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, name: str
) -> None:
    break_interface(monkeypatch, "ray.autoscaler._private.util", name, kind)
    assert launcher_check() is None
    text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    (tmp_path / "constraints.txt").write_bytes((ROOT / "constraints.txt").read_bytes())
    (tmp_path / "good.yaml").write_text(text, encoding="utf-8")
    verdict = check(tmp_path / "good.yaml")
    assert verdict.problems == ()
    assert any("good.yaml: checked against Ray's JSON schema alone: Ray 2." in note for note in verdict.notes)
    (tmp_path / "bad.yaml").write_text(text.replace("cluster_name: ottt", "cluster_nam: ottt"), encoding="utf-8")
    assert any("'cluster_nam'" in line for line in check(tmp_path / "bad.yaml").problems)


def test_a_worker_and_a_driver_start_without_any_of_them() -> None:
    """In a new process: the modules must not be bound when they are imported."""
    modules = sorted({module for module, *_ in INTERFACES} - {"ray._private.node", "ray.job_config"})
    code = (
        "import sys; import ray.tune, ray.job_submission, ray.util.scheduling_strategies, ray.autoscaler;"
        f"sys.modules.update(dict.fromkeys({modules}));"
        "import experiments.worker.trainable, experiments.cluster.nodes, experiments.cluster.launcher;"
        "print(experiments.worker.trainable.is_leaving())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
