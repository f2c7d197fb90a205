"""The folder of results on disk: trial records, sweep folders, locks."""

__all__ = ["disk", "folder", "provenance", "stop_request", "trial_locks", "trial_records"]
