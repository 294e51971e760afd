"""The two examples of `make demo` and notebook 00, measured: one definition for both.

Both return an `Example`: what the model made of the pictures beside the truth, in the truth's unit.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vggt_lite.config import DEFAULT_MODE, SceneConfig
from vggt_lite.data import normalize_scene
from vggt_lite.evaluation.report import Report
from vggt_lite.geometry import unproject_depth
from vggt_lite.inference import Reconstruction, reconstruct
from vggt_lite.losses import SceneBatch
from vggt_lite.metrics.depths import depth_metrics
from vggt_lite.metrics.poses import pose_auc, relative_pose_errors
from vggt_lite.synthetic import generate_scenes
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED

ALIGNED = "depth AbsRel, one scale for the scene ↓"


@dataclass
class Example:
    """A reconstruction scaled to the truth, the truth, and figures by what they measure."""

    reconstruction: Reconstruction
    truth: Reconstruction
    metrics: dict[str, dict[str, float]]  # what: {"model": …, "constant depth": …}
    unit: str

    def table(self) -> str:
        """The figures as text, one line each."""
        width = max(map(len, self.metrics))
        return "\n".join(
            f"{what:{width}s}  " + "   ".join(f"{who} {value:.3g}" for who, value in values.items())
            for what, values in self.metrics.items()
        )

    def depth_error(self) -> Tensor:
        """(S, H, W) |depth − truth| / truth on the truth's pixels, NaN where there is no truth."""
        depth = depth_on_truth(self.reconstruction, self.truth)
        known = self.truth.valid & (depth > 0)
        return torch.where(known, (depth - self.truth.depth).abs() / self.truth.depth, torch.nan)


def held_out_scene(
    model, seed: int = FIRST_EVALUATION_SEED, num_views: int = 4, scenes: SceneConfig | None = None
) -> Example:
    """A generated scene that no model was trained on.

    Args:
        model: A `VGGT` with camera and depth heads.
        seed: 1,000,000 or above: smaller seeds are for training.
        num_views: How many views of it.
        scenes: What kind of scene; None is NANO's, `VARIED_SCENES` is TINY's.
    """
    if seed < FIRST_EVALUATION_SEED:
        raise ValueError(f"seed={seed} may have been trained on; take {FIRST_EVALUATION_SEED} or more.")
    size = model.config.image_size
    batch = normalize_scene(generate_scenes(seed, 1, num_views, size, size, num_tracks=24, config=scenes))
    device = next(model.parameters()).device
    queries = batch.tracks[:, 0].to(device) if model.track_head is not None else None
    with torch.inference_mode():
        pred = model(batch.images.to(device), queries)
    scene = Reconstruction.from_predictions(pred, pixel_center=model.config.pixel_center)
    return with_cameras(compared(scene, Reconstruction.from_batch(batch), "scene units"))


def before_and_after(
    model, seed: int, num_views: int = 4, scenes: SceneConfig | None = None, size: int = 448
) -> tuple[Example, Example]:
    """A scene that no model was trained on, as pictures of `size` pixels: before and after `refine`.

    The lenses are not known. Arguments as for `held_out_scene`; needs pycolmap.
    """
    batch = normalize_scene(generate_scenes(seed, 1, num_views, size, size, config=scenes))
    truth = Reconstruction.from_batch(batch)
    scene = reconstruct(model, [picture.numpy() for picture in truth.images])
    before, after = (with_cameras(compared(part, truth, "scene units")) for part in (scene, scene.refine()))
    for example in (before, after):
        ratio = example.reconstruction.intrinsics[:, 0, 0] / truth.intrinsics[:, 0, 0]
        example.metrics["focal length error, median % ↓"] = {"model": 100 * (ratio - 1).abs().median().item()}
    return before, after


def with_cameras(example: Example) -> Example:
    """The same with figures of its cameras."""
    cameras = (example.reconstruction.cam_from_world, example.truth.cam_from_world)
    poses = pose_auc(*cameras, thresholds=(30,))
    auc = {"pose AUC@30 (of 100) ↑": {"model": 100 * poses["auc@30"]}}
    turn = {"median rotation error, degrees ↓": {"model": poses["rotation_median_deg"]}}
    return replace(example, metrics=auc | turn | example.metrics)


def motorcycle(model, mode: str = DEFAULT_MODE) -> Example:
    """Two real photographs: the Middlebury Motorcycle pair, with true depth of the left one.

    Scharstein et al., GCPR 2014, quarter size, as scikit-image carries it. The pair is rectified: the
    right camera stands 193 mm to the right of the left one, not turned.

    Args:
        model: A `VGGT` with camera and depth heads.
        mode: How the photographs reach the network's size, as for `load_images`.
    """
    left, right, truth = motorcycle_truth()
    example = compared(reconstruct(model, [left, right], mode=mode), truth, "metres")
    rotation, translation = relative_pose_errors(example.reconstruction.cam_from_world, truth.cam_from_world)
    scenes = {"model": example.reconstruction, "truth": truth}
    fov = {
        name: 2 * torch.atan(left.shape[1] / 2 / scene.intrinsics[0, 0, 0]).rad2deg().item()
        for name, scene in scenes.items()
    }
    example.metrics |= {
        "rotation error between the two views, degrees ↓": {"model": rotation.item()},
        "error of the direction of motion, degrees ↓": {"model": translation.item()},
        "horizontal field of view, degrees": fov,
    }
    return example


