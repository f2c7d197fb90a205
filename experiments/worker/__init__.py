"""The process that trains: the Ray actor, its reports, its measurements."""

__all__ = ["crash", "own_tuner", "step_report", "trainable"]
