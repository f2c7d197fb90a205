"""What trials take, measured from a few of their batches: time of a sweep, and their share of a GPU; our cores."""

__all__ = ["cores", "estimate", "gpu_share"]
