"""Tracking: checks of the exercises, with the mistakes people make."""

import torch
import torch.nn.functional as F

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draw
from vggt_lite.model.track_head import correlate_whole_map, feature_pyramid, sample_bilinear


def places(images: int, count: int, width: int, height: int, seed: int):
    """Random positions (M, N, 2) within a map, (x, y)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(images, count, 2, generator=generator) * torch.tensor([width - 1.0, height - 1.0])


def _corner_based(maps, points):
    size = torch.tensor([maps.shape[-1], maps.shape[-2]])
    grid = (2 * points / size - 1)[:, :, None]
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)[..., 0].mT


def _far_neighbour(maps, points):
    return sample_bilinear(maps, points.floor() + 1 - (points - points.floor()))


sample = Check(
    name="reading between pixels",
    reference=sample_bilinear,
    cases=lambda: [
        (
            "a map of 3 × 3",
            (torch.arange(9.0).reshape(1, 1, 3, 3) ** 2, torch.tensor([[[0.5, 1.25], [2, 0]]])),
        ),
        ("two maps of 5 × 8 with channels", (draw(2, 4, 5, 8), places(2, 7, 8, 5, seed=1))),
        (
            "outside, where the edge is repeated",
            (draw(1, 3, 4, 6, seed=2), torch.tensor([[[-2.0, 1.5], [9, 9], [2.5, -0.5], [5, 3]]])),
        ),
    ],
    mutants={
        "you swapped x and y: x counts columns, y counts rows": lambda maps, points: sample_bilinear(
            maps, points.flip(-1).contiguous()
        ),
        "you took the nearest pixel: mix the four around the place": lambda maps, points: sample_bilinear(
            maps, points.round()
        ),
        "you counted from the pixel's corner: in a feature map (0, 0) is the centre of the first pixel": (
            _corner_based
        ),
        "outside the map you read zeros: repeat the edge, by clamping x and y": lambda maps, points: (
            sample_bilinear(maps, points, padding="zeros")
        ),
        "you gave the near pixel the small share: at 0.25 the left pixel counts 0.75": _far_neighbour,
        "you cut off the fraction: that is the pixel to the upper left, not a mixture": lambda maps, points: (
            sample_bilinear(maps, points.floor())
        ),
    },
    hint="Clamp x to 0 … W − 1 and y to 0 … H − 1, then floor. Shares: (1 − fx)(1 − fy), fx(1 − fy), …",
)


def _as_square(values, radius: int):
    return values.unflatten(-1, (2 * radius + 1, 2 * radius + 1))


def _edge_repeated(level, features, centers, radius):
    volume = torch.einsum("mnc,mchw->mnhw", features / features.shape[-1] ** 0.5, level)
    steps = torch.arange(-radius, radius + 1.0)
    window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1).flatten(0, 1)
    points = centers.flatten(0, 1)[:, None] + window
    return sample_bilinear(volume.flatten(0, 1)[:, None], points).reshape(*features.shape[:2], -1)


correlation = Check(
    name="correlation in a window",
    reference=correlate_whole_map,
    cases=lambda: [
        (
            "one track, radius 1",
            (draw(1, 4, 5, 5), draw(1, 1, 4, seed=1), torch.tensor([[[2.0, 1.0]]]), 1),
        ),
        (
            "two maps, three tracks between pixels",
            (draw(2, 8, 9, 12, seed=2), draw(2, 3, 8, seed=3), places(2, 3, 12, 9, seed=4), 2),
        ),
        (
            "a window that leaves the map",
            (draw(1, 4, 6, 6, seed=5), draw(1, 2, 4, seed=6), torch.tensor([[[0.5, 0.25], [7, 5]]]), 2),
        ),
    ],
    mutants={
        "you forgot the division by √C": lambda m, f, c, r: correlate_whole_map(
            m, f * f.shape[-1] ** 0.5, c, r
        ),
        "you divided by C instead of √C": lambda m, f, c, r: correlate_whole_map(
            m, f / f.shape[-1] ** 0.5, c, r
        ),
        "your fast index moves x: the released weights want the slow one to move x, the fast one y": (
            lambda m, f, c, r: _as_square(correlate_whole_map(m, f, c, r), r).mT.flatten(-2)
        ),
        "you rounded the centre: the window moves with its fraction": lambda m, f, c, r: correlate_whole_map(
            m, f, c.round(), r
        ),
        "outside the map you repeated the edge: there is nothing there, so zeros": _edge_repeated,
        "you read the window around (y, x): a centre is (x, y)": lambda m, f, c, r: correlate_whole_map(
            m, f, c.flip(-1).contiguous(), r
        ),
    },
    hint="First dot products with all pixels, (M, N, H, W). Then `sample_bilinear(…, padding='zeros')` of "
    "the volume, seen as M · N maps with one channel, at the centre plus every step of the window.",
)


def _pooled(maps, levels: int, shrink):
    pyramid = [maps]
    for _ in range(levels - 1):
        pyramid.append(shrink(pyramid[-1]))
    return pyramid


pyramid = Check(
    name="the pyramid",
    reference=feature_pyramid,
    cases=lambda: [
        ("4 × 4, two levels", (torch.arange(16.0).reshape(1, 1, 4, 4), 2)),
        ("odd sides, three levels", (draw(2, 3, 9, 14), 3)),
        ("one level", (draw(1, 2, 4, 4, seed=1), 1)),
    ],
    mutants={
        "you took the largest of each 2 × 2: take the mean": lambda maps, levels: _pooled(
            maps, levels, lambda x: F.max_pool2d(x, 2)
        ),
        "you kept every second pixel and threw the others away: average them": lambda maps, levels: _pooled(
            maps, levels, lambda x: x[..., : x.shape[-2] // 2 * 2 : 2, : x.shape[-1] // 2 * 2 : 2]
        ),
        "the map itself is level 0: begin the list with it": lambda maps, levels: feature_pyramid(
            maps, levels + 1
        )[1:],
        "you halved the original each time: average the level before": lambda maps, levels: [
            maps,
            *(F.avg_pool2d(maps, 2) for _ in range(levels - 1)),
        ],
        "there is one level too many: the map itself counts": lambda maps, levels: feature_pyramid(
            maps, levels + 1
        ),
    },
    hint="`torch.nn.functional.avg_pool2d(x, 2)` halves rows and columns and drops an odd remainder.",
)


def move(tracks, features, queries, change, feature_update):
    """What an iteration does with the transformer's answer."""
    tracks = tracks + change[..., :2]
    tracks = torch.cat([queries[:, None], tracks[:, 1:]], dim=1)
    return tracks, features + feature_update(change[..., 2:])


