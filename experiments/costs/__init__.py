"""What trials take, measured from a few of their batches: time of a sweep, and their share of a GPU."""

__all__ = ["estimate", "gpu_share"]
