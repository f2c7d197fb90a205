"""Why a trial ended without a result, as far as it decides whether to try again."""

from enum import StrEnum


class ResetFailed(Exception):
    """A worker cannot take its next trial."""


class Cause(StrEnum):
    """Of a failed attempt."""

    ERROR = "error"  # the trial raised, and would again
    WORKER = "worker"  # its process or machine is gone, or the machine's memory was full
    PREEMPTED = "preempted"  # its machine was taken away, as announced
    DEVICE_MEMORY = "device-memory"  # it did not fit into its share of a GPU
    RESET = "reset"  # a worker that had trained others could not take it: a new one may
