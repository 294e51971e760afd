"""How far a long walk drifts when it is reconstructed in chunks: `python -m benchmarks.long_sequences`.

Walks of 60 views once round a room of TINY's world, rendered at 448 pixels; TINY sees them at 112, eight
views at a time. The error is ATE after a similarity was laid over, in per cent of the length of the true
path. "Chained" is the naive way: each chunk is put on the last one by the pose of the first view they share,
with a scale of 1. `--folder` keeps finished chunks, so that a run that was stopped goes on.
Writes benchmarks/results/long_sequences_cpu.json.
"""

import argparse
import statistics
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmarks import measure
from vggt_lite import VGGT
from vggt_lite.config import VARIED_SCENES
from vggt_lite.geometry import camera_center, compose, invert_rigid
from vggt_lite.inference import reconstruct_sequence
from vggt_lite.metrics.trajectories import trajectory_metrics
from vggt_lite.synthetic import generate_scenes
from vggt_lite.utils.runtime import progress

FIRST_SEED, SIZE, VIEWS = 1_600_000, 448, 60
CHUNK, OVERLAP = 8, 3
AT_ONCE = 12  # views that are rendered together
WORLD = VARIED_SCENES.with_(paths=("walk",), turn_deg=(360 / VIEWS, 360 / VIEWS))


def walk(seed: int) -> tuple[list, torch.Tensor]:
    """Pictures (H, W, 3) of a walk that comes back to its start, and its cameras (S, 3, 4)."""
    parts = torch.arange(VIEWS).split(AT_ONCE)
    batches = [generate_scenes(seed, 1, VIEWS, SIZE, SIZE, config=WORLD, views=part[None]) for part in parts]
    images = torch.cat([batch.images[0] for batch in batches])
    pictures = [(x.permute(1, 2, 0) * 255).round().byte().numpy() for x in images]
    return pictures, torch.cat([batch.cam_from_world[0] for batch in batches]).double()


def chained(folder: Path, spans) -> torch.Tensor:
    """Cameras (S, 3, 4) of the naive way, from the chunks that a run left in its folder."""
    cameras: list[torch.Tensor] = []
    for views in spans:
        poses = load_file(folder / f"views_{views[0]:04d}-{views[-1]:04d}.safetensors")["cam_from_world"]
        into = torch.eye(3, 4, dtype=torch.float64)  # this chunk's world from the first one's
        if cameras:
            into = compose(invert_rigid(poses[0].double()), cameras[views[0]])
        cameras += [compose(pose.double(), into) for pose in poses[len(cameras) - views[0] :]]
    return torch.stack(cameras)


def run(num_scenes: int, folder: Path) -> dict:
    model = VGGT.from_pretrained("tiny")
    errors: dict[tuple[str, str], list[float]] = {}
    refined, closed, lengths = 0, [], []
    for seed in progress(range(FIRST_SEED, FIRST_SEED + num_scenes), desc="walks"):
        pictures, truth = walk(seed)
        centers = camera_center(truth)
        lengths.append((centers[1:] - centers[:-1]).norm(dim=-1).sum().item())
        for chunks, refine in (("as predicted", False), ("refined", True)):
            kept = folder / f"{seed}_{chunks.split()[0]}"
            for name, loops in (("joined", False), ("joined, loops closed", True)):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # a chunk may stay as predicted
                    scene, report = reconstruct_sequence(
                        model, pictures, CHUNK, OVERLAP, kept, loops=loops, refine=refine
                    )
                ways = {name: scene.cam_from_world.double()}
                if not loops:
                    ways = {"chained": chained(kept, report.chunks)} | ways
                for way, cameras in ways.items():
                    ate = trajectory_metrics(cameras, truth)["ate_rmse"]
                    errors.setdefault((chunks, way), []).append(100 * ate / lengths[-1])
            if refine:
                refined += sum(report.refined)
            closed.append(sum(not loop.refused for loop in report.loops))

    rows = [
        {
            "chunks": chunks, "way": way, "ate_percent_mean": round(statistics.mean(found), 2),
            "ate_percent_worst": round(max(found), 2), "ate_percent": [round(x, 2) for x in found],
        }
        for (chunks, way), found in errors.items()
    ]  # fmt: skip
    return measure.hardware() | {
        "num_scenes": num_scenes, "views": VIEWS, "size": SIZE, "chunk": CHUNK, "overlap": OVERLAP,
        "threads": torch.get_num_threads(), "path_length_mean": round(statistics.mean(lengths), 2),
        "chunks_refined": refined, "chunks_in_all": num_scenes * len(report.chunks),
        "loops_closed": {"as predicted": sum(closed[::2]), "refined": sum(closed[1::2])}, "rows": rows,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep finished chunks here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure.write_result("long_sequences_cpu", run(args.scenes, args.folder or Path(temporary)))
