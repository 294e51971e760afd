"""What does fine-tuning gain on a new kind of scene, and what does it cost on the old kind?

    python tools/fine_tune_demo.py --weights nano --out runs/fine_tuning

Writes scene folders of a new kind (a lens far longer than any the model was trained with) and of the kind it
knows, fine-tunes it in several ways with the same number of steps, and scores each on held-out scenes of both
kinds. The table goes into docs/fine_tuning.md, the figures into data/experiments/fine_tuning_WEIGHTS.json.
Killed and called again, it goes on.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # for the other tool

from tools.training_report import put_between  # noqa: E402
from vggt_lite import VGGT  # noqa: E402
from vggt_lite.config import VARIED_SCENES, SceneConfig  # noqa: E402
from vggt_lite.data import write_scene  # noqa: E402
from vggt_lite.evaluation.metric_table import ROWS  # noqa: E402
from vggt_lite.evaluation.protocols import evaluate  # noqa: E402
from vggt_lite.evaluation.report import conditions  # noqa: E402
from vggt_lite.research.fine_tune import FINE_TUNING, RATES, SHOWN, FineTuneOptions, fine_tune  # noqa: E402
from vggt_lite.synthetic import generate_scenes  # noqa: E402
from vggt_lite.utils.files import write_text  # noqa: E402
from vggt_lite.utils.fingerprint import commit  # noqa: E402
from vggt_lite.utils.runtime import pick_device  # noqa: E402
from vggt_lite.utils.table import markdown_table  # noqa: E402

PAGE = ROOT / "docs" / "fine_tuning.md"
HEADS = ("camera", "depth", "point")  # the tracker is half of the time
LONG_LENS = (24.0, 30.0)  # degrees; NANO has seen 55 to 65, TINY 40 to 80
TRAINED_SEED, SCORED_SEED = 900_000, 1_040_000  # of the first scene
FOLDERS, PATH_VIEWS, SCORED, SCORED_VIEWS = 48, 6, 48, 4
KEYS = tuple(key for key in SHOWN if key != "track_delta_px")


def kinds(weights: str) -> dict[str, SceneConfig]:
    """What the model was trained on, without what moves, and the same rooms through a long lens."""
    old = SceneConfig() if weights == "nano" else VARIED_SCENES.with_(moving_objects=0)
    return {"old": old, "new": old.with_(fov_deg=LONG_LENS)}


def ways(folder: Path) -> dict[str, tuple[FineTuneOptions, float]]:
    """Name → what is trained, and its learning rate."""
    weights, adapters = RATES["weights"], RATES["adapters"]
    whole = {"zooms": (1.0, 1.0)}  # scored pictures are not cut either
    old = {"rehearse": (str(folder / "old"),), "rehearsal": 0.5}
    return {
        "everything": (FineTuneOptions(**whole), weights),
        "heads only": (FineTuneOptions(**whole, freeze=("aggregator",)), weights),
        "adapters and heads": (FineTuneOptions(**whole, adapters=8), adapters),
        "adapters and heads, old scenes rehearsed": (FineTuneOptions(**whole, **old, adapters=8), adapters),
        "everything, old scenes rehearsed": (FineTuneOptions(**whole, **old), weights),
    }


def write_folders(folder: Path, config: SceneConfig, size: int) -> None:
    for number in range(FOLDERS):
        target = folder / f"scene_{number:03d}"
        if not target.exists():
            batch = generate_scenes(TRAINED_SEED + number, 1, PATH_VIEWS, size, size, config=config)
            write_scene(target, batch, units="metres", source="vggt_lite.synthetic.generate_scenes")


def run(weights: str, out: Path, steps: int, images: int, device: torch.device) -> dict:
    """All ways, each scored on both kinds."""
    started = time.monotonic()
    model = VGGT.from_pretrained(weights, heads=HEADS)
    size = model.config.image_size
    for name, config in kinds(weights).items():
        write_folders(out / name, config, size)
    settings = FINE_TUNING.with_(
        steps=steps,
        max_images=images,
        aspects=(1.0, 1.0),
        checkpoint_every=steps,
        loss_weights={"camera": 5.0, "depth": 1.0, "point": 1.0, "matching": 0.03},
    )
    rows = {"before": scored(model, weights, device)}
    for name, (options, rate) in ways(out).items():
        target, config = out / re.sub(r"\W+", "_", name), settings.with_(learning_rate=rate)
        model = VGGT.from_pretrained(weights, heads=HEADS)
        fine_tune(model, [out / "new"], target, options, config, device=device, base=weights)
        rows[name] = scored(model, weights, device)
        print(f"{name}: {rows[name]}", flush=True)
    protocol = {
        "kinds": {name: config.to_dict() for name, config in kinds(weights).items()},
        "training": {**settings.to_dict(), "learning_rate": RATES},
        "scene_folders": FOLDERS, "first_trained_seed": TRAINED_SEED, "views_of_a_folder": PATH_VIEWS,
        "recipes": {name: vars(options) for name, (options, _) in ways(Path()).items()},
        "scored_scenes": SCORED, "first_scored_seed": SCORED_SEED, "scored_views": SCORED_VIEWS,
        "heads": HEADS, "commit": commit(),
    }  # fmt: skip
    return {"weights": weights, "rows": rows, "protocol": protocol, **conditions(device, started)}


def scored(model, weights: str, device: torch.device) -> dict[str, dict[str, float]]:
    """Figures of the held-out scenes of each kind."""
    size, found = model.config.image_size, {}
    for kind, config in kinds(weights).items():
        report = evaluate(model, SCORED, SCORED_SEED, SCORED_VIEWS, size, config, 0, device=device)
        found[kind] = {key: report[key] for key in KEYS if key in report.model}
    return found


def table(report: dict) -> str:
    """Markdown: a row per way, for each figure the new kind, then the old one."""
    keys = [key for key in KEYS if key in report["rows"]["before"]["old"]]
    heads = [head for key in keys for head in (f"{' '.join(ROWS[key][:2])}, new", "old")]
    rows = [
        [name, *(f"{row[kind][key]:.{ROWS[key][2]}f}" for key in keys for kind in ("new", "old"))]
        for name, row in report["rows"].items()
    ]
    return markdown_table(["trained", *heads], rows, "l" + "r" * len(heads))


def put_into_page(weights: str, text: str, page: Path = PAGE) -> None:
    """Replace what stands between the marks for these weights."""
    page_with_it = put_between(page.read_text(encoding="utf-8"), f"fine-tuning {weights}", text)
    write_text(page, page_with_it)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", default="nano", choices=("nano", "tiny"))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "fine_tuning")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--images", type=int, default=8, help="in a batch")
    parser.add_argument("--device", help="default: the best at hand")
    args = parser.parse_args()
    report = run(args.weights, args.out / args.weights, args.steps, args.images, pick_device(args.device))
    path = ROOT / "data" / "experiments" / f"fine_tuning_{args.weights}.json"
    write_text(path, json.dumps(report, indent=1) + "\n")
    print(table(report))
    if PAGE.exists():
        put_into_page(args.weights, table(report))


if __name__ == "__main__":
    main()
