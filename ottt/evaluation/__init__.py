"""What a trained network does: accuracy, loss, firing rates, operations, and pictures of them."""
