"""One generated scene in the layouts of others, written by their documentation with NumPy alone."""

import functools
import gzip
import json
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from vggt_lite.synthetic import generate_scenes

S, H, W = 4, 48, 64


@functools.cache
def truth() -> SimpleNamespace:
    """S views of H × W in float64. The principal point is not in the middle, and fx is not fy."""
    scene = generate_scenes(1_000_003, 1, S, 2 * H + 8, W + 8).apply(lambda x: x[0])
    images = (scene.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    k = scene.intrinsics.double().numpy().copy()
    k[:, :2, 2] -= [5, 2]  # cut at the left and at the top
    k[:, 1] /= 2  # every other row: pixels twice as high
    rows, columns = slice(2, 2 + 2 * H, 2), slice(5, 5 + W)
    k[:, 1, 2] += 0.25  # the middle of an upper row of two lies a quarter of the new pixel above its middle
    depth = scene.depth[:, rows, columns].double().numpy().copy()
    depth[:, :4, :10] = 0  # sky
    cameras = np.tile(np.eye(4), (S, 1, 1))
    cameras[:, :3] = scene.cam_from_world.double().numpy()
    u, _, v = np.linalg.svd(cameras[:, :3, :3])
    cameras[:, :3, :3] = u @ v  # orthonormal beyond float32
    return SimpleNamespace(images=images[:, rows, columns], depth=depth, cam_from_world=cameras, intrinsics=k)


def save_pictures(folder: Path, names: list[str]) -> None:
    for name, image in zip(names, truth().images, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name, quality=100, subsampling=0)


def save_16_bit(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint16)).save(path)


def observations() -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) on surfaces that view 0 sees, and where each view's pinhole puts them (S, N, 2)."""
    t = truth()
    row, column = (x.ravel()[::37] for x in np.mgrid[6:H, 12:W])
    rays = np.linalg.inv(t.intrinsics[0]) @ np.stack([column + 0.5, row + 0.5, np.ones(len(row))])
    in_cam = np.concatenate([rays * t.depth[0, row, column], np.ones((1, len(row)))])
    world = np.linalg.inv(t.cam_from_world[0]) @ in_cam  # (4, N)
    seen = t.intrinsics @ (t.cam_from_world @ world)[:, :3]  # (S, 3, N)
    return world[:3].T, (seen[:, :2] / seen[:, 2:]).swapaxes(1, 2)


def quat_wxyz(rotation: np.ndarray) -> np.ndarray:
    """By eigenvectors: the quaternion is that of the largest eigenvalue of Bar-Itzhack's matrix."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    matrix = np.array([[a - e - i, b + d, c + g, h - f], [b + d, e - a - i, f + h, c - g],
                       [c + g, f + h, i - a - e, d - b], [h - f, c - g, d - b, a + e + i]])  # fmt: skip
    x, y, z, w = np.linalg.eigh(matrix / 3)[1][:, -1]
    return np.array([w, x, y, z])


def write_colmap(root: Path, binary: bool, flip=(1, 1, 1)) -> Path:
    """images/ and sparse/0; `flip` turns the cameras' axes, as a mistake."""
    t, (world, pixels) = truth(), observations()
    names = [f"walk/{view + 8}.png" for view in range(S)]  # 8, 9, 10, 11: natural order
    save_pictures(root / "images", names)
    turned = np.diag([*flip, 1]) @ t.cam_from_world
    poses = [(quat_wxyz(camera[:3, :3]), camera[:3, 3]) for camera in turned]
    lenses = [(k[0, 0], k[1, 1], k[0, 2], k[1, 2]) for k in t.intrinsics]
    sees = [np.flatnonzero(((p >= 0) & (p <= [W, H])).all(1)) for p in pixels]
    folder = root / "sparse" / "0"
    folder.mkdir(parents=True)
    if binary:
        write = struct.pack
        cameras = [write("<iiQQ4d", 10 + v, 1, W, H, *lens) for v, lens in enumerate(lenses)]
        images = []
        for v in reversed(range(S)):  # their order means nothing
            seen = b"".join(write("<ddq", *pixels[v, n], 1000 + n) for n in sees[v]) + write("<ddq", 1, 1, -1)
            head = write("<i7di", 90 - v, *poses[v][0], *poses[v][1], 10 + v) + names[v].encode() + b"\0"
            images.append(head + write("<Q", len(sees[v]) + 1) + seen)
        points = [write("<Q3d3BdQ2i", 1000 + n, *p, 9, 9, 9, 0.1, 1, 90, 0) for n, p in enumerate(world)]
        for name, records in (("cameras", cameras), ("images", images), ("points3D", points)):
            (folder / f"{name}.bin").write_bytes(write("<Q", len(records)) + b"".join(records))
        return root
    text = [
        f"{10 + v} PINHOLE {W} {H} {' '.join(map(repr, map(float, lens)))}" for v, lens in enumerate(lenses)
    ]
    (folder / "cameras.txt").write_text("# Camera list\n" + "\n".join(text))
    lines = ["# Image list with two lines of data per image:"]
    for v in reversed(range(S)):
        pose = " ".join(repr(float(x)) for part in poses[v] for x in part)
        lines += [f"{90 - v} {pose} {10 + v} {names[v]}"]
        lines += [
            " ".join(f"{pixels[v, n, 0]:.9f} {pixels[v, n, 1]:.9f} {1000 + n}" for n in sees[v]) + " 1 1 -1"
        ]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")
    points = [f"{1000 + n} {' '.join(map(repr, map(float, p)))} 9 9 9 0.1 90 0" for n, p in enumerate(world)]
    (folder / "points3D.txt").write_text("# 3D point list\n" + "\n".join(points))
    return root


