"""Sinks of a sweep: what they are told of its trials, and the threads that feed them from the records."""

__all__ = ["refill", "sweep_sinks"]
