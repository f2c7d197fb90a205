"""A trained network as a module without time steps, for use outside this package.

Shapes: B batch, S frames, C channels, H W image, K classes.
"""

from torch import Tensor, nn

from ottt.config.trial import TrialConfig
from ottt.functional.precision import DTYPES
from ottt.models.base import Network
from ottt.modules import Context, State


class Classifier(nn.Module):
    """Class scores after T time steps; the highest is the prediction of `ottt.evaluate`.

    Args:
        net: trained network; shared, not copied.
        config: configuration; only T and precision are read.
    """

    def __init__(self, net: Network, config: TrialConfig) -> None:
        super().__init__()
        self.net = net
        self.time_steps = config.T
        self.dtype = DTYPES[config.precision]

    def forward(self, inputs: Tensor) -> Tensor:
        """Summed logits [B,K], float64, from normalised inputs [B,C,H,W] (a still image) or [B,S,C,H,W], S >= T."""
        context = Context(dtype=self.dtype)
        is_still = inputs.dim() == 4
        current = self.net.encode(inputs if is_still else inputs[:, 0], context)
        state: State | None = None
        out, state = self.net.step(current, state, context)
        total = out.double()
        for t in range(1, self.time_steps):
            if not is_still:
                current = self.net.encode(inputs[:, t], context)
            out, state = self.net.step(current, state, context)
            total = total + out.double()
        return total
