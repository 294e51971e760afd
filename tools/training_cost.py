"""What a training would cost: floating-point operations counted, GPU hours and money from named assumptions.

    python -m tools.training_cost                        the table of docs/scaling.md
    python -m tools.training_cost --price 1.5 --utilisation 0.4 --gpus 32 --peak 990

The operations of a training step are counted by torch while the network runs on fake tensors, which have
shapes and no values: forward, recomputation where blocks are checkpointed, backward. Multiplications and
additions of matrix products, convolutions and attention count; what works number by number does not. No
figure here was measured on a GPU.
"""

import argparse
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vggt_lite.config import TINY, VGGT_1B, ModelConfig
from vggt_lite.inference.memory_estimate import fake_model
from vggt_lite.utils.table import markdown_table

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Plan:
    """A training. Sizes as the release samples them: 48 images for each GPU and step, all of one shape."""

    config: ModelConfig
    height: int
    width: int
    images: int  # of a step, all GPUs together
    views: int  # of a scene
    steps: int
    query_points: int  # tracked in each scene
    checkpointing: bool  # blocks are computed again in the backward pass


@dataclass(frozen=True)
class Assumptions:
    """What cannot be counted here. Change them to yours."""

    gpus: int = 64
    peak: float = 312e12  # operations per second a GPU's maker promises: A100, bfloat16, dense
    utilisation: float = 0.35  # share of it that a training gets
    price: float = 2.0  # dollars per GPU hour


# The paper's run: 160,000 steps, 2 to 24 views, 518 pixels wide, heights drawn from a third of that upwards.
# Views and height are near the middle of what is drawn.
PAPER = Plan(VGGT_1B, 336, 518, 48 * 64, 12, 160_000, 512, checkpointing=True)
SMALL = Plan(TINY, 112, 112, 192, 4, 16_000, 64, checkpointing=False)
PLANS = {"VGGT_1B, as in the paper": PAPER, "TINY, `tiny-gpu`, all at 112 pixels": SMALL}
PAPER_SECONDS, PAPER_GPUS = 9 * 86_400, 64  # nine days on 64 A100


@cache
def step_flops(plan: Plan) -> int:
    """Operations of one training step; scenes are alike, so one is counted and multiplied."""
    model = fake_model(plan.config)
    with model.fake_mode:
        model.train()
        model.gradient_checkpointing = plan.checkpointing
        images = torch.empty(1, plan.views, 3, plan.height, plan.width)
        points = torch.empty(1, plan.query_points, 2) if plan.query_points and model.track_head else None
        # Attention is counted as the two products that it is
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            pred = model.forward_unchecked(images, points)
            outputs = [*pred.pose_encodings, *pred.tracks_list, pred.track_visibility_logits]
            outputs += [pred.track_conf_logits, pred.depth, pred.depth_conf, pred.point_map, pred.point_conf]
            torch.stack([x.float().mean() for x in outputs if x is not None]).sum().backward()
    return counter.get_total_flops() * plan.images // plan.views


def gpu_hours(total_flops: float, assumed: Assumptions) -> float:
    """Hours of one GPU."""
    return total_flops / (assumed.peak * assumed.utilisation) / 3600


def rows(plans: dict[str, Plan], assumed: Assumptions) -> list[list[str]]:
    """A row of the table for every plan."""
    table = []
    for name, plan in plans.items():
        step = step_flops(plan)
        hours = gpu_hours(step * plan.steps, assumed)
        table.append([
            name, f"{plan.images:,} of {plan.width} × {plan.height}", number(step / plan.images / 1e12),
            number(step / 1e12), f"{plan.steps:,}", f"{step * plan.steps:.2e}", number(hours),
            number(hours / assumed.gpus / 24), number(hours * assumed.price),
        ])  # fmt: skip
    return table


def number(x: float) -> str:
    """Three digits, or whole thousands."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


HEADER = [
    "training", "images of a step", "10¹² operations for one", "for a step", "steps", "operations in all",
    "GPU hours", "days", "dollars",
]  # fmt: skip


def text(assumed: Assumptions) -> str:
    """The table in Markdown, the assumptions under it, and what the paper's own figures imply."""
    table = markdown_table(HEADER, rows(PLANS, assumed), "l" + "r" * (len(HEADER) - 1))
    implied = step_flops(PAPER) * PAPER.steps / (PAPER_GPUS * PAPER_SECONDS * Assumptions.peak)
    return (
        f"{table}\n\nAssumed: {assumed.gpus} GPUs of {assumed.peak / 1e12:g}·10¹² operations per second, "
        f"{assumed.utilisation:.0%} of that reached, {assumed.price:g} dollars per GPU hour.\n"
        f"The paper's nine days on 64 A100 would mean that {implied:.0%} was reached."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpus", type=int, default=Assumptions.gpus)
    parser.add_argument(
        "--peak", type=float, default=Assumptions.peak / 1e12, help="10¹² operations per second"
    )
    parser.add_argument("--utilisation", type=float, default=Assumptions.utilisation, help="0 to 1")
    parser.add_argument("--price", type=float, default=Assumptions.price, help="dollars per GPU hour")
    args = parser.parse_args()
    print(text(Assumptions(args.gpus, args.peak * 1e12, args.utilisation, args.price)))


if __name__ == "__main__":
    main()
