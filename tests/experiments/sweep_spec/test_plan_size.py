"""A sweep has at most 100,000 trials: more are counted and refused before anything is expanded, as many are planned."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.planning.plan import expand
from experiments.sweep_spec.read import read_spec
from experiments.sweep_spec.spec import MAX_TRIALS
from ottt.errors import UserError

Problems = Callable[..., list[str]]
WriteSpec = Callable[[str], Path]

TEN = list(range(1, 11))
MANY = dict.fromkeys(("T", "epochs", "batch_size", "rule.k", "data.split_seed", "model.classifier_hidden"), TEN)
MANY |= {key: [value / 100 for value in TEN] for key in ("optim.lr", "neuron.dropout", "loss.mse_weight")}
GRID = f"name: a\naxes: {json.dumps(MANY)}\nseeds: 1\n"
THOUSAND = f"name: a\naxes:\n  T: {TEN}\n  epochs: {TEN}\n  batch_size: {TEN}\n"
SECONDS, MIB = 120, 1024  # of the processor: ten times what it takes; bound on memory


# Its own largest memory: getrusage counts that of the process it was forked from, too.
MEASURED = """\
import re, sys, time
from pathlib import Path
from experiments.cli import main
note = Path(sys.argv.pop(1))
status = main()
(largest,) = re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
note.write_text(f"{time.process_time()} {int(largest) / 1024}")
sys.exit(status)
"""


def spent(spec: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], float, float]:
    """The plan of a spec in a process of its own, with its processor time (s) and its largest memory (MiB)."""
    note = spec.with_name("measured")
    command = [sys.executable, "-c", MEASURED, str(note), "sweep", "plan", "--no-estimate", str(spec), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    seconds, mib = map(float, note.read_text(encoding="utf-8").split())
    return done, seconds, mib


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        (GRID, (), "2: a sweep must have at most 100,000 combinations, got 1,000,000,000: 10 of T x 10 of epochs x"),
        (
            "name: a\nseeds: 1000000000\n",
            (),
            "2: seeds must be at most 100,000, one for each trial of a sweep, got 1,000,",
        ),
        (
            THOUSAND + "seeds: 101\n",
            (),
            "2: a sweep must have at most 100,000 trials, got 101,000: 10 of T x 10 of epochs x 10 of batch_size x 101",
        ),
        (
            "name: a\nseeds: 1\nsearch: {name: optuna, trials: 1000000000, space: {T: [1, 2]}}\n",
            (),
            "3: a sweep must have at most 100,000 trials, got 1,000,000,000: 1,000,000,000 settings x 1 seeds",
        ),
        (
            f"name: a\nzip:\n - {{T: {TEN}, epochs: {TEN}}}\nseeds: 20000\n",
            (),
            "2: a sweep must have at most 100,000 trials, got 200,000: 10 of zip.0 x 20,000 seeds",
        ),
        (
            THOUSAND + "seeds: 200\nexclude: [{T: 1}]\n",
            (),
            "7: a sweep must have at most 100,000 trials, got 180,000: 900 variants x 200 seeds",
        ),
    ],
)
def test_too_large_a_sweep_is_refused(text: str, overrides: tuple[str, ...], expected: str, problems: Problems) -> None:
    (line,) = problems(text, *overrides)
    assert line.startswith(f"spec.yaml:{expected}")


def test_so_are_overrides_that_make_it_too_large(problems: Problems) -> None:
    (line,) = problems("name: a\nseeds: 1\n", "seeds=1000000000")
    assert line.startswith("override: seeds must be at most 100,000, one for each trial of a sweep, got 1,000,000,000")
    (line,) = problems(THOUSAND + "seeds: 1\n", f"axes.optim.lr={[value / 1000 for value in range(1, 102)]}")
    assert line.startswith("override: a sweep must have at most 100,000 combinations, got 101,000") or line.startswith(
        "spec.yaml:2: a sweep must have at most 100,000 combinations, got 101,000"
    )


def test_exclusions_make_room_for_seeds(write_spec: WriteSpec) -> None:
    few = "".join(f" - {{T: {steps}}}\n" for steps in TEN[1:])
    spec = read_spec(write_spec(f"{THOUSAND}seeds: 200\nexclude:\n{few}"))
    assert len(expand(spec).trials) == 100 * 200


def test_many_mistakes_are_not_all_listed(write_spec: WriteSpec) -> None:
    wrong = ", ".join(["x"] * 5000)
    with pytest.raises(UserError) as caught:
        read_spec(write_spec(f"name: a\nseeds: [{wrong}]\naxes: {{T: [{wrong}]}}\n"))
    assert len(caught.value.problems) == 101
    assert caught.value.problems[-1] == "there are more problems than these"


def test_a_spec_with_a_number_of_seeds_is_written_with_it(write_spec: WriteSpec) -> None:
    spec = read_spec(write_spec("name: a\nseeds: 5000\n"))
    assert "seeds: 5000\n" in spec.to_yaml()
    assert read_spec(write_spec(spec.to_yaml())) == spec
    other = read_spec(write_spec("name: a\nseeds: [1, 0]\n"))
    assert read_spec(write_spec(other.to_yaml())).seeds == (1, 0)


def test_the_largest_sweep_is_planned(write_spec: WriteSpec, tmp_path: Path) -> None:
    spec = write_spec(f"{THOUSAND}seeds: 100\n")
    done, seconds, mib = spent(spec, "--results", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"a: 0 of {MAX_TRIALS} trials done\n")
    assert done.stdout.count("0/100") == 1000
    assert seconds < SECONDS
    assert mib < MIB
