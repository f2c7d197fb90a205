"""Training of one trial on one device: data, epochs, optimizer, metrics, checkpoints.

Others use: `trainer.Trainer`, `trainer.train`, `load_data.load_data`.
"""
