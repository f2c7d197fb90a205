"""Readers of published data sets: each turns the original files into arrays of samples and labels."""
