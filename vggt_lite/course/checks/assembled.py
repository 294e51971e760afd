"""The parts of the network, assembled from a learner's own pieces: their class, with NANO's weights in it.

A class takes the arguments of the package's and names its parts as the weights do. What carries weights is
told by their names and shapes, the rest by wrong answers. Beside NANO's own weights every class is tried with
*quiet* ones: what goes into a norm then varies as little as ε, so that each ε shows.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vggt_lite.config import NANO
from vggt_lite.course.checks.check import Check, draws, edited
from vggt_lite.course.checks.watching import Refused, leaving_arguments
from vggt_lite.model import layers
from vggt_lite.model.aggregator import Aggregator
from vggt_lite.model.camera_head import CameraHead
from vggt_lite.model.dense_head import DenseHead, DPTDecoder, FusionBlock, ResidualUnit
from vggt_lite.model.patch_embed import ViTPatchEmbed
from vggt_lite.model.track_head import Tracker
from vggt_lite.pretrained import load_pretrained

QUIET = 1e-3
WHY = {  # part of a weight's name → what a learner should know about it
    "trunk.0.attn.q_norm": "the camera head's trunk has no QK-norm",
    "trunk.0.attn.k_norm": "the camera head's trunk has no QK-norm",
    "attn.q_norm": "queries and keys of d channels are normalised, each by a norm of its own",
    "attn.k_norm": "queries and keys of d channels are normalised, each by a norm of its own",
    "trunk_norm": "a norm stands between the trunk and the last perceptron",
    "mlp.fc": "a block's perceptron is 4 C wide in the middle",
    "pose_branch.fc": "the last perceptron is half as wide in the middle as a token: 2C → C → 9",
    "modulation": "shift, scale and gate are three times as many numbers as a token has",
    "adaptive_norm": "the norm of the modulation has no weights",
    "mean": "ImageNet's mean is no weight: `register_buffer(…, persistent=False)` keeps it out",
    "std": "ImageNet's spread is no weight: `register_buffer(…, persistent=False)` keeps it out",
    "mask_token": "VGGT never uses DINOv2's mask token",
}


@functools.cache
def nano() -> nn.Module:
    return load_pretrained("nano").requires_grad_(False)


def weights_of(part: str, *quiet: str) -> dict[str, Tensor]:
    """NANO's weights of a part; those whose names hold one of the words `quiet` are made small."""
    weights = nano().get_submodule(part).state_dict()
    weights = {
        name: w for name, w in weights.items() if name != "mask_token" and "patch_embed.mask" not in name
    }
    return {
        name: w * QUIET if any(word in name for word in quiet) else w.clone() for name, w in weights.items()
    }


