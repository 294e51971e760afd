"""Figures for notebooks and pages. Everything that draws is in here, and nothing else is.

`draw_…` makes a plotly figure, `show` puts it into a notebook.
"""

from vggt_lite.viz.attention_explorer import draw_attention_explorer, show_attention_explorer
from vggt_lite.viz.bars import draw_bars
from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.controls import SceneControls, show_reconstruction
from vggt_lite.viz.dashboard import Dashboard, draw_dashboard
from vggt_lite.viz.epipolar import Epipolar, EpipolarControls, draw_epipolar, show_epipolar
from vggt_lite.viz.frusta import draw_frusta
from vggt_lite.viz.heatmaps import draw_heatmaps
from vggt_lite.viz.html import figure_block, metrics_table, scene_section, write_html, write_page
from vggt_lite.viz.intervals import Interval, draw_intervals
from vggt_lite.viz.lines import draw_calibration, draw_curves, draw_layer_errors
from vggt_lite.viz.maps import draw_maps
from vggt_lite.viz.patches import draw_patches, draw_tokens, filter_sheet, pca_colors
from vggt_lite.viz.reprojection import draw_projection, draw_residuals
from vggt_lite.viz.rope_clocks import draw_rope_clocks
from vggt_lite.viz.scene import draw_scene
from vggt_lite.viz.show import show
from vggt_lite.viz.show_source import show_source
from vggt_lite.viz.side_by_side import draw_side_by_side
from vggt_lite.viz.sliders import Sliders, show_with_sliders
from vggt_lite.viz.tracks import draw_correlation, draw_track_errors, draw_tracks

__all__ = [
    "Cameras", "Cloud", "Dashboard", "Epipolar", "EpipolarControls", "Interval", "SceneControls", "Sliders",
    "draw_attention_explorer", "draw_bars", "draw_calibration", "draw_correlation", "draw_curves",
    "draw_dashboard", "draw_epipolar", "draw_frusta", "draw_heatmaps", "draw_intervals",
    "draw_layer_errors", "draw_maps", "draw_patches", "draw_projection", "draw_residuals",
    "draw_rope_clocks", "draw_scene", "draw_side_by_side", "draw_tokens", "draw_track_errors",
    "draw_tracks", "figure_block", "filter_sheet", "metrics_table", "pca_colors", "scene_section", "show",
    "show_attention_explorer", "show_epipolar", "show_reconstruction", "show_source", "show_with_sliders",
    "write_html", "write_page",
]  # fmt: skip
