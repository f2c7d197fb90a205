"""The process that trains: the Ray actor, its reports, its measurements."""

__all__ = ["crash", "step_report", "trainable"]
