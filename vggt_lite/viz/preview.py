"""The still picture of a 3-D figure, drawn by NumPy and Pillow: what GitHub, print and e-mail show."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.look import COLORS, TEXT, small_png
from vggt_lite.viz.scene import EYE, PYRAMID, UP, frame_of, frustum_size


class _Lens:
    """Projects world points to the picture, from the same viewpoint as the live figure's first one."""

    def __init__(self, low: np.ndarray, high: np.ndarray, size: tuple[int, int]) -> None:
        forward = -EYE / np.linalg.norm(EYE)
        right = np.cross(forward, UP)
        right /= np.linalg.norm(right)
        self.axes = np.stack([right, np.cross(forward, right), forward])  # rows: right, down, forward
        self.middle = (low + high) / 2
        self.distance = 1.6 * np.linalg.norm(high - low) / 2
        self.size, self.scale, self.shift = size, 1.0, np.zeros(2)

    def fit(self, points: np.ndarray) -> None:
        """Zoom and shift until `points` (N, 3) fill the picture."""
        low, high = np.percentile(self(points)[:, :2], [0.5, 99.5], axis=0)
        self.scale *= 0.9 * min(np.array(self.size) / np.maximum(high - low, 1e-6))
        low, high = np.percentile(self(points)[:, :2], [0.5, 99.5], axis=0)
        self.shift += np.array(self.size) / 2 - (low + high) / 2

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(…, 3) world → (…, 3): x and y in pixels of the picture, z distance in front of the eye."""
        x, y, z = np.moveaxis((points - self.middle) @ self.axes.T, -1, 0)
        z = np.maximum(z + self.distance, 1e-3)
        zoom = self.scale * min(self.size) / z
        return np.stack([self.size[0] / 2 + x * zoom, self.size[1] / 2 + y * zoom, z], -1) + [*self.shift, 0]


def _splat(canvas: np.ndarray, pixels: np.ndarray, colors: np.ndarray, radius: int) -> None:
    """Paint points as small squares, far ones first, so that the nearest is seen."""
    height, width = canvas.shape[:2]
    steps = range(-radius, radius + 1)
    offsets = np.array([(dx, dy) for dx in steps for dy in steps])
    order = np.argsort(-pixels[:, 2], kind="stable")
    xy = pixels[order, None, :2].astype(int) + offsets  # (N, (2r+1)², 2)
    inside = ((xy >= 0) & (xy < (width, height))).all(-1)
    rgba = np.c_[colors[order], np.full(len(order), 255)].astype(np.uint8)
    canvas[xy[inside][:, 1], xy[inside][:, 0]] = np.repeat(rgba, inside.sum(1), axis=0)


def preview_scene(
    cloud: Cloud,
    cameras: Cameras | None = None,
    true_cameras: Cameras | None = None,
    percentile: float = 0.0,
    views=None,
    title: str | None = None,
    unit: str = "",
    frame: tuple[np.ndarray, np.ndarray] | None = None,
    size: tuple[int, int] = (520, 340),
) -> bytes:
    """PNG bytes of the same scene as `draw_scene` draws with the same arguments (`unit` is not written)."""
    low, high = frame or frame_of(cloud, cameras, true_cameras)
    lens = _Lens(low, high, size)
    canvas = np.zeros((size[1], size[0], 4), np.uint8)
    shown = cloud.select(percentile, views)
    points = cloud.points[shown]
    in_box = ((points >= low) & (points <= high)).all(-1)
    groups = [group for group in (true_cameras, cameras) if group is not None]
    lens.fit(np.concatenate([points[in_box], *(group.centers for group in groups)]))
    _splat(canvas, lens(points[in_box]), cloud.colors[shown][in_box], radius=1)
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    depth = frustum_size(true_cameras or cameras, low, high)
    for group in groups:
        numbers = group.numbers if group is (cameras or true_cameras) else None
        _draw_frusta(pen, lens(group.frusta(depth))[..., :2], numbers, COLORS[group is true_cameras])
    if title:
        pen.text((8, 4), title, fill=TEXT, font=ImageFont.load_default(14))
    return small_png(picture)


def _draw_frusta(pen: ImageDraw.ImageDraw, frusta: np.ndarray, numbers: list[int] | None, color: str) -> None:
    """Draw projected frusta (S, 5, 2): with the numbers of their views, or dashed where there are none."""
    font = ImageFont.load_default(17)
    for view, corners in enumerate(frusta):
        path = corners[list(PYRAMID)]
        for start, end in zip(path[:-1], path[1:], strict=True):
            pieces = 1 if numbers else max(2, int(np.hypot(*(end - start)) / 3))
            stops = np.linspace(start, end, pieces + 1)
            for a, b in list(zip(stops[:-1], stops[1:], strict=True))[::2]:
                pen.line([*a, *b], fill=color, width=2)
        if numbers:
            above, text = tuple(corners[0] + (0, -12)), str(numbers[view])
            pen.text(above, text, fill=color, font=font, anchor="mm", stroke_width=2, stroke_fill="white")
