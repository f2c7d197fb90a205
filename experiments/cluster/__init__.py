"""Ray clusters: checking their files, submitting sweeps, and the machines of a cluster."""

__all__ = ["access", "check", "fetch", "jobs", "liveness", "nodes", "shared_storage"]
