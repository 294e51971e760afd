"""The camera head: checks of the exercises, with the mistakes people make."""

import torch
import torch.nn.functional as F

from vggt_lite.course.checks.check import Check, draws
from vggt_lite.course.checks.watching import Refused
from vggt_lite.model.camera_head import activate_pose


def activated(raw):
    """`activate_pose`: the last two of nine numbers, the fields of view, pass a ReLU."""
    return torch.cat([raw[..., :7], F.relu(raw[..., 7:])], dim=-1)


activation = Check(
    name="activation",
    reference=activated,
    trained=True,
    without=(activate_pose,),
    cases=lambda: {
        "one camera, one field of view below zero": (torch.tensor([1.0, -2, 3, 0, -1, 0, 2, 0.9, -0.4]),),
        "two scenes of five views": draws((2, 5, 9)),
        "nothing below zero": (draws((4, 9), seed=1)[0].abs(),),
    },
    mutants={
        "all nine numbers went through the ReLU: a shift and a quaternion may be negative": F.relu,
        "you divided the quaternion by its length: the head leaves it as it is, decoding divides":
            "raw[..., :7] → raw[..., :3], F.normalize(raw[..., 3:7], dim=-1)",
        "the first two numbers went through the ReLU: the fields of view are the last two":
            "raw[..., :7], F.relu(raw[..., 7:]) → F.relu(raw[..., :2]), raw[..., 2:]",
        "you took |x| of the fields of view: ReLU makes 0 of everything negative": "F.relu → torch.abs",
        "only the last number went through the ReLU: there are two fields of view": "7 → 8",
        "the quaternion's w went through the ReLU, too: the fields of view begin at 7": "7 → 6",
        "you took the exponential, as depth does: fields of view pass a ReLU": "F.relu → torch.exp",
        "you took softplus, a smooth ReLU: its gradient lives, but trained weights expect the plain one":
            "F.relu → F.softplus",
        "you returned the raw numbers: the fields of view need a ReLU": lambda raw: raw,
        "the first seven numbers went through the ReLU, and not the last two":
            "raw[..., :7], F.relu(raw[..., 7:]) → F.relu(raw[..., :7]), raw[..., 7:]",
        "you took a sigmoid, which ends at 1: fields of view pass a ReLU": "F.relu → torch.sigmoid",
        "you took GELU: fields of view pass a plain ReLU": "F.relu → F.gelu",
        "you took a leaky ReLU: below zero it must give 0": "F.relu → F.leaky_relu",
        "you kept what is below zero: `clamp(min=0)`": "F.relu(raw[..., 7:]) → raw[..., 7:].clamp(max=0)",
        "`raw[7:]` cuts the first axis: write `raw[..., 7:]`":
            lambda raw: torch.cat([raw[:7], F.relu(raw[7:])]),
        "the fields of view came out in front: they stay last":
            "raw[..., :7], F.relu(raw[..., 7:]) → F.relu(raw[..., 7:]), raw[..., :7]",
    },
    hint="`raw[..., :7]` as it is, `raw[..., 7:]` through `F.relu`, joined along the last axis.",
)  # fmt: skip


def modulated(tokens, numbers):
    """tokens + gate ⊙ (LN(tokens) ⊙ (1 + scale) + shift), where numbers are [shift | scale | gate]."""
    shift, scale, gate = numbers.chunk(3, dim=-1)
    normed = F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
    return tokens + gate * (normed * (1 + scale) + shift)


