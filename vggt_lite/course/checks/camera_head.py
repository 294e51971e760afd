"""The camera head: checks of the exercises, with the mistakes people make."""

import torch
import torch.nn.functional as F

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draws
from vggt_lite.model.camera_head import activate_pose


def _unit_quaternion(raw):
    return torch.cat([raw[..., :3], F.normalize(raw[..., 3:7], dim=-1), F.relu(raw[..., 7:])], dim=-1)


activation = Check(
    name="activation",
    reference=activate_pose,
    cases=lambda: [
        ("one camera, one field of view below zero", (torch.tensor([1.0, -2, 3, 0, -1, 0, 2, 0.9, -0.4]),)),
        ("two scenes of five views", draws((2, 5, 9))),
        ("nothing below zero", (draws((4, 9), seed=1)[0].abs(),)),
    ],
    mutants={
        "all nine numbers went through the ReLU: a shift and a quaternion may be negative": F.relu,
        "you divided the quaternion by its length: the head leaves it as it is, decoding divides": (
            _unit_quaternion
        ),
        "the first two numbers went through the ReLU: the fields of view are the last two": lambda raw: (
            torch.cat([F.relu(raw[..., :2]), raw[..., 2:]], dim=-1)
        ),
        "you took |x| of the fields of view: ReLU makes 0 of everything negative": lambda raw: torch.cat(
            [raw[..., :7], raw[..., 7:].abs()], dim=-1
        ),
        "only the last number went through the ReLU: there are two fields of view": lambda raw: torch.cat(
            [raw[..., :8], F.relu(raw[..., 8:])], dim=-1
        ),
        "the quaternion's w went through the ReLU, too: the fields of view begin at 7": lambda raw: torch.cat(
            [raw[..., :6], F.relu(raw[..., 6:])], dim=-1
        ),
        "you took the exponential, as depth does: fields of view pass a ReLU": lambda raw: torch.cat(
            [raw[..., :7], raw[..., 7:].exp()], dim=-1
        ),
        "you took softplus, a smooth ReLU: its gradient lives, but trained weights expect the plain one": (
            lambda raw: torch.cat([raw[..., :7], F.softplus(raw[..., 7:])], dim=-1)
        ),
        "you returned the raw numbers: the fields of view need a ReLU": lambda raw: raw,
    },
    hint="`raw[..., :7]` as it is, `raw[..., 7:]` through `F.relu`, joined along the last axis.",
)


def modulated(tokens, numbers):
    """tokens + gate ⊙ (LN(tokens) ⊙ (1 + scale) + shift), where numbers are [shift | scale | gate]."""
    shift, scale, gate = numbers.chunk(3, dim=-1)
    return tokens + gate * (F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) * (1 + scale) + shift)


def _in_turn(tokens, numbers):
    shift, scale, gate = numbers.unflatten(-1, (-1, 3)).unbind(-1)
    return tokens + gate * (_norm(tokens) * (1 + scale) + shift)


def _norm_of_all(tokens, numbers):
    shift, scale, gate = numbers.chunk(3, dim=-1)
    return tokens + gate * (F.layer_norm(tokens, tokens.shape, eps=1e-6) * (1 + scale) + shift)


def _norm(tokens):
    return F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)


def _with(formula, order=(0, 1, 2)):
    """A wrong answer from its formula in tokens, shift, scale and gate."""

    def answer(tokens, numbers):
        parts = numbers.chunk(3, dim=-1)
        return formula(tokens, *(parts[k] for k in order))

    return answer


modulation = Check(
    name="modulation",
    reference=modulated,
    cases=lambda: [
        ("three tokens of two channels", (torch.tensor([[1.0, 3], [2, -2], [0, 5]]), draws((3, 6))[0])),
        ("two scenes of four views", draws((2, 4, 16), (2, 4, 48), seed=1)),
        ("all numbers zero", (draws((2, 8), seed=2)[0], torch.zeros(2, 24))),
    ],
    mutants={
        "you multiplied by scale, not by 1 + scale": _with(lambda x, a, b, g: x + g * (_norm(x) * b + a)),
        "you forgot to add the token itself": _with(lambda x, a, b, g: g * (_norm(x) * (1 + b) + a)),
        "you forgot to normalise the token": _with(lambda x, a, b, g: x + g * (x * (1 + b) + a)),
        "you added to the normalised token: the norm belongs inside the bracket only": _with(
            lambda x, a, b, g: _norm(x) + g * (_norm(x) * (1 + b) + a)
        ),
        "you swapped shift and scale: the order is [shift | scale | gate]": _with(
            lambda x, a, b, g: x + g * (_norm(x) * (1 + b) + a), order=(1, 0, 2)
        ),
        "you read them as [gate | shift | scale]: the order is [shift | scale | gate]": _with(
            lambda x, a, b, g: x + g * (_norm(x) * (1 + b) + a), order=(1, 2, 0)
        ),
        "the gate reached only the scaled part: the shift passes through it as well": _with(
            lambda x, a, b, g: x + g * _norm(x) * (1 + b) + a
        ),
        "you added the shift before scaling: scale first, then shift": _with(
            lambda x, a, b, g: x + g * (_norm(x) + a) * (1 + b)
        ),
        "the gate went through a sigmoid: take it as it is, it may be negative": _with(
            lambda x, a, b, g: x + g.sigmoid() * (_norm(x) * (1 + b) + a)
        ),
        "you mixed with 1 − gate: the token in front stays whole": _with(
            lambda x, a, b, g: (1 - g) * x + g * (_norm(x) * (1 + b) + a)
        ),
        "you dealt the 3C numbers out in turn: the first C are shift, the next C scale, the last C gate": (
            _in_turn
        ),
        "the norm ran over all tokens together: each token has its own": _norm_of_all,
        "you forgot the gate": _with(lambda x, a, b, g: x + _norm(x) * (1 + b) + a),
    },
    atol=1e-4,  # so that PyTorch's default ε passes, too
    hint="`numbers.chunk(3, dim=-1)` gives shift, scale and gate; `F.layer_norm(x, x.shape[-1:])` the norm.",
)


