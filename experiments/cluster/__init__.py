"""Sweeps on a cluster: checking its files, submitting sweeps to it, data on its machines."""
