"""A stand-alone page: figures to turn, a confidence slider, pictures and maps. Works offline from a file."""

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from plotly.colors import sample_colorscale
from plotly.offline import get_plotlyjs

from vggt_lite.utils.files import atomic_write
from vggt_lite.utils.table import html_table
from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.controls import SOURCE_NAMES, describe
from vggt_lite.viz.maps import map_rows
from vggt_lite.viz.page_parts import SCRIPT, STYLE
from vggt_lite.viz.scene import draw_scene, frame_of
from vggt_lite.viz.style import (
    SEQUENTIAL,
    WORLD_UNIT,
    as_array,
    as_pictures,
    colorize,
    data_uri,
    small_png,
    thin,
)

TEMPLATES = Environment(loader=PackageLoader("vggt_lite", ""), autoescape=True, undefined=StrictUndefined)
TRUTH_NOTE = "The true surface and cameras, at the same scale. The two figures turn together."


def write_html(
    reconstruction,
    path: str | Path,
    truth=None,
    metrics: Mapping[str, object] | None = None,
    title: str = "Reconstruction",
    unit: str = WORLD_UNIT,
    source: str | None = None,
    confidence_percentile: int = 0,
) -> Path:
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
    parts = [scene, metrics_table(metrics or {})]
    return write_page(path, title, parts)


def write_page(path: str | Path, title: str, parts: list[str]) -> Path:
    """Write a page from HTML parts (`scene_section`, `metrics_table`, or your own); whole or not at all.

    The page's policy lets the browser run the two scripts of this package and fetch nothing, so that what
    slips into a part (a file name, a title) cannot act.
    """
    plotly = get_plotlyjs()
    hashes = (base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in (plotly, SCRIPT))
    scripts = " ".join(f"'sha256-{code}'" for code in hashes)
    colors = ", ".join(sample_colorscale(SEQUENTIAL, 8))
    text = TEMPLATES.get_template("viz/page.html").render(
        title=title,
        policy=f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:",
        style=Markup(STYLE.replace("BAR", colors)),
        plotly=Markup(plotly),
        script=Markup(SCRIPT),
        parts=map(Markup, parts),
    )
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def figure_block(figure, text: str) -> Markup:
    """A plotly figure for a page, with its description for eyes and screen readers."""
    template = TEMPLATES.get_template("viz/figure.html")
    return Markup(template.render(figure=json.loads(figure.to_json()), text=text))


def scene_section(
    scene, truth=None, unit: str = WORLD_UNIT, source: str | None = None, confidence_percentile: int = 0
) -> str:
    """Figures with their controls, then pictures and maps, as HTML; arguments as for `write_html`."""
    clouds, cameras = Cloud.each(scene), Cameras.of(scene)
    if source in clouds:
        clouds = {source: clouds[source], **clouds}
    first = next(iter(clouds.values()))
    if truth is None:
        figures = [("Reconstruction", describe(scene), clouds, draw_scene(first, cameras, unit=unit))]
    else:
        true_cloud, true_cameras = Cloud.of(truth), Cameras.of(truth)
        frame = frame_of(true_cloud, cameras, true_cameras)
        ours = draw_scene(first, cameras, true_cameras, unit=unit, frame=frame)
        theirs = draw_scene(true_cloud, None, true_cameras, unit=unit, frame=frame)
        figures = [("Reconstruction", describe(scene), clouds, ours),
                   ("Truth", TRUTH_NOTE, {"": true_cloud}, theirs)]  # fmt: skip
    block = figures_block(figures, range(1, len(scene) + 1), percentile=confidence_percentile)
    return block + maps_table(scene, truth, unit)


def figures_block(
    figures: list[tuple], numbers: Iterable[int], trust: bool = True, percentile: int = 0
) -> str:
    """3-D figures that turn together, below their controls.

    Args:
        figures: For each its heading, a sentence that says what it shows, its clouds by source, and the
            plotly figure, whose first trace holds the points.
        numbers: What the views of the clouds are called.
        trust: Whether there is a slider that hides the least trusted points.
        percentile: Where it starts.
    """
    plots = "".join(
        f'<div><h3>{name}</h3><div class="plot" role="img" aria-label="{text}"></div>'
        f'<p class="note">{text}</p></div>'
        for name, text in ((html.escape(name), html.escape(text)) for name, text, _, _ in figures)
    )
    drawn = [_figure(clouds, figure) for _, _, clouds, figure in figures]
    controls = _controls(figures[0][2], numbers, trust, percentile)
    content = json.dumps({"figures": drawn}).replace("</", "<\\/")  # a script element ends at </
    return (
        f'<div class="scene">{controls}<div class="figures">{plots}</div>'
        f'<script type="application/json">{content}</script></div>'
    )