def loaded(module: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """The module with these weights in it.

    Raises:
        Refused: its parts have other names or sizes; the text names the first of them and what it is about.
    """
    own = {name: w for name, w in module.state_dict().items() if "mask_token" not in name}
    wrong = {
        name: f"has no `{name}`, of shape {tuple(w.shape)}" for name, w in weights.items() if name not in own
    }
    wrong |= {name: f"has `{name}`, which NANO has not" for name in own if name not in weights}
    for name in own.keys() & weights.keys():
        if own[name].shape != weights[name].shape:
            sizes = tuple(own[name].shape), tuple(weights[name].shape)
            wrong[name] = "has `{}` of shape {}; NANO's is {}".format(name, *sizes)
    if wrong:
        first = min(wrong, key=[*weights, *own].index)
        why = next((f": {text}" for part, text in WHY.items() if part in first), "")
        raise Refused(f"your class {wrong[first]}{why}.")
    module.load_state_dict(weights, strict=False)
    module.forward = leaving_arguments(module.forward)
    return module.eval()


# --- block: lesson 03 -------------------------------------------------------------------------------


class PositionedBlock(layers.Block):
    """The package's block, called as the learner's: with positions (L, 2) in place of tables."""

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        head_dim = x.shape[-1] // self.attn.num_heads
        tables = None if positions is None else layers.rotary_tables(positions, head_dim, 100.0)
        return super().forward(x, tables)


def with_attention(edits: str) -> Callable[..., nn.Module]:
    """`PositionedBlock` with an edited attention."""

    def build(dim, num_heads, **options):
        block = PositionedBlock(dim, num_heads, **options)
        block.attn = edited(layers.Attention, edits)(dim, num_heads, options.get("qk_norm", False))
        return block

    return build


def run_block(build, options: dict, weights: dict[str, Tensor], x: Tensor, positions: Tensor | None):
    with torch.no_grad():
        return loaded(build(96, 4, **options), weights)(x, positions)


def _block_cases():
    frame, vit = weights_of("aggregator.frame_blocks.2"), weights_of("aggregator.patch_embed.blocks.0")
    steep = dict(frame)  # queries and keys that hardly vary
    for name in ("attn.qkv.weight", "attn.qkv.bias"):
        steep[name] = torch.cat([QUIET * frame[name][:192], frame[name][192:]])
    (x, y), where = draws((2, 69, 96), (1, 17, 96)), layers.grid_positions(8, 8, 5)
    silent = weights_of("aggregator.frame_blocks.2", "ls1.gamma")
    qk, plain = {"qk_norm": True}, {"norm_eps": 1e-6}
    return {
        "NANO's third frame block": (qk, frame, x, where),
        "a wide picture": (qk, frame, y, layers.grid_positions(3, 4, 5)),
        "tokens that hardly vary": (qk, frame, QUIET * x, where),
        "the same, with little attention": (qk, silent, QUIET * x, where),
        "queries and keys that hardly vary": (qk, steep, x, where),
        "a block of the ViT, without positions and QK-norm": (plain, vit, x, None),
        "that block and tokens that hardly vary": (plain, vit, QUIET * x, None),
    }


block = Check(
    name="your block",
    reference=PositionedBlock,
    cases=_block_cases,
    run=run_block,
    atol=1e-4,
    mutants={
        "the norm of queries and keys comes before the turn: turn what is normalised": with_attention(
            "q, k = self.q_norm(q), self.k_norm(k) →; "
            "return q, k, v → return self.q_norm(q), self.k_norm(k), v"
        ),
        "you normalised the queries only": with_attention("self.k_norm(k) → k"),
        "one norm served queries and keys: each has its own":
            with_attention("self.k_norm(k) → self.q_norm(k)"),
        "you normalised the values too": with_attention("return q, k, v → return q, k, self.k_norm(v)"),
        "you turned the values too: positions say who is read, not what": with_attention(
            "rotate(k, rotary) → rotate(k, rotary); return q, k, v → return q, k, rotate(v, rotary) "
            "if rotary is not None else v"
        ),
        "you turned only the queries":
            with_attention("rotate(q, rotary), rotate(k, rotary) → rotate(q, rotary), k"),
        "positions were never used": layers.Block,
        "`norm_eps` was never used: the ViT's blocks have 1e-6, the others 1e-5":
            lambda *sizes, norm_eps=1e-5, **options: PositionedBlock(*sizes, **options),
        "the block's norms have ε = 1e-6 everywhere: 1e-5 is the default here":
            lambda *sizes, norm_eps=1e-6, **options: PositionedBlock(*sizes, norm_eps=1e-6, **options),
        "the norms of queries and keys have ε = 1e-5": with_attention("eps=1e-5 → eps=1e-6"),
        "`proj` was never used: it lets the heads' findings mix": with_attention(
            "self.proj(out.transpose(1, 2).flatten(2)) → out.transpose(1, 2).flatten(2)"
        ),
        "GELU is the tanh form: `F.gelu(x)` is exact": lambda *sizes, **options: _with_mlp(
            PositionedBlock(*sizes, **options), "self.fc1(x) → self.fc1(x), approximate='tanh'"
        ),
        "the perceptron bends with a ReLU: it is GELU": lambda *sizes, **options: _with_mlp(
            PositionedBlock(*sizes, **options), "F.gelu → F.relu"
        ),
    },
    hint="Compare with the two lines of exercise 3.6, part by part: norm, attention, γ.",
)  # fmt: skip


def _with_mlp(block, edits):
    dim = block.norm1.weight.shape[0]
    block.mlp = edited(layers.Mlp, edits)(dim, 4 * dim)
    return block


# --- patch embedding: lesson 02 ---------------------------------------------------------------------


def run_vit(build, weights: dict[str, Tensor], images: Tensor):
    with torch.no_grad():
        return loaded(build(96, 3, 4, 8, 64, 4), weights)(images)


def _vit_cases():
    part = "aggregator.patch_embed"
    square, wide = draws((2, 3, 64, 64), (1, 3, 24, 40))
    quiet = weights_of(part, "projection", "position_table", "token", "gamma")
    return {
        "two square pictures": (weights_of(part), square),
        "a wide picture": (weights_of(part), wide),
        "quiet weights": (quiet, square),
    }


patch_embed = Check(
    name="your patch embedding",
    reference=ViTPatchEmbed,
    cases=_vit_cases,
    run=run_vit,
    atol=1e-4,
    mutants={
        "the blocks' norms have ε = 1e-5, PyTorch's default: DINOv2's have 1e-6":
            "Block(dim, num_heads, norm_eps=1e-6, → Block(dim, num_heads,",
        "the last norm has ε = 1e-5, PyTorch's default: DINOv2's has 1e-6":
            "self.norm = nn.LayerNorm(dim, eps=1e-6) → self.norm = nn.LayerNorm(dim)",
        "the last norm was never used": "self.norm(x)[:, → x[:,",
        "class token and registers came out too: only patch tokens leave":
            "self.norm(x)[:, 1 + self.register_tokens.shape[1] :] → self.norm(x)",
        "you cut off the last tokens: class token and registers stand first":
            "[:, 1 + self.register_tokens.shape[1] :] → [:, : -1 - self.register_tokens.shape[1]]",
        "positions were never added": "x + resize_position_table(self.position_table, height, width) → x",
        "the registers are missing": "x[:, :1], registers, x[:, 1:] → x[:, :1], x[:, 1:]; "
            "self.norm(x)[:, 1 + self.register_tokens.shape[1] :] → self.norm(x)[:, 1:]",
        "registers came before positions: they have no place":
            "x = x + resize → table = resize; height, width) → height, width).expand(len(patches), -1, -1); "
            "return torch.cat([x[:, :1], registers, x[:, 1:]], dim=1) → "
            "return torch.cat([x[:, :1] + table[:, :1], registers + table[:, 1:5], "
            "x[:, 1:] + table[:, 1:]], dim=1)",
        "the table was read with height and width exchanged":
            "self.position_table, height, width → self.position_table, width, height",
        "patches run down the columns: tokens go row by row":
            "patches.flatten(2).transpose(1, 2) → patches.mT.flatten(2).transpose(1, 2)",
        "one block too few ran": "for block in blocks: → for block in blocks[:-1]:",
    },
    hint="Compare with `vit.embed(images)`, then block by block, as in the lesson's `my_stages`.",
)  # fmt: skip


# --- aggregator: lesson 04 --------------------------------------------------------------------------


def run_aggregator(build, weights: dict[str, Tensor], images: Tensor):
    with torch.no_grad():
        return loaded(build(NANO), weights)(images)


def _aggregator_cases():
    weights, generator = weights_of("aggregator"), torch.Generator().manual_seed(0)
    pictures = {
        "a scene of three views": (1, 3, 3, 16, 24),
        "two scenes of two views": (2, 2, 3, 24, 16),
        "one view": (1, 1, 3, 32, 32),
    }
    return {name: (weights, torch.rand(shape, generator=generator)) for name, shape in pictures.items()}


aggregator = Check(
    name="your aggregator",
    reference=Aggregator,
    cases=_aggregator_cases,
    run=run_aggregator,
    atol=2e-4,
    mutants={
        "pictures went in as they are: ImageNet's mean is taken away, then its spread divides":
            "(images.flatten(0, 1) - self.mean) / self.std → images.flatten(0, 1)",
        "you took ImageNet's mean away and did not divide by its spread": ") / self.std → )",
        "you normalised with 0.5: ImageNet's mean is (0.485, 0.456, 0.406), its spread (0.229, 0.224, 0.225)":
            "self.mean) / self.std → 0.5) / 0.5",
        "ImageNet's numbers are in the order of red, green, blue, as the pictures are":
            "self.mean) / self.std → self.mean.flip(0)) / self.std.flip(0)",
        "you divided by ImageNet's spread first, then took the mean away":
            "(images.flatten(0, 1) - self.mean) / self.std → images.flatten(0, 1) / self.std - self.mean",
        "a register came out as the camera token: the order is [camera | registers | patches]":
            "[camera.to(patches), registers.to(patches), patches] → [registers, camera, patches]",
        "every view got slot 0 of the special tokens":
            "self.hand_out(self.camera_token → self.hand_out(self.camera_token[:, [0, 0]]; "
            "self.hand_out(self.register_tokens → self.hand_out(self.register_tokens[:, [0, 0]]",
        "the slots are exchanged: slot 0 is the first view's":
            "self.hand_out(self.camera_token → self.hand_out(self.camera_token.flip(1); "
            "self.hand_out(self.register_tokens → self.hand_out(self.register_tokens.flip(1)",
        "special tokens share a place with the first patch: they sit at (0, 0), patches count from 1":
            ".to(images.device)  # (T, 2) → .sub(1).clamp(min=0)",
        "rows and columns are exchanged in the positions": ".to(images.device)  # (T, 2) → .flip(-1)",
        "in global blocks each view's patches stand elsewhere: all views have the same positions":
            "tuple(table.repeat(num_views, 1, 1) for table in rotary) → rotary_tables("
            "positions.repeat(num_views, 1) + "
            "torch.arange(num_views).repeat_interleave(len(positions))[:, None], "
            "config.dim // config.num_heads, config.rope_base)",
        "global blocks got no positions": "global_block(joined, rotary_all) → global_block(joined)",
        "frame blocks got no positions": "frame_block(x, rotary) → frame_block(x)",
        "the scenes of a batch read each other":
            "within.reshape(num_scenes, → within.reshape(1,; rotary_all) "
            "→ tuple(table.repeat(num_scenes, 1, 1) for table in rotary_all))",
        "the halves are [global | frame]: frame comes first": "cat([within, x] → cat([x, within]",
        "special tokens are among what is kept: the dense heads read patches only":
            "both[:, :, num_special:] → both",
    },
    hint="Compare step by step: tokens before the first block with `network.embed(images)`, then one pair.",
)  # fmt: skip


# --- camera head: lesson 05 -------------------------------------------------------------------------


def run_camera_head(build, weights: dict[str, Tensor], tokens: Tensor, iterations: int):
    """Encodings of all rounds, and gradients that the last one sends back."""
    head = loaded(build(192, 1, 4, iterations), weights)
    tokens = tokens.clone().requires_grad_()
    with torch.enable_grad():
        encodings = head(tokens)
        if encodings is None:
            return None
        at = head.modulation.weight, tokens
        slopes = torch.autograd.grad(encodings[-1].sum(), at, allow_unused=True, materialize_grads=True)
    return {"encodings": list(encodings), "gradients": [100 * x / x.abs().max().clamp(min=1) for x in slopes]}


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
        "`trunk_norm` was never used: it stands before the last perceptron": "self.trunk_norm(x) → x",
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
        "the bend of the modulation is SiLU: x · sigmoid(x)": "F.silu → F.gelu",
        "the gate is missing": "tokens + gate * → tokens +",
        "the modulated tokens replaced the tokens: add them": "x = tokens + gate → x = gate",
        "nothing is detached between the rounds": "raw = raw.detach() → pass",
        "each round replaced the pose: a later one is a correction, to be added":
            "raw = raw + self → raw = self",
        "the first round was shown zeros: the empty pose is learned": "self.empty_pose.expand "
            "→ torch.zeros(1, 1, 9).expand",
        "all rounds were shown the empty pose": "self.pose_update(tokens, raw) "
            "→ self.pose_update(tokens, self.empty_pose.expand_as(raw))",
        "fields of view did not pass the ReLU": "activate_pose(raw) → raw",
        "the activated pose was fed back: keep the raw one":
            "raw = raw.detach() → raw = activate_pose(raw).detach()",
        "`iterations` counts all rounds, the first one too": "self.iterations - 1 → self.iterations",
    },
    hint="Compare one round first: `pose_update` of your class and of NANO's head, for the empty pose.",
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
        "units add x, not ReLU(x): the released weights are used to the slip": with_parts(
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


def run_tracker(build, rounds: int, maps: Tensor, queries: Tensor):
    """Tracks, visibility, confidence, and the gradient that the last positions alone send to the maps.

    Few rounds: the waves of the displacement make a rounding error a thousand times larger in each.
    """
    tracker = loaded(build(NANO.with_(track_iterations=rounds)), weights_of("track_head.tracker"))
    maps = maps.clone().requires_grad_()
    with torch.enable_grad():
        answer = tracker(maps, queries)
        if answer is None:
            return None
        tracks, visibility, confidence = answer
        pull = torch.autograd.grad(tracks[-1].sum(), maps, materialize_grads=True, allow_unused=True)[0]
    pull = pull / pull.abs().max().clamp(min=1e-6)
    return {"tracks": list(tracks), "visibility": visibility, "confidence": confidence, "gradient": pull}


def _tracker_case(rounds: int, views: int, points: int, seed: int, scale: float = 1.0):
    maps, places = draws((1, views, 32, 16, 16), (1, points, 2), seed=seed)
    return rounds, scale * maps, 8 + 3 * places


tracker = Check(
    name="your tracker",
    reference=Tracker,
    cases=lambda: {
        "one round, three views, five points": _tracker_case(1, 3, 5, seed=0),
        "two rounds": _tracker_case(2, 2, 4, seed=1),
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
        "positions are not detached: each round learns to correct what it is given": "tracks.detach() → tracks",
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
        "the features were replaced: the update is added": "features + self.feature_update → self.feature_update",
        "the query moved: in view 1 it stays where it was asked": "torch.cat([queries[:, None], tracks[:, 1:]], dim=1) "
            "→ tracks",
        "visibility and confidence are exchanged": "self.visibility(features)[..., 0], "
            "self.confidence(features)[..., 0] → self.confidence(features)[..., 0], "
            "self.visibility(features)[..., 0]",
    },
    hint="Compare one round: the windows, the tokens (B, S, N, 3C + 4), the change, then the new tracks.",
)  # fmt: skip
