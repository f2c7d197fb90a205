"""CPU time and memory of a trial's process."""

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from experiments.sweep_spec.run_settings import Share
from experiments.worker.usage import Usage
from ottt.schema import metric
from tests.experiments.commands import ROOT

ALONE = Share(cpu=1, gpu=0)


def work() -> None:
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass


@pytest.mark.parametrize(("act", "is_busy"), [(work, True), (lambda: time.sleep(0.5), False)], ids=["works", "sleeps"])
def test_cpu_time_is_a_share_of_the_cores_given(act: Callable[[], None], is_busy: bool) -> None:
    start, usage, wide = time.perf_counter(), Usage(ALONE), Usage(Share(cpu=4, gpu=0))
    act()
    used, used_of_four = usage.metrics()["perf/cpu_share"], wide.metrics()["perf/cpu_share"]
    if is_busy:
        assert used >= 0.2 / (time.perf_counter() - start)
    else:
        assert used < 0.2
    assert used_of_four < 0.5 * used + 0.01


# In a new process: one in which other tests ran has free resident memory, which it would use again.
HOLDS_64_MIB = """
from experiments.sweep_spec.run_settings import Share
from experiments.worker.usage import Usage

usage = Usage(Share(cpu=1, gpu=0))
before = usage.metrics()["mem/rss_mib"]
held = bytearray(64 * 2**20)
held[::4096] = b"x" * len(held[::4096])  # touched, so that it is resident
full = usage.metrics()["mem/rss_mib"]
del held
after = usage.metrics()
later = Usage(Share(cpu=1, gpu=0)).metrics()
print(full - before, after["mem/peak_rss_mib"] - after["mem/rss_mib"], later["mem/peak_rss_mib"] - later["mem/rss_mib"])
"""


def test_memory_is_that_of_this_process_and_its_peak_that_of_the_epoch() -> None:
    done = subprocess.run([sys.executable, "-c", HOLDS_64_MIB], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    held, peak, peak_of_later = map(float, done.stdout.split())
    assert held == pytest.approx(64, abs=8)
    assert peak == pytest.approx(64, abs=8)  # of the epoch, though nothing is held any more
    assert peak_of_later == pytest.approx(0, abs=8)  # each epoch has its own


# Many small blocks between which others stay: without asking, the allocator keeps what is freed.
FREES_64_MIB = """
from experiments.sweep_spec.run_settings import Share
from experiments.worker.usage import Usage, give_back_memory

blocks = [bytearray(4096) for _ in range(16384)]
kept = blocks[::64]
del blocks
usage = Usage(Share(cpu=1, gpu=0))
before = usage.metrics()["mem/rss_mib"]
give_back_memory()
print(before - usage.metrics()["mem/rss_mib"])
"""


def test_a_trial_begins_with_the_memory_of_a_new_process() -> None:
    done = subprocess.run([sys.executable, "-c", FREES_64_MIB], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert float(done.stdout) > 32


def test_without_a_share_of_a_gpu_nothing_is_said_of_one() -> None:
    names = Usage(ALONE).metrics().keys()
    assert set(names) == {"perf/cpu_share", "mem/rss_mib", "mem/peak_rss_mib"}
    assert [metric(name).unit for name in sorted(names)] == ["MiB", "MiB", "1"]
