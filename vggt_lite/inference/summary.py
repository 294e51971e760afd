"""A `Reconstruction` in a few lines, for terminals (text) and notebooks (HTML)."""

import math

import torch

from vggt_lite.geometry import camera_center
from vggt_lite.utils.table import html_table, text_table

COLUMNS = ("view", "name", "pixels", "field of view", "camera centre", "median depth", "shown")
MAX_ROWS = 12


def as_text(scene) -> str:
    """`print(scene)`: a headline and a table with one row per view."""
    return f"{_headline(scene)}\n{text_table(COLUMNS, _rows(scene))}"


def as_html(scene) -> str:
    """The same table as HTML; names are escaped."""
    return html_table(COLUMNS, _rows(scene), caption=_headline(scene))


def _headline(scene) -> str:
    height, width = scene.colors.shape[1:3]
    parts = {"cameras": scene.cam_from_world, "depth": scene.depth, "point map": scene.point_map}
    parts = [name for name, part in parts.items() if part is not None]
    if scene.tracks is not None:
        parts.append(f"{scene.tracks.shape[1]} tracked points")
    count = f"{len(scene)} view" + ("s" if len(scene) != 1 else "")
    return f"Reconstruction of {count} ({', '.join(parts) or 'empty'}), {width}×{height} network pixels"


def _rows(scene) -> list[tuple[str, ...]]:
    rows = [_row(scene, view) for view in range(min(len(scene), MAX_ROWS))]
    if len(scene) > MAX_ROWS:
        rows.append(("…", f"and {len(scene) - MAX_ROWS} more", *[""] * (len(COLUMNS) - 2)))
    return rows


def _row(scene, view: int) -> tuple[str, ...]:
    height, width = scene.original_sizes[view]
    field_of_view = center = depth = "–"
    if scene.camera_ok[view]:
        fx, fy = scene.intrinsics[view, 0, 0].item(), scene.intrinsics[view, 1, 1].item()
        angles = (2 * math.degrees(math.atan(side / (2 * f))) for side, f in ((width, fx), (height, fy)))
        field_of_view = "{:.0f}° × {:.0f}°".format(*angles)
    if scene.cam_from_world is not None and scene.cam_from_world[view].isfinite().all():
        position = camera_center(scene.cam_from_world[view]) + 0.0  # no "-0.00"
        center = "({:.2f}, {:.2f}, {:.2f})".format(*position.tolist())
    if scene.depth is not None:
        inside = scene.depth[view][scene.valid[view] & (scene.depth[view] > 0)]
        depth = f"{torch.median(inside).item():.2f}" if len(inside) else "–"
    shown = f"{100 * scene.valid[view].float().mean().item():.0f} %"
    name = scene.names[view] if len(scene.names[view]) <= 28 else scene.names[view][:27] + "…"
    return str(view + 1), name, f"{width}×{height}", field_of_view, center, depth, shown
