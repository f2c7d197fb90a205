"""CPU time and memory that a trial takes of its machine, measured in its process."""

import os
import time
from pathlib import Path

from experiments.sweep_spec.run_settings import Share

_MEMORY = Path("/proc/self/statm")  # pages: of the address space, resident, ...


class Usage:
    """Measures this process from construction on."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def metrics(self) -> dict[str, float]:
        """Metrics by their names in `ottt.schema`, those that this system provides."""
        seconds, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        found = {"perf/cpu_share": seconds / (wall * self._share.cpu)}
        if _MEMORY.exists():
            pages = int(_MEMORY.read_text(encoding="ascii").split()[1])
            found["mem/rss_mib"] = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        if self._share.gpu:
            import torch

            if torch.cuda.is_available():
                found["mem/gpu_reserved_mib"] = torch.cuda.max_memory_reserved() / 2**20
        return found
