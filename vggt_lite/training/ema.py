"""A running average of the weights, which is steadier than the weights of any one step."""

import torch
from torch import nn


class WeightEMA:
    """Keeps average ← decay · average + (1 − decay) · weights, one update per step.

    The decay starts low and grows, so that the average forgets the random weights of the beginning. Frozen
    weights (without `requires_grad`) are their own average, and none is kept of them.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in trainable(model)}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), [p for _, p in trainable(model)], 1 - decay)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Put the averaged weights into the model."""
        for name, parameter in trainable(model):
            parameter.copy_(self.weights[name])


def trainable(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Name and value of every parameter that is not frozen."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
