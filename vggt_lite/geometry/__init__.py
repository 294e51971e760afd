"""What is true without learning: cameras, rotations, pose encoding, two views, adjustment, alignment."""

from vggt_lite.geometry.alignment import Similarity, umeyama
from vggt_lite.geometry.bundle_adjustment import BundleAdjustment, bundle_adjust
from vggt_lite.geometry.camera import (
    as_4x4,
    camera_center,
    compose,
    invert_rigid,
    normalized_coordinates,
    project_points,
    transform_points,
    unproject_depth,
)
from vggt_lite.geometry.conventions import CONVENTIONS, convert_cameras
from vggt_lite.geometry.epipolar import essential_matrix, fundamental_matrix, sampson_distance_squared
from vggt_lite.geometry.pose_encoding import (
    camera_from_pose_encoding,
    intrinsics_from_fov,
    pose_encoding_from_camera,
)
from vggt_lite.geometry.rotations import (
    matrix_from_quat_xyzw,
    quat_xyzw_from_matrix,
    rotation_angle,
    with_positive_w,
)

__all__ = [
    "CONVENTIONS",
    "BundleAdjustment",
    "Similarity",
    "as_4x4",
    "bundle_adjust",
    "camera_center",
    "camera_from_pose_encoding",
    "compose",
    "convert_cameras",
    "essential_matrix",
    "fundamental_matrix",
    "intrinsics_from_fov",
    "invert_rigid",
    "matrix_from_quat_xyzw",
    "normalized_coordinates",
    "pose_encoding_from_camera",
    "project_points",
    "quat_xyzw_from_matrix",
    "rotation_angle",
    "sampson_distance_squared",
    "transform_points",
    "umeyama",
    "unproject_depth",
    "with_positive_w",
]
