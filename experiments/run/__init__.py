"""The driver of a sweep: it starts trials, follows them, and ends on request. Begin to read at `runner`."""

__all__ = ["progress_bar", "resume", "runner", "stop"]
