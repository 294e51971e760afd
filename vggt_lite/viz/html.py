"""A stand-alone page: figures to turn, a confidence slider, pictures and maps. Works offline from a file."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from vggt_lite.utils.files import write_text
from vggt_lite.utils.table import html_table
from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.controls import SOURCE_NAMES, describe
from vggt_lite.viz.maps import Row, map_rows
from vggt_lite.viz.page_parts import SCRIPT, STYLE
from vggt_lite.viz.scene import draw_scene, frame_of
from vggt_lite.viz.style import WORLD_UNIT, as_array, as_pictures, colorize, jpeg_uri, png_uri, thin

TEMPLATES = Environment(loader=PackageLoader("vggt_lite", ""), autoescape=True, undefined=StrictUndefined)
TRUTH_NOTE = "The true surface and cameras, at the same scale. The two figures turn together."
MAP_HEAD = Markup(
    '{}<br><span class="note">{}</span><div class="bar"></div>'
    '<div class="ends"><span>{:.3g}</span><span>{:.3g}</span></div>'
)


def write_html(
    reconstruction, path: str | Path, truth=None, metrics: Mapping[str, object] | None = None,
    title: str = "Reconstruction", unit: str = WORLD_UNIT, source: str | None = None,
    confidence_percentile: int = 0,
) -> Path:  # fmt: skip
    """Write one page about one reconstruction; whole or not at all.

    Args:
        reconstruction: A `Reconstruction`.
        path: The file to write, for example "out/index.html".
        truth: The true `Reconstruction`, in the same world and scale, drawn beside.
        metrics: {what: value} or {what: {column: value}}, shown as a small table.
        title: Heading of the page.
        unit: What 1.0 means.
        source: Whose points are shown first, one of `Reconstruction.sources`; None takes the first.
        confidence_percentile: Where the slider starts that hides the least trusted points, 0 … 95.
    """
    scene = scene_section(reconstruction, truth, unit, source, confidence_percentile)
    return write_page(path, title, [scene, metrics_table(metrics or {})])


def write_page(path: str | Path, title: str, parts: Iterable[Markup]) -> Path:
    """Write a page from HTML parts (`scene_section`, `metrics_table`, or your own); whole or not at all.

    A part that is no `Markup` is text. The page's policy lets the browser run the two scripts of this package
    and fetch nothing, so that what slips into a part (a file name, a title) cannot act.
    """
    plotly = get_plotlyjs()
    hashes = (base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in (plotly, SCRIPT))
    scripts = " ".join(f"'sha256-{code}'" for code in hashes)
    text = _render(
        "viz/page.html",
        title=title,
        policy=f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(STYLE),
        plotly=Markup(plotly),
        script=Markup(SCRIPT),
        parts=parts,
    )
    write_text(path, text)
    return Path(path).expanduser()


def figure_block(figure, text: str) -> Markup:
    """A plotly figure for a page, with its description for eyes and screen readers."""
    return _render("viz/figure.html", figure=json.loads(figure.to_json()), text=text)


class SceneFigure(NamedTuple):
    """A 3-D figure of a page."""

    heading: str
    text: str  # a sentence that says what it shows
    clouds: Mapping[str, Cloud]  # by source
    figure: go.Figure  # its first trace holds the points


def scene_section(
    scene, truth=None, unit: str = WORLD_UNIT, source: str | None = None, confidence_percentile: int = 0
) -> Markup:
    """Figures with their controls, then pictures and maps, as HTML; arguments as for `write_html`."""
    scene = scene.in_first_camera() if truth is None else scene
    clouds, cameras = Cloud.each(scene), Cameras.of(scene)
    if source in clouds:
        clouds = {source: clouds[source], **clouds}
    first, true_cameras, frame, figures = next(iter(clouds.values())), None, None, []
    if truth is not None:
        true_cloud, true_cameras = Cloud.of(truth), Cameras.of(truth)
        frame = frame_of(true_cloud, cameras, true_cameras)
        theirs = draw_scene(true_cloud, None, true_cameras, unit=unit, frame=frame)
        figures = [SceneFigure("Truth", TRUTH_NOTE, {"": true_cloud}, theirs)]
    ours = draw_scene(first, cameras, true_cameras, unit=unit, frame=frame)
    figures = [SceneFigure("Reconstruction", describe(scene), clouds, ours), *figures]
    block = figures_block(figures, range(1, len(scene) + 1), percentile=confidence_percentile)
    pairs = None if scene.depth_conf is None else zip(scene.depth_conf, scene.valid, strict=True)
    rows = map_rows(
        depth=None if scene.depth is None else list(scene.depth * scene.valid),
        true_depth=None if truth is None or truth.depth is None else list(truth.depth * truth.valid),
        # Where the network's square shows no photograph there is no confidence
        confidence=pairs and [np.where(valid, as_array(confidence), np.nan) for confidence, valid in pairs],
        unit=unit,
    )
    return block + maps_table(scene.images, scene.names, rows)


def figures_block(
    figures: Sequence[SceneFigure], numbers: Iterable[int], trust: bool = True, percentile: int = 0
) -> Markup:
    """3-D figures that turn together, below their controls.

    Args:
        figures: The first one's clouds can be chosen from.
        numbers: What the views of the clouds are called.
        trust: Whether there is a slider that hides the least trusted points.
        percentile: Where it starts.
    """
    return _render(
        "viz/scene.html", figures=figures, numbers=numbers, trust=trust, percentile=percentile,
        source_names=SOURCE_NAMES, drawn=[_for_script(figure) for figure in figures],
    )  # fmt: skip


def _render(template: str, **values) -> Markup:
    return Markup(TEMPLATES.get_template(template).render(**values))


def _for_script(figure: SceneFigure) -> dict:
    """A figure for the page's script: its points travel apart, as bytes."""
    drawn = json.loads(figure.figure.to_json())
    drawn["data"][0].update(x=[], y=[], z=[])
    drawn["data"][0]["marker"]["color"] = []
    drawn["layout"].pop("height", None)
    drawn["layout"].pop("template", None)
    return {**drawn, "clouds": {source: _packed(cloud) for source, cloud in figure.clouds.items()}}


