"""The spec of a sweep: reading it, its rules and its JSON schema."""

__all__ = ["json_schema", "read", "run_settings", "search_space", "spec", "studies"]
