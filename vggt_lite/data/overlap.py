"""Which views see the same? Told from cameras and one usual distance, before a picture is opened."""

import torch
from torch import Tensor

from vggt_lite.data.readers import Views
from vggt_lite.data.readers.views import whole
from vggt_lite.geometry import project_points

GRID = 6  # places tried per side of a picture
LOOKED_AT = 8  # views whose depth is read to learn the usual distance


def usual_depth(scene: Views) -> float:
    """The median z of what is seen: of the points of a sparse model, else of some views' depth maps.

    Returns:
        In the unit of the scene's translations; 1 where the depth maps hold nothing.
    """
    if scene.points is not None and len(scene.points.world):
        _, z = project_points(scene.points.world, scene.cam_from_world, scene.intrinsics)  # (S, N)
        seen = torch.cat([z[view, ids] for view, ids in enumerate(scene.points.ids)])
    else:
        with_depth = [view for view in scene.views if view.read_depth]
        step = -(-len(with_depth) // LOOKED_AT) or 1
        depths = [view.depth_in(whole(view.size)) for view in with_depth[::step]]
        seen = torch.cat([depth[depth > 0] for depth in depths] or [torch.zeros(0)])
    return float(seen.median()) if len(seen) else 1.0


def view_overlap(scene: Views, distance: float) -> Tensor:
    """How much of a picture two views share, if all they see stands upright at one distance.

    Args:
        scene: S views.
        distance: z of everything, in the unit of the translations.

    Returns:
        (S, S) in 0 … 1, symmetric: the smaller of the shares that either finds in the other's picture; 0
        where they look in opposite directions, for then they see two sides of a thing.
    """
    cameras, k = scene.cam_from_world.float(), scene.intrinsics.float()
    sizes = torch.tensor([(view.size[1], view.size[0]) for view in scene.views])  # (S, 2) width, height
    share = torch.zeros(len(scene), len(scene))
    for view, (width, height) in enumerate(sizes.tolist()):
        x, y = (((torch.arange(GRID) + 0.5) / GRID) * side for side in (width, height))
        rays = torch.stack([*torch.meshgrid(x, y, indexing="xy"), torch.ones(GRID, GRID)], -1)
        in_cam = distance * rays.reshape(-1, 3) @ torch.linalg.inv(k[view]).T  # (GRID², 3)
        rotation, translation = cameras[view, :, :3], cameras[view, :, 3]
        pixels, z = project_points((in_cam - translation) @ rotation, cameras, k)  # (S, GRID², 2)
        inside = (z > 0) & (pixels >= 0).all(-1) & (pixels <= sizes[:, None]).all(-1)
        share[view] = inside.float().mean(-1)
    ahead = cameras[:, 2, :3]  # (S, 3) where each camera looks, in the world
    return torch.minimum(share, share.T) * (ahead @ ahead.T > 0)
