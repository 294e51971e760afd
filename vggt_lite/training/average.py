"""A running average of the weights, which is steadier than the weights of any one step."""

import torch
from torch import nn


class WeightAverage:
    """Keeps average ← decay · average + (1 − decay) · weights, one update per step.

    The decay starts low and grows, so that the average forgets the random weights of the beginning.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), list(model.parameters()), 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Put the averaged weights into the model."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self.weights[name])
