"""The heads, assembled from a learner's own pieces: what `assembled.py` says holds here, too."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vggt_lite.config import NANO
from vggt_lite.course.checks.check import Check, draws, edited
from vggt_lite.course.checks.nano_weights import QUIET, loaded, weights_of
from vggt_lite.model.camera_head import CameraHead
from vggt_lite.model.dense_head import DenseHead, DPTDecoder, FusionBlock, ResidualUnit
from vggt_lite.model.track_head import Tracker

# --- camera head: lesson 05 -------------------------------------------------------------------------


def run_camera_head(build, weights: dict[str, Tensor], tokens: Tensor, iterations: int):
    """Encodings of all iterations, and gradients that the last one sends back."""
    head = loaded(build(192, 1, 4, iterations), weights)
    tokens = tokens.clone().requires_grad_()
    with torch.enable_grad():
        encodings = head(tokens)
        if encodings is None:
            return None
        at = head.modulation.weight, tokens
        slopes = torch.autograd.grad(encodings[-1].sum(), at, allow_unused=True, materialize_grads=True)
    slopes = [100 * x / x.abs().max().clamp(min=1) for x in slopes]
    names = "gradient at the weights of `modulation`", "gradient at the tokens"
    return {"encodings": list(encodings), **dict(zip(names, slopes, strict=True))}


def _camera_cases():
    part = "camera_head"
    quiet = weights_of(part, "token_norm", "modulation", "gamma", "qkv")
    one, many = draws((1, 3, 192), (2, 4, 192))
    return {
        "one scene of three views": (weights_of(part), one, 4),
        "two scenes": (weights_of(part), 2 * many + 0.5, 2),
        "quiet weights": (quiet, QUIET * one, 1),
        "a single view": (weights_of(part), one[:, :1], 3),
    }


camera_head = Check(
    name="your camera head",
    reference=CameraHead,
    cases=_camera_cases,
    run=run_camera_head,
    atol=1e-4,
    rtol=1e-4,
    mutants={
        "`trunk_norm` was never used: it stands before `pose_branch`": "self.trunk_norm(x) → x",
        "the trunk normalises queries and keys: this one has no QK-norm":
            lambda *sizes: _with_qk_norm(CameraHead(*sizes)),
        "`token_norm` was never used": "tokens = self.token_norm(tokens) →",
        "`token_norm` has ε = 1e-5": "self.token_norm = nn.LayerNorm(dim, eps=1e-5) "
            "→ self.token_norm = nn.LayerNorm(dim, eps=1e-6)",
        "the norm of the modulation has ε = 1e-6, not PyTorch's default": "dim, eps=1e-6 → dim, eps=1e-5",
        "`trunk_norm` has ε = 1e-5": "self.trunk_norm = nn.LayerNorm(dim, eps=1e-5) "
            "→ self.trunk_norm = nn.LayerNorm(dim, eps=1e-6)",
        "the trunk's blocks have ε = 1e-5": "Block(dim, num_heads, → Block(dim, num_heads, norm_eps=1e-6,",
        "the trunk was never run: cameras did not attend to each other": "x = block(x) → pass",
        "SiLU is missing between `embed_pose` and `modulation`": "F.silu(self.embed_pose(pose)) "
            "→ self.embed_pose(pose)",
        "SiLU stands between `embed_pose` and `modulation`, not behind them":
            "self.modulation(F.silu(self.embed_pose(pose))) → F.silu(self.modulation(self.embed_pose(pose)))",
        "you took GELU for SiLU, x · sigmoid(x)": "F.silu → F.gelu",
        "you took a ReLU for SiLU, x · sigmoid(x)": "F.silu → F.relu",
        "each view went through the trunk alone: the views of a scene are one sequence":
            "x = block(x) → x = block(x.flatten(0, 1)[:, None]).view_as(tokens)",
        "the scenes of a batch attend to each other in the trunk":
            "x = block(x) → x = block(x.reshape(1, -1, x.shape[-1])).view_as(tokens)",
        "you added the tokens once more behind the trunk: its blocks have done that":
            "self.trunk_norm(x) → self.trunk_norm(x + tokens)",
        "`pose_branch` got the tokens, not what the trunk made of them":
            "self.trunk_norm(x) → self.trunk_norm(tokens)",
        "`token_norm` ran in every iteration as well: it stands before the loop, once":
            "shift, scale, gate = → tokens = self.token_norm(tokens)\n        shift, scale, gate =",
        "the trunk's blocks have one head: give them `num_heads`": "Block(dim, num_heads, → Block(dim, 1,",
        "you detached the tokens: the aggregator learns through them":
            "self.token_norm(tokens) → self.token_norm(tokens.detach())",
        "the gate is missing": "tokens + gate * → tokens +",
        "the modulated tokens replaced the tokens: add them": "x = tokens + gate → x = gate",
        "nothing is detached between the iterations": "raw = raw.detach() → pass",
        "each iteration replaced the pose: a later one gives a correction, to be added":
            "raw = raw + self → raw = self",
        "the first iteration was shown zeros: the empty pose is learned": "self.empty_pose.expand "
            "→ torch.zeros(1, 1, 9).expand",
        "all iterations were shown the empty pose": "self.pose_update(tokens, raw) "
            "→ self.pose_update(tokens, self.empty_pose.expand_as(raw))",
        "fields of view did not pass the ReLU": "activate_pose(raw) → raw",
        "the activated pose was fed back: keep the raw one":
            "raw = raw.detach() → raw = activate_pose(raw).detach()",
        "`iterations` counts all of them, the first one too": "self.iterations - 1 → self.iterations",
    },
    hint="Compare one iteration first: `pose_update` of your class and of NANO's head, for the empty pose.",
)  # fmt: skip


def _with_qk_norm(head):
    """The head with norms without weights in its trunk's attention."""
    for block in head.trunk:
        block.attn.q_norm = block.attn.k_norm = nn.LayerNorm(48, elementwise_affine=False)
    return head


