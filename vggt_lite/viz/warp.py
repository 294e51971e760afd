"""One view's colours on another view's surfaces: right where cameras and depth are right."""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from vggt_lite.data.consistency_check import CLOSE
from vggt_lite.data.pictures import to_rgb
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.data.residuals import Geometry, SeenPoints
from vggt_lite.data.scene_check import RawScene
from vggt_lite.data.views import sample
from vggt_lite.geometry import project_points, unproject_depth
from vggt_lite.viz.style import COLORS

LONGEST = 192  # pixels of a picture's longer side
WRONG = tuple(int(COLORS[1][i : i + 2], 16) for i in (1, 3, 5))


class Thinned(NamedTuple):
    """The views of a scene at a size that is quick to draw."""

    pictures: list[np.ndarray]  # S × (H, W, 3) uint8
    geometry: Geometry  # for these pixels; depth 0 where there is none
    sizes: list[tuple[int, int]]  # (H, W)
    numbers: list[int]  # what the views are called, from 1
    seen: SeenPoints | None  # of a sparse model or tracks, in these pixels

    @property
    def has_depth(self) -> bool:
        """Whether any view has depth."""
        return any((depth > 0).any() for depth in self.geometry.depth)


def thinned(raw: RawScene, which: list[int]) -> Thinned:
    """Some views of what was read of a scene, which must have pictures and cameras."""
    pictures, depths, lenses, sizes, tracks = [], [], [], [], []
    given, seen = raw.geometry(), raw.seen_points()
    for view in which:
        picture = to_rgb(raw.pictures[view], str(raw.pictures[view]))
        scale = min(1.0, LONGEST / max(picture.size))
        width, height = (max(1, round(side * scale)) for side in picture.size)
        size, scales = (picture.height, picture.width), (width / picture.width, height / picture.height)
        window = PixelMap(size, (height, width), scales)
        pictures.append(np.asarray(picture.resize((width, height), Image.Resampling.BOX)))
        lenses.append(window.intrinsics_to_network(given.intrinsics[view]))
        depth = given.depth[view].float().nan_to_num(0.0, 0.0, 0.0).clamp(min=0)
        depths.append(sample(depth, window))
        sizes.append((height, width))
        if seen is not None:
            tracks.append(window.to_network(seen.tracks[view]))
    geometry = Geometry(given.cam_from_world[which], torch.stack(lenses), depths)
    if seen is not None:
        widths = torch.tensor(sizes)[:, 1]
        seen = SeenPoints(seen.world, torch.stack(tracks), seen.visibility[which], widths)
    return Thinned(pictures, geometry, sizes, [view + 1 for view in which], seen)


def repainted(scene: Thinned, geometry: Geometry, source: int, target: int) -> tuple[np.ndarray, float]:
    """View `target`, painted with what view `source` sees on the same surfaces.

    Args:
        scene: For the pictures.
        geometry: Where surfaces are: that of the scene, or one that a mistake was taken out of.

    Returns:
        (H, W, 4) uint8: the colours of `source` where its depth agrees, orange where it sees something else
        there, clear where it does not look; and the share of agreement among what it looks at.
    """
    cameras, lenses, depth = geometry
    points = unproject_depth(depth[target], lenses[target], cameras[target])  # (H, W, 3)
    pixels, z = project_points(points.flatten(0, 1), cameras[source], lenses[source])
    height, width = depth[source].shape
    inside = (z > 0) & (pixels >= 0).all(-1) & (pixels < torch.tensor([width, height])).all(-1)
    inside &= depth[target].flatten() > 0
    column, row = torch.where(inside[:, None], pixels, 0.0).long().unbind(-1)
    seen = depth[source][row, column]
    inside &= seen > 0
    agrees = inside & ((z - seen).abs() < CLOSE * seen)
    colors = torch.from_numpy(scene.pictures[source].copy())[row, column]
    colors[~agrees] = torch.tensor(WRONG, dtype=torch.uint8)
    painted = torch.cat([colors, inside[:, None].byte() * 255], dim=-1)
    share = agrees.sum().item() / max(inside.sum().item(), 1)
    return painted.view(*depth[target].shape, 4).numpy(), share
