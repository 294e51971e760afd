"""Tracking: checks of the exercises, with the mistakes people make."""

import torch
import torch.nn.functional as F

from vggt_lite.course.checks.check import Check, draw
from vggt_lite.course.checks.seeds import generator
from vggt_lite.model.track_head import sample_bilinear


def places(images: int, count: int, width: int, height: int, seed: int):
    """Random positions (M, N, 2) within a map, (x, y)."""
    own = generator(seed)
    return torch.rand(images, count, 2, generator=own) * torch.tensor([width - 1.0, height - 1.0])


def sampled(maps, points):
    """Values (M, N, C) of maps (M, C, H, W) at points (M, N, 2), (0, 0) being the first pixel's centre."""
    size = torch.tensor([maps.shape[-1], maps.shape[-2]])
    grid = 2 * (points + 0.5) / size - 1
    return F.grid_sample(maps, grid[:, :, None], padding_mode="border", align_corners=False)[..., 0].mT


sample = Check(
    name="reading between pixels",
    reference=sampled,
    trained=True,
    cases=lambda: {
        "a map of 3 × 3": (torch.arange(9.0).reshape(1, 1, 3, 3) ** 2, torch.tensor([[[0.5, 1.25], [2, 0]]])),
        "two maps of 5 × 8 with channels": (draw(2, 4, 5, 8), places(2, 7, 8, 5, seed=1)),
        "outside, where the edge is repeated":
            (draw(1, 3, 4, 6, seed=2), torch.tensor([[[-2.0, 1.5], [9, 9], [2.5, -0.5], [5, 3]]])),
    },
    mutants={
        "you swapped x and y: x counts columns, y counts rows": "(points + → (points.flip(-1) +",
        "you took the nearest pixel: mix the four around the place": "(points + → (points.round() +",
        "you counted from the pixel's corner: in a feature map (0, 0) is the centre of the first pixel":
            "points + 0.5 → points",
        "outside the map you read zeros: repeat the edge, by clamping x and y": "border → zeros",
        "you gave the near pixel the small share: at 0.25 the left pixel counts 0.75":
            "points + 0.5 → 2 * points.floor() + 1 - points + 0.5",
        "you cut off the fraction: that is the pixel to the upper left, not a mixture":
            "(points + → (points.floor() +",
    },
    hint="Clamp x to 0 … W − 1 and y to 0 … H − 1, then floor. Shares: (1 − fx)(1 − fy), fx(1 − fy), …",
)  # fmt: skip


def correlated(level, features, centers, radius: int):
    """Scaled dot products (M, N, (2 r + 1)²) of features (M, N, C) with a map (M, C, H, W) around centres."""
    volume = torch.einsum("mnc,mchw->mnhw", features / features.shape[-1] ** 0.5, level)
    steps = torch.arange(-radius, radius + 1.0)
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).flatten(0, 1)
    around = centers.flatten(0, 1)[:, None] + window  # (M · N, (2 r + 1)², 2)
    read = sample_bilinear(volume.flatten(0, 1)[:, None], around, padding="zeros")
    return read.reshape(*features.shape[:2], -1)


correlation = Check(
    name="correlation in a window",
    reference=correlated,
    trained=True,
    cases=lambda: {
        "one track, radius 1": (draw(1, 4, 5, 5), draw(1, 1, 4, seed=1), torch.tensor([[[2.0, 1.0]]]), 1),
        "two maps, three tracks between pixels":
            (draw(2, 8, 9, 12, seed=2), draw(2, 3, 8, seed=3), places(2, 3, 12, 9, seed=4), 2),
        "a window that leaves the map":
            (draw(1, 4, 6, 6, seed=5), draw(1, 2, 4, seed=6), torch.tensor([[[0.5, 0.25], [7, 5]]]), 2),
    },
    mutants={
        "you forgot the division by √C": "/ features.shape[-1] ** 0.5 →",
        "you divided by C instead of √C": "** 0.5 →",
        "your fast index moves x: the released weights want the slow one to move x, the fast one y":
            '"ij" → "xy"',
        "you rounded the centre: the window moves with its fraction": "centers. → centers.round().",
        "outside the map you repeated the edge: there is nothing there, so zeros": "zeros → border",
        "you read the window around (y, x): a centre is (x, y)": "centers. → centers.flip(-1).",
    },
    hint="First dot products with all pixels, (M, N, H, W). Then `sample_bilinear(…, padding='zeros')` of "
    "the volume, seen as M · N maps with one channel, at the centre plus every step of the window.",
)  # fmt: skip


def halved(maps, levels: int):
    """The maps, and each level half as large as the one before."""
    pyramid = [maps]
    for _ in range(levels - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    return pyramid


pyramid = Check(
    name="the pyramid",
    reference=halved,
    trained=True,
    cases=lambda: {
        "4 × 4, two levels": (torch.arange(16.0).reshape(1, 1, 4, 4), 2),
        "odd sides, three levels": (draw(2, 3, 9, 14), 3),
        "one level": (draw(1, 2, 4, 4, seed=1), 1),
    },
    mutants={
        "you took the largest of each 2 × 2: take the mean": "avg_pool2d → max_pool2d",
        "you kept every second pixel and threw the others away: average them":
            "F.avg_pool2d(pyramid[-1], 2) → F.interpolate(pyramid[-1], scale_factor=0.5)",
        "the map itself is level 0: begin the list with it":
            "levels - 1 → levels; return pyramid → return pyramid[1:]",
        "you halved the original each time: average the level before": "pyramid[-1] → maps",
        "there is one level too many: the map itself counts": "levels - 1 → levels",
    },
    hint="`torch.nn.functional.avg_pool2d(x, 2)` halves rows and columns and drops an odd remainder.",
)  # fmt: skip


def move(tracks, features, queries, change, feature_update):
    """What an iteration does with the transformer's answer."""
    tracks = tracks + change[..., :2]
    tracks = torch.cat([queries[:, None], tracks[:, 1:]], dim=1)
    return tracks, features + feature_update(change[..., 2:])


def move_case(views: int, points: int, channels: int, seed: int):
    """Arguments of `move`; tracks start anywhere, so that keeping the query in place is a task."""
    tracks, queries = draw(2, views, points, 2, seed=seed), draw(2, points, 2, seed=seed + 2)
    features = draw(2, views, points, channels, seed=seed + 1)
    return tracks, features, queries, draw(2, views, points, 2 + channels, seed=seed + 3), torch.tanh


step = Check(
    name="one step",
    reference=move,
    trained=True,
    cases=lambda: {
        "two views, one point": move_case(2, 1, 2, seed=0),
        "four views, five points": move_case(4, 5, 8, seed=10),
        "one view, where nothing may move": move_case(1, 3, 4, seed=20),
    },
    mutants={
        "a query must stay where it was asked: put the queries back into view 0":
            "queries[:, None], tracks[:, 1:] → tracks",
        "you replaced the tracks: the answer is a correction, add it": "tracks + change → change",
        "you replaced the features: the answer is a correction, add it": "features + →",
        "you took the last two numbers as the displacement: it comes first":
            "[..., :2] → [..., -2:]; [..., 2:] → [..., :-2]",
        "you added the raw numbers to the features: `feature_update` first": "+ feature_update( → + (",
        "you put the queries into every view": "tracks[:, 1:] → *[queries[:, None]] * (tracks.shape[1] - 1)",
    },
    hint="`change[..., :2]` belongs to the tracks, `change[..., 2:]` to the features. "
    "`torch.cat([queries[:, None], …[:, 1:]], dim=1)`.",
)  # fmt: skip
