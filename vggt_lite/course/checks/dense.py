"""Dense heads, from tokens to depths: checks of the exercises, with the mistakes people make."""

from functools import partial

import torch
import torch.nn.functional as F

from vggt_lite.course.checks.check import Check, draws


def to_map(tokens, grid):
    """Tokens (M, P, C), row by row, as a map (M, C, h, w)."""
    return tokens.transpose(1, 2).unflatten(2, grid)


tokens_to_map = Check(
    name="tokens to a map",
    reference=to_map,
    trained=True,
    cases=lambda: {
        "six numbered tokens, 2 × 3": (torch.arange(12.0).reshape(1, 6, 2), (2, 3)),
        "a batch, 4 × 5": (*draws((3, 20, 8)), (4, 5)),
        "a single patch": (*draws((2, 1, 4), seed=1), (1, 1)),
    },
    mutants={
        "you reshaped (P, C) as it stands: move the channels in front of the tokens first":
            "transpose(1, 2).unflatten(2, grid) → reshape(len(tokens), -1, *grid)",
        "you filled the map column by column: tokens run along the rows": "(2, grid) → (2, grid[::-1]).mT",
        "the channels came last: a convolution wants (M, C, h, w)":
            "transpose(1, 2).unflatten(2, grid) → unflatten(1, grid)",
        "the rows run upwards: the first token is the top left patch": "(2, grid) → (2, grid).flip(2)",
    },
    hint="Two steps: `transpose` puts channels before tokens, `unflatten` cuts P into h rows of w.",
)  # fmt: skip


