"""One page from one or several evaluation reports: tables, curves, scenes, and what made each number."""

import html
from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go

from vggt_lite.evaluation.metric_table import rows_of
from vggt_lite.evaluation.report_figures import curves_of, draw_accuracy, draw_pair_errors, draw_scene_spread
from vggt_lite.viz.html import write_page

SPREAD = (
    "auc_30", "auc_5", "rotation_deg", "translation_deg", "depth_abs_rel", "depth_overall", "point_overall",
    "point_error", "track_delta", "track_delta_px", "track_aj",
)  # fmt: skip
LEGEND = (
    "↑ more is better, ↓ less is better. In brackets: where 95 % of the means lie when the scenes are drawn "
    "anew with replacement (bootstrap). “constant” is an answer that never looks at the pictures."
)
DIFFERENT = (
    "These reports were made by different protocols: do not compare their numbers unless you know what "
    "the difference does. The protocols stand below."
)
NOTES = (
    "text", "data", "unit", "num_scenes", "first_seed", "seed", "num_views", "size", "mode", "query_mode",
    "num_tracks", "icp", "batch_size", "scene_config", "weights", "hardware", "seconds", "versions",
)  # fmt: skip


def write_report_page(reports: Mapping, path: str | Path, title: str = "Evaluation") -> Path:
    """Write the page; one file that needs no network.

    Args:
        reports: {name: `Report`}, at least one.
        path: the file, for example "report.html".
        title: its heading.
    """
    if not reports:
        raise ValueError("there is nothing to draw: give at least one report.")
    parts = [_warning(reports), f'<p class="note">{LEGEND}</p>', comparison_table(reports)]
    if curves_of(reports):
        parts += [
            "<h2>Poses</h2>",
            _figure(
                draw_accuracy(reports),
                "Per cent of pairs of views whose error is below a threshold. The area below a curve up to τ "
                "degrees is AUC@τ; of several reports the larger of rotation and direction error is drawn.",
            ),
        ]
        for kind in ("rotation", "translation"):
            said = f"How many pairs of views have which {kind} error, in steps of one degree."
            parts.append(_figure(draw_pair_errors(reports, kind), said))
    parts += _scenes(reports) + ["<h2>How each number was made</h2>"]
    for name, report in reports.items():
        parts += [f"<h3>{html.escape(name)}</h3>", _protocol(report.protocol)]
    parts.append(_frames(reports))
    return write_page(path, title, [part for part in parts if part])


def comparison_table(reports: Mapping) -> str:
    """All figures, a column for each report and one for its constant answer, as an HTML table."""
    heads, cells = [], []
    for name, report in reports.items():
        heads.append(name)
        cells.append((report.model, report, "model"))
        if report.constant:
            heads.append("constant" if len(reports) == 1 else f"{name}: constant")
            cells.append((report.constant, report, "constant"))
    rows = {}
    for report in reports.values():
        rows |= {key: row for key, row in rows_of(report.protocol).items() if key not in rows}
    lines = "".join(
        f"<tr><td>{html.escape(label)} {direction}</td>"
        + "".join(_cell(figures, report, who, key, decimals) for figures, report, who in cells)
        + "</tr>"
        for key, (label, direction, decimals) in rows.items()
        if any(key in figures for figures, _, _ in cells)
    )
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    return f'<div class="maps"><table class="figures-table"><tr><th></th>{head}</tr>{lines}</table></div>'


def _cell(figures: Mapping, report, who: str, key: str, decimals: int) -> str:
    if key not in figures:
        return '<td class="number">–</td>'
    text, interval = f"{figures[key]:.{decimals}f}", None
    if who == "model":
        interval = report.interval(key)
    if interval:
        low, high = (f"{end:.{decimals}f}" for end in interval)
        text += f' <span class="note">[{low}, {high}]</span>'
    return f'<td class="number">{text}</td>'


def _warning(reports: Mapping) -> str:
    texts = {report.protocol["text"] for report in reports.values()}
    return f"<p><strong>{DIFFERENT}</strong></p>" if len(texts) > 1 else ""


def _scenes(reports: Mapping) -> list[str]:
    parts = []
    for key in SPREAD:
        having = [r for r in reports.values() if sum(key in scene["model"] for scene in r.scenes) > 1]
        if having:
            label, direction, _ = rows_of(having[0].protocol)[key]
            said = (
                f"{label}: each dot is a scene, the diamond their mean with its 95 % interval, the cross the "
                "constant answer's mean."
            )
            parts.append(_figure(draw_scene_spread(reports, key, f"{label} {direction}"), said))
    return ["<h2>Scene by scene</h2>", *parts] if parts else []


def _protocol(protocol: Mapping) -> str:
    lines = []
    for name in NOTES:
        value = protocol.get(name)
        if value is None:
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {part}" for key, part in value.items())
        lines.append(f"<tr><td>{name.replace('_', ' ')}</td><td>{html.escape(str(value))}</td></tr>")
    return f"<table>{''.join(lines)}</table>"


def _frames(reports: Mapping) -> str:
    """The lists of frames, folded away."""
    parts = []
    for name, report in reports.items():
        lines = [
            f"{scene['group']} {scene['name']}: {', '.join(scene['frames'])}".strip()
            for scene in report.scenes
            if scene.get("frames")
        ]
        if lines:
            content = html.escape("\n".join(lines))
            parts.append(
                f"<details><summary>frames of {html.escape(name)}</summary><pre>{content}</pre></details>"
            )
    return "".join(parts)


def _figure(figure: go.Figure, said: str) -> str:
    """A figure for a page that holds plotly already, with its description for eyes and screen readers."""
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    text = html.escape(said)
    return f'<div role="img" aria-label="{text}">{drawn}</div><p class="note">{text}</p>'
