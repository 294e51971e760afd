"""Learning rate and clipping: checks of the exercises, with the mistakes people make."""

from math import cos, pi

import torch

from vggt_lite.course.checks.check import Check, draws


def rate_at(progress: float, peak: float, warmup: float) -> float:
    """Learning rate at a share of the training: a straight rise during the warm-up, then half a cosine."""
    if progress < warmup:
        return peak * progress / warmup
    share = (progress - warmup) / (1 - warmup)
    return peak * 0.5 * (1 + cos(pi * share))


learning_rate = Check(
    name="the learning rate",
    reference=rate_at,
    cases=lambda: {
        "a tenth of warm-up": ([0.02, 0.05, 0.1, 0.55, 0.9], 1.0, 0.1),
        "half of warm-up": ([0.1, 0.25, 0.5, 0.75], 3e-2, 0.5),
        "no warm-up": ([0.0, 0.5, 0.99], 1.0, 0.0),
    },
    mutants={
        "there is no warm-up": lambda progress, peak, warmup: rate_at(progress, peak, 0.0),
        "your cosine starts at progress 0: it begins when the warm-up ends":
            "progress / warmup → progress / warmup * 0.5 * (1 + cos(pi * progress)); "
            "(progress - warmup) / (1 - warmup) → progress",
        "you came down along a line: the fall is a cosine": "0.5 * (1 + cos(pi * share)) → (1 - share)",
        "you left out the ½: 1 + cos runs from 2 to 0": "0.5 * →",
        "you took a quarter of a wave, cos(π/2 · share): ½ (1 + cos π·share) lands softly":
            "0.5 * (1 + cos(pi * share)) → cos(0.5 * pi * share)",
        "you gave the cosine degrees: `cos` takes radians, half a turn is π": "pi * share → 180 * share",
        "the rate never falls": "* 0.5 * (1 + cos(pi * share)) →",
        "you never use `peak`": "peak * → 1.0 *",
    },
    atol=2e-3,  # the package's warm-up starts at a thousandth, not at 0
    hint="Which share of the way down is done? It runs from 0 to 1 after the warm-up: ½ (1 + cos π·share).",
    run=lambda rate, moments, *rest: torch.tensor([float(rate(moment, *rest)) for moment in moments]),
)  # fmt: skip


def clipped(parts, max_norm: float):
    """{part: its gradients}, each part scaled down to `max_norm` where its norm is larger."""
    found = {}
    for part, gradients in parts.items():
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        found[part] = [g * min(1.0, max_norm / norm) for g in gradients]
    return found


def gradients_case(max_norm: float, **sizes: float):
    """Random gradients of two tensors for each part, of the given spread."""
    parts = enumerate(sizes.items())
    return {part: [size * g for g in draws((3, 2), (4,), seed=k)] for k, (part, size) in parts}, max_norm


def _three_four_five():
    trunk, head = torch.tensor([[0.3], [0.4]]), torch.tensor([[30.0], [40.0]])
    return {"trunk": list(trunk), "head": list(head)}, 1.0


clip = Check(
    name="clipping by part",
    reference=clipped,
    cases=lambda: {
        "3-4-5": _three_four_five(),
        "three parts": gradients_case(1.0, aggregator=5.0, camera_head=50.0, depth_head=0.01),
        "nothing to clip": gradients_case(2.0, aggregator=0.01),
    },
    mutants={
        "one norm for all parts: the loud part silenced the others":
            "[g.flatten() for g in gradients] → [g.flatten() for grads in parts.values() for g in grads]",
        "one norm for each tensor: a part's tensors share one, or its direction changes":
            "/ norm) → / g.norm())",
        "you added up the tensors' norms: add their squares, and take one root":
            "torch.cat([g.flatten() for g in gradients]).norm() → sum(g.norm() for g in gradients)",
        "the root is missing: a norm is the root of the sum of squares": "norm() → square().sum()",
        "short gradients were stretched: scale down, never up": "min(1.0, max_norm / norm) → max_norm / norm",
        "you clamped each number: that turns the gradient; scale it as a whole":
            "g * min(1.0, max_norm / norm) → g.clamp(-max_norm, max_norm)",
    },
    hint="For each part: the root of the sum of squares over all its tensors; then one factor, at most 1.",
)  # fmt: skip
