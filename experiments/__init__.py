"""Sweeps: spec, expansion into trials, runner on Ray Tune, writer of MLflow; and the `ottt` command."""
