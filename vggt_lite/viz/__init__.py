"""Figures for notebooks and pages. Everything that draws is in here, and nothing else is.

`draw_…` makes a plotly figure, `preview_…` the same as a PNG, `show` puts both into a notebook.
"""

from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.controls import SceneControls, show_reconstruction
from vggt_lite.viz.curves import draw_curves, preview_curves
from vggt_lite.viz.html import metrics_table, scene_section, write_html, write_page
from vggt_lite.viz.maps import draw_maps, preview_maps
from vggt_lite.viz.preview import preview_scene
from vggt_lite.viz.scene import draw_scene
from vggt_lite.viz.show import show
from vggt_lite.viz.tracks import draw_tracks, preview_tracks

__all__ = [
    "Cameras",
    "Cloud",
    "SceneControls",
    "draw_curves",
    "draw_maps",
    "draw_scene",
    "draw_tracks",
    "metrics_table",
    "preview_curves",
    "preview_maps",
    "preview_scene",
    "preview_tracks",
    "scene_section",
    "show",
    "show_reconstruction",
    "write_html",
    "write_page",
]
