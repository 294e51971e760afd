"""What metrics found, by the keys under which reports keep it, whatever the scenes are."""

from collections.abc import Iterable

from torch import Tensor

from vggt_lite.metrics.depths import ALIGNMENTS, depth_metrics
from vggt_lite.metrics.trajectories import trajectory_metrics

UNITLESS = tuple(name for name in ALIGNMENTS if name != "none")  # for truth in metres
PATH_KEYS = ("ate_rmse", "rpe_translation_rmse", "rpe_rotation_rmse_deg")


def depth_key(figure: str, alignment: str) -> str:
    """ "depth_abs_rel_scale", for instance; the median, the default of all reports, is not named."""
    return f"depth_{figure}" if alignment == "median" else f"depth_{figure}_{alignment}"


def depth_figures(
    pred: Tensor, true: Tensor, valid: Tensor, alignments: Iterable[str] = ALIGNMENTS
) -> dict[str, float]:
    """AbsRel and the per cent within 1.25 under each alignment; arguments as for `depth_metrics`."""
    figures = {}
    for alignment in alignments:
        found = depth_metrics(pred, true, valid, alignment)
        figures[depth_key("abs_rel", alignment)] = found["abs_rel"]
        figures[depth_key("delta_125", alignment)] = 100 * found["delta_1.25"]
    return figures


def path_figures(cam_from_world_pred: Tensor, cam_from_world_true: Tensor) -> dict[str, float]:
    """ATE and RPE after a similarity; {} where fewer than three cameras or unusable ones forbid it."""
    if len(cam_from_world_true) < 3 or not cam_from_world_pred.isfinite().all():
        return {}
    found = trajectory_metrics(cam_from_world_pred, cam_from_world_true)
    return {key: found[key] for key in PATH_KEYS}


def surface_figures(found: dict[str, float], source: str) -> dict[str, float]:
    """What `surface_metrics` found of points from "depth" and cameras, or of the "point_map"."""
    names = ["accuracy", "completeness", "chamfer", "accuracy_median", "completeness_median"]
    kind = source.removesuffix("_map")
    figures = {f"{kind}_{name}".replace("chamfer", "overall"): found[name] for name in names}
    if "f_score" in found:  # DTU's protocol has none
        figures[f"{kind}_f_score"] = 100 * found["f_score"]
    return figures
