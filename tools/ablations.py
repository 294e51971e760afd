"""Small experiments: `python tools/ablations.py run ablations runs/ablations`, and the same with `recipe`.

"ablations" are those of lessons 11 and 13, on what VGGT is; "recipe" asks what helps a small model to learn
cameras. Trains every variant of the set with seeds 0, 1 and 2, one run after the other, and goes on where it
was stopped. `show SET FOLDER` prints what has finished so far, `gather SET FOLDER` puts it into
data/experiments/SET.json, and the tables of "recipe" into docs/what_helped.md.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vggt_lite import VGGT
from vggt_lite.config import ModelConfig
from vggt_lite.model.layers import Attention, Block, Rotary, rotate
from vggt_lite.research.comparison import compare_runs
from vggt_lite.research.experiment import SMALL_RECIPE, Variant, read_runs, run_experiment
from vggt_lite.synthetic import generate_scenes
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED
from vggt_lite.utils.files import write_text
from vggt_lite.utils.runtime import progress

SEEDS = (0, 1, 2)
ALTERNATING = Variant("alternating")
# The paper's tables 5 and 6
PAPER = (
    ALTERNATING,
    Variant("global only", model={"attention": "global"}),
    Variant("cross-attention", model={"attention": "cross"}),
    *(
        Variant(f"without {name} loss", train={"loss_weights": SMALL_RECIPE.train.loss_weights | {name: 0.0}})
        for name in ("camera", "depth", "track")
    ),
)
# What came after VGGT
LATER = (
    Variant("register attention", model={"register_attention": (1, 2)}),
    Variant("no global positions", model={"global_positions": False}),
    Variant("no reference view", model={"reference": "none"}),
    Variant("merged tokens", model={"merge_tokens": 0.5}),
)


class RotatedValues(Attention):
    """Values are rotated by their positions, too, and what was read is rotated back by the reader's."""

    def forward(self, x: Tensor, context=None, rotary: Rotary | None = None, mask=None) -> Tensor:
        if rotary is None:
            return super().forward(x, context, rotary, mask)
        q, k, v = self.queries_keys_values(x, context, rotary)
        out = F.scaled_dot_product_attention(q, k, rotate(v, rotary).to(q.dtype), attn_mask=mask)
        cos, sin = rotary
        return self.proj(rotate(out, (cos, -sin)).transpose(1, 2).flatten(2))  # (B, n, L, d) → (B, L, C)


def positions_on_values(config: ModelConfig) -> VGGT:
    def block(dim: int, num_heads: int, **options) -> Block:
        built = Block(dim, num_heads, **options)
        built.attn = RotatedValues(dim, num_heads, qk_norm=options["qk_norm"])
        return built

    return VGGT(config, block)


def looped_blocks(config: ModelConfig) -> VGGT:
    """The second half of the blocks is the first half once more: half of the parameters."""
    model = VGGT(config)
    for blocks in (model.aggregator.frame_blocks, model.aggregator.global_blocks):
        half = len(blocks) // 2
        for k in range(half):
            blocks[half + k] = blocks[k]
    return model


def spread_registers(config: ModelConfig) -> VGGT:
    """Special tokens start apart from each other (0.02), not at nearly one place (1e-6)."""
    model = VGGT(config)
    for token in (model.aggregator.camera_token, model.aggregator.register_tokens):
        torch.nn.init.normal_(token, std=0.02)
    return model


COMPLETION = 150  # steps, which the training after it lacks
HIDDEN = 0.75  # of the patches of every view but the first


def completed_first(config: ModelConfig) -> VGGT:
    """The trunk has learned to fill in hidden patches before the run: what other views show helps with it.

    It has seen as many pictures in a step as the run will, of the same kind, and never a camera.
    """
    model, patch = VGGT(config), config.patch_size
    to_pixels = nn.Linear(2 * config.dim, 3 * patch**2)
    learner = torch.optim.AdamW([*model.aggregator.parameters(), *to_pixels.parameters()], lr=1e-3)
    seeds = torch.randint(FIRST_EVALUATION_SEED - 8, (COMPLETION,))
    for seed in progress(seeds.tolist(), desc="completion", unit="step"):
        scenes = generate_scenes(seed, 4, 3, RECIPE.size, RECIPE.size, config=RECIPE.scenes)
        images = scenes.images  # (B, S, 3, H, W)
        patches = F.pixel_unshuffle(images.flatten(0, 1), patch).flatten(2).mT  # (B · S, P, 3 · patch²)
        patches = patches.unflatten(0, images.shape[:2])
        hidden = torch.rand(patches.shape[:3]) < HIDDEN
        hidden[:, 0] = False
        side = images.shape[-1] // patch
        mask = hidden.unflatten(2, (side, side)).repeat_interleave(patch, 2).repeat_interleave(patch, 3)
        _, kept = model.aggregator(torch.where(mask[:, :, None], 0.5, images))
        loss = F.mse_loss(to_pixels(kept[config.depth - 1])[hidden], patches[hidden])
        learner.zero_grad()
        loss.backward()
        learner.step()
    return model


