"""`Cloud` and `Cameras`: what a 3-D figure is made of, as plain arrays."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from vggt_lite.viz.style import as_array, max_points


@dataclass(frozen=True, eq=False)
class Cloud:
    """N coloured world points; each knows its confidence and which view saw it (0 … S − 1)."""

    points: np.ndarray  # (N, 3) float32, world
    colors: np.ndarray  # (N, 3) uint8
    confidence: np.ndarray  # (N,) float32, larger = more trusted
    view: np.ndarray  # (N,) int

    @staticmethod
    def of(scene, source: str | None = None) -> "Cloud":
        """The points of a `Reconstruction`.

        Args:
            scene: the reconstruction.
            source: "point_map" or "depth", see `Reconstruction.sources`; None takes the first it has.
        """
        points, colors, confidence, view = (as_array(part) for part in scene.points(source))
        return Cloud(points.astype(np.float32), colors, confidence.astype(np.float32), view)

    @staticmethod
    def each(scene) -> "dict[str, Cloud]":
        """One cloud for every source of a `Reconstruction` that yields points.

        Raises:
            ValueError: none does.
        """
        clouds = {source: Cloud.of(scene, source) for source in scene.sources if len(scene.points(source)[0])}
        if not clouds:
            raise ValueError("this reconstruction holds no finite point: nothing to draw.")
        return clouds

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def rank(self) -> np.ndarray:
        """(N,) percentile of each point's confidence, 0 (least trusted) to just below 100."""
        order = np.argsort(self.confidence, kind="stable")
        rank = np.empty(len(self), np.float32)
        rank[order] = np.arange(len(self)) * (100.0 / len(self))
        return rank

    @cached_property
    def _shuffled(self) -> np.ndarray:
        return np.random.default_rng(0).permutation(len(self))

    def select(self, percentile: float = 0.0, views=None, limit: int | None = None) -> np.ndarray:
        """Indices of the points to show: the same ones for the same arguments, always.

        Args:
            percentile: Hide this share of the points (0 … 100), the least trusted first.
            views: Views to show, counted from 0; None shows all.
            limit: At most so many points; None takes the house's cap (`max_points`).
        """
        keep = self.rank >= percentile
        if views is not None:
            keep &= np.isin(self.view, list(views))
        chosen = self._shuffled[keep[self._shuffled]]
        return np.sort(chosen[: max_points() if limit is None else limit])

    @cached_property
    def palette(self) -> tuple[np.ndarray, list]:
        """(N,) uint8 colour index and the plotly colour scale it points into.

        One byte a point instead of a string: lists of colour strings cost seconds in the browser
        and in plotly's validator.
        """
        image = Image.fromarray(np.ascontiguousarray(self.colors)[None]).quantize(256)
        index = np.asarray(image)[0]
        top = max(int(index.max()), 1)
        table = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
        table = np.resize(table, (top + 1, 3))
        return index, [[i / top, "rgb({},{},{})".format(*c)] for i, c in enumerate(table.tolist())]

    @cached_property
    def bounds(self) -> np.ndarray:
        """(2, 3) low and high corner of the box that holds the middle 98 % of the points per axis."""
        return np.percentile(self.points, [1, 99], axis=0)


@dataclass(frozen=True, eq=False)
class Cameras:
    """S pinhole cameras, OpenCV axes."""

    cam_from_world: np.ndarray  # (S, 3, 4)
    intrinsics: np.ndarray  # (S, 3, 3) pixels
    sizes: list[tuple[int, int]]  # (H, W) of each view
    numbers: list[int]  # what each is called, from 1

    @staticmethod
    def of(scene) -> "Cameras | None":
        """The usable cameras of a `Reconstruction`; None if there is none."""
        views = scene.camera_ok.nonzero()[:, 0].tolist()
        if not views:
            return None
        sizes = [scene.original_sizes[view] for view in views]
        numbers = [view + 1 for view in views]
        return Cameras(
            as_array(scene.cam_from_world[views]), as_array(scene.intrinsics[views]), sizes, numbers
        )

    @cached_property
    def centers(self) -> np.ndarray:
        """(S, 3) camera centres in the world: −Rᵀ t."""
        rotation, translation = self.cam_from_world[:, :, :3], self.cam_from_world[:, :, 3]
        return -np.einsum("sji,sj->si", rotation, translation)

    def frusta(self, depth: float) -> np.ndarray:
        """(S, 5, 3) world points: the centre, then the image's corners at z = `depth`, clockwise."""
        corners = []
        for k, (height, width) in zip(self.intrinsics, self.sizes, strict=True):
            pixels = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1.0]])
            corners.append(depth * pixels @ np.linalg.inv(k).T)  # (4, 3) in the camera
        in_cam = np.stack(corners)  # (S, 4, 3)
        rotation, translation = self.cam_from_world[:, :, :3], self.cam_from_world[:, :, 3]
        world = (in_cam - translation[:, None]) @ rotation  # Rᵀ (p − t) for row vectors
        return np.concatenate([self.centers[:, None], world], axis=1)