modulation = Check(
    name="modulation",
    reference=modulated,
    trained=True,
    cases=lambda: {
        "three tokens of two channels": (torch.tensor([[1.0, 3], [2, -2], [0, 5]]), draws((3, 6))[0]),
        "two scenes of four views": draws((2, 4, 16), (2, 4, 48), seed=1),
        "tokens that hardly vary": ((1e-3 * draws((3, 8), seed=3)[0]), *draws((3, 24), seed=4)),
        "all numbers zero": (draws((2, 8), seed=2)[0], torch.zeros(2, 24)),
    },
    mutants={
        "ε is 1e-5, PyTorch's default: this norm has 1e-6": "1e-6 → 1e-5",
        "ε is missing: the norm divides by √(variance + 1e-6)": "1e-6 → 0.0",
        "ε stands outside the root: the norm divides by √(variance + 1e-6)":
            "F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) → "
            "(tokens - tokens.mean(-1, True)) / (tokens.std(-1, unbiased=False, keepdim=True) + 1e-6)",
        "the variance is divided by C − 1 (`std` of PyTorch): a norm divides by C, `unbiased=False`":
            "F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) → "
            "(tokens - tokens.mean(-1, True)) / (tokens.var(-1, True, keepdim=True) + 1e-6).sqrt()",
        "two things: ε stands outside the root, and the variance is divided by C − 1 instead of C":
            "F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) → "
            "(tokens - tokens.mean(-1, True)) / (tokens.std(-1, keepdim=True) + 1e-6)",
        "you multiplied by scale, not by 1 + scale": "* (1 + scale) → * scale",
        "you forgot to add the token itself": "tokens + gate → gate",
        "you forgot to normalise the token": "(normed * → (tokens *",
        "you added to the normalised token: the norm belongs inside the bracket only": "tokens + → normed +",
        "you swapped shift and scale: the order is [shift | scale | gate]": "shift, scale, → scale, shift,",
        "you read them as [gate | shift | scale]: the order is [shift | scale | gate]":
            "shift, scale, gate = → gate, shift, scale =",
        "the gate reached only the scaled part: the shift passes through it as well":
            "return tokens + gate * (normed * (1 + scale) + shift) "
            "→ return tokens + gate * normed * (1 + scale) + shift",
        "you added the shift before scaling: scale first, then shift":
            "(normed * (1 + scale) + shift) → ((normed + shift) * (1 + scale))",
        "the gate went through a sigmoid: take it as it is, it may be negative":
            "tokens + gate * → tokens + gate.sigmoid() *",
        "you mixed with 1 − gate: the token in front stays whole": "return → return (1 - gate) *",
        "you dealt the 3C numbers out in turn: the first C are shift, the next C scale, the last C gate":
            "numbers.chunk(3, dim=-1) → numbers.unflatten(-1, (-1, 3)).unbind(-1)",
        "the norm ran over all tokens together: each token has its own": "tokens.shape[-1:] → tokens.shape",
        "you forgot the gate": "tokens + gate * → tokens +",
        "you multiplied by 1 + gate: the gate has no 1": "gate * ( → (1 + gate) * (",
        "you added 1 + shift: only the scale has a 1": "+ shift) → + 1 + shift)",
        "you swapped scale and gate: the order is [shift | scale | gate]":
            "shift, scale, gate = → shift, gate, scale =",
        "you swapped shift and gate: the order is [shift | scale | gate]":
            "shift, scale, gate = → gate, scale, shift =",
        "the gate multiplied the token in front: it belongs to the bracket":
            "tokens + gate * (normed * (1 + scale) + shift) → gate * tokens + normed * (1 + scale) + shift",
        "a norm takes the mean away first": "F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) → "
            "tokens / (tokens.square().mean(-1, True) + 1e-6).sqrt()",
        "you divided by the length of the token: LN takes the mean away and divides by the spread":
            "F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) → F.normalize(tokens, dim=-1)",
        "you took the mean away and did not divide by the spread":
            "F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) → tokens - tokens.mean(-1, True)",
        "you divided by the variance: take its root":
            "F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) → "
            "(tokens - tokens.mean(-1, True)) / (tokens.var(-1, False, keepdim=True) + 1e-6)",
        "two things: ε is missing, and the spread is divided by C − 1 instead of C":
            "F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) → "
            "(tokens - tokens.mean(-1, True)) / tokens.std(-1, keepdim=True)",
        "ε is added to the variance; yours is only its smallest value":
            "F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) → "
            "(tokens - tokens.mean(-1, True)) / tokens.var(-1, False, keepdim=True).clamp(min=1e-6).sqrt()",
        "the norm ran along the tokens (dim=-2): each token has its own, along its channels":
            "F.layer_norm(tokens, tokens.shape[-1:], eps=1e-6) → "
            "F.layer_norm(tokens.mT, tokens.shape[-2:-1], eps=1e-6).mT",
    },
    atol=1e-4,
    hint="`numbers.chunk(3, dim=-1)` gives shift, scale and gate; `F.layer_norm(x, x.shape[-1:])` the norm.",
)  # fmt: skip


def refined(correction, tokens, empty, iterations):
    """The loop of the head: encodings of every iteration."""
    start = empty.expand(*tokens.shape[:2], -1)
    raw = correction(tokens, start)
    encodings = [activate_pose(raw)]
    for _ in range(iterations - 1):
        raw = raw.detach() + correction(tokens, raw.detach())
        encodings.append(activate_pose(raw))
    return encodings


