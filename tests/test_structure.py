"""The packages, and the rooms inside them, depend on each other in one direction only."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Rooms from the ground up: folders with all their files, and loose files. A file imports from its own room and from
# rooms above it in this list. The packages' own `__init__` only hand on the public names.
ORDER = {
    "ottt": (
        "errors",
        "schema",
        "files",
        "user_cache",
        "evalreport",
        "plugins",
        "sinks",
        "data",
        "data.readers",
        "names",
        "config",
        "functional",
        "modules",
        "models",
        "loss",
        "rules",
        "evaluation",
        "training",
        "export",
    ),
    "analysis": (
        "dtypes",
        "text",
        "lookup",
        "store",
        "load",
        "search",
        "statistics",
        "tables",
        "profiles",
        "style",
        "figures",
        "render",
        "report",
    ),
    "experiments": (
        "interrupt",
        "garbage_collection",
        "ray_internals",
        "sweep_spec",
        "results",
        "planning",
        "worker",
        "costs",
        "cluster",
        "tracking",
        "sinks",
        "run",
        "sweep",
        "doctor",
        "cli",
    ),
}
RAY = {
    "experiments/cluster/jobs.py",
    "experiments/cluster/launcher.py",
    "experiments/cluster/nodes.py",
    "experiments/ray_internals.py",
    "experiments/run/early_stopping.py",
    "experiments/run/ray_tune.py",
    "experiments/run/search.py",
    "experiments/worker/lost_worker.py",
    "experiments/worker/own_tuner.py",
    "experiments/worker/trainable.py",
}
MLFLOW = {f"experiments/tracking/{name}.py" for name in ("connection", "model", "run")}
# Of the method, the analysis knows what the writer of results and their reader agree on.
SHARED_WITH_ANALYSIS = ("ottt.schema", "ottt.errors", "ottt.files")
MOST_FILES, MOST_LOOSE_FILES, MOST_LINES, LONGEST_FUNCTION = 16, 6, 300, 40


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names of the modules that a file imports, wherever in it, and of what it takes from them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


@cache
def edges() -> dict[str, frozenset[str]]:
    """The modules of the three packages that each of them imports."""
    known = {module(path): path for package in ORDER for path in files(package)}
    found = {}
    for name, path in known.items():
        taken = {next((part for part in _parents(one) if part in known), "") for one in imports(path)}
        found[name] = frozenset(taken - {"", name})
    return found


def _parents(name: str) -> list[str]:
    """`a.b.c`, `a.b`, `a`."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def room(name: str) -> str:
    """The room of a module, the longest that fits; "" for the package's own `__init__`."""
    package, _, inner = name.partition(".")
    return next((part for part in _parents(inner) if part in ORDER[package]), "") if inner else ""


def offending(package: str, forbidden: set[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(package)
        for name in sorted(imports(path))
        if name.split(".")[0] in forbidden
    ]


def upward() -> list[str]:
    """Imports of a room that stands on the same floor or higher, inside one package."""
    found = []
    for name, taken in edges().items():
        package, place = name.split(".")[0], room(name)
        for other in sorted(one for one in taken if one.split(".")[0] == package):
            floors = ORDER[package]
            if place and place != room(other) and (not room(other) or floors.index(place) < floors.index(room(other))):
                found.append(f"{name} imports {other}")
    return found


def test_the_walk_sees_imports_inside_functions() -> None:
    assert "ottt.training.trainer" in edges()["experiments.worker.member"]
    assert "experiments.sweep" in edges()["experiments.cli.sweep_views"]
    assert room("ottt.data.readers.idx") == "data.readers"


def test_every_module_has_a_room() -> None:
    without = [name for name in edges() if not room(name) and name not in ORDER]
    assert without == []


def test_rooms_import_downwards_only() -> None:
    assert upward() == []


def test_rooms_of_the_experiments_use_what_others_offer() -> None:
    """`__all__` of a room's package names the modules that other rooms use: all of them, and no others."""
    offered, used = {}, {}
    for place in ORDER["experiments"]:
        package = import_module(f"experiments.{place}")
        if hasattr(package, "__path__") and place != "cli":
            offered[place] = set(package.__all__)
            inside = f"experiments.{place}."
            others = [
                taken for name, taken in edges().items() if name.startswith("experiments") and room(name) != place
            ]
            used[place] = {one.removeprefix(inside) for taken in others for one in taken if one.startswith(inside)}
    assert used == offered


def test_no_circle_of_files() -> None:
    try:
        TopologicalSorter(edges()).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1][::-1]))


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({**edges(), "ottt.errors": {"ottt.training.trainer"}}).prepare()


def test_the_method_knows_nothing_of_the_others() -> None:
    assert offending("ottt", {"experiments", "analysis", "ray", "mlflow", "pandas"}) == []


def test_the_analysis_knows_the_contract_only() -> None:
    assert offending("analysis", {"experiments", "torch", "torchvision", "ray"}) == []
    used = {name for path in files("analysis") for name in imports(path) if name.split(".")[0] == "ottt"}
    assert {name for name in used if not name.startswith(SHARED_WITH_ANALYSIS)} == set()


@pytest.mark.parametrize(("package", "allowed"), [("ray", RAY), ("mlflow", MLFLOW)])
def test_few_files_of_the_experiments_know(package: str, allowed: set[str]) -> None:
    found = {line.split(" ")[0] for line in offending("experiments", {package})}
    assert found == allowed


def test_folders_files_and_functions_stay_small() -> None:
    folders = {path.parent for package in ORDER for path in files(package)}
    crowded = [folder.name for folder in folders if sum(one.is_file() for one in folder.iterdir()) > MOST_FILES]
    long_files, long_functions = [], []
    for path in (path for package in ORDER for path in files(package)):
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > MOST_LINES:
            long_files.append(str(path.relative_to(ROOT)))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                if node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION:
                    long_functions.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert (crowded, long_files, long_functions) == ([], [], [])
    assert sum(path.suffix == ".py" for path in (ROOT / "experiments").iterdir()) <= MOST_LOOSE_FILES


@pytest.mark.parametrize(
    "arguments", [["--help"], ["sweep", "run", "--help"], ["sweep", "status", "--help"], ["compare", "--help"]]
)
def test_help_loads_nothing_heavy_and_has_an_example(arguments: list[str]) -> None:
    code = (
        "import sys; from experiments.cli import main; status = main();"
        "heavy = {'torch', 'ray', 'mlflow', 'pandas', 'numpy', 'scipy'} & sys.modules.keys();"
        "print(*sorted(heavy), file=sys.stderr, end=''); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert arguments == ["--help"] or "Example: ottt " in done.stdout
