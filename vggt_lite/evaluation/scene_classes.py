"""Classes of generated scenes, for tables that show which kind a model is bad at."""

import math
from bisect import bisect_right
from collections.abc import Sequence

from vggt_lite.config import SceneConfig
from vggt_lite.synthetic.between_views import median_parallax, overlap_with_first
from vggt_lite.synthetic.generate import generate_scenes, scene_kinds

# Classes of scenes in tables, per cent: median parallax of a step in widths; shared with the first view
PARALLAX, OVERLAP = (0, 2, 5, 10), (0, 25, 50, 75)
SMALL = 28  # pixels of the renderings they are measured in


def scene_classes(first_seed: int, num_scenes: int, num_views: int, scenes: SceneConfig) -> list[dict]:
    """Of each scene: place, path, how far a step moves the median pixel, what is shared with view 1.

    The last two are measured in small renderings, and put into the classes of `PARALLAX` and `OVERLAP`.
    """
    kinds = scene_kinds(first_seed, num_scenes, num_views, scenes)
    small = generate_scenes(
        first_seed, num_scenes, num_views, SMALL, SMALL, config=scenes.with_(photographic=False)
    )
    parallax = 100 * median_parallax(small).nanmedian(dim=1).values  # (B,) NaN: neighbours share nothing
    overlap = 100 * overlap_with_first(small)[:, 1:].mean(dim=1)  # (B,)
    figures = zip(kinds, parallax.tolist(), overlap.tolist(), strict=True)
    return [
        kind | {"parallax": class_of(step, PARALLAX), "overlap": class_of(share, OVERLAP)}
        for kind, step, share in figures
    ]


def class_of(percent: float, edges: Sequence[int]) -> str:
    """Between which of the edges a percentage lies, "2–5 %"; beyond the last one "10 % and more"."""
    if math.isnan(percent):
        return "nothing shared"
    above = bisect_right(edges, percent)
    return f"{edges[-1]} % and more" if above == len(edges) else f"{edges[above - 1]}–{edges[above]} %"
