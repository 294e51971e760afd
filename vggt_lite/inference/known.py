"""What one knows goes into a scene: one distance in metres, the lens of the camera, where cameras stood."""

import warnings
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.pixel_map import look_up
from vggt_lite.geometry import (
    Similarity,
    camera_center,
    invert_rigid,
    rotation_angle,
    transform_points,
    unproject_depth,
)

Place = tuple[int, float, float]  # view, and a pixel (x, y) of its photograph
LENS = (0.2, 20.0)  # focal length in longer sides of the picture: 136° and 3° of view
DIFFERENT = (
    30.0,
    0.7,
)  # degrees between known and predicted rotations, and spreads between positions: too much
FARTHEST = 10_000  # float32 keeps seven digits: cameras may stand so many times their spread from the origin


def scaled(scene, metres: float, between: tuple[Place, Place]):
    """The scene in metres, from one distance that was measured, such as the height of a door.

    Args:
        scene: a `Reconstruction` with cameras and depth.
        metres: the true distance, > 0.
        between: two places (view, x, y): the view counted from 0, the pixel of its original photograph.

    Returns:
        A new `Reconstruction`: cameras, depth and points are multiplied by one factor.

    Raises:
        ValueError: no such view or pixel, a place without depth, two places in one point, or metres ≤ 0.
    """
    if not 0 < metres < float("inf"):
        raise ValueError(f"metres={metres} is no distance: give a number above 0.")
    if len(between) != 2:
        raise ValueError(f"between has {len(between)} places: give two, each (view, x, y).")
    first, second = (point_at(scene, *place) for place in between)
    distance = (first - second).norm().item()
    if distance < 1e-6:
        raise ValueError(f"between={between}: both places are the same point.")
    return moved(scene, Similarity(torch.tensor(metres / distance), torch.eye(3), torch.zeros(3)))


def point_at(scene, view: int, x: float, y: float) -> Tensor:
    """The world point (3,) that pixel (x, y) of a view's original photograph shows.

    Raises:
        ValueError: no such view or pixel, or no camera or depth there.
    """
    where = f"view {view}, pixel ({x:g}, {y:g})"
    if not 0 <= view < len(scene):
        raise ValueError(f"{where}: there are views 0 to {len(scene) - 1}.")
    height, width = scene.original_sizes[view]
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"{where}: the photograph has {width}×{height} pixels.")
    if not scene.camera_ok[view]:
        raise ValueError(f"{where}: this view has no camera.")
    pixel = scene.pixel_maps[view].to_network(torch.tensor([x, y], dtype=torch.float32))
    depth = torch.zeros(()) if scene.depth is None else scene.depth[view] * scene.valid[view]
    if scene.depth is None or not look_up(depth, pixel, 0.0) > 0:
        raise ValueError(f"{where} has no depth: choose a place that the network saw and no mask leaves out.")
    points = unproject_depth(
        depth, scene.network_intrinsics[view], torch.eye(3, 4)
    )  # (h, w, 3) in the camera
    return transform_points(invert_rigid(scene.cam_from_world[view]), look_up(points, pixel)[None])[0]


def with_intrinsics(scene, intrinsics):
    """The scene with lenses that are known, from a calibration or from `exif_intrinsics`.

    Depth and poses stay, and points from depth follow the lens; the point map stays as it was predicted. The
    poses fit the lenses that were predicted: `refine(lens="kept")` brings them to the known ones.

    Args:
        scene: a `Reconstruction`.
        intrinsics: (3, 3) for all views or (S, 3, 3), pixels of the original photographs, a pixel's centre
            at + 0.5: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]].

    Returns:
        A new `Reconstruction`, without the report of an earlier refinement: its points fit other lenses.

    Raises:
        ValueError: naming the view, and what of its matrix cannot be.
    """
    intrinsics = checked_intrinsics(intrinsics, scene.original_sizes)
    return replace(scene, intrinsics=intrinsics, refinement=None)


