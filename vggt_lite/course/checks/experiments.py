"""What runs can tell, and the network from memory: checks of the exercises, with the mistakes people make."""

from math import sqrt

import torch

from vggt_lite.config import NANO, TINY, VGGT_1B
from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draw
from vggt_lite.metrics.intervals import STUDENT_T


def paired_mean_and_margin(variant, baseline, *, biased: bool = False, wide=sqrt, factor=None):
    """Mean difference, and half the width of its 95 % interval, from one score a seed, (n,) each."""
    apart = torch.as_tensor(variant) - torch.as_tensor(baseline)
    count = len(apart)
    factor = STUDENT_T[count - 2] if factor is None else factor(count)
    return apart.mean(), factor * apart.std(correction=not biased) / wide(count)


def _not_paired(variant, baseline):
    both = sqrt(variant.var() / len(variant) + baseline.var() / len(baseline))
    return (variant - baseline).mean(), STUDENT_T[len(variant) - 2] * both


def _of_the_variant(variant, baseline):
    return (variant - baseline).mean(), STUDENT_T[len(variant) - 2] * variant.std() / sqrt(len(variant))


def _seeds(count: int, seed: int):
    """Scores of two variants that share what a seed brings with it."""
    common = draw(count, seed=seed)
    return 20 + common + 0.3 * draw(count, seed=seed + 1), 19.5 + common


paired_interval = Check(
    name="paired difference",
    reference=paired_mean_and_margin,
    cases=lambda: [
        ("three seeds", (torch.tensor([11.0, 22.0, 33.0]), torch.tensor([10.0, 20.0, 30.0]))),
        ("six seeds", _seeds(6, seed=0)),
        ("two seeds", _seeds(2, seed=4)),
    ],
    mutants={
        "you did not pair: take the differences seed by seed first, then their spread": _not_paired,
        "the spread is the variant's own: it must be that of the differences": _of_the_variant,
        "you divided by n in the spread: with an estimated mean it is n − 1": lambda v, b: (
            paired_mean_and_margin(v, b, biased=True)
        ),
        "you forgot √n: a mean is steadier than one run": lambda v, b: paired_mean_and_margin(
            v, b, wide=lambda n: 1.0
        ),
        "you divided by n where √n belongs": lambda v, b: paired_mean_and_margin(v, b, wide=float),
        "you took 1.96, which needs many runs: for n seeds it is STUDENT_T[n − 2]": lambda v, b: (
            paired_mean_and_margin(v, b, factor=lambda n: 1.96)
        ),
        "you took Student's t for one degree of freedom too many: n seeds have n − 1": lambda v, b: (
            paired_mean_and_margin(v, b, factor=lambda n: STUDENT_T[n - 1])
        ),
        "that is one standard error; the 95 % interval is STUDENT_T[n − 2] times as wide": lambda v, b: (
            paired_mean_and_margin(v, b, factor=lambda n: 1.0)
        ),
        "the sign: it is variant − baseline": lambda v, b: paired_mean_and_margin(b, v),
    },
    hint="Differences (n,) first; then `.mean()`, `.std()`, √n and `STUDENT_T[n - 2]`.",
)


def shapes_on_the_way(config, num_views: int, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of one scene on its way through a `VGGT`, without running it."""
    views, channels = num_views, config.dim
    patches = (height // config.patch_size) * (width // config.patch_size)
    tokens = 1 + config.num_registers + patches
    return {
        "patches": (views, patches, channels),
        "frame attention": (views, tokens, channels),
        "global attention": (1, views * tokens, channels),
        "camera tokens": (views, 2 * channels),
        "pose encoding": (views, 9),
        "depth": (views, height, width),
        "point map": (views, height, width, 3),
    }


def _with(**changes):
    """The right answer with some shapes changed."""

    def answer(config, num_views, height, width):
        shapes = shapes_on_the_way(config, num_views, height, width)
        for name, change in changes.items():
            name = name.replace("_", " ")
            shapes[name] = change(shapes[name], config, num_views)
        return shapes

    return answer


def _square(config, num_views, height, width):
    shapes = shapes_on_the_way(config, num_views, config.image_size, config.image_size)
    return shapes | {"depth": (num_views, height, width), "point map": (num_views, height, width, 3)}


def _fewer_special(count):
    """Answers that give every view `count(config)` special tokens too few."""
    return _with(
        frame_attention=lambda shape, c, s: (s, shape[1] - count(c), shape[2]),
        global_attention=lambda shape, c, s: (1, shape[1] - s * count(c), shape[2]),
    )


network_shapes = Check(
    name="the network from memory",
    reference=shapes_on_the_way,
    cases=lambda: [
        ("NANO, four views", (NANO, 4, 64, 64)),
        ("TINY, a tall picture", (TINY, 2, 126, 84)),
        ("VGGT-1B, one photograph", (VGGT_1B, 1, 392, 518)),
    ],
    mutants={
        "the special tokens are missing: T = 1 + R + P": _fewer_special(lambda c: 1 + c.num_registers),
        "the registers are missing: T = 1 + R + P": _fewer_special(lambda c: c.num_registers),
        "the camera token is missing: T = 1 + R + P": _fewer_special(lambda c: 1),
        "global attention has special tokens only once: every view brings its own": _with(
            global_attention=lambda shape, c, s: (1, shape[1] - (s - 1) * (1 + c.num_registers), shape[2])
        ),
        "global attention sees the views one by one in your table: it joins them, (1, S · T, C)": _with(
            global_attention=lambda shape, c, s: (s, shape[1] // s, shape[2])
        ),
        "the camera head reads [after frame | after global]: 2C channels": _with(
            camera_tokens=lambda shape, c, s: (s, c.dim)
        ),
        "a pose has translation 3, quaternion 4 and field of view 2: 9 numbers": _with(
            pose_encoding=lambda shape, c, s: (s, 7)
        ),
        "a pose is kept as 9 numbers; [R | t] is made of them afterwards": _with(
            pose_encoding=lambda shape, c, s: (s, 3, 4)
        ),
        "you counted patches of `config.image_size`: the network takes the picture's own size": _square,
        "depth has no channel axis: (S, H, W)": _with(depth=lambda shape, c, s: (*shape, 1)),
        "the three coordinates of a point stand last: (S, H, W, 3)": _with(
            point_map=lambda shape, c, s: (s, 3, *shape[1:3])
        ),
    },
    hint="P = (H / patch) · (W / patch), T = 1 + R + P. Where do views stay apart, where are they joined?",
)
