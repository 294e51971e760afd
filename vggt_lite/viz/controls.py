"""The scene with controls: confidence, source of the points, views. A step changes the figure in place."""

from functools import cached_property

import plotly.graph_objects as go

from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.scene import draw_scene
from vggt_lite.viz.show import live_widget, redraw, show_controls
from vggt_lite.viz.style import WORLD_UNIT

SOURCE_NAMES = {"point_map": "point map", "depth": "depth + camera"}


class SceneControls:
    """A `Reconstruction` with sliders. `draw` is a pure function; `box` holds the live widgets.

    Args:
        scene: What to show.
        true_cameras: Cameras to compare with, in the same world and scale.
        unit: What 1.0 means on the axes.
    """

    def __init__(self, scene, true_cameras: Cameras | None = None, unit: str = WORLD_UNIT) -> None:
        scene = scene.in_first_camera() if true_cameras is None else scene
        self.scene, self.true_cameras, self.unit = scene, true_cameras, unit
        self.cameras = Cameras.of(scene)
        self.clouds = Cloud.each(scene)

    def draw(self, percentile: float = 0, source: str | None = None, views=None) -> go.Figure:
        """The figure for one position of the controls.

        Args:
            percentile: Hide this share of the points (0 … 100), the least trusted first.
            source: "point_map" or "depth"; None is the first that the scene has.
            views: Whose points to show, counted from 0; None shows all.
        """
        cloud = self.clouds[source or next(iter(self.clouds))]
        return draw_scene(cloud, self.cameras, self.true_cameras, percentile, views, unit=self.unit)

    @cached_property
    def figure(self) -> go.FigureWidget:
        """The live figure."""
        return live_widget(self.draw())

    @cached_property
    def box(self):
        """Controls above the live figure, as one widget; all of them work from the keyboard."""
        import ipywidgets as w

        wide = {"description_width": "initial"}
        percentiles = [(f"{k} %", k) for k in range(0, 100, 5)]
        look = {"style": wide, "layout": {"width": "380px"}}
        self.percentile = w.SelectionSlider(options=percentiles, description="hide the least trusted", **look)
        self.percentile.add_class("vggt-confidence")
        names = [(SOURCE_NAMES[source], source) for source in self.clouds]
        self.source = w.Dropdown(options=names, description="points from", style=wide)
        look = {"value": True, "indent": False, "layout": {"width": "auto"}}
        self.views = [
            w.Checkbox(description=f"view {view}", **look) for view in range(1, len(self.scene) + 1)
        ]
        for control in (self.percentile, self.source, *self.views):
            control.observe(self._redraw, names="value")
        rows = ([self.percentile, self.source], self.views)
        return w.VBox(
            [
                *(w.HBox(row, layout={"flex_flow": "row wrap", "grid_gap": "0 12px"}) for row in rows),
                self.figure,
            ]
        )

    def _redraw(self, _change) -> None:
        shown = [view for view, box in enumerate(self.views) if box.value]
        redraw(self.figure, self.draw(self.percentile.value, self.source.value, shown))


def show_reconstruction(scene, *, alt: str | None = None, true_cameras=None, unit: str = WORLD_UNIT) -> None:
    """Show a `Reconstruction` in a notebook: turn it, hide what is uncertain, choose views and source.

    Args:
        scene: The reconstruction.
        alt: Caption and screen-reader text; None writes a plain one.
        true_cameras: `Cameras` to draw beside the predicted ones, dashed.
        unit: What 1.0 means on the axes.
    """
    controls = SceneControls(scene, true_cameras, unit)
    alt = describe(scene) if alt is None else alt
    show_controls(lambda: controls.box, controls.draw(), alt=alt)


def describe(scene) -> str:
    """One sentence on what the figure of a reconstruction shows."""
    views = f"{len(scene)} view" + "s" * (len(scene) != 1)
    count = int(scene.camera_ok.sum())
    cameras = "one numbered pyramid marks" if count == 1 else f"{count} numbered pyramids mark"
    return (
        f"Points seen in {views}, coloured like the photographs, in the first camera's frame; {cameras} "
        f"where the camera{'s' * (count != 1)} stood."
    )
