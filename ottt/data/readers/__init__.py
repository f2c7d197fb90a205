"""Readers of the data sets, one module per set or file format: from the original files to samples and labels.

Others use: `read_<name>` of each data set, as `ottt.training.load_data` registers them.
"""