def write_nerfstudio(root: Path, flip=(1, -1, -1), **top) -> Path:
    """transforms.json, images/, depth/ in millimetres; `flip` turns the cameras' axes to OpenGL's."""
    t = truth()
    names = [f"images/frame_{view:05d}.png" for view in range(S)]
    save_pictures(root, names)
    frames = []
    for view in range(S):
        depth = f"depth/{view}.png"
        save_16_bit(root / depth, (t.depth[view] * 1000).round())
        k, matrix = t.intrinsics[view], np.linalg.inv(t.cam_from_world[view]) @ np.diag([*flip, 1])
        frame = {"file_path": names[view], "transform_matrix": matrix.tolist(), "depth_file_path": depth}
        frames.append(frame | {"fl_x": k[0, 0], "fl_y": k[1, 1], "cx": k[0, 2], "cy": k[1, 2]})
    shared = {"camera_model": "OPENCV", "w": W, "h": H, "k1": 0.0, "p2": 0, "frames": frames[::-1]}
    (root / "transforms.json").write_text(json.dumps(shared | top))
    return root


def write_co3d(root: Path, isotropic: bool = True, flip=(-1, -1, 1)) -> Path:
    """apple/10_20_30 beside another sequence; returns the folder of the sequence."""
    t, frames, scale = truth(), [], 1.5
    names = [f"apple/10_20_30/images/frame{view:06d}.jpg" for view in range(S)]
    save_pictures(root, names)
    for view in range(S):
        depth = names[view].replace("images", "depths").replace(".jpg", ".jpg.geometric.png")
        trusted = names[view].replace("images", "depth_masks").replace(".jpg", ".png")
        bits = np.where(t.depth[view] > 0, t.depth[view] / scale, np.inf).astype(np.float16).view(np.uint16)
        save_16_bit(root / depth, bits)
        (root / trusted).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(W)[None].repeat(H, 0) < W - 6).save(root / trusted)  # 1 bit
        camera = np.diag([*flip, 1]) @ t.cam_from_world[view]
        half = np.array([W, H]) / 2
        unit = np.full(2, half.min()) if isotropic else half
        k = t.intrinsics[view]
        viewpoint = {
            "R": camera[:3, :3].T.tolist(),
            "T": camera[:3, 3].tolist(),
            "focal_length": (k.diagonal()[:2] / unit).tolist(),
            "principal_point": ((half - k[:2, 2]) / unit).tolist(),
        }
        if isotropic:
            viewpoint["intrinsics_format"] = "ndc_isotropic"
        frame = {"sequence_name": "10_20_30", "frame_number": view, "frame_timestamp": view / 30.0}
        frame["image"] = {"path": names[view], "size": [H, W]}
        frame["depth"] = {"path": depth, "scale_adjustment": scale, "mask_path": trusted}
        frames.append(frame | {"viewpoint": viewpoint, "mask": None})
    other = {"sequence_name": "40_50_60", "frame_number": 0, "image": {"path": "x.jpg", "size": [1, 1]}}
    content = json.dumps([other, *frames[::-1]]).encode()
    (root / "apple" / "frame_annotations.jgz").write_bytes(gzip.compress(content))
    return root / "apple" / "10_20_30"


def write_vkitti2(root: Path, flip=(1, 1, 1)) -> Path:
    """Scene01/clone with both cameras in its tables; returns that folder."""
    t, root = truth(), root / "Scene01" / "clone"
    save_pictures(root, [f"frames/rgb/Camera_0/rgb_{view:05d}.jpg" for view in range(S)])
    poses = ["frame cameraID r1,1 r1,2 r1,3 t1 r2,1 r2,2 r2,3 t2 r3,1 r3,2 r3,3 t3 0 0 0 1"]
    lenses = ["frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]"]
    for view in range(S):
        depth = np.where(t.depth[view] > 0, (t.depth[view] * 100).round(), 65535)
        save_16_bit(root / f"frames/depth/Camera_0/depth_{view:05d}.png", depth)
        pose, k = np.diag([*flip, 1]) @ t.cam_from_world[view], t.intrinsics[view]
        center = k[:2, 2] - 0.5  # their pixels have their centres at whole numbers
        for camera, shift in ((0, 0.0), (1, -0.53)):
            moved = pose.copy()
            moved[0, 3] += shift
            poses.append(f"{view} {camera} " + " ".join(map(repr, map(float, moved.ravel()))))
            lenses.append(f"{view} {camera} {k[0, 0]} {k[1, 1]} {center[0]} {center[1]}")
    (root / "extrinsic.txt").write_text("\n".join(poses) + "\n")
    (root / "intrinsic.txt").write_text("\n".join(lenses) + "\n")
    return root