def _controls(clouds: Mapping[str, Cloud], numbers: Iterable[int], trust: bool, percentile: int) -> str:
    sources = "".join(f'<option value="{s}">{SOURCE_NAMES.get(s, s)}</option>' for s in clouds)
    views = "".join(
        f'<label><input type="checkbox" value="{view}" checked> {number}</label> '
        for view, number in enumerate(numbers)
    )
    hidden = "" if trust else " hidden"
    return (
        f'<div class="controls"><label{hidden}>hide the least trusted '
        f'<input type="range" min="0" max="95" step="1" value="{percentile}"> <output></output></label>'
        f"<label{hidden}>points from <select>{sources}</select></label><span>views {views}</span></div>"
    )


def _figure(clouds: Mapping[str, Cloud], figure) -> dict:
    """A plotly figure for the page's script: its points travel apart, as bytes."""
    drawn = json.loads(figure.to_json())
    drawn["data"][0].update(x=[], y=[], z=[])
    drawn["data"][0]["marker"]["color"] = []
    drawn["layout"].pop("height", None)
    drawn["layout"].pop("template", None)
    return {**drawn, "clouds": {source: _packed(cloud) for source, cloud in clouds.items()}}


def _packed(cloud: Cloud) -> dict:
    def text(values, kind):
        return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()

    shown = cloud.select()
    index, scale = cloud.palette
    axes = {axis: text(cloud.points[shown, i], "<f4") for i, axis in enumerate("xyz")}
    bytes_ = {"color": index[shown], "rank": cloud.rank[shown], "view": cloud.view[shown]}
    packed = {name: text(values, "u1") for name, values in bytes_.items()}
    return {**axes, **packed, "scale": scale, "total": len(cloud)}


def maps_table(scene, truth=None, unit: str = WORLD_UNIT) -> str:
    """Pictures, depth (beside the truth) and confidence of every view, as a table of embedded images."""
    rows = map_rows(
        depth=None if scene.depth is None else [d * v for d, v in zip(scene.depth, scene.valid, strict=True)],
        true_depth=None if truth is None or truth.depth is None else list(truth.depth * truth.valid),
        confidence=None if scene.depth_conf is None else _without_padding(scene),
        unit=unit,
    )
    heads = "".join(f"<th>{view + 1} · {html.escape(name)}</th>" for view, name in enumerate(scene.names))
    lines = [f"<tr><th></th>{heads}</tr>"]
    photos = [thin(picture, 400) for picture in as_pictures(scene.images)]
    cells = "".join(
        f'<td><img class="photo" alt="view {view}: {html.escape(name)}" src="{data_uri(photo)}"></td>'
        for view, (name, photo) in enumerate(zip(scene.names, photos, strict=True), start=1)
    )
    lines.append(f"<tr><th>photograph</th>{cells}</tr>")
    for row in rows:
        cells = "".join(
            f'<td><img alt="{row.name} of view {view}" src="{_map_uri(values, row)}"></td>'
            for view, values in enumerate(row.maps, start=1)
        )
        ends = f"<span>{row.low:.3g}</span><span>{row.high:.3g}</span>"
        ends = f'<div class="bar"></div><div class="ends">{ends}</div>'
        lines.append(
            f'<tr><th>{row.name}<br><span class="note">{html.escape(row.unit)}</span>{ends}</th>{cells}</tr>'
        )
    return f'<div class="maps"><table>{"".join(lines)}</table></div>'


def _without_padding(scene) -> list[np.ndarray]:
    """The confidence of each view (h, w), NaN where the network's square shows no photograph."""
    pairs = zip(scene.depth_conf, scene.valid, strict=True)
    return [np.where(as_array(valid), as_array(confidence), np.nan) for confidence, valid in pairs]


def _map_uri(values: np.ndarray, row) -> str:
    picture = Image.fromarray(colorize(thin(values, 256), row.low, row.high))
    return "data:image/png;base64," + base64.b64encode(small_png(picture, 256, smooth=True)).decode()


def metrics_table(metrics: Mapping[str, object], caption: str = "") -> str:
    """{what: value} or {what: {column: value}} as an HTML table; nothing for an empty mapping."""
    if not metrics:
        return ""
    rows = {what: value if isinstance(value, Mapping) else {"": value} for what, value in metrics.items()}
    columns = list(dict.fromkeys(column for values in rows.values() for column in values))

    def cell(value) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    cells = [[what, *(cell(values.get(column, "–")) for column in columns)] for what, values in rows.items()]
    return html_table(["", *columns], cells, "l" + "r" * len(columns), caption)
