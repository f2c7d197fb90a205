"""Networks, and the registry that builds them by name.

Others use: `base.Network`, `registry.build_model`, `registry.register_model`.
"""