def with_poses(scene, cam_from_world, views=None):
    """The scene in the world of cameras that are known, of all views or of some.

    One similarity lays the predicted cameras over the known ones, and takes other cameras, depth and points
    along. Its rotation agrees best with the known rotations, its scale is that of the known positions. Then
    the known cameras are set exactly. One known camera gives no scale: the unit stays the network's.

    Args:
        scene: a `Reconstruction` with cameras.
        cam_from_world: (n, 3, 4) poses, OpenCV axes.
        views: n indices, counted from 0; None: all views, in order.

    Returns:
        A new `Reconstruction`. The world is that of the known cameras, no longer the first camera's frame.
        The report of an earlier refinement is left out: its points fit other cameras.

    Warns:
        UserWarning: known and predicted cameras differ so much that another convention is likely. It notices
            matrices from camera to world; OpenGL's axes only where the cameras look in different directions.

    Raises:
        ValueError: a shape, a view or a matrix that cannot be, or two or more cameras all in one point.
    """
    given = numbers(cam_from_world, "cam_from_world")
    if given.shape[1:] != (3, 4):
        raise ValueError(f"cam_from_world has shape {tuple(given.shape)}: give (n, 3, 4), rows [R | t].")
    views = chosen_views(scene, views, len(given), "cam_from_world")
    check_rotations(given, views)
    centers = camera_center(given)
    if len(given) > 1:
        check_spread(centers, "the known cameras")
    predicted = scene.cam_from_world[views].double()
    there, here = camera_center(predicted), predicted[:, :, :3]  # (n, 3), (n, 3, 3)
    # World from world: of every known camera one rotation; the mean is the rotation next to their sum.
    u, _, vt = torch.linalg.svd((given[:, :, :3].mT @ here).sum(0))
    rotation = u @ torch.diag(torch.tensor([1.0, 1.0, torch.det(u @ vt).item()]).double()) @ vt
    scale = torch.ones((), dtype=torch.float64)
    if len(given) > 1:
        check_spread(there, "the predicted cameras of these views")
        scale = (centers - centers.mean(0)).norm() / (there - there.mean(0)).norm()
    shift = centers.mean(0) - scale * rotation @ there.mean(0)
    fit = Similarity(scale, rotation, shift)
    turned = rotation_angle(given[:, :, :3] @ rotation, here).rad2deg().median().item()
    off = (
        (fit.apply(there) - centers).norm() / (centers - centers.mean(0)).norm()
    ).item()  # NaN of one camera
    if turned > DIFFERENT[0] or off > DIFFERENT[1]:
        warnings.warn(
            f"known cameras differ from predicted ones by {turned:.0f}° and {off:.0%} of their spread: is "
            "this cam_from_world, in OpenCV axes? `convert_cameras` brings other conventions to it.",
            stacklevel=2,
        )
    result = moved(scene, fit)
    cameras = result.cam_from_world.clone()
    cameras[views] = given.float()
    changes = {"cam_from_world": cameras, "refinement": None}
    if scene.point_map is not None:
        changes["point_map"] = result.point_map.clone()
        for view in views:  # moves with its camera
            in_camera = transform_points(result.cam_from_world[view], result.point_map[view].flatten(0, 1))
            points = transform_points(invert_rigid(cameras[view]), in_camera)
            changes["point_map"][view] = points.view_as(result.point_map[view])
    return replace(result, **changes)


def moved(scene, to: Similarity):
    """The scene in another world: cameras, depth, points, and those of a refinement."""
    cameras, changes = scene.cam_from_world.double(), {}
    rotation, shift = to.rotation.double(), to.translation.double()
    turned = cameras[:, :, :3] @ rotation.mT  # (S, 3, 3)
    cameras = torch.cat([turned, to.scale * cameras[:, :, 3:] - turned @ shift[:, None]], dim=-1)
    if scene.depth is not None:
        changes["depth"] = to.scale.float() * scene.depth
    move = Similarity(to.scale.float(), rotation.float(), shift.float()).apply
    if scene.point_map is not None:
        changes["point_map"] = move(scene.point_map)
    if scene.refinement and scene.refinement.refined:
        changes["refinement"] = replace(scene.refinement, points=move(scene.refinement.points))
    return replace(scene, cam_from_world=cameras.float(), **changes)


