"""Nine numbers hold a camera, in the official order."""

import torch

from tests.geometry.cases import GOLDEN, assert_golden, random_cameras, random_intrinsics
from vggt_lite.geometry import camera_from_pose_encoding, pose_encoding_from_camera


def test_encoding_and_decoding_equal_the_official_ones():
    size = (392, 518)
    assert_golden(
        pose_encoding_from_camera(GOLDEN["pose/extrinsics"], GOLDEN["pose/intrinsics"], size), "pose/encoding"
    )
    cam_from_world, intrinsics = camera_from_pose_encoding(GOLDEN["pose/encoding"], size)
    assert_golden(cam_from_world, "pose/extrinsics_back")
    assert_golden(intrinsics, "pose/intrinsics_back")


def test_quaternions_of_any_length_decode_as_officially():
    cam_from_world, intrinsics = camera_from_pose_encoding(GOLDEN["pose/raw_encoding"], (56, 84))
    assert_golden(cam_from_world, "pose/raw_extrinsics")
    assert_golden(intrinsics, "pose/raw_intrinsics_56x84")


def test_a_centred_camera_survives_encoding_and_decoding():
    size = (48, 64)
    cameras, intrinsics = random_cameras(5, 2), random_intrinsics(5, 2, image_size=size)
    encoding = pose_encoding_from_camera(cameras, intrinsics, size)
    assert encoding.dtype == torch.float32
    cameras_back, intrinsics_back = camera_from_pose_encoding(encoding, size)
    torch.testing.assert_close(cameras_back, cameras.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(intrinsics_back, intrinsics.float(), rtol=1e-5, atol=1e-5)


def test_the_vertical_field_of_view_comes_first():
    intrinsics = torch.tensor([[10.0, 0, 32], [0, 24.0, 24], [0, 0, 1]])  # fy = H/2: 90° high
    encoding = pose_encoding_from_camera(torch.eye(3, 4), intrinsics, (48, 64))
    torch.testing.assert_close(encoding[7].rad2deg().item(), 90.0)
    assert encoding[8] > encoding[7]
