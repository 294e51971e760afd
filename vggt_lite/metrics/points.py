"""Point-cloud metrics: per pixel, where correspondence is known, and to the nearest surface.

Which published tables use what (all after a similarity by Umeyama over corresponding pixels):

    VGGT tables 3, 5, 6 (ETH3D)         accuracy, completeness and chamfer ("overall"), means, metres
    VGGT table 2 (DTU)                  the same in mm, thinned to 0.2 mm, distances above 20 mm dropped
    Spann3R, CUT3R, π³ (7-Scenes, …)    means and medians after ICP, and normal consistency
    Depth Anything 3                    f_score at 5 cm and chamfer, thinned
    VGGT-Ω                              relative error per pixel
"""

import numpy as np
import torch
from torch import Tensor

from vggt_lite.geometry import umeyama
from vggt_lite.geometry.precision import precise
from vggt_lite.losses.surface import surface_normals
from vggt_lite.metrics.neighbors import nearest, refined, subsample, voxel_downsample

ICP_POINTS = 5000  # that look for their partners, where samples do


def point_metrics(
    pred: Tensor,
    true: Tensor,
    valid: Tensor,
    alignment: str = "similarity",
    threshold: float = 0.05,
    num_samples: int | None = 1000,
    icp_distance: float | None = None,
    max_distance: float | None = None,
    voxel: float | None = None,
) -> dict[str, float]:
    """How far a point map, or a cloud with known correspondence, is from the truth.

    Distances to the nearest point are dominated by large walls, where some point is always near: report
    the per-pixel figures as well.

    Args:
        pred: (…, 3) points in any frame.
        true: (…, 3) points, same shape; their unit is that of all distances.
        valid: (…) bool: which points to compare.
        alignment: "similarity" (scale, rotation, translation by Umeyama over corresponding points),
            "rigid" (without scale) or "none".
        threshold: distance within which a point counts for the F-score.
        num_samples: how many points of each cloud look for their nearest neighbour in the other (all of
            it), evenly spread; None: all. 0 leaves out the nearest-neighbour figures and saves their time.
        icp_distance: after the alignment refine it by `icp` with this greatest distance (of 5,000 points,
            unless num_samples is None); a cloud that lies too far away stays. None does not refine.
        max_distance, voxel: as for `surface_metrics`.

    Returns:
        Per pixel, before ICP: mean_distance; relative_error, mean |p − g| / |g| (|g|: distance from the
        truth's origin). Nearest neighbour: what `surface_metrics` returns.
    """
    if alignment not in ("similarity", "rigid", "none"):
        raise ValueError(f'alignment={alignment!r}: choose "similarity", "rigid" or "none".')
    if pred.shape != true.shape or true.shape != (*valid.shape, 3):
        raise ValueError(
            f"pred {tuple(pred.shape)} and true {tuple(true.shape)} must both be (…, 3), and valid (…) "
            f"without the 3, not {tuple(valid.shape)}."
        )
    p, g = precise(pred[valid]), precise(true[valid])  # (N, 3)
    if alignment != "none":
        p = umeyama(p, g, with_scale=alignment == "similarity").apply(p)
    distance = (p - g).norm(dim=-1)
    result = {
        "mean_distance": distance.mean().item(),
        "relative_error": (distance / g.norm(dim=-1).clamp_min(1e-12)).mean().item(),
    }
    if num_samples != 0:
        if icp_distance is not None:
            p = refined(p, g, icp_distance, None if num_samples is None else ICP_POINTS)
        result |= surface_metrics(p, g, threshold, num_samples, max_distance, voxel)
    return result


def surface_metrics(
    pred: Tensor,
    true: Tensor,
    threshold: float = 0.05,
    num_samples: int | None = None,
    max_distance: float | None = None,
    voxel: float | None = None,
    normals: tuple[Tensor, Tensor] | None = None,
) -> dict[str, float]:
    """Nearest-neighbour figures between two clouds (N, 3) and (M, 3), which need not correspond.

    Args:
        threshold: distance within which a point counts for the F-score, unit of the clouds.
        num_samples: so many points of each look for a neighbour, evenly spread; None: all.
        max_distance: greater distances are dropped from means and medians, not cut to it, as DTU does with
            20 mm. They still count against the F-score.
        voxel: thin both clouds to one point per cube of this side first; DTU: 0.2 mm.
        normals: of length 1, (N, 3) and (M, 3), for the normal consistency; not together with `voxel`.

    Returns:
        accuracy, accuracy_median: distances prediction → truth. completeness, completeness_median: truth →
        prediction. chamfer: mean of the two means ("overall" in VGGT's tables). precision, recall, f_score
        (0 … 1): shares within `threshold`, and their harmonic mean. With normals: normal_accuracy and
        normal_completeness, means of |n · n'| with the nearest point's normal, and normal_consistency,
        their mean. A figure of which all distances were dropped is NaN.
    """
    if voxel is not None:
        if normals is not None:
            raise ValueError("points that are thinned lose their normals: give either voxel= or normals=.")
        pred, true = voxel_downsample(pred, voxel), voxel_downsample(true, voxel)
    result, share = {}, {}
    for name, a, b, count in (("accuracy", pred, true, "precision"), ("completeness", true, pred, "recall")):
        asked = torch.arange(len(a), device=a.device)
        asked = asked if num_samples is None else subsample(asked, num_samples)
        distance, index = nearest(a[asked], b)
        kept = distance if max_distance is None else distance[distance < max_distance]
        result[name] = kept.mean().item()
        result[f"{name}_median"] = float(np.median(kept.cpu())) if len(kept) else torch.nan
        share[count] = precise(distance < threshold).mean().item()
        if normals is not None:
            of_a, of_b = normals if a is pred else normals[::-1]
            result[f"normal_{name}"] = (of_a[asked] * of_b[index]).sum(-1).abs().mean().item()
    result["chamfer"] = (result["accuracy"] + result["completeness"]) / 2
    precision, recall = share["precision"], share["recall"]
    result |= share | {"f_score": 2 * precision * recall / max(precision + recall, 1e-12)}
    if normals is not None:
        result["normal_consistency"] = (result["normal_accuracy"] + result["normal_completeness"]) / 2
    return result


def map_normals(point_map: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Surface normals of point maps, from neighbouring pixels.

    Args:
        point_map: (S, H, W, 3). valid: (S, H, W) bool.

    Returns:
        normals (S, H, W, 3) of length 1, the mean of those that the valid neighbours of a pixel give; and
        where there is one, (S, H, W) bool.
    """
    each, comparable = surface_normals(point_map, valid)  # (3, 4, S, H, W), (4, S, H, W)
    total = (each * comparable).sum(1).movedim(0, -1)  # (S, H, W, 3)
    length = total.norm(dim=-1, keepdim=True)
    return total / length.clamp_min(1e-12), length[..., 0] > 1e-6
