"""Gradient clipping, each part of the network by itself.

One part with a wild gradient (a camera head in its first steps) then cannot shrink the steps of the
others, which is what one common norm would do.
"""

from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm


def parameter_parts(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trainable parameters by part of the network.

    The part is the first word of a parameter's name: "aggregator.blocks.0.…" belongs to "aggregator".
    So each parameter belongs to exactly one part whatever modules a model has, and a new head needs no
    entry in a list.
    """
    parts: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parts.setdefault(name.split(".")[0], []).append(parameter)
    return parts


def clip_by_part(parts: dict[str, list[nn.Parameter]], max_norm: float) -> dict[str, Tensor]:
    """Scale the gradients of each part down to `max_norm` where they are longer.

    Returns:
        The norm of each part before clipping; parts without a gradient are left out. Whoever takes
        the step must look at them first: a norm that is not finite means that the step is spoiled.
    """
    norms = {}
    for part, parameters in parts.items():
        gradients = [p.grad for p in parameters if p.grad is not None]
        if gradients:
            norm = get_total_norm(gradients)
            clip_grads_with_norm_(parameters, max_norm, norm)
            norms[part] = norm
    return norms
