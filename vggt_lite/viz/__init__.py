"""Figures for notebooks and pages. Everything that draws is in here, and nothing else is.

`draw_…` makes a plotly figure, `preview_…` the same as a PNG, `show` puts both into a notebook.
"""

from vggt_lite.viz.bars import draw_bars, preview_bars
from vggt_lite.viz.calibration import draw_calibration, preview_calibration
from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.controls import SceneControls, show_reconstruction
from vggt_lite.viz.correlation import (
    draw_correlation,
    draw_track_errors,
    preview_correlation,
    preview_track_errors,
)
from vggt_lite.viz.curves import draw_curves, preview_curves
from vggt_lite.viz.dashboard import Dashboard, draw_dashboard, preview_dashboard
from vggt_lite.viz.dials import draw_dials, preview_dials
from vggt_lite.viz.epipolar import Epipolar, EpipolarControls, draw_epipolar, preview_epipolar, show_epipolar
from vggt_lite.viz.explorer import draw_explorer, preview_explorer
from vggt_lite.viz.frusta import draw_frusta, preview_frusta
from vggt_lite.viz.grids import draw_grids, preview_grids
from vggt_lite.viz.html import metrics_table, scene_section, write_html, write_page
from vggt_lite.viz.intervals import Interval, draw_intervals, preview_intervals
from vggt_lite.viz.maps import draw_maps, preview_maps
from vggt_lite.viz.patches import (
    draw_patches,
    draw_tokens,
    filter_sheet,
    pca_colors,
    preview_patches,
    preview_tokens,
)
from vggt_lite.viz.preview import preview_scene
from vggt_lite.viz.reprojection import draw_projection, draw_residuals, preview_projection, preview_residuals
from vggt_lite.viz.scene import draw_scene
from vggt_lite.viz.show import show
from vggt_lite.viz.side_by_side import draw_side_by_side, preview_side_by_side
from vggt_lite.viz.sliders import Sliders, show_with_sliders
from vggt_lite.viz.source import source
from vggt_lite.viz.stages import draw_stages, preview_stages
from vggt_lite.viz.tracks import draw_tracks, preview_tracks

__all__ = [
    "Cameras",
    "Cloud",
    "Dashboard",
    "Epipolar",
    "EpipolarControls",
    "Interval",
    "SceneControls",
    "Sliders",
    "draw_bars",
    "draw_calibration",
    "draw_correlation",
    "draw_curves",
    "draw_dashboard",
    "draw_dials",
    "draw_epipolar",
    "draw_explorer",
    "draw_frusta",
    "draw_grids",
    "draw_intervals",
    "draw_maps",
    "draw_patches",
    "draw_projection",
    "draw_residuals",
    "draw_scene",
    "draw_side_by_side",
    "draw_stages",
    "draw_tokens",
    "draw_track_errors",
    "draw_tracks",
    "filter_sheet",
    "metrics_table",
    "pca_colors",
    "preview_bars",
    "preview_calibration",
    "preview_correlation",
    "preview_curves",
    "preview_dashboard",
    "preview_dials",
    "preview_epipolar",
    "preview_explorer",
    "preview_frusta",
    "preview_grids",
    "preview_intervals",
    "preview_maps",
    "preview_patches",
    "preview_projection",
    "preview_residuals",
    "preview_scene",
    "preview_side_by_side",
    "preview_stages",
    "preview_tokens",
    "preview_track_errors",
    "preview_tracks",
    "scene_section",
    "show",
    "show_epipolar",
    "show_reconstruction",
    "show_with_sliders",
    "source",
    "write_html",
    "write_page",
]