# --- dense heads: lesson 06 -------------------------------------------------------------------------

DEPTH, POINTS = ("depth_head", 1, "exp"), ("point_head", 3, "inv_log")


def with_pyramid(edits: str) -> Callable[..., nn.Module]:
    """`DenseHead` with an edited decoder."""

    def build(dim, dims, fused, *rest):
        head = DenseHead(dim, dims, fused, *rest)
        head.pyramid = edited(DPTDecoder, edits)(dim, dims, fused, fused // 2, positions=True)
        return head

    return build


def with_parts(kind: type[nn.Module], edits: str) -> Callable[..., nn.Module]:
    """`DenseHead` whose parts of one kind compute something else."""

    def build(*sizes):
        head = DenseHead(*sizes)
        for module in head.modules():
            if isinstance(module, kind):
                module.forward = functools.partial(edited(kind, edits).forward, module)
        return head

    return build


def run_dense_head(build, kind: tuple, layers_: list[Tensor], grid: tuple[int, int]):
    part, channels, activation = kind
    with torch.no_grad():
        head = build(192, NANO.dense_dims, NANO.dense_dim, channels, activation, 8)
        return loaded(head, weights_of(part))(layers_, grid)


def _dense_cases():
    wide, tall, one = draws((4, 1, 2, 12, 192), (4, 2, 1, 6, 192), (4, 1, 1, 9, 192))
    return {
        "depth of two views": (DEPTH, list(wide), (3, 4)),
        "points of two scenes": (POINTS, list(tall), (3, 2)),
        "tokens that hardly vary": (DEPTH, list(QUIET * one), (3, 3)),
    }


dense_head = Check(
    name="your dense head",
    reference=DenseHead,
    cases=_dense_cases,
    run=run_dense_head,
    atol=1e-3,
    rtol=1e-3,
    mutants={
        "the norm of the tokens was never used": with_pyramid("self.norm(tokens) → tokens"),
        "the norm of the tokens has ε = 1e-5": with_pyramid("dim, eps=1e-5 → dim, eps=1e-6"),
        "the small maps got no waves: they are added twice, there and at full size": with_pyramid(
            "x = add_positions_(x, aspect) → pass"
        ),
        "the full-size map got no waves: they are added twice": with_pyramid(
            "add_positions_(x, aspect) if self.positions else x → x"
        ),
        "the waves were added after the maps were resized: before": with_pyramid(
            "x = add_positions_(x, aspect) → pass; enlarge(x) → add_positions_(enlarge(x), aspect)"
        ),
        "`aspect` is width ÷ height, not the other way round": "width / height → height / width",
        "fusions do not keep the corners as they enlarge: align_corners=True": with_parts(
            FusionBlock, "size) → size, mode='bilinear'); resize( → F.interpolate("
        ),
        "the finer map was added as it is: it passes `unit1` first": with_parts(
            FusionBlock, "self.unit1(skip) → skip"
        ),
        "the finer maps were never added": with_parts(FusionBlock, "x = x + self.unit1(skip) → pass"),
        "`unit2` was never used: it smooths after the sum": with_parts(FusionBlock, "self.unit2(x) → x"),
        "units add x, not ReLU(x): the released weights were trained so": with_parts(
            ResidualUnit, "x = F.relu(x) →; self.conv1(x) → self.conv1(F.relu(x))"
        ),
        "units add nothing: there is a skip around the two convolutions": with_parts(ResidualUnit, " + x →"),
        "tokens were laid out column by column: patches go row by row": with_pyramid(
            "unflatten(2, grid) → unflatten(2, grid[::-1]).mT"
        ),
        "confidence is 1 + e^x: it starts at 1": "self.activation) → self.activation, 'expp0')",
        "every head got exp: points have signs, and pass `inv_log`": "self.activation) → 'exp')",
    },
    hint="Compare `maps` first (four sizes), then what each fusion hands up, then the full-size map.",
)  # fmt: skip


# --- tracker: lesson 07 -----------------------------------------------------------------------------


def run_tracker(build, iterations: int, maps: Tensor, queries: Tensor):
    """Tracks, visibility, confidence, and the gradient that the last positions alone send to the maps.

    Few iterations: the waves of the displacement make a rounding error a thousand times larger in each.
    """
    tracker = loaded(build(NANO.with_(track_iterations=iterations)), weights_of("track_head.tracker"))
    maps = maps.clone().requires_grad_()
    with torch.enable_grad():
        answer = tracker(maps, queries)
        if answer is None:
            return None
        tracks, visibility, confidence = answer
        pull = torch.autograd.grad(tracks[-1].sum(), maps, materialize_grads=True, allow_unused=True)[0]
    pull = pull / pull.abs().max().clamp(min=1e-6)
    return {"tracks": list(tracks), "visibility": visibility, "confidence": confidence, "gradient": pull}


def _tracker_case(iterations: int, views: int, points: int, seed: int, scale: float = 1.0):
    maps, places = draws((1, views, 32, 16, 16), (1, points, 2), seed=seed)
    return iterations, scale * maps, 8 + 3 * places


tracker = Check(
    name="your tracker",
    reference=Tracker,
    cases=lambda: {
        "one iteration, three views, five points": _tracker_case(1, 3, 5, seed=0),
        "two iterations": _tracker_case(2, 2, 4, seed=1),
        "maps that hardly vary": _tracker_case(1, 2, 4, seed=2, scale=QUIET),
    },
    run=run_tracker,
    atol=1e-2,
    rtol=1e-2,
    mutants={
        "`feature_map_norm` was never used: maps are normalised over their channels": "self.feature_map_norm("
            "maps.movedim(2, -1)).movedim(-1, 2) → maps",
        "`feature_map_norm` has ε = 1e-5": "self.feature_map_norm = nn.LayerNorm(dim, eps=1e-5) "
            "→ self.feature_map_norm = nn.LayerNorm(dim, eps=1e-6)",
        "positions are not detached: each iteration learns to correct what it is given":
            "tracks.detach() → tracks",
        "queries were read in the last view: they lie in the first": "normed[:, 0] → normed[:, -1]",
        "level l is 2^l times smaller: divide the positions": "centers / 2**number → centers",
        "the place of the query was not added": "tokens + place + role → tokens + role",
        "the role of the view was not added: slot 0 in the first view, slot 1 in others":
            "tokens + place + role → tokens + place",
        "the roles are exchanged: slot 0 is the first view's": "[0] + [1] * (num_views - 1) "
            "→ [1] + [0] * (num_views - 1)",
        "the displacement is shown divided by `track_flow_scale`": "flow / self.flow_scale → flow",
        "the displacement counts from the query's place in view 1": "tracks - tracks[:, :1] → tracks",
        "`feature_norm` was never used": "self.feature_norm(change[..., 2:]) → change[..., 2:]",
        "the features were replaced: the update is added":
            "features + self.feature_update → self.feature_update",
        "the query moved: in view 1 it stays where it was asked":
            "torch.cat([queries[:, None], tracks[:, 1:]], dim=1) → tracks",
        "visibility and confidence are exchanged": "self.visibility(features)[..., 0], "
            "self.confidence(features)[..., 0] → self.confidence(features)[..., 0], "
            "self.visibility(features)[..., 0]",
    },
    hint="Compare one iteration: the windows, the tokens (B, S, N, 3C + 4), the change, then the new tracks.",
)  # fmt: skip
