"""Ray's autoscaler with a fake cloud: pending trials start workers, idle workers are terminated."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FakeMultiNodeProvider

from experiments.cluster.layout import COMMANDS
from experiments.results.trial_records import TrialRecords
from ottt.schema import Status
from tests.experiments.cluster.lab import PORT, Host, lab, until, why_not

pytestmark = [pytest.mark.skipif(why_not() is not None, reason=why_not() or ""), pytest.mark.timeout(1800)]

HEAD = "ray.head.default"  # its name in Ray's fake cloud
TRIALS = 8
GROWS = "from experiments.cluster import nodes\nwith nodes.connected(): found = nodes.grows()\nprint(found)"
SPEC = f"""\
name: scaling
base: {{T: 2, epochs: 2, batch_size: 512, model.width: 0.25, device: cpu}}
seeds: {TRIALS}
resources: {{cpu: 1, gpu: 0.5, fuse: 1}}
"""


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Host]:
    """A head that trains nothing, and an autoscaler that can add two workers with two GPUs each."""
    worker = {"resources": {"CPU": 4, "GPU": 2}, "node_config": {}, "min_workers": 0, "max_workers": 2}
    with lab(tmp_path) as made:
        fake = {
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",  # as `ray up` sets it for clouds
            "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
            "RAY_NODE_TYPE_NAME": HEAD,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_AUTH_MODE": "token",
        }
        host = made.host("head", variables=fake)
        config = {
            "cluster_name": "fake",
            "max_workers": 2,
            "idle_timeout_minutes": 0.1,
            "upscaling_speed": 4.0,
            "provider": {
                "type": "external",
                "module": f"{FakeMultiNodeProvider.__module__}.{FakeMultiNodeProvider.__name__}",
                "gcs_address": f"{host.address}:{PORT}",
                "head_node_id": FAKE_HEAD_NODE_ID,
                "launch_multiple": True,
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
            },
            "available_node_types": {
                HEAD: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
                "worker": worker,
            },
            "head_node_type": HEAD,
            **{key: {} for key in ("auth", "docker", "file_mounts")},
            **{key: [] for key in (*COMMANDS, "cluster_synced_files", "rsync_exclude", "rsync_filter")},
            "file_mounts_sync_continuously": False,
        }
        (tmp_path / "scaling.json").write_text(json.dumps(config), encoding="utf-8")
        host.ray(
            "--head",
            f"--port={PORT}",
            "--num-cpus=0",
            "--num-gpus=0",
            "--include-dashboard=false",
            f"--autoscaling-config={tmp_path / 'scaling.json'}",
        )
        yield host


def test_pending_trials_start_workers_and_idle_workers_end(head: Host, tmp_path: Path) -> None:
    def workers() -> int:
        return len(head.pids("raylet/raylet")) - 1

    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    words = ("sweep", "run", str(tmp_path / "spec.yaml"), "--results", str(tmp_path / "results"))
    assert workers() == 0
    driver = head.start(sys.executable, "-m", "experiments.cli", *words, "--address", f"{head.address}:{PORT}")
    try:
        until(lambda: workers() == 2 or driver.poll() is not None, "the demand of 8 half GPUs started no two workers")
        assert driver.poll() is None, driver.communicate()
        _, said = driver.communicate(timeout=900)
    finally:
        driver.kill()
    assert driver.returncode == 0, said
    records = TrialRecords(tmp_path / "results" / "trials")
    found = [records.read(path.name) for path in records.folder.iterdir()]
    assert [one.status for one in found if one is not None] == [Status.FINISHED] * TRIALS
    until(lambda: workers() == 0, "idle workers stay")


def test_a_sweep_knows_that_machines_can_be_added(head: Host) -> None:
    def grows(**variables: str) -> str:
        return head.run(sys.executable, "-c", GROWS, variables=variables).stdout

    assert grows(RAY_ADDRESS=f"{head.address}:{PORT}") == "True\n"
    assert grows(RAY_enable_autoscaler_v2="0") == "False\n"  # its own instance of Ray
