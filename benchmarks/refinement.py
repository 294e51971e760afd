"""What refinement is worth, beside the classical road: `python -m benchmarks.refinement [--views 4]`.

Held-out scenes of TINY's world are rendered at 448 pixels. TINY sees them at 112; `scene.refine()` finds
points at 448 and does not know the lenses. The classical road, on the same pictures: SIFT and an essential
matrix for every pair of views, with the *true* intrinsics; a pair without one counts as 180° and 90° off.
Writes benchmarks/results/refinement_cpu.json, or refinement_8_views_cpu.json.
"""

import argparse
import itertools
import statistics
import time
import warnings

import torch

from benchmarks import measure
from vggt_lite import VGGT
from vggt_lite.config import VARIED_SCENES
from vggt_lite.export.colmap_model import colmap_lenses, import_pycolmap
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.inference.correspondences import find_tracks
from vggt_lite.metrics.poses import pose_scores, relative_pose_errors
from vggt_lite.synthetic import generate_scenes
from vggt_lite.utils.runtime import progress

FIRST_SEED, SIZE = 1_600_000, 448


def classical(pictures, truth: Pinholes) -> tuple[torch.Tensor, torch.Tensor]:
    """Errors of every pair's relative pose in degrees, in the order of `relative_pose_errors`."""
    pycolmap, tracks, found = import_pycolmap(), find_tracks(pictures), []
    lenses = colmap_lenses(truth, square=True)
    for first, second in itertools.combinations(range(len(pictures)), 2):
        both = tracks.seen[first] & tracks.seen[second]
        pose = both.sum() >= 8 and pycolmap.estimate_essential_matrix(
            *(tracks.pixels[view, both].numpy() for view in (first, second)),
            lenses[first],
            lenses[second],
            pycolmap.RANSACOptions(max_error=1.0, random_seed=0),
        )
        if pose:
            matrix = torch.from_numpy(pose["cam2_from_cam1"].matrix().copy())
            guess = torch.stack([torch.eye(3, 4, dtype=torch.float64), matrix])
            found.append(relative_pose_errors(guess, truth.cam_from_world[[first, second]]))
        else:
            found.append((torch.tensor([180.0]), torch.tensor([90.0])))
    rotation, translation = zip(*found, strict=True)
    return torch.cat(rotation), torch.cat(translation)


def run(num_scenes: int, views: int) -> dict:
    model = VGGT.from_pretrained("tiny")
    errors, focal, depth, seconds = {"TINY": [], "refined": [], "SIFT + E": []}, [], [], []
    for seed in progress(range(FIRST_SEED, FIRST_SEED + num_scenes), desc="scenes"):
        batch = generate_scenes(seed, 1, views, SIZE, SIZE, config=VARIED_SCENES)
        pictures = [(x.permute(1, 2, 0) * 255).round().byte() for x in batch.images[0]]
        scene = model.reconstruct([picture.numpy() for picture in pictures])
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a scene that stays as it was counts as it is
            refined = scene.refine()
        seconds.append(time.perf_counter() - start)
        truth = Pinholes(
            batch.cam_from_world[0].double(), batch.intrinsics[0].double(), [(SIZE, SIZE)] * views
        )
        for name, cameras in (("TINY", scene.cam_from_world), ("refined", refined.cam_from_world)):
            errors[name].append(relative_pose_errors(cameras.double(), truth.cam_from_world))
        errors["SIFT + E"].append(classical(pictures, truth))
        focal += (refined.intrinsics[:, 0, 0] / batch.intrinsics[0, :, 0, 0] - 1).abs().tolist()
        true = torch.nn.functional.interpolate(batch.depth[0, :, None], scene.depth.shape[1:], mode="area")[
            :, 0
        ]
        depth.append([abs_rel(found.depth, true) for found in (scene, refined)])
    rows = []
    for name, pairs in errors.items():
        rotation, translation = (torch.cat(part) for part in zip(*pairs, strict=True))
        scores = pose_scores(rotation, translation, (5, 10, 30))
        rows.append({
            "cameras": name, "views": views,
            **{f"auc_{t}": round(100 * scores[f"auc@{t}"], 1) for t in (5, 10, 30)},
            **{key: round(scores[key], 2) for key in ("rotation_median_deg", "translation_median_deg")},
        })  # fmt: skip
    before, after = (statistics.mean(column) for column in zip(*depth, strict=True))
    return measure.hardware() | {
        "num_scenes": num_scenes, "views": views, "size": SIZE, "threads": torch.get_num_threads(),
        "rows": rows, "focal_error_median": round(statistics.median(focal), 4),
        "seconds_median": round(statistics.median(seconds), 2),
        "depth_abs_rel": {"TINY": round(before, 4), "refined": round(after, 4)},
    }  # fmt: skip


def abs_rel(depth: torch.Tensor, true: torch.Tensor) -> float:
    """Mean relative error of depth after one scale for the scene, the median of the ratios."""
    return ((depth * (true / depth).median() - true).abs() / true).mean().item()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=30)
    parser.add_argument("--views", type=int, default=4)
    args = parser.parse_args()
    name = "refinement_cpu" if args.views == 4 else f"refinement_{args.views}_views_cpu"
    measure.write_result(name, run(args.scenes, args.views))
