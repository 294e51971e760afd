"""A check without ground truth: do a network's point map and its depth agree?"""

import torch
from torch import Tensor

from vggt_lite.geometry import unproject_depth
from vggt_lite.model.predictions import Predictions


def depth_pointmap_consistency(pred: Predictions) -> Tensor:
    """How far the point map and the points from depth and cameras lie apart.

    Both describe the same pixels in the first camera's frame, but the second takes the predicted cameras.
    Where the network cannot relate its views the two differ; its confidences, learned from errors of depth
    and of points, need not show it. Two answers may also agree and be wrong.

    Args:
        pred: of a model with camera, depth and point head.

    Returns:
        (B,) median over all pixels of a scene: distance ÷ predicted depth.

    Raises:
        ValueError: a head is missing.
    """
    if pred.cam_from_world is None or pred.depth is None or pred.point_map is None:
        raise ValueError("depth_pointmap_consistency needs a model with camera, depth and point heads.")
    points = unproject_depth(pred.depth, pred.intrinsics, pred.cam_from_world)  # (B, S, H, W, 3)
    apart = torch.linalg.vector_norm(points - pred.point_map, dim=-1) / pred.depth
    return apart.flatten(1).median(dim=1).values