def refined(correction, tokens, empty, iterations):
    """The loop of the head: encodings of every round."""
    raw = correction(tokens, empty.expand(*tokens.shape[:2], -1))
    encodings = [activate_pose(raw)]
    for _ in range(iterations - 1):
        raw = raw.detach()
        raw = raw + correction(tokens, raw)
        encodings.append(activate_pose(raw))
    return encodings


def _detached(raw):
    return raw.detach()


def _loop(first=None, feed=_detached, add=_detached, give=activate_pose, extra=0):
    """A wrong loop: its first answer, what the head is shown, what is added to, what is returned."""

    def answer(correction, tokens, empty, iterations):
        start = empty.expand(*tokens.shape[:2], -1)
        raw = correction(tokens, start)
        raw = first(start, raw) if first else raw
        encodings = [give(raw)]
        for _ in range(iterations - 1 + extra):
            raw = add(raw) + correction(tokens, feed(raw))
            encodings.append(give(raw))
        return encodings

    return answer


def _always_empty(correction, tokens, empty, iterations):
    start = empty.expand(*tokens.shape[:2], -1)
    return refined(lambda tokens, pose: correction(tokens, start), tokens, empty, iterations)


def _activated_sum(correction, tokens, empty, iterations):
    pose = activate_pose(correction(tokens, empty.expand(*tokens.shape[:2], -1)))
    encodings = [pose]
    for _ in range(iterations - 1):
        pose = activate_pose(pose.detach() + correction(tokens, pose.detach()))
        encodings.append(pose)
    return encodings


def _no_gradient(*arguments):
    return [encoding.detach() for encoding in refined(*arguments)]


def run_refinement(answer, weight, look, tokens, empty, iterations):
    """What the loop returns, and the gradient that the last encoding alone sends to the head's weight."""
    weight, look = weight.clone().requires_grad_(), look.clone().requires_grad_()

    def correction(tokens, pose):
        return torch.tanh(tokens @ weight + pose @ look)

    encodings = answer(correction, tokens, empty, iterations)
    if encodings is None or encodings is ...:
        return encodings
    if isinstance(encodings, torch.Tensor) and encodings.ndim == 3 or not len(encodings):
        return {"encodings": encodings, "gradient": torch.zeros_like(weight)}  # of one round, or of none
    last = encodings[-1].sum()
    if not last.requires_grad:
        return {"encodings": list(encodings), "gradient": torch.zeros_like(weight)}
    gradient, _ = torch.autograd.grad(last, [weight, look], allow_unused=True)
    return {
        "encodings": list(encodings),
        "gradient": torch.zeros_like(weight) if gradient is None else gradient,
    }


def _refinement_case(scenes: int, views: int, iterations: int, seed: int):
    weight, look, tokens, empty = draws((6, 9), (9, 9), (scenes, views, 6), (1, 1, 9), seed=seed)
    return 0.4 * weight, 0.4 * look, tokens, empty, iterations


refinement = Check(
    name="refinement",
    reference=refined,
    cases=lambda: [
        ("one scene, two views, four rounds", _refinement_case(1, 2, 4, seed=0)),
        ("three scenes of five views, three rounds", _refinement_case(3, 5, 3, seed=1)),
        ("two rounds of one view", _refinement_case(1, 1, 2, seed=2)),
    ],
    mutants={
        "nothing is detached: the last answer sends its gradient back through all rounds": _loop(
            feed=lambda raw: raw, add=lambda raw: raw
        ),
        "you detached what the head is shown, but not what its answer is added to": _loop(
            add=lambda raw: raw
        ),
        "you detached what the answer is added to, but not what the head is shown": _loop(
            feed=lambda raw: raw
        ),
        "you detached the correction, too, and no gradient is left: detach before you add": _no_gradient,
        "you replaced the pose: a later answer is a correction, to be added": _loop(add=lambda raw: 0),
        "you fed back the activated pose: the head is shown the raw one": _loop(
            feed=lambda raw: activate_pose(raw.detach())
        ),
        "you corrected the activated pose: keep the raw one, activate only what you return": _activated_sum,
        "you added the first answer to the empty pose: it is the pose itself": _loop(
            first=lambda start, raw: start + raw
        ),
        "you showed the empty pose in every round": _always_empty,
        "you started from zeros: the empty pose is learned, and given to you": (
            lambda correction, tokens, empty, n: refined(correction, tokens, 0 * empty, n)
        ),
        "you went one round too many: the first answer is a round, too": _loop(extra=1),
        "you returned raw poses: activate what you return, and only that": _loop(give=lambda raw: raw),
        "your list begins with the last round: the first round comes first": lambda *arguments: refined(
            *arguments
        )[::-1],
        "you returned only the last encoding: the loss needs those of all rounds": lambda *arguments: refined(
            *arguments
        )[-1],
    },
    run=run_refinement,
    hint="First raw from the empty pose. Then, iterations − 1 times: detach raw, add the correction to it.",
)
