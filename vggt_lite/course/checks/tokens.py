"""From photographs to tokens: checks of the exercises, with the mistakes people make."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.course.checks.check import Check, draw


def counted(*shape: int) -> Tensor:
    """0, 1, 2, … in this shape: small numbers one can follow."""
    return torch.arange(math.prod(shape), dtype=torch.float32).reshape(shape)


def pinhole(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float32)


def intrinsics_to_photograph(K: Tensor, scale: tuple, offset: tuple) -> Tensor:
    """K (3, 3) for the network's pixels → K for the photograph's, where network = scale · photo + offset."""
    (fx, cx), (fy, cy) = K[0, [0, 2]], K[1, [1, 2]]
    (sx, sy), (ox, oy) = scale, offset
    return pinhole(fx / sx, fy / sy, (cx - ox) / sx, (cy - oy) / sy)


intrinsics_back = Check(
    name="intrinsics of the photograph",
    reference=intrinsics_to_photograph,
    cases=lambda: {
        "half size, 10 rows cut off": (pinhole(50, 50, 32, 24), (0.5, 0.5), (0.0, -10.0)),
        "two scales": (pinhole(400, 410, 259, 175), (0.699, 0.7), (0.0, 0.0)),
        "random": (pinhole(*(100 + 20 * draw(4)).tolist()), (0.8, 0.6), (7.0, -3.5)),
        "nothing was changed": (pinhole(60, 60, 32, 32), (1.0, 1.0), (0.0, 0.0)),
    },
    mutants={
        "you multiplied by the scale; on the way back, divide": "/ → *",
        "the offset is still in the principal point: take it away before you divide": "- ox →; - oy →",
        "you added the offset; on the way back, subtract it": "- o → + o",
        "you subtracted the offset after dividing; it counts the network's pixels":
            "(cx - ox) / sx, (cy - oy) / sy → cx / sx - ox, cy / sy - oy",
        "you used the horizontal scale for both axes": "/ sy → / sx",
    },
    hint="A point goes back as (x − offset) / scale, and the principal point is one; a focal length is not.",
)  # fmt: skip


def unfolded(images: Tensor, patch: int) -> Tensor:
    """Pictures (M, c, H, W) → patches (M, h · w, c · p · q), where p = q = patch."""
    x = images.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))  # (M, c, h, p, w, q)
    return x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


patchify = Check(
    name="patchify",
    reference=unfolded,
    trained=True,
    cases=lambda: {
        "a 4 × 4 picture": (counted(1, 1, 4, 4), 2),
        "two colour pictures, 8 × 12": (draw(2, 3, 8, 12), 4),
        "one patch is the whole picture": (draw(1, 3, 6, 6), 6),
    },
    mutants={
        "you only reshaped; the pixels of a patch do not lie side by side in memory":
            lambda images, patch: images.reshape(len(images), -1, images.shape[1] * patch**2),
        "your patches run down the columns first; tokens go row by row": "0, 2, 4 → 0, 4, 2",
        "the pixels inside each patch are transposed": "1, 3, 5) → 1, 5, 3)",
        "you put the colour channel last; a convolution's weights have it first": "1, 3, 5) → 3, 5, 1)",
    },
    hint="Split H into (h, p) and W into (w, q), bring h and w to the front, flatten the rest: (c, p, q).",
)  # fmt: skip


def folded(patches: Tensor, height: int, width: int, patch: int) -> Tensor:
    """Patches (M, h · w, c · p · q) → pictures (M, c, H, W)."""
    h, w = height // patch, width // patch
    x = patches.unflatten(2, (-1, patch, patch)).unflatten(1, (h, w))  # (M, h, w, c, p, q)
    return x.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


unpatchify = Check(
    name="unpatchify",
    reference=folded,
    trained=True,
    cases=lambda: {
        "a 4 × 4 picture": (unfolded(counted(1, 1, 4, 4), 2), 4, 4, 2),
        "two colour pictures, 8 × 12": (unfolded(draw(2, 3, 8, 12), 4), 8, 12, 4),
        "one patch": (draw(1, 1, 108), 6, 6, 6),
    },
    mutants={
        "you only reshaped; a row of pixels runs through several patches":
            lambda patches, height, width, patch: patches.reshape(len(patches), -1, height, width),
        "you laid the patches down the columns; tokens go row by row": "(h, w) → (w, h); 1, 4, 2 → 2, 4, 1",
        "the pixels inside each patch are transposed": "0, 3, 1, 4, 2, 5 → 0, 3, 1, 5, 2, 4",
        "you took colour as the last axis; in these patches it is the first":
            "(-1, patch, patch) → (patch, patch, -1); 0, 3, 1, 4, 2, 5 → 0, 5, 1, 3, 2, 4",
    },
    hint="Split into (M, h, w, c, p, q), permute to (M, c, h, p, w, q), reshape to (M, c, H, W).",
)  # fmt: skip


def resized(table: Tensor, height: int, width: int) -> Tensor:
    """A position table (1, 1 + g · g, C) for another grid, (1, 1 + height · width, C)."""
    side = math.isqrt(table.shape[1] - 1)
    grid = table[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    rows = F.interpolate(grid, size=(height, width), mode="bicubic", antialias=True).flatten(2).mT
    return torch.cat([table[:, :1], rows], dim=1)


position_table = Check(
    name="position table",
    reference=resized,
    trained=True,
    cases=lambda: {
        "4 × 4 to 2 × 3": (counted(1, 17, 1), 2, 3),
        "8 × 8 to 12 × 16": (draw(1, 65, 6), 12, 16),
        "8 × 8 to 3 × 8": (draw(1, 65, 6, seed=1), 3, 8),
        "already right": (draw(1, 26, 4), 5, 5),
    },
    mutants={
        "antialias is off: a coarser grid then picks some positions and skips others": ", antialias=True →",
        "align_corners is on: places are then counted from the outermost centres, and move":
            "antialias=True → antialias=True, align_corners=True",
        "you interpolated linearly; the released weights expect cubic": "bicubic → bilinear",
        "height and width are exchanged": "(height, width) → (width, height)",
        "the class token's row is missing: keep it as it is, in front": "[table[:, :1], rows] → [rows]",
    },
    hint="Rows 1 … as a picture (1, C, g, g), `F.interpolate`, bicubic and antialiased, and back to rows.",
)  # fmt: skip


def places_in_table(count: int, side: int) -> Tensor:
    """Where the centres of `count` columns lie in a table `side` wide whose entry 0 lies at 0: (count,)."""
    return (torch.arange(count) + 0.5) * side / count - 0.5


table_places = Check(
    name="places in the table",
    reference=places_in_table,
    cases=lambda: {
        "4 columns on a table of 8": (4, 8),
        "16 columns on a table of 8": (16, 8),
        "any other": tuple(draw(2).abs().mul(20).int().add(3).tolist()),
        "as many as the table has": (5, 5),
    },
    mutants={
        "you compared the left edges of the columns, not their centres": "+ 0.5 →; - 0.5 →",
        "you put first on first and last on last, which is align_corners":
            lambda count, side: torch.linspace(0, side - 1, count),
        "the centre of the table's entry 0 is at 0.5: take 0.5 away at the end": "- 0.5 →",
        "the ratio is upside down": "side / count → count / side",
    },
    hint="Column j has its centre at (j + ½) / count of the width. Where is that in a table `side` wide?",
)  # fmt: skip


def variance_shares(tokens: Tensor) -> Tensor:
    """Share of the variance (min(N, C)) along each principal direction of tokens (N, C), largest first."""
    variances = torch.linalg.svdvals(tokens - tokens.mean(0)) ** 2
    return variances / variances.sum()


explained_variance = Check(
    name="explained variance",
    reference=variance_shares,
    cases=lambda: {
        "three tokens of two numbers": (torch.tensor([[1.0, 4], [3, 5], [5, 9]]),),
        "fifty tokens of eight": (draw(50, 8) * torch.arange(1.0, 9) + 3,),
        "all on one line": (counted(5, 1) @ torch.tensor([[1.0, 2, 2]]) + 1,),
    },
    mutants={
        "you did not take away the mean token": "- tokens.mean(0) →",
        "singular values are spreads; square them for variances": "** 2 →",
        "the smallest comes first: `eigh` sorts upwards, so turn it round": ") ** 2 → ).flip(0) ** 2",
        "you returned variances; divide them by their sum": "/ variances.sum() →",
    },
    hint="Centre, then `torch.linalg.svdvals`, square, divide by the sum.",
)
