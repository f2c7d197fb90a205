"""Training of one trial on one device: data, epochs, optimizer, metrics, checkpoints."""
