"""Data sets: from published files to batches on the training device.

`load.load_data` is the entrance. This module imports nothing, so that what is known of the sets (`info`, `files`) can
be had without torch.
"""
