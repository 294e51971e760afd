"""Track metrics of TAP-Vid (Doersch et al. 2022, arXiv:2211.03726), in both of its query modes.

Published tables: VGGT's table 8 and CoTracker's are query mode "first"; TAP-Vid's own and TAPIR's for DAVIS
are "strided", which is easier on average, as a query lies in the middle of what it has to follow.
"""

import torch
from torch import Tensor

from vggt_lite.config import check_choice

THRESHOLDS = (1, 2, 4, 8, 16)  # pixels
SIDE = 256  # coordinates are compared as if the image had this height and width
MODES = ("first", "strided")
STRIDE = 5  # views; TAP-Vid's


def track_metrics(
    tracks: Tensor,
    visibility: Tensor,
    true_tracks: Tensor,
    true_visibility: Tensor,
    image_size: tuple[int, int],
    query_views: Tensor | None = None,
    query_mode: str = "first",
) -> dict[str, float]:
    """How well points are followed, and how well their disappearance is noticed.

    Average over scenes afterwards, as TAP-Vid averages over videos.

    Args:
        tracks: (S, N, 2) predicted (x, y), pixels of `image_size`; S ≥ 2.
        visibility: (S, N) bool, predicted.
        true_tracks: (S, N, 2) pixels. Where a point is hidden its position is not used.
        true_visibility: (S, N) bool.
        image_size: (H, W).
        query_views: (N,) the view in which each point was queried, as from `choose_queries`; None: view 0.
            A point counts if it is truly visible there.
        query_mode: "first" judges the views after the query, "strided" all views but the query's.

    Returns:
        occlusion_accuracy (OA): share of positions whose visibility is right.
        delta_avg (δ_avg^vis): share of truly visible positions within d pixels, mean over d = 1, 2, 4, 8,
            16; what was predicted about visibility does not matter.
        average_jaccard (AJ): mean over d of TP / (truly visible + FP). TP: visible in truth and prediction
            and within d. FP: predicted visible, but hidden or not within d.
        delta@d and jaccard@d. NaN where nothing is visible in any view that counts.
    """
    if tracks.shape != true_tracks.shape or not visibility.shape == true_visibility.shape == tracks.shape[:2]:
        raise ValueError(
            f"tracks {tuple(tracks.shape)} and true_tracks {tuple(true_tracks.shape)} must be (S, N, 2), "
            f"visibilities {tuple(visibility.shape)} and {tuple(true_visibility.shape)} (S, N)."
        )
    if len(tracks) < 2:
        raise ValueError("tracks are judged in the views after the first: give at least two views.")
    judged = _judged_views(true_visibility.bool(), query_views, query_mode)  # (S, N)
    height, width = image_size
    scale = tracks.new_tensor([SIDE / width, SIDE / height])
    seen, truly_seen = (v.bool()[judged] for v in (visibility, true_visibility))  # (M,)
    distance = ((tracks - true_tracks)[judged] * scale).norm(dim=-1)

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


def choose_queries(visibility: Tensor, query_mode: str = "first") -> tuple[Tensor, Tensor]:
    """Where TAP-Vid asks for points: (track, view), each (Q,), of truths with visibility (S, N).

    "first": each track once, where it is first visible. "strided": in views 0, 5, 10, … each track that is
    visible there, so that a track is asked for several times. Tracks that are never visible are left out.
    """
    check_choice("query_mode", query_mode, MODES)
    visible = visibility.bool()
    if query_mode == "first":
        track = visible.any(0).nonzero()[:, 0]
        return track, visible[:, track].int().argmax(0)
    view, track = visible[::STRIDE].nonzero(as_tuple=True)
    return track, view * STRIDE


def _judged_views(visible: Tensor, query_views: Tensor | None, query_mode: str) -> Tensor:
    """(S, N) bool: which positions count."""
    check_choice("query_mode", query_mode, MODES)
    views, points = visible.shape
    if query_views is None:
        query_views = torch.zeros(points, dtype=torch.long, device=visible.device)
    if query_views.shape != (points,) or not ((query_views >= 0) & (query_views < views)).all():
        shape = tuple(query_views.shape)
        raise ValueError(f"query_views {shape} must be ({points},), one view of 0 … {views - 1} each.")
    view = torch.arange(views, device=visible.device)[:, None]
    later = view > query_views if query_mode == "first" else view != query_views
    return later & visible[query_views, torch.arange(points, device=visible.device)]


def _share(good: Tensor, among: Tensor) -> float:
    return (good.sum() / among.sum()).item()
