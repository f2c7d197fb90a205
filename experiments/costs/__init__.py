"""What trials take, measured from a few of their batches: time of a sweep, their share of a GPU; what there is for them."""

__all__ = ["cores", "estimate", "gpu_share"]
