"""Trained networks for other software: as a plain torch module, and as a graph in NIR, which simulators and chips read.

Others use: `as_module`, `load.trained`, `nir.to_nir`, `nir.write`.
"""

from ottt.export.module import TrainedModule, as_module

__all__ = ["TrainedModule", "as_module"]
