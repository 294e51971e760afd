"""What runs can tell, and the network from memory: checks of the exercises, with the mistakes people make."""

from math import sqrt

import torch

from vggt_lite.config import NANO, TINY, VGGT_1B
from vggt_lite.course.checks.check import Check, draw
from vggt_lite.metrics.intervals import STUDENT_T


def paired_mean_and_margin(variant, baseline):
    """Mean difference, and half the width of its 95 % interval, from one score a seed, (n,) each."""
    apart = variant - baseline
    n = len(apart)
    return apart.mean(), STUDENT_T[n - 2] * apart.std() / sqrt(n)


def _seeds(count: int, seed: int):
    """Scores of two variants that share what a seed brings with it."""
    common = draw(count, seed=seed)
    return 20 + common + 0.3 * draw(count, seed=seed + 1), 19.5 + common


paired_interval = Check(
    name="paired difference",
    reference=paired_mean_and_margin,
    cases=lambda: {
        "three seeds": (torch.tensor([11.0, 22.0, 33.0]), torch.tensor([10.0, 20.0, 30.0])),
        "six seeds": _seeds(6, seed=0),
        "two seeds": _seeds(2, seed=4),
    },
    mutants={
        "you did not pair: take the differences seed by seed first, then their spread":
            "apart.std() → (variant.var() + baseline.var()).sqrt()",
        "the spread is the variant's own: it must be that of the differences": "apart.std() → variant.std()",
        "you divided by n in the spread: with an estimated mean it is n − 1": "std() → std(correction=0)",
        "you forgot √n: a mean is steadier than one run": "/ sqrt(n) →",
        "you divided by n where √n belongs": "sqrt(n) → n",
        "you took 1.96, which needs many runs: for n seeds it is STUDENT_T[n − 2]": "STUDENT_T[n - 2] → 1.96",
        "you took Student's t for one degree of freedom too many: n seeds have n − 1": "- 2 → - 1",
        "that is one standard error; the 95 % interval is STUDENT_T[n − 2] times as wide":
            "STUDENT_T[n - 2] * →",
        "the sign: it is variant − baseline": "variant - baseline → baseline - variant",
    },
    hint="Differences (n,) first; then `.mean()`, `.std()`, √n and `STUDENT_T[n - 2]`.",
)  # fmt: skip


def shapes_on_the_way(config, num_views: int, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of one scene on its way through a `VGGT`, without running it."""
    patches = (height // config.patch_size) * (width // config.patch_size)
    tokens = 1 + config.num_registers + patches
    return {
        "patches": (num_views, patches, config.dim),
        "frame attention": (num_views, tokens, config.dim),
        "global attention": (1, num_views * tokens, config.dim),
        "camera tokens": (num_views, 2 * config.dim),
        "pose encoding": (num_views, 9),
        "depth": (num_views, height, width),
        "point map": (num_views, height, width, 3),
    }


network_shapes = Check(
    name="the network from memory",
    reference=shapes_on_the_way,
    cases=lambda: {
        "NANO, four views": (NANO, 4, 64, 64),
        "TINY, a tall picture": (TINY, 2, 126, 84),
        "VGGT-1B, one photograph": (VGGT_1B, 1, 392, 518),
    },
    mutants={
        "the special tokens are missing: T = 1 + R + P": "1 + config.num_registers + →",
        "the registers are missing: T = 1 + R + P": "config.num_registers + →",
        "the camera token is missing: T = 1 + R + P": "1 + config → config",
        "global attention has special tokens only once: every view brings its own":
            "num_views * tokens → tokens + (num_views - 1) * patches",
        "global attention sees the views one by one in your table: it joins them, (1, S · T, C)":
            "(1, num_views * tokens → (num_views, tokens",
        "the camera head reads [after frame | after global]: 2C channels": "2 * →",
        "a pose has translation 3, quaternion 4 and field of view 2: 9 numbers": ", 9) → , 7)",
        "a pose is kept as 9 numbers; [R | t] is made of them afterwards": ", 9) → , 3, 4)",
        "you counted patches of `config.image_size`: the network takes the picture's own size":
            "height // → config.image_size //; width // → config.image_size //",
        "depth has no channel axis: (S, H, W)": "height, width), → height, width, 1),",
        "the three coordinates of a point stand last: (S, H, W, 3)": "height, width, 3 → 3, height, width",
    },
    hint="P = (H / patch) · (W / patch), T = 1 + R + P. Where do views stay apart, where are they joined?",
)  # fmt: skip
