"""Gather what a training leaves behind: `python tools/training_report.py runs/nano FOLDER/nano`.

FOLDER is vggt_lite/pretrained/bundled, where the bundled models lie.

Writes PREFIX_log.jsonl (the logs of all stages, one after the other) and PREFIX_curves.png, and puts the
tables of stages and of held-out figures (PREFIX_evaluation.json) into README.md beside them; so too those of
photographs, where there is a PREFIX_photographs.json. `… tables FOLDER/tiny` only puts in the tables.
"""

import json
import sys
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

from tools import stills  # noqa: E402
from vggt_lite.config import SceneConfig  # noqa: E402
from vggt_lite.evaluation import Report  # noqa: E402
from vggt_lite.research.presets import PRESETS  # noqa: E402
from vggt_lite.training.log import read_log, seconds_of  # noqa: E402
from vggt_lite.utils.table import markdown_table  # noqa: E402
from vggt_lite.viz import draw_curves  # noqa: E402
from vggt_lite.viz.style import small_png  # noqa: E402

TERMS = ("camera", "depth", "point", "matching")
POSE = ("camera/translation", "camera/rotation", "camera/fov")
HELD_OUT = ("correlation_yaw", "correlation_sideways", "matching_accuracy", "auc_30")


def gather(run: Path) -> list[dict]:
    """The records of all stages; `total` counts steps over all of them, shares are between 0 and 1."""
    records, before = [], 0
    for stage in sorted(p for p in run.iterdir() if (p / "log.jsonl").exists()):
        lines = read_log(stage / "log.jsonl")
        for line in lines:
            flat = line | line.get("eval", {})
            flat.pop("eval", None)
            seen = {k: v / 100 if k in ("auc_30", "matching_accuracy") else v for k, v in flat.items()}
            records.append({"stage": stage.name, "total": before + line["step"], **seen})
        before += lines[-1]["step"]
    return records


def stage_table(records: list[dict], preset: str) -> str:
    """The README's table of the stages of a preset."""
    rows = []
    for number, (name, stage) in enumerate(PRESETS[preset].stages.items()):
        ours = [r for r in records if r["stage"] == f"{number}_{name}"]
        minutes = seconds_of(ours) / 60
        views = "–".join(str(v) for v in sorted(set(stage.config.views)))
        tasks = ", ".join(stage.config.loss_weights)
        steps = f"{ours[-1]['step']:,}"
        rows.append((name, kind_of(stage.scenes), stage.size, views, tasks, steps, f"{minutes:.0f}"))
    return markdown_table(
        ("stage", "scenes", "pixels", "views", "trained", "steps", "minutes"), rows, "lllllrr"
    )


def kind_of(scenes: SceneConfig) -> str:
    """A stage's scenes in two words."""
    return "varied, photographed" if scenes.photographic else f"{scenes.walls} walls"


def put_between(text: str, marker: str, table: str) -> str:
    """Replace what stands between <!-- marker: begin --> and <!-- marker: end -->."""
    begin, end = f"<!-- {marker}: begin -->", f"<!-- {marker}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(
            f"README.md must hold the lines {begin} and {end} once each: add them where it belongs."
        )
    before, rest = text.split(begin)
    return f"{before}{begin}\n{table.strip()}\n{end}{rest.split(end)[1]}"


def main(run: str, prefix: str) -> None:
    records = gather(Path(run))
    text = "".join(json.dumps(record) + "\n" for record in records)
    Path(f"{prefix}_log.jsonl").write_text(text, encoding="utf-8")
    curves = [
        draw_curves(records, TERMS, x="total", smooth=3, ylabel="loss"),
        draw_curves(records, POSE, x="total", smooth=3, ylabel="pose"),
        draw_curves(records, HELD_OUT, x="total", log=False, ylabel="held out"),
    ]
    parts = stills.draw([json.loads(figure.to_json()) for figure in curves])
    picture = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), "white")
    for row, part in enumerate(parts):
        picture.paste(part, (0, row * part.height), part)
    Path(f"{prefix}_curves.png").write_bytes(small_png(picture))

    put_tables(prefix)


def put_tables(prefix: str) -> None:
    """All tables of PREFIX_* into the README.md beside them."""
    readme = Path(prefix).parent / "README.md"
    readme.write_text(with_tables(readme.read_text(encoding="utf-8"), prefix), encoding="utf-8")


def with_tables(page: str, prefix: Path | str) -> str:
    """A page with the tables of PREFIX_log.jsonl, PREFIX_evaluation.json and, if any, of photographs."""
    preset = Path(prefix).name
    records = read_log(f"{prefix}_log.jsonl")
    page = put_between(page, f"{preset} stages", stage_table(records, preset))
    page = put_between(page, preset, Report.load(f"{prefix}_evaluation.json").to_markdown())
    if (photographs := Path(f"{prefix}_photographs.json")).is_file():
        page = put_between(page, f"{preset} photographs", Report.load(photographs).to_markdown())
    return page


if __name__ == "__main__":
    if sys.argv[1] == "tables":
        put_tables(sys.argv[2])
    else:
        main(*sys.argv[1:])
