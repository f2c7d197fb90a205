"""What MLflow's page shows of a sweep at first sight: saved views, short names, who ran what, and the comparison."""
