"""A moving average of the weights, which a training ends with and mines by.

Late weights of a short training swing around a better point; their average lies closer to it.
Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992); as a better
judge of unlabelled data: Tarvainen and Valpola, "Mean teachers are better role models" (NeurIPS
2017).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_RAMP = 10
"""Early on the average follows faster: it forgets the initial weights within some iterations."""


class MovingAverage:
    """The exponential moving average of a model's trainable parameters.

    Frozen parameters and buffers don't change, and are the model's own.

    Args:
        model: whose weights are averaged.
        decay: share of the average that each update keeps, 0 to 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._current = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
        self._model = model
        self._average = {name: value.detach().clone() for name, value in self._current.items()}

    @torch.no_grad()
    def update(self, iteration: int) -> None:
        """Take in the weights after `iteration`, counted from 0."""
        keep = min(self._decay, (1 + iteration) / (_RAMP + iteration))
        torch._foreach_lerp_(list(self._average.values()), list(self._current.values()), 1 - keep)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged parameters alone."""
        return dict(self._average)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_dict` returned."""
        for name, value in self._average.items():
            value.copy_(state[name])

    def model_state(self) -> dict[str, Tensor]:
        """Return the whole model's state with the averaged parameters in place."""
        return {**self._model.state_dict(), **self._average}