def checked_intrinsics(intrinsics, sizes: list[tuple[int, int]]) -> Tensor:
    """(S, 3, 3) float32 for photographs of these sizes (H, W); raises as `with_intrinsics`."""
    given = numbers(intrinsics, "intrinsics")
    if given.shape not in ((3, 3), (len(sizes), 3, 3)):
        raise ValueError(
            f"intrinsics have shape {tuple(given.shape)}: give (3, 3) for all views, or ({len(sizes)}, 3, 3)."
        )
    given = given.expand(len(sizes), 3, 3).clone()
    for view, (k, (height, width)) in enumerate(zip(given, sizes, strict=True)):
        where, (fx, fy, cx, cy) = f"intrinsics of view {view}", k[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
        if k[[0, 1, 2, 2, 2], [1, 0, 0, 1, 2]].tolist() != [0, 0, 0, 0, 1]:
            raise ValueError(f"{where} are not of the form [[fx, 0, cx], [0, fy, cy], [0, 0, 1]].")
        low, high = (factor * max(width, height) for factor in LENS)
        if not (low <= fx <= high and low <= fy <= high):
            raise ValueError(
                f"{where}: focal lengths {fx:g} and {fy:g} do not fit a photograph of {width}×{height} "
                f"pixels: the unit is pixels of the original photograph, {low:g} to {high:g}."
            )
        if not (0 <= cx <= width and 0 <= cy <= height):
            raise ValueError(
                f"{where}: the principal point ({cx:g}, {cy:g}) lies outside the photograph of "
                f"{width}×{height} pixels."
            )
    return given.float()


def numbers(values, name: str) -> Tensor:
    """float64 on the CPU; an error that names the argument if these are no finite numbers."""
    try:
        values = values if isinstance(values, Tensor) else np.array(values, dtype=np.float64)
        values = torch.as_tensor(values, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} are no numbers ({error}): give a tensor or an array.") from error
    if not values.isfinite().all():
        raise ValueError(f"{name} has NaN or infinite values: leave out what is not known.")
    return values


def chosen_views(scene, views, count: int, name: str) -> list[int]:
    """The indices of `count` views of a scene, each of which has a predicted camera, checked."""
    if views is None:
        if count != len(scene):
            raise ValueError(f"{name} has {count} rows for {len(scene)} views: name theirs with views=[…].")
        views = range(count)
    views = [int(view) for view in views]
    if len(views) != count or len(set(views)) != count or not count:
        raise ValueError(
            f"views={views} must be {count or 'one or more'} different views, one a row of {name}."
        )
    if outside := [view for view in views if not 0 <= view < len(scene)]:
        raise ValueError(f"views={outside}: there are views 0 to {len(scene) - 1}.")
    if scene.cam_from_world is None or not scene.cam_from_world[views].isfinite().all():
        raise ValueError(f"of views {views} at least one has no predicted camera: leave it out of {name}.")
    return views


def check_rotations(cam_from_world: Tensor, views: list[int]) -> None:
    """Raises ValueError unless every (3, 4) pose holds a rotation."""
    for view, rotation in zip(views, cam_from_world[:, :, :3], strict=True):
        if (rotation @ rotation.mT - torch.eye(3)).abs().max() > 1e-3:
            raise ValueError(f"cam_from_world of view {view}: its first three columns are no rotation.")
        if rotation.det() < 0:
            raise ValueError(
                f"cam_from_world of view {view} is a mirror image (determinant −1): its axes are left-handed."
            )


def check_spread(centers: Tensor, whose: str) -> None:
    """Raises ValueError if camera centres (n, 3) are all the same, or too far away for float32."""
    spread = (centers - centers.mean(0)).norm(dim=-1).max()
    if spread <= 1e-9 * centers.norm(dim=-1).max():
        raise ValueError(f"{whose} all stand in one point: that gives no scale. Give one, or others.")
    if centers.norm(dim=-1).max() > FARTHEST * spread:
        raise ValueError(
            f"{whose} stand {centers.norm(dim=-1).max():,.0f} from the origin and only {spread:,.3g} from "
            "their middle: subtract one position from all (float32 keeps seven digits)."
        )
