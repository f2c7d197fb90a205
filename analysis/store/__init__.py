"""Reading MLflow stores: runs, points of metrics, plans."""
