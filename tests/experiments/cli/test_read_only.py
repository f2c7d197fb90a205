"""Commands that only read work on another user's folder of results, in which this user cannot write a thing.

As a real other user, which takes root to become; the interpreter may lie where only root can read, so that user keeps
the right to read everything (CAP_DAC_READ_SEARCH), but none to write.
"""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from experiments.results.folder import Results
from experiments.tracking.sync import sync
from tests.experiments.commands import ROOT
from tests.experiments.mlflow_sweeps import finish, plan

NOBODY = 65534
READER = "dac_read_search"
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed"),
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
    ),
]
FROM_THE_LOG = 0.123
READING = (
    ("compare", "sweep", "--metric", "train/loss", "--format", "csv"),
    ("compare", "sweep", "--metric", "train/loss", "--rule", "paper"),
    ("report", "sweep", "--metric", "train/loss", "-o", "OUT/report.html", "--figures", "OUT/figures"),
    ("runs",),
    ("runs", 'params."neuron.tau" = "2.0"'),
    ("sweep", "export", "sweep", "--to", "OUT/export"),
    ("sweep", "status", "sweep"),
    ("sweep", "list", "sweep"),
    ("sweep", "plan", "OUT/sweep.yaml", "--no-estimate"),
    ("mlflow", "serve", "--dry-run"),
)


def as_nobody(*command: str, cwd: Path, temporary: Path) -> subprocess.CompletedProcess[str]:
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "OTTT", "RAY", "XDG", "MPL"))
    }
    own = {"HOME": "/", "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
    become += [f"--inh-caps=-all,+{READER}", f"--ambient-caps=-all,+{READER}", f"--bounding-set=-all,+{READER}"]
    return subprocess.run([*become, *command], cwd=cwd, env=kept | own, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A sweep of four finished trials; the last commit of its store, one value, is in its log alone."""
    results, planned = Results(tmp_path_factory.mktemp("written")), plan([2.0, 4.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        finish(planned, results)
        sync("sweep", results=results)
    return results


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may look into; those of pytest are private."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(params=["merged", "log without index", "log with index", "sweep is running"])
def theirs(written: Results, public: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, Results]]:
    """A copy that belongs to root and that nobody else can write; its store as its writer left or holds it."""
    folder, kind = public / "theirs", request.param
    shutil.copytree(written.root, folder)
    with closing(sqlite3.connect(folder / "mlflow.db")) as writer:
        if kind == "merged":
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            writer.execute("PRAGMA wal_autocheckpoint=0")
            for table in ("metrics", "latest_metrics"):
                writer.execute(f"UPDATE {table} SET value = ? WHERE key = 'train/loss'", (FROM_THE_LOG,))
            writer.commit()
        place = folder if kind == "sweep is running" else public / "snapshot"
        if place != folder:  # without a close, which would merge the log
            shutil.copytree(folder, place)
        if kind in ("merged", "log without index"):
            (place / "mlflow.db-shm").unlink(missing_ok=True)
        if kind == "merged":
            (place / "mlflow.db-wal").unlink(missing_ok=True)
        for path in (place, *place.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield kind, Results(place)


def test_commands_that_read_need_not_write(theirs: tuple[str, Results], public: Path) -> None:
    kind, results = theirs
    out, temporary = public / "out", public / "temporary"
    for path in (out, temporary):
        path.mkdir()
        os.chown(path, NOBODY, NOBODY)
    shutil.copy(results.root / "sweeps" / "sweep" / "spec.yaml", out / "sweep.yaml")
    control = as_nobody(sys.executable, "-c", f"open({str(results.root / 'x')!r}, 'w')", cwd=out, temporary=temporary)
    assert "PermissionError" in control.stderr
    before = {path: path.stat().st_mtime_ns for path in results.root.rglob("*") if path.suffix != ".db-shm"}
    for words in READING:
        arguments = [word.replace("OUT", str(out)) for word in words]
        command = [sys.executable, "-m", "experiments.cli", *arguments]
        done = as_nobody(*command, "--results", str(results.root), cwd=out, temporary=temporary)
        assert (done.returncode, done.stderr) == (0, ""), words
        if words[:1] == ("compare",) and "csv" in words:
            assert (str(FROM_THE_LOG) in done.stdout) == (kind != "merged"), done.stdout
    for words in (
        ("report", "sweep"),
        ("report", "sweep", "-o", f"{out}/r.html", "--figures", "f"),
        ("sweep", "export", "sweep"),
    ):
        command = [sys.executable, "-m", "experiments.cli", *words, "--results", "."]
        metric = ["--metric", "train/loss"] if words[0] == "report" else []
        refused = as_nobody(*command, *metric, cwd=results.root, temporary=temporary)
        assert refused.returncode == 2
        assert re.fullmatch(r"error: --(output|figures|to) must be a .* that can be written, got .*\n", refused.stderr)
    assert (out / "report.html").stat().st_size > 10_000
    assert len((out / "export" / "history.csv").read_text().splitlines()) > 8
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert list(temporary.iterdir()) == []
