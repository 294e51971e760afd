"""Track metrics of TAP-Vid (Doersch et al. 2022, arXiv:2211.03726), for points queried in the first view."""

import torch
from torch import Tensor

THRESHOLDS = (1, 2, 4, 8, 16)  # pixels
SIDE = 256  # coordinates are compared as if the image had this height and width


def track_metrics(
    tracks: Tensor,
    visibility: Tensor,
    true_tracks: Tensor,
    true_visibility: Tensor,
    image_size: tuple[int, int],
) -> dict[str, float]:
    """How well points are followed, and how well their disappearance is noticed.

    Query mode "first": a track counts if it is truly visible in view 0, where it was queried, and then in
    all views but that one. Average over scenes afterwards, as TAP-Vid averages over videos.

    Args:
        tracks: (S, N, 2) predicted (x, y), pixels of `image_size`; S ≥ 2.
        visibility: (S, N) bool, predicted.
        true_tracks: (S, N, 2) pixels. Where a point is hidden its position is not used.
        true_visibility: (S, N) bool.
        image_size: (H, W).

    Returns:
        occlusion_accuracy (OA): share of positions whose visibility is right.
        delta_avg (δ_avg^vis): share of truly visible positions within d pixels, mean over d = 1, 2, 4, 8,
            16; what was predicted about visibility does not matter.
        average_jaccard (AJ): mean over d of TP / (truly visible + FP). TP: visible in truth and prediction
            and within d. FP: predicted visible, but hidden or not within d.
        delta@d and jaccard@d. NaN where nothing is visible in any later view.
    """
    if tracks.shape != true_tracks.shape or not visibility.shape == true_visibility.shape == tracks.shape[:2]:
        raise ValueError(
            f"tracks {tuple(tracks.shape)} and true_tracks {tuple(true_tracks.shape)} must be (S, N, 2), "
            f"visibilities {tuple(visibility.shape)} and {tuple(true_visibility.shape)} (S, N)."
        )
    if len(tracks) < 2:
        raise ValueError("tracks are judged in the views after the first: give at least two views.")
    height, width = image_size
    scale = tracks.new_tensor([SIDE / width, SIDE / height])
    queried = true_visibility[0].bool()
    seen, truly_seen = (v[1:, queried].bool() for v in (visibility, true_visibility))  # (S − 1, N')
    distance = ((tracks - true_tracks)[1:, queried] * scale).norm(dim=-1)

    result = {"occlusion_accuracy": _share(seen == truly_seen, torch.ones_like(seen))}
    for d in THRESHOLDS:
        within = distance < d
        hit = truly_seen & seen & within
        false_alarm = seen & ~(truly_seen & within)
        visible_count = truly_seen.sum()
        result[f"delta@{d}"] = _share(within & truly_seen, truly_seen)
        result[f"jaccard@{d}"] = (hit.sum() / (visible_count + false_alarm.sum())).item()
    result["delta_avg"] = sum(result[f"delta@{d}"] for d in THRESHOLDS) / len(THRESHOLDS)
    result["average_jaccard"] = sum(result[f"jaccard@{d}"] for d in THRESHOLDS) / len(THRESHOLDS)
    return result


def _share(good: Tensor, among: Tensor) -> float:
    return (good.sum() / among.sum()).item()