def waves(count: int, half_extent: float, dim: int):
    """Sines, then cosines, of `count` places along one axis: (dim / 2, count)."""
    end = half_extent * (count - 1) / count
    place = torch.linspace(-end, end, count, dtype=torch.float64)
    number = torch.arange(dim // 4, dtype=torch.float64)
    angle = 100.0 ** (-number / (dim // 4))[:, None] * place  # (dim / 4, count)
    return torch.cat([angle.sin(), angle.cos()]).float()


sincos_2d = Check(
    name="waves along an axis",
    reference=waves,
    cases=lambda: {
        "four places, eight channels": (4, 0.8, 8),
        "37 places, 128 channels": (37, 0.5**0.5, 128),
        "one place": (1, 0.5, 16),
    },
    mutants={
        "your places reach ± half_extent: that is the picture's edge, but places are pixel centres":
            "* (count - 1) / count →",
        "your places start at 0: the middle of the picture is 0": "* place → * (place + half_extent)",
        "cosines come first: sines belong in front": "angle.sin(), angle.cos() → angle.cos(), angle.sin()",
        "you dealt out sine, cosine, sine, cosine: all sines come first":
            "torch.cat([angle.sin(), angle.cos()]) "
            "→ torch.stack([angle.sin(), angle.cos()], dim=1).flatten(0, 1)",
        "the base is 10,000: these maps use 100": "100.0 → 10_000.0",
        "your frequencies fall too slowly: there are dim/4 of them, 100^(−n / (dim/4))":
            "/ (dim // 4) → / (dim // 2)",
    },
    hint="Places lie between ± half_extent · (count − 1) / count. dim/4 frequencies, from 1 down.",
)  # fmt: skip


def residual(x, conv1, conv2):
    """The residual unit of the dense heads, from its two convolutions."""
    return conv2(F.relu(conv1(F.relu(x)))) + F.relu(x)


def residual_case(x, seed: int):
    """A map and two convolutions of its width."""
    width = x.shape[1]
    kernel1, kernel2, bias1, bias2 = draws(*[(width, width, 3, 3)] * 2, (width,), (width,), seed=seed)
    conv = partial(F.conv2d, padding=1)
    return x, partial(conv, weight=kernel1, bias=bias1), partial(conv, weight=kernel2, bias=bias2)


residual_unit = Check(
    name="residual unit",
    reference=residual,
    trained=True,
    cases=lambda: {
        "three pixels": (torch.tensor([[[[-1.0, 0.5, 2.0]]]]), lambda y: 2 * y - 1, lambda y: 10 * y - 3),
        "a batch of maps": residual_case(draws((2, 4, 5, 6))[0], seed=1),
        "nothing above zero": residual_case(-draws((1, 2, 3, 3))[0].abs(), seed=2),
    },
    mutants={
        "you added x itself: the release, and so the weights, add ReLU(x)": "+ F.relu(x) → + x",
        "the skip is missing: add ReLU(x) at the end": "+ F.relu(x) →",
        "the ReLU between the two convolutions is missing": "F.relu(conv1(F.relu(x))) → conv1(F.relu(x))",
        "the first convolution read x: it reads ReLU(x)": "conv1(F.relu(x)) → conv1(x)",
        "you rectified the sum: the unit ends without a ReLU": lambda *case: F.relu(residual(*case)),
    },
    hint="Rectify x once, at the start; both the convolutions and the skip use the result.",
)


def stretch_row(row, count: int):
    """A row of N numbers at `count` places, first and last kept: align_corners=True in one dimension."""
    place = torch.linspace(0, len(row) - 1, count)
    low = place.floor().long()
    high, share = (low + 1).clamp(max=len(row) - 1), place - low
    return row[low] * (1 - share) + row[high] * share


stretch = Check(
    name="resize that keeps the corners",
    reference=stretch_row,
    trained=True,
    cases=lambda: {
        "two numbers on four places": (torch.tensor([0.0, 3.0]), 4),
        "seven on twenty": (*draws((7,)), 20),
        "nine on four, which makes it shorter": (*draws((9,), seed=1), 4),
        "one number on three places": (torch.tensor([2.0]), 3),
    },
    mutants={
        "you lined up the pixels' outer edges (align_corners=False): here the first and last centre stay":
            lambda row, count: F.interpolate(row[None, None], count, mode="linear")[0, 0],
        "you stepped by N / count: from first to last there are N − 1 steps for count − 1":
            "torch.linspace(0, len(row) - 1, count) "
            "→ (torch.arange(count) * len(row) / count).clamp(max=len(row) - 1)",
        "you took the nearest number: mix the two neighbours": "- 1, count) → - 1, count).round()",
        "the two shares are swapped: the nearer neighbour gets the larger one":
            "(1 - share) + row[high] * share → share + row[high] * (1 - share)",
    },
    hint="Place i lies at i · (N − 1) / (count − 1) in the old row; mix floor and floor + 1.",
)  # fmt: skip


def activated(raw, name: str):
    """Raw (M, K + 1, H, W) → values (M, H, W, K) by the activation of this name, confidences (M, H, W)."""
    raw = raw.movedim(1, -1)
    x, c = raw[..., :-1], raw[..., -1]
    values = x.exp() if name == "exp" else x.sign() * x.abs().expm1()
    return values, 1 + c.exp()


activations = Check(
    name="activations",
    reference=activated,
    trained=True,
    cases=lambda: {
        "three depths": (torch.tensor([[[[-1.0, 0.0, 1.0]], [[-2.0, 0.0, 2.0]]]]), "exp"),
        "a batch of points": (*draws((2, 4, 3, 5)), "inv_log"),
        "points far to the left": (torch.tensor([[-5.0], [-4.0], [0.0], [1.0]])[None, :, None], "inv_log"),
    },
    mutants={
        "confidence is 1 + e^c: yours can fall below 1": "1 + c.exp() → c.exp()",
        "you took the first channel for the confidence: it is the last":
            "raw[..., :-1], raw[..., -1] → raw[..., 1:], raw[..., 0]",
        "the values still stand channels first: (M, H, W, K)": "return values → return values.movedim(-1, 1)",
        "inv_log lost its sign: left of the camera became right": "x.sign() * →",
        "inv_log is e^|x| − 1: you left out the − 1, and nothing comes near zero": "expm1() → exp()",
        "inv_log without the bars: e^x − 1 never falls below −1": "x.sign() * x.abs().expm1() → x.expm1()",
    },
    hint="`raw.movedim(1, -1)` first; then the last number is the confidence. `torch.expm1` is e^x − 1.",
)  # fmt: skip
