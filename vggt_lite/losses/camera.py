"""The camera loss: nine numbers per view, at every iteration of the camera head.

|              | "code" (the release)                             | "paper" (arXiv:2503.11651, sec. 3.4)    |
|--------------|--------------------------------------------------|-----------------------------------------|
| distance     | ℓ1 (or ℓ2); translation bounded by 100           | Huber                                   |
| parts        | 1 · translation + 1 · rotation + 0.5 · fov       | all nine numbers alike                  |
| reduction    | mean over the entries of a part                  | sum over the nine, mean over views      |
| iterations   | weight 0.6^(n−1−i), divided by n                 | not stated; weighed as in the release   |

The rotation is compared as a quaternion: the target has w ≥ 0, and the prediction is neither normalised
nor turned to the nearer sign, so the network learns the sign as well.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.config import FORMS, check_choice
from vggt_lite.geometry import pose_encoding_from_camera
from vggt_lite.losses.masked import clamp_finite, masked_mean

PARTS = {"translation": slice(0, 3), "rotation": slice(3, 7), "fov": slice(7, 9)}
PART_WEIGHTS = {"translation": 1.0, "rotation": 1.0, "fov": 0.5}
STAGE_DECAY = 0.6
MIN_PIXELS = 100  # a scene counts if its first view has more valid pixels than this
HUBER_EPSILON = 0.1  # our choice (scene units, radians): the paper names no value


def camera_loss(
    pose_encodings: list[Tensor],
    cam_from_world: Tensor,
    intrinsics: Tensor,
    image_size: tuple[int, int],
    valid: Tensor,
    form: str = "code",
    norm: str = "l1",
) -> dict[str, Tensor]:
    """How far the predicted cameras are from the true ones.

    Args:
        pose_encodings: n tensors (B, S, 9), one per iteration, the final one last.
        cam_from_world: (B, S, 3, 4) truth, normalised (`normalize_scene`).
        intrinsics: (B, S, 3, 3) truth, pixels.
        image_size: (H, W) of the network's images.
        valid: (B, S, H, W) bool: pixels with a depth. Scenes whose first view has ≤ 100 do not count.
        form: "code" or "paper", see the table above.
        norm: "l1" or "l2", for form "code".

    Returns:
        Scalars {"camera", "translation", "rotation", "fov"}; "camera" is the weighted sum of the others.
        All are 0 when no scene counts.
    """
    check_choice("form", form, FORMS)
    check_choice("norm", norm, ("l1", "l2"))
    target = pose_encoding_from_camera(cam_from_world, intrinsics, image_size)
    counts = (valid[:, 0].sum(dim=(1, 2)) > MIN_PIXELS)[:, None, None]  # (B, 1, 1)
    terms = dict.fromkeys(PARTS, 0.0)
    for stage, predicted in enumerate(reversed(pose_encodings)):  # the last iteration weighs most
        weight = STAGE_DECAY**stage / len(pose_encodings)
        for part, slots in PARTS.items():
            error = predicted.float()[..., slots] - target[..., slots]  # (B, S, 2…4)
            distance = _huber(error) if form == "paper" else _distance(error, norm, part)
            terms[part] = terms[part] + weight * masked_mean(distance, counts)
    part_weights = PART_WEIGHTS if form == "code" else dict.fromkeys(PARTS, 1.0)
    return {"camera": sum(part_weights[part] * terms[part] for part in PARTS), **terms}


def _distance(error: Tensor, norm: str, part: str) -> Tensor:
    distance = error.abs() if norm == "l1" else error.norm(dim=-1, keepdim=True)
    return clamp_finite(distance) if part == "translation" else distance


def _huber(error: Tensor) -> Tensor:
    """Huber's function ÷ ε, summed over the entries: e²/2ε near zero, |e| − ε/2 beyond ε. (B, S, 1)."""
    zero = torch.zeros_like(error)
    return F.smooth_l1_loss(error, zero, reduction="none", beta=HUBER_EPSILON).sum(-1, keepdim=True)
