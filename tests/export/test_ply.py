"""Point clouds in PLY files: what is written comes back, and no header is believed."""

import os

import numpy as np
import pytest
import torch

from vggt_lite.export import read_ply, write_ply


def test_what_was_written_is_read(tmp_path):
    points = torch.tensor([[1.0, 2, 3], [-1.5, 0.25, 8]])
    write_ply(tmp_path / "a.ply", points)
    assert torch.equal(read_ply(tmp_path / "a.ply"), points)
    write_ply(tmp_path / "a.ply", points[:0])
    assert read_ply(tmp_path / "a.ply").shape == (0, 3)


def test_the_point_cloud_file_holds_positions_and_colours(tmp_path):
    points = torch.tensor([[1.0, 2.0, 3.0], [-1.5, 0.25, 8.0]])
    colors = torch.tensor([[255, 0, 7], [1, 2, 3]], dtype=torch.uint8)
    write_ply(tmp_path / "new" / "a.ply", points, colors)
    header, body = (tmp_path / "new" / "a.ply").read_bytes().split(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\n") and b"element vertex 2\n" in header
    kind = [("p", "<f4", 3), ("c", "u1", 3)]
    rows = np.frombuffer(body, dtype=kind)
    np.testing.assert_array_equal(rows["p"], points.numpy())
    np.testing.assert_array_equal(rows["c"], colors.numpy())


def test_the_point_cloud_file_refuses_what_others_could_not_read(tmp_path):
    for points, colors, message in (
        (torch.zeros(4, 2), None, r"must both be \(M, 3\)"),
        (torch.zeros(4, 3), torch.zeros(4, 3), "give uint8"),
        (torch.full((4, 3), torch.nan), None, "NaN or infinite"),
    ):
        with pytest.raises(ValueError, match=message):
            write_ply(tmp_path / "a.ply", points, colors)
    for columns in (
        {"confidence": torch.ones(3)},
        {"normals": torch.full((4, 3), torch.nan)},
        {"normals": torch.ones(3, 4)},
    ):
        with pytest.raises(ValueError, match="a row for each point"):
            write_ply(tmp_path / "a.ply", torch.zeros(4, 3), **columns)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("order", ["ascii", "binary_big_endian"])
def test_scanners_points_are_read_in_every_order(tmp_path, order):
    points = np.array([[1.5, -2, 3], [4, 5, 6.25]])
    header = f"ply\nformat {order} 1.0\ncomment x\nelement vertex 2\nproperty double x\nproperty double y\n"
    header += "property double z\nelement face 0\nproperty list uchar int vertex_indices\nend_header\n"
    body = points.astype(">f8").tobytes() if order != "ascii" else b"1.5 -2 3\n4 5 6.25\n"
    file = tmp_path / "p.ply"
    file.write_bytes(header.encode() + body)
    assert read_ply(file).tolist() == points.tolist()
    file.write_bytes(header.encode() + body[: len(body) // 2 - 1])
    with pytest.raises(ValueError, match="download it again"):
        read_ply(file)


XYZ = "property float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize(
    ("header", "body", "message"),
    [
        ("ply\n", b"", "no format line"),
        ("ply\nelement vertex 1\n" + XYZ, b"", "no format line"),
        ("plain text\n", b"", "does not begin with ply"),
        ("ply\nformat ascii 1.0\nelement face 1\n", b"", "first element is face"),
        ("ply\nformat ascii 1.0\nelement vertex -1\n" + XYZ, b"1 2 3", "announces -1 points"),
        ("ply\nformat ascii 1.0\nelement vertex 1\n" + XYZ, b"1 2 nan", "NaN or infinite"),
        ("ply\nformat ascii 1.0\nelement vertex 1\n", b"1 2 3", "cannot be read"),
        (f"ply\nformat binary_little_endian 1.0\nelement vertex {10**30}\n{XYZ}", bytes(24), "2 of 1000000"),
        (f"ply\nformat ascii 1.0\nelement vertex {2**40}\n{XYZ}", b"1 2 3\n4 5 6", "2 of 1099511627776"),
        (f"ply\nformat ascii 1.0\nelement vertex 2\n{XYZ}", b"1 2\n3 4 5\n", "cannot be read"),
        (f"ply\nformat ascii 1.0\nelement vertex 1\n{XYZ}", b"a b c\n", "cannot be read"),
        (f"ply\nformat ascii 1.0\nelement vertex 1\n{XYZ}", b"1e300 0 0\n", "NaN or infinite"),
        (f"ply\nformat ascii 1.0\nelement vertex 1\n{XYZ}{XYZ}", b"1 2 3 1 2 3\n", "cannot be read"),
        (f"ply\nformat ascii 1.0\nelement vertex {'9' * 5000}\n{XYZ}", b"1 2 3\n", "cannot be read"),
        ("ply\nformat\nelement vertex 1\n" + XYZ, b"1 2 3", "cannot be read"),
        ("ply\nformat ascii 1.0\n", b"", "cannot be read"),
        ("ply\nformat ascii 1.0\nelement vertex\n", b"", "cannot be read"),
        ("ply\nformat ascii 1.0\nelement vertex 1\nproperty O x\n", b"1", "cannot be read"),
        ("ply\n" + "comment\n" * 10_000, b"", "cannot be read"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_by_name(tmp_path, header, body, message):
    (tmp_path / "p.ply").write_bytes(header.encode() + b"end_header\n" + body)
    with pytest.raises(ValueError, match=f"p.ply .*{message}"):
        read_ply(tmp_path / "p.ply")


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian"])
def test_a_sparse_file_of_a_terabyte_is_refused(tmp_path, order):
    file = tmp_path / "p.ply"
    file.write_bytes(f"ply\nformat {order} 1.0\nelement vertex {2**36}\n{XYZ}end_header\n".encode())
    try:
        os.truncate(file, 1 << 40)
    except OSError:
        pytest.skip("this file system has no sparse files of a terabyte")
    with pytest.raises(ValueError, match="more than 1,073,741,824 bytes"):
        read_ply(file)