# How to train: losses on cameras, depth and matches only, for these decide what the trunk learns
CAMERAS = {"camera": 5.0, "depth": 1.0, "matching": 0.3}
RECIPE = replace(
    SMALL_RECIPE,
    model=SMALL_RECIPE.model.with_(heads=("camera", "depth")),
    train=SMALL_RECIPE.train.with_(loss_weights=CAMERAS),
)
TRAINING = (
    Variant("cameras, depth, matches"),
    Variant("with a direction term", train={"loss_weights": CAMERAS | {"direction": 1.0}}),
    Variant("direction weighs three", train={"loss_weights": CAMERAS | {"direction": 3.0}}),
    Variant(
        "with points, too",
        model={"heads": ("camera", "depth", "point")},
        train={"loss_weights": CAMERAS | {"point": 1.0}},
    ),
    Variant("without matches", train={"loss_weights": CAMERAS | {"matching": 0.0}}),
    Variant("matches weigh a tenth", train={"loss_weights": CAMERAS | {"matching": 0.03}}),
    Variant("half the rate", train={"learning_rate": SMALL_RECIPE.train.learning_rate / 2}),
    Variant("twice the rate", train={"learning_rate": SMALL_RECIPE.train.learning_rate * 2}),
    Variant(
        "half the batch, twice the steps", train={"max_images": 6, "steps": 1_200, "checkpoint_every": 240}
    ),
    Variant("depth of one view", train={"dense_views": 1}),
    Variant("finer patches, half the width", model={"patch_size": 4, "dim": 64}),
    Variant("positions on values", build=positions_on_values),
    Variant("looped blocks", build=looped_blocks),
    Variant("special tokens apart", build=spread_registers, own_weights=True),
    Variant(
        "masked completion first",
        train={"steps": SMALL_RECIPE.train.steps - COMPLETION},
        build=completed_first,
        own_weights=True,
    ),
)
SETS = {"ablations": (SMALL_RECIPE, PAPER + LATER), "recipe": (RECIPE, TRAINING)}
ROOT = Path(__file__).resolve().parents[1]
GATHERED = ROOT / "data" / "experiments"
PAGE, BEGIN, END = ROOT / "docs" / "what_helped.md", "<!-- runs: begin -->", "<!-- runs: end -->"
ASKED = ("auc_30", "rotation_median_deg", "depth_abs_rel")  # of "recipe": the first decides


def page_of(runs: list[dict]) -> str:
    """docs/what_helped.md with the tables of these runs."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    tables = compare_runs(runs, TRAINING[0].name).to_markdown(ASKED).strip()
    return f"{before}{BEGIN}\n{tables}\n{END}{rest.split(END)[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("do", choices=("run", "show", "gather"))
    parser.add_argument("set", choices=tuple(SETS))
    parser.add_argument("folder", type=Path, help="of the runs")
    parser.add_argument("--scenes", type=Path, help="where scenes are rendered ahead; default: FOLDER/scenes")
    parser.add_argument("--threads", type=int, default=1, help="of the processor, for run")
    parser.add_argument("--device", help="for run; default: the best at hand")
    arguments = parser.parse_args()
    recipe, variants = SETS[arguments.set]
    if arguments.do == "run":
        torch.set_num_threads(arguments.threads)
        where = (arguments.folder, arguments.scenes, arguments.device)
        run_experiment(variants, SEEDS, recipe, *where)
    runs = read_runs(arguments.folder)
    print(f"{len(runs)} of {len(SEEDS) * len(variants)} runs have finished.\n")
    print(compare_runs(runs, variants[0].name))
    if arguments.do == "gather":
        gathered = GATHERED / f"{arguments.set}.json"
        lines = ",\n".join(json.dumps(run, ensure_ascii=False) for run in runs)  # one run a line
        write_text(gathered, f"[\n{lines}\n]\n")
        print(f"Gathered in {gathered}.")
        if arguments.set == "recipe":
            write_text(PAGE, page_of(runs))


if __name__ == "__main__":
    main()
