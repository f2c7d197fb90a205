"""Studies from data files to the table, on fake data in the published formats: one epoch, one seed, narrow networks.

Together they have every data set, network, update rule and mode; other studies run the same way, see docs/data.md.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ottt.names import RULES
from ottt.schema import Status
from tests.experiments.commands import ROOT, Place

SMALL = (
    *("data.root=fake", "data.frames.size=48", "seeds=1", "epochs=1"),
    *("model.width=0.05", "resources.cpu=1", "resources.gpu=0"),
)
READERS = ("--plugin", str(ROOT / "tests" / "fake_readers.py"))
STUDIES = {
    "cifar10-model": {"vgg11_ws", "vgg11f_ws", "vgg11_bn", "vgg11", "nfresnet18"},
    "cifar100-update-mode": {"accumulate", "online"},
    "cifar10_dvs-rule": set(RULES),
    "dvs128_gesture-update-mode": {"accumulate", "online"},
    "fashion_mnist-r400": {"accumulate", "online"},
    "imagenet-update-mode": {"accumulate", "online"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Place:
    """A folder with a few samples of every data set."""
    folder = tmp_path_factory.mktemp("smoke")
    subprocess.run([sys.executable, "-m", "tests.fake_data", str(folder / "fake")], cwd=ROOT, check=True)
    return Place(folder, variables={"OMP_NUM_THREADS": "1"}, cores=1).take_store(empty_store)


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_runs_on_fake_files(study: str, place: Place) -> None:
    done = place.ottt("sweep", "run", study, *READERS, *SMALL, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ran"] == len(result["comparison"]["rows"]) > 1
    records = [place.records.read(path.name) for path in place.records.folder.glob("*")]
    assert {record.status for record in records if record is not None} == {Status.FINISHED}
    assert STUDIES[study] <= {
        str(value) for record in records if record is not None for value in record.config.values()
    }
