"""Networks: their layers, and the registry that builds them by name."""
