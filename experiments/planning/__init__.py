"""From a spec and the records to trials: which there are, and how they stand."""

__all__ = ["catalog", "detectable", "pbt", "plan", "status"]
