"""Learning rate and clipping: checks of the exercises, with the mistakes people make."""

import math

import torch

from vggt_lite.course.checks.check import Check
from vggt_lite.training import schedule


def _no_warmup(progress, peak, warmup):
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def _cosine_from_the_start(progress, peak, warmup):
    rise = max(progress / warmup, 1e-3) if warmup and progress < warmup else 1.0
    return peak * rise * 0.5 * (1 + math.cos(math.pi * progress))


def _fall_by(shape):
    """The fall is another function of the share of the way down."""

    def wrong(progress, peak, warmup):
        if progress < warmup:
            return schedule.learning_rate(progress, peak, warmup)
        return peak * shape((progress - warmup) / (1 - warmup))

    return wrong


def _warmup_only(progress, peak, warmup):
    return schedule.learning_rate(min(progress, warmup), peak, warmup)


def each_of(rate, moments, peak, warmup):
    """A rate for each moment, as one tensor."""
    return torch.tensor([float(rate(moment, peak, warmup)) for moment in moments])


learning_rate = Check(
    name="the learning rate",
    reference=schedule.learning_rate,
    cases=lambda: [
        ("a tenth of warm-up", ([0.02, 0.05, 0.1, 0.55, 0.9], 1.0, 0.1)),
        ("half of warm-up", ([0.1, 0.25, 0.5, 0.75], 3e-2, 0.5)),
        ("no warm-up", ([0.0, 0.5, 0.99], 1.0, 0.0)),
    ],
    mutants={
        "there is no warm-up": _no_warmup,
        "your cosine starts at progress 0: it begins when the warm-up ends": _cosine_from_the_start,
        "you came down along a line: the fall is a cosine": _fall_by(lambda share: 1 - share),
        "you left out the ½: 1 + cos runs from 2 to 0": _fall_by(lambda share: 1 + math.cos(math.pi * share)),
        "you took a quarter of a wave, cos(π/2 · share): ½ (1 + cos π·share) lands softly": _fall_by(
            lambda share: math.cos(0.5 * math.pi * share)
        ),
        "you gave the cosine degrees: `cos` takes radians, half a turn is π": _fall_by(
            lambda share: 0.5 * (1 + math.cos(180 * share))
        ),
        "the rate never falls": _warmup_only,
        "you never use `peak`": lambda p, peak, warmup: schedule.learning_rate(p, 1.0, warmup),
    },
    atol=2e-3,
    hint="Which share of the way down is done? It runs from 0 to 1 after the warm-up: ½ (1 + cos π·share).",
    run=each_of,
)


def clipped(parts, max_norm: float):
    """{part: its gradients}, each part scaled down to `max_norm` where its norm is larger."""
    norms = {part: _norm(gradients) for part, gradients in parts.items()}
    return {part: [g * min(1.0, max_norm / norms[part]) for g in grads] for part, grads in parts.items()}


def _norm(gradients) -> float:
    return torch.cat([g.flatten() for g in gradients]).norm().item() + 1e-12


def _one_norm(parts, max_norm):
    share = min(1.0, max_norm / _norm([g for gradients in parts.values() for g in gradients]))
    return {part: [g * share for g in gradients] for part, gradients in parts.items()}


def _each_tensor(parts, max_norm):
    return {part: [g * min(1.0, max_norm / _norm([g])) for g in grads] for part, grads in parts.items()}


def _always(parts, max_norm):
    return {part: [g * max_norm / _norm(grads) for g in grads] for part, grads in parts.items()}


def _each_number(parts, max_norm):
    return {part: [g.clamp(-max_norm, max_norm) for g in grads] for part, grads in parts.items()}


def _scaled_by(size):
    """Each part's gradients scaled by another measure of their size than the norm."""
    return lambda parts, max_norm: {
        part: [g * min(1.0, max_norm / (size(grads) + 1e-12)) for g in grads] for part, grads in parts.items()
    }


def gradients_case(seed: int, sizes: dict[str, float], max_norm: float):
    """Random gradients of two tensors for each part, of the given spread."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    return {part: [size * draw(3, 2), size * draw(4)] for part, size in sizes.items()}, max_norm


clip = Check(
    name="clipping by part",
    reference=clipped,
    cases=lambda: [
        (
            "3-4-5",
            (
                {
                    "trunk": [torch.tensor([0.3]), torch.tensor([0.4])],
                    "head": [torch.tensor([30.0]), torch.tensor([40.0])],
                },
                1.0,
            ),
        ),
        ("three parts", gradients_case(0, {"aggregator": 5.0, "camera_head": 50.0, "depth_head": 0.01}, 1.0)),
        ("nothing to clip", gradients_case(1, {"aggregator": 0.01}, 2.0)),
    ],
    mutants={
        "one norm for all parts: the loud part silenced the others": _one_norm,
        "one norm for each tensor: a part's tensors share one, or its direction changes": _each_tensor,
        "you added up the tensors' norms: add their squares, and take one root": _scaled_by(
            lambda grads: sum(g.norm().item() for g in grads)
        ),
        "the root is missing: a norm is the root of the sum of squares": _scaled_by(
            lambda grads: sum(g.square().sum().item() for g in grads)
        ),
        "short gradients were stretched: scale down, never up": _always,
        "you clamped each number: that turns the gradient; scale it as a whole": _each_number,
    },
    hint="For each part: the root of the sum of squares over all its tensors; then one factor, at most 1.",
)
