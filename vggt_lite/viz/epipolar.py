"""Epipolar lines: choose a point in one view, and see in the others where alone it can be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor

from vggt_lite import geometry
from vggt_lite.viz.panels import view_panels
from vggt_lite.viz.show import show_controls
from vggt_lite.viz.sliders import Sliders
from vggt_lite.viz.style import COLORS

SAME_DEPTH = 0.03  # relative: a surface this close to the expected depth is taken for the same one
GUESSES = 24  # positions of the depth slider


@dataclass(frozen=True, eq=False)
class Epipolar:
    """Views with known cameras, and with depth if there is a truth: everything that the figure needs.

    Args:
        images: (S, 3, H, W) in [0, 1]; the point is chosen in the first.
        cam_from_world: (S, 3, 4). intrinsics: (S, 3, 3) pixels.
        depth: (S, H, W) true z, so that the true match can be shown; None: no truth.
        numbers: What the views are called; None counts from 1.
    """

    images: Tensor
    cam_from_world: Tensor
    intrinsics: Tensor
    depth: Tensor | None = None
    numbers: Sequence[int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the pictures."""
        return tuple(self.images.shape[-2:])

    @property
    def titles(self) -> list[str]:
        return [f"view {number}" for number in self.numbers or range(1, len(self.images) + 1)]

    def lines(self, x: float, y: float) -> Tensor:
        """(S − 1, 3) lines a·x + b·y + c = 0 in the other views, a² + b² = 1, so that it measures pixels."""
        cameras, k = self.cam_from_world.double(), self.intrinsics.double()
        fundamental = geometry.fundamental_matrix(
            geometry.essential_matrix(cameras[:1], cameras[1:]), k[:1], k[1:]
        )
        lines = fundamental @ torch.tensor([x, y, 1.0], dtype=torch.float64)
        return lines / lines[:, :2].norm(dim=-1, keepdim=True)

    def at_depth(self, x: float, y: float, z: float) -> tuple[Tensor, Tensor]:
        """Where a point on the chosen ray at depth z lies: pixels (S, 2) and its depth (S,) in each view."""
        pixel, k = torch.tensor([[x, y]], dtype=torch.float64), self.intrinsics.double()
        ray = torch.nn.functional.pad(geometry.normalized_coordinates(pixel, k[0]), (0, 1), value=1.0)
        cameras = self.cam_from_world.double()
        world = geometry.transform_points(geometry.invert_rigid(cameras[0]), z * ray)
        pixels, depths = geometry.project_points(world.expand(len(cameras), -1, -1), cameras, k)
        return pixels[:, 0], depths[:, 0]

    def match(self, x: float, y: float) -> tuple[Tensor, Tensor]:
        """The true match: pixels (S, 2), and whether each view really sees it (S,)."""
        if self.depth is None:
            raise ValueError("there is no true match without a depth: give Epipolar(depth=…).")
        height, width = self.size
        pixels, z = self.at_depth(x, y, self.depth[0, int(y), int(x)].item())
        column, row = pixels.floor().long().unbind(-1)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (z > 0)
        surface = self.depth[torch.arange(len(z)), row.clamp(0, height - 1), column.clamp(0, width - 1)]
        return pixels, inside & ((surface - z).abs() < SAME_DEPTH * z)

    def guesses(self) -> list[float]:
        """Depths to try, near to far: the range of the first view's depth, or 0.3 to 3."""
        known = self.depth is not None
        near, far = (0.8 * self.depth[0].min(), 1.2 * self.depth[0].max()) if known else (0.3, 3.0)
        return np.geomspace(float(near), float(far), GUESSES).tolist()


