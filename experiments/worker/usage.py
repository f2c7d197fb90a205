"""CPU time and memory that a trial takes of its machine, measured in its process."""

import ctypes
import os
import time
from pathlib import Path

from experiments.sweep_spec.run_settings import Share

_MEMORY = Path("/proc/self/statm")  # pages: of the address space, resident, ...
_STATUS = Path("/proc/self/status")  # VmHWM: the peak of resident memory, kB
_FORGET = Path("/proc/self/clear_refs")  # where "5" sets the peak back to what is resident now (Linux 4.0)


class Usage:
    """Measures this process from construction on."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._has_peak = _forget_peak()
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def metrics(self) -> dict[str, float]:
        """Metrics by their names in `ottt.schema`, those that this system provides."""
        seconds, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        found = {"perf/cpu_share": seconds / (wall * self._share.cpu)}
        if _MEMORY.exists():
            pages = int(_MEMORY.read_text(encoding="ascii").split()[1])
            found["mem/rss_mib"] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        if self._has_peak:
            found["mem/peak_rss_mib"] = _peak_kib() / 2**10
        if self._share.gpu:
            import torch

            if torch.cuda.is_available():
                found["mem/gpu_reserved_mib"] = torch.cuda.max_memory_reserved() / 2**20
        return found


def give_back_memory() -> None:
    """Return what is free to the system, so that a trial's memory does not depend on the trial before it; glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _forget_peak() -> bool:
    """Measure the peak from now on; whether this system can."""
    try:
        _FORGET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return _STATUS.exists()


def _peak_kib() -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
