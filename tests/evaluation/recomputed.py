"""Are the figures of single scenes in a report those that this code and these weights give?

Another processor rounds otherwise. How far that moves a figure was measured with PyTorch 2.13 on the first 20
scenes of TINY's report and the first 10 of NANO's, which were made on an AMD EPYC (AVX2, one thread):

- two threads; ATEN_CPU_CAPABILITY=default and avx2; oneDNN held to SSE 4.1; both; MKL in its compatible mode;
- every weight and every rendered pixel moved by up to one unit in the last place, four times.

What was seen stands beside each tolerance. TINY's scenes themselves move: a ray beside an edge hits the other
thing, and a coefficient of JPEG rounds to its other neighbour. NANO's scenes do not.
"""

import math

import numpy as np

from vggt_lite.evaluation.report import Report

# Lengths, angles and ratios may be off by a share of their size: in one scene, and in the mean of all scenes
NANO_REL = (2e-4, 1e-4)  # seen 8e-6 and 1e-6; the reports hold five digits, up to 5e-5 off
TINY_REL = (1e-2, 1e-3)  # seen 8e-4 and 2e-5; 1.4e-4 in a scene on an Intel with AMX
# What counts things, in per cent: the same two
COUNTED = {
    "matching_": (1.0, 0.1),  # seen 0.25, which is one patch, and 0.012
    "depth_delta_": (0.05, 0.01),  # seen 0.006, which is three pixels, and 0.0003
    "depth_f_score": (0.3, 0.05),  # of 1,000 points; seen nothing
    "point_f_score": (0.3, 0.05),
    "track_": (8.5, 1.0),  # seen 4.2, which is one of 24 positions (on Intel too), and 0.3: rounding grows
}  # over the tracker's iterations, whose tokens hold waves of up to hundreds of radians a pixel


def check_scenes(
    published: Report, found: list[dict[str, float]], relative: tuple[float, float], who: str = "model"
) -> None:
    """Compare each figure that a report holds of its first scenes with what was found now.

    Args:
        published: The report.
        found: Figures of its first scenes, in order.
        relative: NANO_REL or TINY_REL.
        who: "model" or "constant".
    """
    stored = [scene[who] for scene in published.scenes[: len(found)]]
    assert stored and all(old and old.keys() <= now.keys() for old, now in zip(stored, found, strict=True))
    for key in dict.fromkeys(key for scene in stored for key in scene):
        pairs = [(old[key], now[key]) for old, now in zip(stored, found, strict=True) if key in old]
        old, now = np.array(pairs).T  # (scenes,)
        each, mean = tolerances(key, old, published.protocol["num_views"], relative)
        off = now - old
        assert (abs(off) <= each + 1e-6).all(), f"{who}, {key}: published {old}, off by {off}"
        assert abs(off.mean()) <= mean + 1e-6, f"{who}, {key}: mean {old.mean():.6g} off by {off.mean():.2g}"


def check_means(published: Report) -> None:
    """The figures of a report that are means of its scenes are those means; scenes hold five digits."""
    for who, figures in (("model", published.model), ("constant", published.constant)):
        for key in dict.fromkeys(key for scene in published.scenes for key in scene[who]):
            values = [scene[who][key] for scene in published.scenes if key in scene[who]]
            mean = math.fsum(values) / len(values)
            assert abs(figures[key] - mean) <= 1e-4 * abs(mean), f"{who}, {key}: {figures[key]}, mean {mean}"


def tolerances(key: str, values: np.ndarray, views: int, relative: tuple[float, float]):
    """How far a figure may be off: in each scene (scenes,), and in their mean."""
    if key.startswith("auc_"):  # seen nothing; a pair of a scene may cross a whole degree, two of all scenes
        one_pair = 100 / math.comb(views, 2) / int(key.removeprefix("auc_"))
        return one_pair, 2 * one_pair / len(values)
    for name, (each, mean) in COUNTED.items():
        if key.startswith(name):
            return each, mean
    return relative[0] * abs(values), relative[1] * abs(values.mean())
