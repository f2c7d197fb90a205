"""The process that trains: the Ray actor, its reports, its measurements."""

__all__ = ["lost_worker", "member", "own_tuner", "step_report", "trainable"]
