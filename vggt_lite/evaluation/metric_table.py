"""The figures that reports hold: what people read, which direction is better, how many decimals count."""

from collections.abc import Iterable

from vggt_lite.evaluation.metric_groups import depth_key
from vggt_lite.evaluation.motion_correlation import COMPONENTS
from vggt_lite.metrics.depths import ALIGNMENTS

OWN = "folder"  # the name under which `--data` takes your own scenes
ALIGNED_BY = {
    "none": "as it is",
    "median": "median scale per scene",
    "median_per_image": "median scale per image",
    "scale": "scale per scene (least absolute error)",
    "scale_shift_l1": "scale and shift per scene (least absolute error)",
    "scale_shift": "scale and shift per scene (least squares)",
}
# Depth under the alignments that are not the default; reports print them as a table of their own
DEPTH_ROWS = {
    depth_key(figure, name): (f"depth {label}, {ALIGNED_BY[name]}", direction, decimals)
    for name in ALIGNMENTS
    if name != "median"
    for figure, label, direction, decimals in (
        ("abs_rel", "AbsRel", "↓", 3), ("delta_125", "within 1.25 of the truth, %", "↑", 1),
    )
}  # fmt: skip
SURFACE_ROWS = {
    "accuracy": ("{points} as a surface: Accuracy, {{unit}}", "↓", 3),
    "completeness": ("… Completeness, {{unit}}", "↓", 3),
    "overall": ("{points} as a surface: Chamfer, {{unit}}", "↓", 3),  # "Overall" in papers
    "f_score": ("… F-score at 0.05 {{unit}}, %", "↑", 1),
    "accuracy_median": ("… median Accuracy, {{unit}}", "↓", 3),
    "completeness_median": ("… median Completeness, {{unit}}", "↓", 3),
}
PLACES = {name: f"camera position, {name}" for name in COMPONENTS[3:]}

# Key: (what people read, the better direction, decimals); {unit} is what the protocol names
ROWS = {
    **{f"auc_{degrees}": (f"pose AUC@{degrees}", "↑", 1) for degrees in (3, 5, 10, 15, 30)},
    "auc_min_30": ("pose AUC@30 of min(RRA, RTA), the paper's text", "↑", 1),
    "rra_15": ("rotations within 15° (RRA@15), %", "↑", 1),
    "rta_15": ("translation directions within 15° (RTA@15), %", "↑", 1),
    "rotation_median_deg": ("rotation error, median °", "↓", 2),
    "translation_median_deg": ("translation direction error, median °", "↓", 2),
    "rotation_deg": ("rotation error, °", "↓", 2),
    "translation_deg": ("error of the direction of motion, °", "↓", 2),
    "fov_median_deg": ("field of view error, median °", "↓", 2),
    "fov_deg": ("field of view error, °", "↓", 2),
    "focal_median_percent": ("focal length error, median %", "↓", 1),
    "ate_rmse": ("ATE, RMS after a similarity, {unit}", "↓", 3),
    "rpe_translation_rmse": ("RPE between neighbouring views, translation, {unit}", "↓", 3),
    "rpe_rotation_rmse_deg": ("RPE between neighbouring views, rotation, °", "↓", 2),
    "depth_abs_rel": ("depth AbsRel, median-scaled", "↓", 3),
    "depth_delta_125": ("depth within 1.25 of the truth, %", "↑", 1),
    "point_error": ("point map error ÷ scene scale, after alignment", "↓", 3),
    "depth_point_error": ("the same for points from depth and cameras", "↓", 3),
    **{
        f"{kind}_{key}": (label.format(points=points), *rest)
        for kind, points in {"point": "point map", "depth": "points from depth and cameras"}.items()
        for key, (label, *rest) in SURFACE_ROWS.items()
    },
    "track_delta": ("tracks δ_avg^vis, scaled to 256 px, %", "↑", 1),
    "track_aj": ("tracks average Jaccard, scaled to 256 px, %", "↑", 1),
    "track_delta_px": ("tracks δ_avg^vis in network pixels, %", "↑", 1),
    "track_aj_px": ("tracks average Jaccard in network pixels, %", "↑", 1),
    "track_oa": ("tracks visibility accuracy, %", "↑", 1),
    "matching_accuracy": ("patches whose most similar patch is the right one, %", "↑", 1),
    "correlation_pitch": ("correlation with the truth: pitch", "↑", 2),
    **{f"correlation_{name}": (f"… {PLACES.get(name, name)}", "↑", 2) for name in COMPONENTS[1:]},
    **DEPTH_ROWS,
}


def rows_of(protocol: dict, figures: Iterable[str] = ()) -> dict[str, tuple[str, str, int]]:
    """The rows of a report with this protocol, in order, its unit filled in; then any other `figures`."""
    unit = protocol.get("unit", "scene scale")
    known = {key: (label.format(unit=unit), *rest) for key, (label, *rest) in ROWS.items()}
    return known | {key: (key, "", 3) for key in figures if key not in known}
