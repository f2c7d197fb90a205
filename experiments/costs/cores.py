"""How many processor cores are ours: batch systems and `taskset` give a process some of the machine's."""

import os


def usable_cores() -> int:
    """Cores that this process and its children may run on."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
