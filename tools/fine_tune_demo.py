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

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # for the other tool

from tools.training_report import put_between  # noqa: E402
from vggt_lite import VGGT  # noqa: E402
from vggt_lite.config import VARIED_SCENES, SceneConfig, TrainConfig  # noqa: E402
from vggt_lite.data import write_scene  # noqa: E402
from vggt_lite.evaluation.report import hardware, versions  # noqa: E402
from vggt_lite.research.fine_tune import FINE_TUNING, RATES, SHOWN, Recipe, fine_tune, scores_of  # noqa: E402
from vggt_lite.synthetic import generate_scenes  # noqa: E402
from vggt_lite.utils.files import atomic_write  # noqa: E402
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


def recipes(folder: Path) -> dict[str, tuple[Recipe, float]]:
    """Name → what moves, and its learning rate."""
    weights, adapters = RATES["weights"], RATES["adapters"]
    whole = {"zooms": (1.0, 1.0)}  # scored pictures are not cut either
    old = {"rehearse": (str(folder / "old"),), "rehearsal": 0.5}
    return {
        "everything": (Recipe(**whole), weights),
        "heads only": (Recipe(**whole, freeze=("aggregator",)), weights),
        "adapters and heads": (Recipe(**whole, adapters=8), adapters),
        "adapters and heads, old scenes rehearsed": (Recipe(**whole, **old, adapters=8), adapters),
        "everything, old scenes rehearsed": (Recipe(**whole, **old), weights),
    }


def write_folders(folder: Path, config: SceneConfig, size: int) -> None:
    for number in range(FOLDERS):
        target = folder / f"scene_{number:03d}"
        if not target.exists():
            batch = generate_scenes(TRAINED_SEED + number, 1, PATH_VIEWS, size, size, config=config)
            write_scene(target, batch, units="metres", source="vggt_lite.scenes.generate_scenes")


def run(weights: str, out: Path, steps: int, images: int) -> dict:
    """All recipes, each scored on both kinds."""
    started, device = time.monotonic(), pick_device()
    model = VGGT.from_pretrained(weights, heads=HEADS)
    size, scenes = model.config.image_size, {}
    for name, config in kinds(weights).items():
        write_folders(out / name, config, size)
        scenes[name] = [
            generate_scenes(SCORED_SEED + first, 16, SCORED_VIEWS, size, size, config=config)
            for first in range(0, SCORED, 16)
        ]
    settings = FINE_TUNING.with_(
        steps=steps,
        max_images=images,
        track_weight=0.0,
        aspects=(1.0, 1.0),
        checkpoint_every=steps,
        matching_weight=0.03,
    )
    rows = {"before": _scored(out / "before.json", model.to(device), scenes)}
    for name, (recipe, rate) in recipes(out).items():
        target = out / re.sub(r"\W+", "_", name)
        model = VGGT.from_pretrained(weights, heads=HEADS).to(device)
        fine_tune(model, [out / "new"], target, recipe, settings.with_(learning_rate=rate), base=weights)
        rows[name] = _scored(target / "scores.json", model, scenes)
        print(f"{name}: {rows[name]}", flush=True)
    return {
        "weights": weights, "rows": rows, "protocol": _protocol(weights, settings),
        "seconds_of_this_call": round(time.monotonic() - started), "hardware": hardware(device),
        "versions": versions(),
    }  # fmt: skip


def _scored(path: Path, model, scenes: dict) -> dict:
    if not path.exists():
        found = {kind: scores_of(model, batches) for kind, batches in scenes.items()}
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(found), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def _protocol(weights: str, settings: TrainConfig) -> dict:
    return {
        "kinds": {name: config.to_dict() for name, config in kinds(weights).items()},
        "training": {**settings.to_dict(), "learning_rate": RATES},
        "scene_folders": FOLDERS, "first_trained_seed": TRAINED_SEED, "views_of_a_folder": PATH_VIEWS,
        "recipes": {name: vars(recipe) for name, (recipe, _) in recipes(Path()).items()},
        "scored_scenes": SCORED, "first_scored_seed": SCORED_SEED, "scored_views": SCORED_VIEWS,
        "heads": HEADS,
    }  # fmt: skip


def table(report: dict) -> str:
    """Markdown: a row per recipe, for each figure the new kind, then the old one."""
    keys = [key for key in KEYS if key in report["rows"]["before"]["old"]]
    heads = [head for key in keys for head in (f"{SHOWN[key]}, new", "old")]
    rows = [
        [name, *(_cell(key, row[kind][key]) for key in keys for kind in ("new", "old"))]
        for name, row in report["rows"].items()
    ]
    return markdown_table(["trained", *heads], rows, "l" + "r" * len(heads))


def _cell(key: str, value: float) -> str:
    return f"{value:.3f}" if key in ("depth_abs_rel", "point_error") else f"{value:.1f}"


def put_into_page(weights: str, text: str, page: Path = PAGE) -> None:
    """Replace what stands between the marks for these weights."""
    page_with_it = put_between(page.read_text(encoding="utf-8"), f"fine-tuning {weights}", text)
    with atomic_write(page) as temporary:
        temporary.write_text(page_with_it, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", default="nano", choices=("nano", "tiny"))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "fine_tuning")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--images", type=int, default=8, help="in a batch")
    args = parser.parse_args()
    report = run(args.weights, args.out / args.weights, args.steps, args.images)
    path = ROOT / "data" / "experiments" / f"fine_tuning_{args.weights}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(table(report))
    if PAGE.exists():
        put_into_page(args.weights, table(report))


if __name__ == "__main__":
    main()
