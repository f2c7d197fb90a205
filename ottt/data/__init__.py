"""Data sets: from published files to batches on the training device.

Others use: `info.DATASETS`, `files.FILES`, `sets.Prepared`, `samples.Samples`. Nothing is imported here, so that `info`
and `files` load without torch.
"""
