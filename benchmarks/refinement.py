"""What refinement is worth, beside the classical road: `python -m benchmarks.refinement [--views 4]`.

The figures of `vggt-lite evaluate --refine --classical`, as `evaluation/pictures.py` defines them. Writes
benchmarks/results/refinement_cpu.json, or refinement_8_views_cpu.json.
"""

import argparse

import torch

from benchmarks import measure
from vggt_lite import VGGT
from vggt_lite.config import VARIED_SCENES
from vggt_lite.evaluation.pictures import NUM_SCENES, PICTURE_SIZE, ROADS, evaluate_pictures

NAMES = {"network": "TINY", "refined": "refined", "sift_e": "SIFT + E", "mapper": "COLMAP's mapper"}
POSES = ("auc_5", "auc_10", "auc_30", "rotation_median_deg", "translation_median_deg")


def run(num_scenes: int, views: int) -> dict:
    reports = evaluate_pictures(
        VGGT.from_pretrained("tiny"), tuple(ROADS), num_scenes, views, scene_config=VARIED_SCENES
    )
    rows = [
        {"cameras": NAMES[road], "views": views, **{key: round(report.model[key], 2) for key in POSES}}
        for road, report in reports.items()
    ]
    network, refined = reports["network"], reports["refined"]
    return measure.hardware() | {
        "num_scenes": num_scenes, "views": views, "size": PICTURE_SIZE, "threads": torch.get_num_threads(),
        "rows": rows, "focal_error_median": round(refined.model["focal_median_percent"] / 100, 4),
        "seconds_mean": refined.protocol["seconds_per_scene"],
        "depth_abs_rel": {
            "TINY": round(network.model["depth_abs_rel"], 4),
            "refined": round(refined.model["depth_abs_rel"], 4),
        },
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=NUM_SCENES)
    parser.add_argument("--views", type=int, default=4)
    args = parser.parse_args()
    name = "refinement_cpu" if args.views == 4 else f"refinement_{args.views}_views_cpu"
    measure.write_result(name, run(args.scenes, args.views))
