"""Gather what a training leaves behind: `python tools/training_report.py runs/nano data/weights/nano`.

Writes PREFIX_log.jsonl (the logs of all stages, one after the other) and PREFIX_curves.png.
"""

import json
import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

from vggt_lite.training.log import read_log
from vggt_lite.viz import preview_curves

TERMS = ("camera", "depth", "point", "matching")
HELD_OUT = ("correlation_yaw", "correlation_sideways", "matching_accuracy", "auc_30")


def gather(run: Path) -> list[dict]:
    """The records of all stages; `total` counts steps over all of them, shares are between 0 and 1."""
    records, before = [], 0
    for stage in sorted(p for p in run.iterdir() if (p / "log.jsonl").exists()):
        lines = read_log(stage / "log.jsonl")
        for line in lines:
            seen = {k: v / 100 if k in ("auc_30", "matching_accuracy") else v for k, v in line.items()}
            seen |= {k: v / 100 if k in ("auc_30", "matching_accuracy") else v
                     for k, v in line.get("watch", {}).items()}  # fmt: skip
            seen.pop("watch", None)
            records.append({"stage": stage.name, "total": before + line["step"], **seen})
        before += lines[-1]["step"]
    return records


def main(run: str, prefix: str) -> None:
    records = gather(Path(run))
    text = "".join(json.dumps(record) + "\n" for record in records)
    Path(f"{prefix}_log.jsonl").write_text(text, encoding="utf-8")
    size = (720, 260)
    curves = [
        preview_curves(records, TERMS, x="total", smooth=3, ylabel="loss", size=size),
        preview_curves(records, HELD_OUT, x="total", log=False, ylabel="held out", size=size),
    ]
    picture = Image.new("RGB", (size[0], 2 * size[1]), "white")
    for row, png in enumerate(curves):
        part = Image.open(BytesIO(png)).convert("RGBA")
        picture.paste(part, (0, row * size[1]), part)
    picture.quantize(64).save(f"{prefix}_curves.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
