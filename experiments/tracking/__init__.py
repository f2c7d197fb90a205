"""MLflow: writing sweeps and models to a tracking store, and serving it."""

__all__ = [
    "artifacts",
    "connection",
    "model",
    "names",
    "redact",
    "registration",
    "server",
    "shown_plan",
    "sweep_runs",
    "sync",
    "writer",
]