def usual(report: Report) -> str:
    """What a model scores on average and in nine scenes of ten, to be read beside a single example."""
    auc, depth = (
        np.quantile([scene["model"][key] for scene in report.scenes], (0.05, 0.95))
        for key in ("auc_30", "depth_abs_rel")
    )
    return (
        f"On average over {len(report.scenes)} such scenes: pose AUC@30 {report['auc_30']:.1f}, "
        f"median rotation error {report['rotation_median_deg']:.1f}°, "
        f"depth AbsRel {report['depth_abs_rel']:.3f}.\n"
        f"In nine scenes of ten: pose AUC@30 {auc[0]:.0f} to {auc[1]:.0f}, "
        f"depth AbsRel {depth[0]:.3f} to {depth[1]:.3f}."
    )


def verdict(example: Example) -> str:
    """What the numbers of the photographs say, in plain words, whatever they are."""
    depth = example.metrics[ALIGNED]
    better = 1 - depth["model"] / depth["constant depth"]
    said = "no better"
    if abs(better) > 0.05:
        said = f"{100 * abs(better):.0f} % {'better' if better > 0 else 'worse'}"
    return (
        f"Depth is off by {100 * depth['model']:.0f} % on average, {said} than answering one constant depth. "
        "A model that has seen nothing but generated table-tops can show how the parts work together; it "
        "knows too little of the world to measure photographs, which takes a model trained on photographs, "
        "such as VGGT-1B."
    )


def motorcycle_truth() -> tuple[np.ndarray, np.ndarray, Reconstruction]:
    """Left and right photograph (500, 741, 3) uint8, and the truth in metres.

    Raises:
        ImportError: scikit-image, which carries the pictures, is not installed.
    """
    try:
        from skimage.data import stereo_motorcycle
    except ImportError as error:
        raise ImportError("the Motorcycle comes with scikit-image: pip install scikit-image") from error
    left, right, disparity = stereo_motorcycle()
    focal, center_x, center_y, shift, baseline = 994.978, 311.193, 254.877, 31.086, 0.193001
    valid = np.isfinite(disparity)
    depth = np.where(valid, baseline * focal / (np.where(valid, disparity, 0) + shift), 0)  # (H, W) metres
    intrinsics = torch.tensor([[focal, 0, center_x], [0, focal, center_y], [0, 0, 1]]).repeat(2, 1, 1)
    intrinsics[1, 0, 2] += shift  # the right sensor's middle lies elsewhere
    cam_from_world = torch.eye(3, 4).repeat(2, 1, 1)
    cam_from_world[1, 0, 3] = -baseline
    depths = torch.zeros(2, *depth.shape)
    depths[0] = torch.from_numpy(depth)
    images = torch.from_numpy(np.stack([left, right])).permute(0, 3, 1, 2) / 255  # (S, 3, H, W)
    fields = {
        "images": images, "depth": depths, "cam_from_world": cam_from_world, "intrinsics": intrinsics,
        "point_map": unproject_depth(depths, intrinsics, cam_from_world), "valid": depths > 0,
    }  # fmt: skip
    batch = SceneBatch(**{name: value[None] for name, value in fields.items()})
    return left, right, Reconstruction.from_batch(batch, names=["left", "right"])


def compared(scene: Reconstruction, truth: Reconstruction, unit: str) -> Example:
    """Scale a reconstruction to the truth, and measure its depth beside a constant one."""
    depth = depth_on_truth(scene, truth)
    known = truth.valid & (truth.depth > 0) & (depth > 0)
    guesses = {"model": depth, "constant depth": torch.ones_like(depth)}
    errors = {who: depth_metrics(guess, truth.depth, known)["abs_rel"] for who, guess in guesses.items()}
    factor = (truth.depth[known].median() / depth[known].median()).item()
    return Example(scaled(scene, factor), truth, {ALIGNED: errors}, unit)


def depth_on_truth(scene: Reconstruction, truth: Reconstruction) -> Tensor:
    """(S, H, W) predicted depth on the pixels that the truth has; 0 where the network saw nothing."""
    return torch.stack([scene.depth_at_original(view) for view in range(len(truth))])


def scaled(scene: Reconstruction, factor: float) -> Reconstruction:
    """The same scene with every length multiplied."""
    cameras = scene.cam_from_world.clone()
    cameras[:, :, 3] *= factor
    lengths = {name: getattr(scene, name) for name in ("depth", "point_map")}
    lengths = {name: value if value is None else value * factor for name, value in lengths.items()}
    return replace(scene, cam_from_world=cameras, **lengths)
