"""The process that trains: the Ray actor, its reports, its measurements."""

__all__ = ["step_report", "trainable"]