def line_ends(lines: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Two points (N, 2, 2) on each line a·x + b·y + c = 0 (N, 3), far outside a picture (H, W).

    a² + b² must be 1. The axes of a figure cut off what lies outside the picture.
    """
    normal, along = lines[:, :2], lines[:, :2].flip(-1) * lines.new_tensor([-1, 1])
    middle = lines.new_tensor(size).flip(-1) / 2
    offset = (normal * middle).sum(-1, keepdim=True) + lines[:, 2:]
    nearest = middle - offset * normal  # (N, 2): of the line, to the middle
    return torch.stack([nearest - sum(size) * along, nearest + sum(size) * along], dim=1).numpy()


def draw_epipolar(views: Epipolar, x: float, y: float, guess: float = 0.0, match: bool = False) -> go.Figure:
    """The chosen point in the first view, its epipolar line in all others.

    Args:
        views: Pictures and cameras.
        x, y: The chosen point, pixels of the first view from its corner.
        guess: A depth; a diamond on each line shows where the point would be at this depth. 0: none.
        match: Show where the point really is (a ring; a cross where something hides it).
    """
    nothing, lines = np.full((len(views.images), 2), np.nan), views.lines(x, y)
    guessed, true, seen = nothing, nothing, np.zeros(len(nothing))
    said = f"point ({x:g}, {y:g}) of {views.titles[0]}"
    if guess != 0:
        guessed = views.at_depth(x, y, guess)[0].numpy()
    if match:
        true, seen = (part.numpy() for part in views.match(x, y))
        distance = np.abs((true[1:] * lines[:, :2].numpy()).sum(-1) + lines[:, 2].numpy()).max()
        said += f"; its true matches miss the lines by at most {distance:.4f} px"
    fig = view_panels(views.images, views.titles, top=80)
    dot = {"size": 12, "color": COLORS[1], "line": {"color": "white", "width": 2}}
    fig.add_trace(go.Scatter(x=[x], y=[y], mode="markers", marker=dot, name="chosen point"), 1, 1)
    for view, ends in enumerate(line_ends(lines, views.size), start=1):
        look = {"mode": "lines", "line": {"color": COLORS[1], "width": 3}, "hoverinfo": "skip"}
        fig.add_trace(go.Scatter(x=ends[:, 0], y=ends[:, 1], name="epipolar line", **look), 1, view + 1)
        for place, name, symbol, color in (
            (guessed[view], "at this depth", "diamond", COLORS[3]),
            (true[view], "true match", "circle-open" if seen[view] else "x", COLORS[0]),
        ):
            marker = {"size": 14, "symbol": symbol, "color": color, "line": {"width": 3, "color": color}}
            mark = go.Scatter(x=place[:1], y=place[1:], mode="markers", marker=marker, name=name)
            fig.add_trace(mark, 1, view + 1)
    return fig.update_layout(title_text=said, margin_t=60)


class EpipolarControls(Sliders):
    """The figure with sliders for the point, a guessed depth and the true match; a click sets the point too.

    Args:
        views: Pictures and cameras.
        start: (x, y) to begin with, pixels.
    """

    def __init__(self, views: Epipolar, start: tuple[float, float]) -> None:
        height, width = views.size
        controls = {
            "x": [column + 0.5 for column in range(width)], "y": [row + 0.5 for row in range(height)],
            "guess": [("none", 0.0)] + [(f"depth {z:.2f}", z) for z in views.guesses()],
        }  # fmt: skip
        if views.depth is not None:
            controls["match"] = [("hidden", False), ("shown", True)]
        # An invisible sheet over the first picture reports clicks: an image itself does not.
        sheet = go.Heatmap(z=np.zeros(views.size, np.uint8), x0=0.5, y0=0.5)
        sheet.update(opacity=0, showscale=False, hoverinfo="none")

        def draw(**values) -> go.Figure:
            return draw_epipolar(views, **values).add_trace(sheet, 1, 1)

        super().__init__(draw, controls, {"x": int(start[0]) + 0.5, "y": int(start[1]) + 0.5})
        self.figure.data[-1].on_click(self._clicked)

    def _clicked(self, _trace, points, _state) -> None:
        if points.xs:
            self.choose(x=int(points.xs[0]) + 0.5, y=int(points.ys[0]) + 0.5)


def show_epipolar(views: Epipolar, *, alt: str, start: tuple[float, float]) -> None:
    """Show `draw_epipolar` in a notebook with controls.

    Args:
        views: Pictures and cameras.
        alt: What the figure shows and what to notice, one sentence.
        start: (x, y) to begin with, pixels of the first view.
    """
    show_controls(lambda: EpipolarControls(views, start).box, draw_epipolar(views, *start), alt=alt)
