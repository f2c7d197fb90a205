"""deploy/slurm.sbatch with a fake Slurm: real Ray and real trials, in a separate process namespace."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.results.trial_records import TrialRecords
from ottt.schema import Status

ROOT = Path(__file__).parents[3]
SCRIPTS = [*sorted((ROOT / "deploy").glob("*.sh")), ROOT / "deploy" / "slurm.sbatch"]
SPEC = """\
name: slurm
base: {T: 2, epochs: 1, batch_size: 512, model.width: 0.25}
seeds: 2
"""
SRUN = """\
#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
"$@"
"""
# symmetric-run starts no Ray where it sees another, so it must see only its own processes.
ISOLATED = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root and unshare for a process namespace"
)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout) == (0, "")


def executable(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Path]:
    """A folder with the commands of Slurm, an environment that has `ottt` and `ray`, and a spec."""
    (tmp_path / "slurm").mkdir()
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    executable(tmp_path / "slurm" / "srun", SRUN)
    executable(tmp_path / "slurm" / "scontrol", "#!/usr/bin/env bash\necho 127.0.0.1\n")
    ottt = f'#!/usr/bin/env bash\nexec {sys.executable} -m experiments.cli "$@"\n'
    executable(tmp_path / "venv" / "bin" / "ottt", ottt)
    (tmp_path / "venv" / "bin" / "ray").symlink_to(Path(sys.executable).parent / "ray")
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    yield tmp_path
    shutil.rmtree(f"/tmp/ottt-{number(tmp_path)}", ignore_errors=True)


def number(folder: Path) -> int:
    """Job id, unique among the tests."""
    return 1_000_000 + sum(map(ord, str(folder))) * 7 % 9000 + os.getpid() % 1000


def sbatch(folder: Path, *arguments: str, prefix: list[str] = ISOLATED) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "OTTT", "RAY"))}
    slurm = {
        "SLURM_JOB_ID": str(number(folder)),
        "SLURM_JOB_NODELIST": "node",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_CPUS_PER_TASK": "2",
        "PYTHONPATH": str(ROOT),
        "OTTT_VENV": "venv",
        "OTTT_WAIT_S": "90",
        "PATH": f"{folder / 'slurm'}:{os.environ['PATH']}",
    }
    return subprocess.run(
        [*prefix, "bash", str(ROOT / "deploy" / "slurm.sbatch"), *arguments],
        cwd=folder,
        env=inherited | slurm,
        capture_output=True,
        text=True,
        timeout=900,
    )


@needs_root
def test_a_sweep_runs_and_only_its_own_ray_ends(node: Path) -> None:
    # A raylet of another user in the same process namespace.
    script = 'bash -c \'exec -a "raylet --session_dir=/tmp/other/x" sleep 300\' & other=$!\n"$@"; status=$?\n'
    script += "kill -0 $other && echo other lives; pgrep -f '^[^ ]*raylet .*ottt-' ; exit $status\n"
    executable(node / "beside", f"#!/usr/bin/env bash\n{script}")
    done = sbatch(node, "spec.yaml", "epochs=2", prefix=[*ISOLATED, str(node / "beside")])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("other lives")
    records = TrialRecords(node / "results" / "trials")
    found = [records.read(path.name) for path in records.folder.iterdir()]
    assert [(one.status, len(records.epochs(one.trial))) for one in found if one] == [(Status.FINISHED, 2)] * 2
    assert list((node / "results" / "slurm").iterdir()) == []  # the token, too, is gone


@needs_root
def test_a_sweep_that_fails_fails_the_job(node: Path) -> None:
    done = sbatch(node, "spec.yaml", "data.name=cifar10", "data.root=/nowhere")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 of 2 trials failed" in done.stderr
    reasons = [path.read_text(encoding="utf-8") for path in node.glob("results/trials/*/error.txt")]
    assert ["/nowhere" in reason for reason in reasons] == [True, True]


def test_a_job_fails_where_ray_does_not_start(node: Path) -> None:
    (node / "venv" / "bin" / "ray").unlink()
    executable(node / "venv" / "bin" / "ray", "#!/usr/bin/env bash\nexit 0\n")  # as symmetric-run ends then
    done = sbatch(node, "spec.yaml", prefix=[])
    assert (done.returncode, done.stderr) == (
        1,
        "slurm.sbatch: the sweep did not start: Ray's own messages are above\n",
    )


def test_without_a_spec_it_says_how_to_use_it(node: Path) -> None:
    done = sbatch(node, prefix=[])
    assert (done.returncode, done.stderr) == (2, "usage: sbatch deploy/slurm.sbatch SPEC [KEY=VALUE ...]\n")
