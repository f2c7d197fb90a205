"""The spec of a sweep: reading it, its rules and its JSON schema."""

__all__ = ["json_schema", "python_values", "read", "run_settings", "search_space", "spec", "studies"]
