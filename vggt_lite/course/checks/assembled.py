"""The parts of the network, assembled from a learner's own pieces: their class, with NANO's weights in it.

A class takes the arguments of the package's and names its parts as the weights do. What carries weights is
told by their names and shapes, the rest by wrong answers. Beside NANO's own weights every class is tried with
*quiet* ones: what goes into a norm then varies as little as ε, so that each ε shows.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vggt_lite.config import NANO
from vggt_lite.course.checks.assembled_heads import camera_head, dense_head, tracker  # noqa: F401
from vggt_lite.course.checks.assembled_loss import loss  # noqa: F401
from vggt_lite.course.checks.check import Check, draws, edited
from vggt_lite.course.checks.nano_weights import QUIET, loaded, weights_of
from vggt_lite.course.checks.seeds import generator
from vggt_lite.course.checks.watching import Refused, tensors_in, uneven
from vggt_lite.model import layers
from vggt_lite.model.aggregator import Aggregator
from vggt_lite.model.patch_embed import ViTPatchEmbed

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
        "the norm of queries and keys comes before the rotation: rotate what is normalised": with_attention(
            "q, k = self.q_norm(q), self.k_norm(k) →; "
            "return q, k, v → return self.q_norm(q), self.k_norm(k), v"
        ),
        "you normalised the queries only": with_attention("self.k_norm(k) → k"),
        "one norm served queries and keys: each has its own":
            with_attention("self.k_norm(k) → self.q_norm(k)"),
        "you normalised the values too": with_attention("return q, k, v → return q, k, self.k_norm(v)"),
        "you rotated the values too: positions change the weights, not what is read": with_attention(
            "rotate(k, rotary) → rotate(k, rotary); return q, k, v → return q, k, rotate(v, rotary) "
            "if rotary is not None else v"
        ),
        "you rotated only the queries":
            with_attention("rotate(q, rotary), rotate(k, rotary) → rotate(q, rotary), k"),
        "positions were never used": layers.Block,
        "`norm_eps` was never used: the ViT's blocks have 1e-6, the others 1e-5":
            lambda *sizes, norm_eps=1e-5, **options: PositionedBlock(*sizes, **options),
        "the block's norms have ε = 1e-6 everywhere: 1e-5 is the default here":
            lambda *sizes, norm_eps=1e-6, **options: PositionedBlock(*sizes, norm_eps=1e-6, **options),
        "the norms of queries and keys have ε = 1e-5": with_attention("eps=1e-5 → eps=1e-6"),
        "`proj` was never used: it mixes what the heads found": with_attention(
            "self.proj(out.transpose(1, 2).flatten(2)) → out.transpose(1, 2).flatten(2)"
        ),
        "GELU is the tanh form: `F.gelu(x)` is exact": lambda *sizes, **options: _with_mlp(
            PositionedBlock(*sizes, **options), "self.fc1(x) → self.fc1(x), approximate='tanh'"
        ),
        "the MLP's activation is a ReLU: it is GELU": lambda *sizes, **options: _with_mlp(
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

POSITIONS = (
    "a block got another number of tokens than of positions. Frame blocks take those of one view, its "
    "special tokens included; global blocks the same, repeated for every view; both made anew for each size "
    "of picture."
)


def run_aggregator(build, weights: dict[str, Tensor], images: Tensor):
    """Both results of a network that has seen a smaller picture before, and the gradients they send back."""
    network, leaf = loaded(build(NANO), weights), images.clone().requires_grad_()
    with torch.enable_grad():
        try:
            network(images[:, :1, :, :16, :8])
            answer = network(leaf * 1)  # no leaf, which could not be changed in place
        except RuntimeError as error:
            raise Refused(POSITIONS) if "must match the size of tensor" in str(error) else error from error
        if answer is None:
            return None
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise Refused("return two things: the last camera tokens, and patch tokens in a dictionary.")
        ends = {"pictures": leaf, "camera_token": network.camera_token, "registers": network.register_tokens}
        total = sum((uneven(y) * y).sum() for y in tensors_in(answer).values() if y.requires_grad)
        pulls = [torch.zeros_like(end) for end in ends.values()]
        if isinstance(total, Tensor):
            pulls = torch.autograd.grad(total, list(ends.values()), allow_unused=True, materialize_grads=True)
    pulls = {
        f"gradient at {end}": pull / pull.abs().max().clamp(min=1e-6)
        for end, pull in zip(ends, pulls, strict=True)
    }
    return {"camera tokens": answer[0], "patch tokens": answer[1], **pulls}


def _aggregator_cases():
    weights, own = weights_of("aggregator"), generator(0)
    pictures = {
        "a scene of three views": (1, 3, 3, 16, 24),
        "two scenes of two views": (2, 2, 3, 24, 16),
        "one view": (1, 1, 3, 32, 32),
    }
    return {name: (weights, torch.rand(shape, generator=own)) for name, shape in pictures.items()}


aggregator = Check(
    name="your aggregator",
    reference=Aggregator,
    cases=_aggregator_cases,
    run=run_aggregator,
    atol=2e-4,
    mutants={
        "pictures went in as they are: subtract ImageNet's mean, then divide by its standard deviation":
            "(images.flatten(0, 1) - self.mean) / self.std → images.flatten(0, 1)",
        "you subtracted ImageNet's mean and did not divide by its standard deviation": ") / self.std → )",
        "you normalised with 0.5: ImageNet's mean is (0.485, 0.456, 0.406), its std (0.229, 0.224, 0.225)":
            "self.mean) / self.std → 0.5) / 0.5",
        "ImageNet's numbers are in the order of red, green, blue, as the pictures are":
            "self.mean) / self.std → self.mean.flip(0)) / self.std.flip(0)",
        "you divided by ImageNet's standard deviation first, then subtracted the mean":
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
        "the positions of a view must be repeated view after view: `repeat`, not `repeat_interleave`":
            "table.repeat(num_views, 1, 1) → table.repeat_interleave(num_views, 0)",
        "`grid_positions` takes rows first: (H / patch, W / patch)":
            "height // config.patch_size, width // config.patch_size "
            "→ width // config.patch_size, height // config.patch_size",
        "the numbers of scenes and views are exchanged where special tokens are handed out":
            "self.camera_token, num_scenes, num_views → self.camera_token, num_views, num_scenes; "
            "self.register_tokens, num_scenes, num_views → self.register_tokens, num_views, num_scenes",
        "special tokens stand in front of the patches, not behind":
            "[camera.to(patches), registers.to(patches), patches] → [patches, camera, registers]",
        "pictures are in [0, 1]: do not multiply by 255":
            "(images.flatten(0, 1) → (255 * images.flatten(0, 1)",
        "each pair of blocks began anew: it continues from the pair before":
            "x = global_block(joined, → y = global_block(joined,; cat([within, x] → cat([within, y]",
        "the next pair got the frame half: it continues from the global half":
            "x = global_block(joined, → y = global_block(joined,; cat([within, x] → cat([within, y]; "
            "if layer in → x = within\n            if layer in",
        "frame and global blocks are the same blocks: each kind has weights of its own":
            "self.global_blocks = blocks(choose_global_block(config, block)) "
            "→ self.global_blocks = self.frame_blocks",
        "all layers are one block: `[block] * n` names one block n times":
            "build(dim, config.num_heads, → [build(dim, config.num_heads,; qk_norm=True) → qk_norm=True)] "
            "* config.depth; for _ in range(config.depth) →",
        "neither kind of block got positions":
            "frame_block(x, rotary) → frame_block(x); "
            "global_block(joined, rotary_all) → global_block(joined)",
        "global blocks got no positions": "global_block(joined, rotary_all) → global_block(joined)",
        "frame blocks got no positions": "frame_block(x, rotary) → frame_block(x)",
        "the scenes of a batch attend to each other":
            "within.reshape(num_scenes, → within.reshape(1,; rotary_all) "
            "→ tuple(table.repeat(num_scenes, 1, 1) for table in rotary_all))",
        "the halves are [global | frame]: frame comes first": "cat([within, x] → cat([x, within]",
        "special tokens are among what is kept: the dense heads read patches only":
            "both[:, :, num_special:] → both",
        "the global block ran first: a pair begins with its frame block":
            "within = frame_block(x, rotary) → within = x; "
            "if layer in → within = frame_block(x, rotary)\n            if layer in",
        "the global block ran first, and its half stands first: a pair begins with its frame block":
            "within = frame_block(x, rotary) → within = x; "
            "if layer in → within, x = x, frame_block(x, rotary)\n            if layer in",
        "both blocks of a pair read the same tokens: the global block reads what the frame block made":
            "joined = within.reshape → joined = x.reshape",
        "the tokens of a scene were interleaved: a view's tokens stay together, (B, S, T, C) → (B, S·T, C)":
            "within.reshape(num_scenes, -1, → within.unflatten(0, (num_scenes, num_views)).transpose(1, 2)"
            ".reshape(num_scenes, -1,",
        "scenes and views are exchanged: a global block reads (B, S·T, C), one sequence a scene":
            "within.reshape(num_scenes, → within.reshape(num_views,; "
            "table.repeat(num_views, → table.repeat(num_scenes,",
        "every view got slot 1 of the special tokens: slot 0 is the first view's":
            "self.hand_out(self.camera_token → self.hand_out(self.camera_token[:, [1, 1]]; "
            "self.hand_out(self.register_tokens → self.hand_out(self.register_tokens[:, [1, 1]]",
        "every view got slot 0 of the registers: they have two slots, as the camera token":
            "self.hand_out(self.register_tokens → self.hand_out(self.register_tokens[:, [0, 0]]",
        "every view got slot 1 of the registers: they have two slots, as the camera token":
            "self.hand_out(self.register_tokens → self.hand_out(self.register_tokens[:, [1, 1]]",
        "every view got slot 0 of the camera token: slot 1 is that of all but the first":
            "self.hand_out(self.camera_token → self.hand_out(self.camera_token[:, [0, 0]]",
        "every view got slot 1 of the camera token: slot 0 is the first view's":
            "self.hand_out(self.camera_token → self.hand_out(self.camera_token[:, [1, 1]]",
        "only the batch's very first view got slot 0: every scene has a first view":
            "self.camera_token, num_scenes, num_views → self.camera_token, 1, num_scenes * num_views; "
            "self.register_tokens, num_scenes, num_views → self.register_tokens, 1, num_scenes * num_views",
        "ImageNet's mean and standard deviation are exchanged":
            "self.mean) / self.std → self.std) / self.mean",
        "you multiplied by ImageNet's standard deviation: divide": ") / self.std → ) * self.std",
        "you subtracted each picture's own mean: it is ImageNet's, the same for all":
            "- self.mean) / self.std → - images.flatten(0, 1).mean((-2, -1), True)) / self.std",
        "you divided by 255: pictures are in [0, 1] already":
            "(images.flatten(0, 1) → (images.flatten(0, 1) / 255",
        "the blocks' norms have ε = 1e-6: only the ViT's have, frame and global blocks have 1e-5":
            "qk_norm=True) → qk_norm=True, norm_eps=1e-6)",
        "there is no norm after the last pair: each head has its own":
            "torch.cat([within, x], dim=-1).unflatten → "
            "nn.functional.layer_norm(torch.cat([within, x], dim=-1), (2 * config.dim,)).unflatten",
        "those are the camera tokens of the first pair: the last pair's are read":
            "kept[layer] = → first = first if layer else both\n                kept[layer] =; "
            "return both → return first",
        "the gradient is cut between the pairs: no `.detach()` on the stream":
            "strict=True)): → strict=True)):\n            x = x.detach() if layer else x",
        "no gradient comes back at all: no `no_grad` around what is to be trained":
            "def forward → @torch.no_grad()\n    def forward",
        "the camera token learns nothing: no `.detach()` or `.data` on it":
            "self.hand_out(self.camera_token → self.hand_out(self.camera_token.detach()",
        "the registers learn nothing: no `.detach()` or `.data` on them":
            "self.hand_out(self.register_tokens → self.hand_out(self.register_tokens.detach()",
        "no special token learns anything: no `.detach()` or `.data` on them":
            "self.hand_out(self.camera_token → self.hand_out(self.camera_token.detach(); "
            "self.hand_out(self.register_tokens → self.hand_out(self.register_tokens.detach()",
        "the patch embedding learns nothing: no `.detach()` on its tokens":
            "self.patch_embed(normalised) → self.patch_embed(normalised).detach()",
    },
    hint="Compare step by step: tokens before the first block with `network.embed(images)`, then one pair.",
)  # fmt: skip
