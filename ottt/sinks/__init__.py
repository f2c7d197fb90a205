"""Sinks: where the metrics of a trial go, epoch by epoch. Those that are built in, and those that plugins register."""
