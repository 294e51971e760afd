"""How far the views of a scene contradict each other, sample by sample: what every check of cameras rests on.

Two kinds of evidence, with one interface. `DepthResiduals`: a surface point of one view, and the depth that
another view has where it lands. `PointResiduals`: a point, and the pixel where a view saw it. Both offer

    geometry             the scene as it is given, on which changes are tried
    residuals(geometry)  how far each sample is off if the scene were like this; NaN: nothing to compare
    blocks               of the same shape: neighbouring samples, which err together, share a number
    tried                number of samples
    decisive             whether a wrong scale can be told from a wrong pose or wrong sightings
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.data.triangulation import triangulate
from vggt_lite.geometry import invert_rigid, normalized_coordinates, project_points, transform_points

MOST_PAIRS = 24  # of views
SAMPLES = 400  # pixels tried per pair
LONGEST = 256  # pixels of a depth map's longer side; larger ones are thinned
TILES = 4  # per side of a picture: its samples come in TILES² blocks
NARROW = 200  # pixels
MOST_OFF = 1.0  # a residual beyond it is as wrong as can be


class Geometry(NamedTuple):
    """What is said of where surfaces are: S cameras, and what they see."""

    cam_from_world: Tensor  # (S, 3, 4)
    intrinsics: Tensor  # (S, 3, 3)
    depth: list[Tensor]  # S × (H, W), 0 = none; views may differ in size

    @property
    def sizes(self) -> Tensor:
        """(S, 2): width and height of each depth map, pixels."""
        return torch.tensor([[depth.shape[1], depth.shape[0]] for depth in self.depth])


class SeenPoints(NamedTuple):
    """N points and where S views saw them: those of a sparse model, or tracks, which are sightings only."""

    world: Tensor | None  # (N, 3); None: wherever their sightings put them
    tracks: Tensor  # (S, N, 2) pixels (x, y) where they were seen
    visibility: Tensor  # (S, N) bool
    widths: Tensor  # (S,) of the pictures, pixels


class DepthResiduals:
    """|ln(z / depth)| of one view's surface points where they land in another view: 0.02 is 2 % of the depth.

    Args:
        given: the scene; two views at least have depth. Its maps are smoothed, for the noise of single pixels
            says nothing of cameras, and large ones are thinned; intrinsics follow.
    """

    def __init__(self, given: Geometry) -> None:
        self.geometry = smoothed(given)
        able = views_with_depth(self.geometry)
        pairs = list(zip(able, able[1:], strict=False)) + [(able[0], other) for other in able[2:]]
        pairs += [(j, i) for i, j in pairs]
        chosen = torch.linspace(0, len(pairs) - 1, min(MOST_PAIRS, len(pairs))).round().long()
        self.first, self.second = torch.tensor(pairs)[chosen].unbind(-1)  # (P,), (P,)
        generator = torch.Generator().manual_seed(0)
        pixels = []
        for depth in (self.geometry.depth[i] for i in self.first):
            known = (depth > 0).nonzero()
            pixels.append(known[torch.randint(len(known), (SAMPLES,), generator=generator)].flip(-1))
        self.pixels = torch.stack(pixels)  # (P, n, 2) of the first view, (x, y)
        self.tried, self.decisive = len(pixels) * SAMPLES, len(self.first.unique()) > 2
        column, row = (self.pixels * TILES // self.geometry.sizes[self.first, None]).unbind(-1)  # (P, n)
        self.blocks = (torch.arange(len(pixels))[:, None] * TILES + row) * TILES + column  # (P, n)

    def residuals(self, geometry: Geometry) -> Tensor:
        """(P, n)."""
        cameras, intrinsics, depth = geometry
        z = _at(depth, self.first, self.pixels)  # (P, n)
        ends = normalized_coordinates(self.pixels + 0.5, intrinsics[self.first])  # (P, n, 2)
        in_cam = torch.cat([ends * z[..., None], z[..., None]], dim=-1)  # (P, n, 3)
        world = transform_points(invert_rigid(cameras)[self.first, :3], in_cam)
        pixels, z = project_points(world, cameras[self.second], intrinsics[self.second])
        size = geometry.sizes[self.second, None]  # (P, 1, 2)
        inside = (z > 0) & (pixels >= 0).all(-1) & (pixels < size).all(-1)
        there = _at(depth, self.second, torch.where(inside[..., None], pixels, 0.0).long())
        off = (z / there).log().abs().clamp(max=MOST_OFF)
        return torch.where(inside & (there > 0), off, torch.nan)


class PointResiduals:
    """Distance between where a view saw a point and where its camera puts it, in widths of the picture.

    Widths count as `NARROW` at least: whatever finds points in pictures is a pixel or two off.
    """

    def __init__(self, given: Geometry, seen: SeenPoints) -> None:
        self.geometry, self.seen, self.decisive = given, seen, seen.world is not None
        self.counted = seen.visibility  # (S, N)
        if not self.decisive:  # one sighting can always be that of a point
            self.counted = self.counted & (self.counted.sum(0) > 1)
        self.tried = int(self.counted.sum())
        self.blocks = torch.arange(self.counted.shape[1]).expand(self.counted.shape)  # (S, N): the point

    def residuals(self, geometry: Geometry) -> Tensor:
        """(S, N)."""
        off = self._off(geometry, places(geometry, self.seen))
        if self.seen.world is None:  # close rays meet anywhere: a point at infinity contradicts nothing
            far = self._off(geometry, places(geometry, self.seen, far=True))
            off = torch.where(far.nansum(0) < off.nansum(0), far, off)
        return off

    def _off(self, geometry: Geometry, world: Tensor) -> Tensor:
        pixels, z = project_points(world, geometry.cam_from_world, geometry.intrinsics)  # (S, N, 2), (S, N)
        off = (pixels - self.seen.tracks).norm(dim=-1) / self.seen.widths.clamp(min=NARROW)[:, None]
        off = torch.where(z > 0, off, MOST_OFF).clamp(max=MOST_OFF)
        return torch.where(self.counted, off, torch.nan)


def places(given: Geometry, seen: SeenPoints, far: bool = False) -> Tensor:
    """Where the points are, (N, 3) world: as stated, or as these cameras triangulate them."""
    if seen.world is not None:
        return seen.world
    return triangulate(seen.tracks, seen.visibility, given.cam_from_world, given.intrinsics, far)


def views_with_depth(given: Geometry) -> list[int]:
    """Those that have any: two at least are needed to judge by depth."""
    return [view for view, depth in enumerate(given.depth) if (depth > 0).any()]


def smoothed(given: Geometry) -> Geometry:
    """The same scene with depth maps of at most `LONGEST` pixels, each the median of 3 × 3 pixels."""
    maps, intrinsics = [], given.intrinsics.clone()
    for view, depth in enumerate(given.depth):
        step = -(-max(depth.shape) // LONGEST)
        windows = F.unfold(F.pad(depth[None, None], (1, 1, 1, 1)), 3, stride=step)[0]  # (9, h·w)
        middle = depth[::step, ::step]  # (h, w)
        known = torch.where(windows > 0, windows, middle.flatten())  # a hole takes no part
        maps.append(torch.where(middle > 0, known.median(0).values.view_as(middle), 0.0))
        intrinsics[view, :2] /= step
        intrinsics[view, :2, 2] += 0.5 - 0.5 / step  # pixel centres at +0.5, before and after
    return Geometry(given.cam_from_world, intrinsics, maps)


def _at(depth: list[Tensor], views: Tensor, pixels: Tensor) -> Tensor:
    """(P, n) of the depth maps of P views, at pixels (P, n, 2)."""
    pairs = zip(views.tolist(), pixels, strict=True)
    return torch.stack([depth[view][place[:, 1], place[:, 0]] for view, place in pairs])