def run_refinement(answer, weight, look, tokens, empty, iterations):
    """What the loop returns, and gradients: at the weight by the last iteration, at the inputs by all."""
    weight, look, tokens, empty = (x.clone().requires_grad_() for x in (weight, look, tokens, empty))

    def correction(tokens, pose):
        return torch.tanh(tokens @ weight + pose @ look)

    def slope(encodings, *at):
        total = sum(e.sum() for e in encodings)
        if not total.requires_grad:
            return [torch.zeros_like(x) for x in at]
        return torch.autograd.grad(total, at, retain_graph=True, materialize_grads=True)

    encodings = answer(correction, tokens, empty, iterations)
    if isinstance(encodings, torch.Tensor) and encodings.ndim == 3:  # of one iteration, no list
        return {"encodings": encodings}
    if isinstance(encodings, dict):
        raise Refused("your function returns a dict. Return a list: an encoding for each iteration.")
    encodings = list(encodings)
    found = {"encodings": encodings, "gradient at the weights": slope(encodings[-1:], weight)}
    return found | {"gradient at the tokens": slope(encodings, tokens), "at empty": slope(encodings, empty)}


def _refinement_case(scenes: int, views: int, iterations: int, seed: int):
    weight, look, tokens, empty = draws((6, 9), (9, 9), (scenes, views, 6), (1, 1, 9), seed=seed)
    return 0.4 * weight, 0.4 * look, tokens, empty, iterations


refinement = Check(
    name="refinement",
    reference=refined,
    cases=lambda: {
        "one scene, two views, four iterations": _refinement_case(1, 2, 4, seed=0),
        "three scenes of five views, three iterations": _refinement_case(3, 5, 3, seed=1),
        "two iterations of one view": _refinement_case(1, 1, 2, seed=2),
    },
    mutants={
        "nothing is detached: the last answer sends its gradient back through all iterations": ".detach() →",
        "you detached what the head is shown, but not what its answer is added to": "raw.detach() + → raw +",
        "you detached what the answer is added to, but not what the head is shown": "raw.detach()) → raw)",
        "you detached the correction, too, and no gradient is left: detach before you add":
            "activate_pose(raw) → activate_pose(raw).detach()",
        "you detached the tokens: the aggregator learns through them": "(tokens, → (tokens.detach(),",
        "you detached the empty pose: its nine numbers are learned, too": "empty. → empty.detach().",
        "you replaced the pose: a later answer is a correction, to be added": "raw.detach() + →",
        "you fed back the activated pose: the head is shown the raw one":
            "raw.detach()) → activate_pose(raw.detach()))",
        "you corrected the activated pose: keep the raw one, activate only what you return":
            "raw.detach() → activate_pose(raw).detach()",
        "you added the first answer to the empty pose: it is the pose itself":
            "raw = correction → raw = start + correction",
        "you showed the empty pose in every iteration": "(tokens, raw.detach()) → (tokens, start)",
        "you started from zeros: the empty pose is learned, and given to you": "empty. → (0 * empty).",
        "you detached the later corrections: detach the pose that they are added to":
            "raw.detach() + correction(tokens, raw.detach()) → raw + correction(tokens, raw).detach()",
        "you detached once: the pose is detached before every later iteration":
            "for _ in → raw = raw.detach()\n    for _ in; raw.detach() + correction(tokens, raw.detach()) → "
            "raw + correction(tokens, raw)",
        "two things: the first answer is the pose itself, not added to the empty pose, which stays attached":
            "raw = correction(tokens, start) → raw = start.detach() + correction(tokens, start.detach())",
        "later iterations were shown zeros: show them the pose so far":
            "(tokens, raw.detach()) → (tokens, torch.zeros_like(raw))",
        "a correction is added, not subtracted": "raw.detach() + → raw.detach() -",
        "all encodings are those of the first iteration": "raw = raw.detach() + correction → correction",
        "you went one iteration too many: the first answer counts as one": "iterations - 1 → iterations",
        "you returned raw poses: activate what you return, and only that": "activate_pose(raw) → raw",
        "your list begins with the last iteration: the first comes first":
            "return encodings → return encodings[::-1]",
        "you returned only the last encoding: the loss needs those of all iterations":
            "return encodings → return encodings[-1]",
    },
    run=run_refinement,
    hint="First raw from the empty pose. Then, iterations − 1 times: detach raw, add the correction to it.",
)  # fmt: skip