def _packed(cloud: Cloud) -> dict:
    shown = cloud.select()
    index, scale = cloud.palette
    arrays = dict(zip("xyz", cloud.points[shown].T.astype("<f4"), strict=True))
    bytes_ = {"color": index, "rank": cloud.rank, "view": cloud.view}
    arrays |= {name: values[shown].astype("u1") for name, values in bytes_.items()}
    texts = {name: base64.b64encode(values.tobytes()).decode() for name, values in arrays.items()}
    return {**texts, "scale": scale, "total": len(cloud)}


def maps_table(images, names: Sequence[str], rows: Sequence[Row]) -> Markup:
    """Pictures and maps of every view as a table of embedded images; `rows` as from `map_rows`."""
    photo = Markup('<img class="photo" alt="view {}: {}" src="{}">')
    pictures = (jpeg_uri(thin(picture, 400)) for picture in as_pictures(images))
    photos = [photo.format(view, *pair) for view, pair in enumerate(zip(names, pictures, strict=True), 1)]
    lines = [["photograph", *photos]]
    for row in rows:
        colored = (colorize(thin(values, 256), row.low, row.high) for values in row.maps)
        uris = enumerate((png_uri(picture, 256, smooth=True) for picture in colored), start=1)
        cells = [Markup('<img alt="{} of view {}" src="{}">').format(row.name, *uri) for uri in uris]
        lines.append([MAP_HEAD.format(row.name, row.unit, row.low, row.high), *cells])
    heads = ["", *(f"{view} · {name}" for view, name in enumerate(names, start=1))]
    return Markup('<div class="maps">{}</div>').format(html_table(heads, lines))


def metrics_table(metrics: Mapping[str, object]) -> Markup:
    """{what: value} or {what: {column: value}} as an HTML table; nothing for an empty mapping."""
    if not metrics:
        return Markup()
    rows = {what: value if isinstance(value, Mapping) else {"": value} for what, value in metrics.items()}
    columns = list(dict.fromkeys(column for values in rows.values() for column in values))
    cells = []
    for what, values in rows.items():
        shown = (values.get(column, "–") for column in columns)
        cells.append([what, *(f"{value:.3g}" if isinstance(value, float) else value for value in shown)])
    return html_table(["", *columns], cells, "l" + "r" * len(columns))
