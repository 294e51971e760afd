"""One page from one or several evaluation reports: tables, curves, scenes, and what made each number."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from markupsafe import Markup

from vggt_lite.evaluation.metric_table import rows_of
from vggt_lite.evaluation.report import Report, figure_rows
from vggt_lite.utils.table import html_table
from vggt_lite.viz import Interval, draw_curves, draw_intervals
from vggt_lite.viz.html import TEMPLATES, figure_block, write_page

SPREAD = (
    "auc_30", "auc_5", "rotation_deg", "translation_deg", "depth_abs_rel", "depth_overall", "point_overall",
    "point_error", "track_delta", "track_delta_px", "track_aj",
)  # fmt: skip
NOTES = (
    "text", "data", "unit", "num_scenes", "first_seed", "seed", "num_views", "size", "mode", "query_mode",
    "num_tracks", "icp", "batch_size", "scene_config", "weights", "hardware", "seconds", "versions",
)  # fmt: skip
MOST_DEGREES = 30  # shown
KINDS = {"larger": "both within", "rotation": "rotation within", "translation": "direction within"}


def write_report_page(reports: Mapping[str, Report], path: str | Path, title: str = "Evaluation") -> Path:
    """Write the page; one file that needs no network.

    Args:
        reports: {name: `Report`}, at least one.
        path: the file, for example "report.html".
        title: its heading.
    """
    if not reports:
        raise ValueError("there is nothing to draw: give at least one report.")
    heads, columns = ["", ""], []
    apart = {
        f"{name}, {group}" if group else name: part
        for name, report in reports.items()
        for group, part in report.apart().items()
    }
    for name, report in apart.items():
        heads += [name, _constant(name, apart)]
        columns += [(report, "model"), (report, "constant")]
    body = TEMPLATES.get_template("evaluation/report_page.html").render(
        reports=reports, drawn=figure_block, protocol_table=_protocol, scene_table=_scenes,
        different=len({report.protocol["text"] for report in reports.values()}) > 1,
        table=html_table(heads, figure_rows(columns, intervals=True), "ll" + "r" * len(columns)),
        sections={"Poses": _pose_curves(reports), "Scene by scene": _spread(apart)}.items(),
    )  # fmt: skip
    return write_page(path, title, [Markup(body)])


def accuracy(histogram: list[int]) -> np.ndarray:
    """(30,) per cent of pairs with an error below 1, 2, … 30 degrees, from a histogram of a `Report`."""
    counts = np.asarray(histogram, dtype=float)
    return 100 * counts.cumsum()[:MOST_DEGREES] / max(counts.sum(), 1)


def _constant(name: str, reports: Mapping) -> str:
    return "constant" if len(reports) == 1 else f"{name}: constant"


def _pose_curves(reports: Mapping[str, Report]) -> list[tuple]:
    """(figure, what it shows): accuracy over thresholds, then how often which error occurs."""
    known = {name: report.histograms for name, report in reports.items() if report.histograms}
    if not known:
        return []
    shares = {name: accuracy(histograms["larger"]) for name, histograms in known.items()}
    if len(known) == 1:
        (histograms,) = known.values()
        shares = {label: accuracy(histograms[kind]) for kind, label in KINDS.items()}
    said = (
        "Per cent of pairs of views whose error is below a threshold. The area below a curve up to τ degrees "
        "is AUC@τ; of several reports the larger of rotation and direction error is drawn."
    )
    found = [(_curves(shares, "threshold, degrees", range(1, MOST_DEGREES + 1)), said)]
    for kind in ("rotation", "translation"):
        shares = {}
        for name, histograms in known.items():
            share = 100 * np.asarray(histograms[kind], dtype=float) / max(sum(histograms[kind]), 1)
            beyond = share[MOST_DEGREES:].sum()
            shares[f"{name} ({beyond:.0f} % beyond {MOST_DEGREES}°)"] = share[:MOST_DEGREES]
        said = f"How many pairs of views have which {kind} error, in steps of one degree."
        found.append((_curves(shares, f"{kind} error, degrees", np.arange(MOST_DEGREES) + 0.5), said))
    return found


def _curves(shares: Mapping[str, np.ndarray], x: str, degrees):
    records = [
        {x: degree} | {name: values[k].item() for name, values in shares.items()}
        for k, degree in enumerate(degrees)
    ]
    return draw_curves(records, list(shares), x=x, log=False, ylabel="per cent of pairs")


def _spread(reports: Mapping[str, Report]) -> list[tuple]:
    """(figure, what it shows) for each figure of `SPREAD` that several scenes of a report have."""
    found = []
    for key in SPREAD:
        rows, axis = {}, ""
        for name, report in reports.items():
            values = [scene["model"][key] for scene in report.scenes if key in scene["model"]]
            if len(values) < 2 or not np.isfinite([*values, report.model.get(key, np.nan)]).all():
                continue
            label, direction, decimals = rows_of(report.protocol)[key]
            axis = axis or f"{label} {direction}"
            rows[name] = _interval(report, key, "model", values)
            if np.isfinite(report.constant.get(key, np.nan)):
                rows[_constant(name, reports)] = _interval(report, key, "constant")
        if rows:
            said = f"{axis[:-2]}: means with their 95 % intervals; each ring is a scene."
            found.append((draw_intervals({"": rows}, axis, number=f".{decimals}f"), said))
    return found


def _interval(report: Report, key: str, who: str, scenes=()) -> Interval:
    mean = getattr(report, who)[key]
    low, high = report.interval(key, who) or (mean, mean)
    return Interval(mean, min(low, mean), max(high, mean), scenes)


def _protocol(protocol: Mapping) -> Markup:
    rows = []
    for name in NOTES:
        value = protocol.get(name)
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {part}" for key, part in value.items())
        if value is not None:
            rows.append((name.replace("_", " "), value))
    return html_table(("", ""), rows)


def _scenes(report: Report) -> Markup:
    """Every scene with the figures of `SPREAD` and its frames."""
    rows = {
        key: row for key, row in rows_of(report.protocol).items() if key in SPREAD and key in report.model
    }
    cells = [
        [scene["group"], scene["name"]]
        + [f"{scene['model'][key]:.{row[2]}f}" if key in scene["model"] else "–" for key, row in rows.items()]
        + [", ".join(scene.get("frames", ()))]
        for scene in report.scenes
    ]
    heads = ["group", "scene", *(f"{label} {direction}" for label, direction, _ in rows.values()), "frames"]
    return html_table(heads, cells, "ll" + "r" * len(rows))
