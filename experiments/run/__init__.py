"""The driver of a sweep: starts trials, follows them, ends on request."""