def _not_pinned(tracks, features, queries, change, feature_update):
    return tracks + change[..., :2], features + feature_update(change[..., 2:])


def _replaced(tracks, features, queries, change, feature_update):
    return move(0 * tracks, features, queries, change, feature_update)


def _features_replaced(tracks, features, queries, change, feature_update):
    return move(tracks, 0 * features, queries, change, feature_update)


def _last_two(tracks, features, queries, change, feature_update):
    return move(tracks, features, queries, change.roll(2, -1), feature_update)


def move_case(views: int, points: int, channels: int, seed: int):
    """Arguments of `move`; tracks start anywhere, so that keeping the query in place is a task."""
    tracks, features = (
        draw(2, views, points, 2, seed=seed),
        draw(2, views, points, channels, seed=seed + 1),
    )
    queries, change = (
        draw(2, points, 2, seed=seed + 2),
        draw(2, views, points, 2 + channels, seed=seed + 3),
    )
    return tracks, features, queries, change, torch.tanh


step = Check(
    name="one step",
    reference=move,
    cases=lambda: [
        ("two views, one point", move_case(2, 1, 2, seed=0)),
        ("four views, five points", move_case(4, 5, 8, seed=10)),
        ("one view, where nothing may move", move_case(1, 3, 4, seed=20)),
    ],
    mutants={
        "a query must stay where it was asked: put the queries back into view 0": _not_pinned,
        "you replaced the tracks: the answer is a correction, add it": _replaced,
        "you replaced the features: the answer is a correction, add it": _features_replaced,
        "you took the last two numbers as the displacement: it comes first": _last_two,
        "you added the raw numbers to the features: `feature_update` first": lambda t, f, q, c, update: move(
            t, f, q, c, lambda x: x
        ),
        "you put the queries into every view": lambda t, f, q, c, update: (
            q[:, None].expand_as(t),
            f + update(c[..., 2:]),
        ),
    },
    hint="`change[..., :2]` belongs to the tracks, `change[..., 2:]` to the features. "
    "`torch.cat([queries[:, None], …[:, 1:]], dim=1)`.",
)
