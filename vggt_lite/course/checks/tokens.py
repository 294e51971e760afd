"""From photographs to tokens: checks of the exercises, with the mistakes people make."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draw
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.model.patch_embed import resize_position_table


def counted(*shape: int) -> Tensor:
    """0, 1, 2, … in this shape: small numbers one can follow."""
    return torch.arange(math.prod(shape), dtype=torch.float32).reshape(shape)


def pinhole(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float32)


def _pinhole_back(place):
    """A wrong way back: `place(value, scale, offset)` for the principal point, focal lengths divided."""

    def back(K, scale, offset):
        fx, fy, cx, cy = (K[i].item() for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
        at = [place(*values) for values in zip((cx, cy), scale, offset, strict=True)]
        return pinhole(fx / scale[0], fy / scale[1], *at)

    return back


def intrinsics_to_photograph(K: Tensor, scale: tuple, offset: tuple) -> Tensor:
    """K (3, 3) for the network's pixels → K for the photograph's, where network = scale · photo + offset."""
    return PixelMap((1, 1), (1, 1), scale, offset).intrinsics_to_original(K)


intrinsics_back = Check(
    name="intrinsics of the photograph",
    reference=intrinsics_to_photograph,
    cases=lambda: [
        ("half size, 10 rows cut off", (pinhole(50, 50, 32, 24), (0.5, 0.5), (0.0, -10.0))),
        ("two scales", (pinhole(400, 410, 259, 175), (0.699, 0.7), (0.0, 0.0))),
        ("random", (pinhole(*(100 + 20 * draw(4)).tolist()), (0.8, 0.6), (7.0, -3.5))),
        ("nothing was changed", (pinhole(60, 60, 32, 32), (1.0, 1.0), (0.0, 0.0))),
    ],
    mutants={
        "you multiplied by the scale; on the way back, divide": lambda K, s, o: intrinsics_to_photograph(
            K, (1 / s[0], 1 / s[1]), o
        ),
        "the offset is still in the principal point: take it away before you divide": (
            _pinhole_back(lambda value, scale, offset: value / scale)
        ),
        "you added the offset; on the way back, subtract it": (
            _pinhole_back(lambda value, scale, offset: (value + offset) / scale)
        ),
        "you subtracted the offset after dividing; it counts the network's pixels": (
            _pinhole_back(lambda value, scale, offset: value / scale - offset)
        ),
        "you used the horizontal scale for both axes": lambda K, s, o: intrinsics_to_photograph(
            K, (s[0], s[0]), o
        ),
    },
    hint="A point goes back as (x − offset) / scale, and the principal point is one; a focal length is not.",
)


def unfolded(images: Tensor, patch: int) -> Tensor:
    return F.unfold(images, patch, stride=patch).transpose(1, 2)


def _cut(order: tuple):
    """Patches from the axes (M, c, h, p, w, q) in another order; the first three stay apart."""

    def patchify(images, patch):
        x = images.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))
        return x.permute(order).flatten(3).flatten(1, 2)

    return patchify


patchify = Check(
    name="patchify",
    reference=unfolded,
    cases=lambda: [
        ("a 4 × 4 picture", (counted(1, 1, 4, 4), 2)),
        ("two colour pictures, 8 × 12", (draw(2, 3, 8, 12), 4)),
        ("one patch is the whole picture", (draw(1, 3, 6, 6), 6)),
    ],
    mutants={
        "you only reshaped; the pixels of a patch do not lie side by side in memory": lambda x, p: x.reshape(
            len(x), -1, x.shape[1] * p * p
        ),
        "your patches run down the columns first; tokens go row by row": _cut((0, 4, 2, 1, 3, 5)),
        "the pixels inside each patch are transposed": _cut((0, 2, 4, 1, 5, 3)),
        "you put the colour channel last; a convolution's weights have it first": _cut((0, 2, 4, 3, 5, 1)),
    },
    hint="Split H into (h, p) and W into (w, q), bring h and w to the front, flatten the rest: (c, p, q).",
)


def folded(patches: Tensor, height: int, width: int, patch: int) -> Tensor:
    """Patches (M, h · w, c · p · p) → pictures (M, c, H, W)."""
    return F.fold(patches.transpose(1, 2), (height, width), patch, stride=patch)


def _columns_first(patches, height, width, patch):
    return folded(patches.mT.unflatten(2, (width // patch, -1)).mT.flatten(2).mT, height, width, patch)


def _rearranged(inside: tuple, order: tuple):
    """Patches whose numbers are taken to lie in another order: split as `inside`, then permuted."""

    def unpatchify(patches, height, width, patch):
        split = [patch if size is None else size for size in inside]
        return folded(patches.unflatten(-1, split).permute(order).flatten(2), height, width, patch)

    return unpatchify


unpatchify = Check(
    name="unpatchify",
    reference=folded,
    cases=lambda: [
        ("a 4 × 4 picture", (unfolded(counted(1, 1, 4, 4), 2), 4, 4, 2)),
        ("two colour pictures, 8 × 12", (unfolded(draw(2, 3, 8, 12), 4), 8, 12, 4)),
        ("one patch", (draw(1, 1, 108), 6, 6, 6)),
    ],
    mutants={
        "you only reshaped; a row of pixels runs through several patches": lambda x, h, w, p: x.reshape(
            len(x), -1, h, w
        ),
        "you laid the patches down the columns; tokens go row by row": _columns_first,
        "the pixels inside each patch are transposed": _rearranged((-1, None, None), (0, 1, 2, 4, 3)),
        "you took colour as the last axis; in these patches it is the first": (
            _rearranged((None, None, -1), (0, 1, 4, 2, 3))
        ),
    },
    hint="Split into (M, h, w, c, p, q), permute to (M, c, h, p, w, q), reshape to (M, c, H, W).",
)


def _resized(**rule):
    def resize(table, height, width):
        side = math.isqrt(table.shape[1] - 1)
        grid = table[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(height, width), **rule)
        return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)

    return resize


position_table = Check(
    name="position table",
    reference=resize_position_table,
    cases=lambda: [
        ("4 × 4 to 2 × 3", (counted(1, 17, 1), 2, 3)),
        ("8 × 8 to 12 × 16", (draw(1, 65, 6), 12, 16)),
        ("8 × 8 to 3 × 8", (draw(1, 65, 6, seed=1), 3, 8)),
        ("already right", (draw(1, 26, 4), 5, 5)),
    ],
    mutants={
        "antialias is off: a coarser grid then picks some positions and skips others": (
            _resized(mode="bicubic")
        ),
        "align_corners is on: places are then counted from the outermost centres, and move": (
            _resized(mode="bicubic", antialias=True, align_corners=True)
        ),
        "you interpolated linearly; the released weights expect cubic": (
            _resized(mode="bilinear", antialias=True)
        ),
        "height and width are exchanged": lambda x, h, w: resize_position_table(x, w, h),
        "the class token's row is missing: keep it as it is, in front": lambda x, h, w: resize_position_table(
            x, h, w
        )[:, 1:],
    },
    hint="Rows 1 … as a picture (1, C, g, g), `F.interpolate`, bicubic and antialiased, and back to rows.",
)

table_places = Check(
    name="places in the table",
    reference=lambda count, side: (torch.arange(count) + 0.5) * side / count - 0.5,
    cases=lambda: [
        ("4 columns on a table of 8", (4, 8)),
        ("16 columns on a table of 8", (16, 8)),
        ("any other", tuple(draw(2).abs().mul(20).int().add(3).tolist())),
        ("as many as the table has", (5, 5)),
    ],
    mutants={
        "you compared the left edges of the columns, not their centres": lambda count, side: (
            torch.arange(count) * side / count
        ),
        "you put first on first and last on last, which is align_corners": lambda count, side: torch.linspace(
            0, side - 1, count
        ),
        "the centre of the table's entry 0 is at 0.5: take 0.5 away at the end": lambda count, side: (
            (torch.arange(count) + 0.5) * side / count
        ),
        "the ratio is upside down": lambda count, side: (torch.arange(count) + 0.5) * count / side - 0.5,
    },
    hint="Column j has its centre at (j + ½) / count of the width. Where is that in a table `side` wide?",
)


def shares(tokens: Tensor, power: int = 2) -> Tensor:
    """Share of the variance (min(N, C)) along each principal direction of tokens (N, C), largest first."""
    spreads = torch.linalg.svdvals(tokens - tokens.mean(0)) ** power
    return spreads / spreads.sum()


explained_variance = Check(
    name="explained variance",
    reference=shares,
    cases=lambda: [
        ("three tokens of two numbers", (torch.tensor([[1.0, 4], [3, 5], [5, 9]]),)),
        ("fifty tokens of eight", (draw(50, 8) * torch.arange(1.0, 9) + 3,)),
        ("all on one line", (counted(5, 1) @ torch.tensor([[1.0, 2, 2]]) + 1,)),
    ],
    mutants={
        "you did not take away the mean token": lambda x: shares(torch.cat([x, -x])),
        "singular values are spreads; square them for variances": lambda x: shares(x, power=1),
        "the smallest comes first: `eigh` sorts upwards, so turn it round": lambda x: shares(x).flip(0),
        "you returned variances; divide them by their sum": lambda x: (
            torch.linalg.svdvals(x - x.mean(0)) ** 2
        ),
    },
    hint="Centre, then `torch.linalg.svdvals`, square, divide by the sum.",
)
