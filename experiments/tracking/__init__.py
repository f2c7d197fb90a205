"""All that writes to MLflow or serves it."""
