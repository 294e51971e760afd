"""Small folders in the layouts of published data sets, and a model that knows the truth.

The scene is that of tests/data/foreign.py, or (ETH3D, where depth must be known on any ray) a slanted plane
before the same cameras. Written by the documentation of each data set.
"""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.io import savemat

from tests.data.foreign import H, S, W, quat_wxyz, truth, write_co3d
from vggt_lite.data import load_images
from vggt_lite.geometry import unproject_depth
from vggt_lite.inference import Reconstruction
from vggt_lite.model import Predictions
from vggt_lite.synthetic import generate_scenes

PLANE = np.array([-0.35, 0.5, -0.25])  # n of n · X = 1, slanted, in front of all cameras
FISHEYE = (300.0, 310.0, 255.0, 190.0, -0.12, 0.05, 0.004, -0.006, 0.02, 0.01, 0.003, -0.002)
FISHEYE_SIZE = (384, 512)


class Oracle:
    """Answers like a network that makes no mistake: its own unit, the first frame's camera as its world.

    Network pixels are the pictures' own: `mode="pad"` with their width as the size.
    """

    def __init__(self, scene: dict, unit: float = 0.4) -> None:
        self.scene, self.unit = scene, unit  # scene: picture's bytes → (cam_from_world, K, depth)
        self.change = lambda pred: None  # what a test makes it do wrong

    def reconstruct(self, source, mode="pad", size=None, query_points=None) -> Reconstruction:
        batch = load_images(source, "pad", W, 8)
        known = [self.scene[np.asarray(photo.open()).tobytes()] for photo in batch.photos]
        first = np.linalg.inv(known[0][0])
        cameras = torch.from_numpy(np.stack([(camera @ first)[:3] for camera, _, _ in known]))
        cameras[..., 3] *= self.unit
        top = (batch.images.shape[-2] - H) // 2
        k = torch.from_numpy(np.stack([k for _, k, _ in known]))
        k = torch.stack([m.intrinsics_to_network(one) for m, one in zip(batch.pixel_maps, k, strict=True)])
        depth = torch.zeros(len(known), *batch.images.shape[-2:], dtype=torch.float64)
        for view, (_, _, z) in enumerate(known):
            depth[view, top : top + H] = torch.from_numpy(z) * self.unit
        pred = Predictions(
            images=batch.images, cam_from_world=cameras, intrinsics=k, depth=depth,
            depth_conf=torch.ones_like(depth), point_map=unproject_depth(depth, k, cameras),
        )  # fmt: skip
        self.change(pred)
        pred = Predictions(**{n: v[None] for n, v in vars(pred).items() if isinstance(v, torch.Tensor)})
        return Reconstruction.from_predictions(pred, batch)


def oracle_of(files: list[Path], depth=None) -> Oracle:
    """Of pictures that show the views of `truth()` in that order."""
    t = truth()
    depth = t.depth if depth is None else depth
    content = [np.asarray(Image.open(file).convert("RGB")).tobytes() for file in files]
    return Oracle({c: (t.cam_from_world[v], t.intrinsics[v], depth[v]) for v, c in enumerate(content)})


def write_co3d_set(root: Path) -> Oracle:
    """Category apple with one good sequence, one of bad cameras, one not in the list; category ball."""
    sequence = write_co3d(root)
    files = sorted((sequence / "images").iterdir())
    annotations = root / "apple" / "frame_annotations.jgz"
    frames = json.loads(gzip.decompress(annotations.read_bytes()))
    good = [frame for frame in frames if frame["sequence_name"] == "10_20_30"]
    lost = json.loads(json.dumps(good[0]))
    lost["viewpoint"]["T"] = [1e6, 0, 0]  # a camera that was not found
    lost["image"]["path"] = "apple/10_20_30/images/lost.jpg"
    copies = [{**frame, "sequence_name": name} for name in ("bad", "unlisted") for frame in good]
    annotations.write_bytes(gzip.compress(json.dumps([*frames, lost, *copies]).encode()))
    quality = {"10_20_30": 0.9, "bad": 0.1, "unlisted": 0.9}
    entries = [{"sequence_name": n, "viewpoint_quality_score": q} for n, q in quality.items()]
    (root / "apple" / "sequence_annotations.jgz").write_bytes(gzip.compress(json.dumps(entries).encode()))
    test = [[f["sequence_name"], f["frame_number"], f["image"]["path"]] for f in [*good, lost, *copies[:S]]]
    lists = root / "apple" / "set_lists"
    lists.mkdir()
    (lists / "set_lists_fewview_dev.json").write_text(json.dumps({"train": [], "test": test}))
    (root / "ball").mkdir()
    (root / "ball" / "frame_annotations.jgz").write_bytes(annotations.read_bytes())
    return oracle_of(files)


def plane_depth(camera: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """z at which rays (x, y, 1) of a camera (4, 4) meet the plane."""
    back = np.linalg.inv(camera)
    normal, rest = PLANE @ back[:3, :3], 1 - PLANE @ back[:3, 3]
    return rest / (normal[0] * x + normal[1] * y + normal[2])


def fisheye(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COLMAP's THIN_PRISM_FISHEYE, term by term as its documentation has it: rays to pixels."""
    fx, fy, cx, cy, k1, k2, p1, p2, k3, k4, s1, s2 = FISHEYE
    r = np.sqrt(x**2 + y**2) + 1e-12
    u, v = np.arctan(r) * x / r, np.arctan(r) * y / r
    t = u**2 + v**2
    radial = k1 * t + k2 * t**2 + k3 * t**3 + k4 * t**4
    a = u + u * radial + 2 * p1 * u * v + p2 * (t + 2 * u**2) + s1 * t
    b = v + v * radial + 2 * p2 * u * v + p1 * (t + 2 * v**2) + s2 * t
    return fx * a + cx, fy * b + cy


def write_eth3d(root: Path) -> Oracle:
    """SCENE courtyard with S photographs."""
    t, scene = truth(), root / "courtyard"
    names = [f"DSC_{286 + view:04d}.JPG" for view in range(S)]
    pictures = scene / "images" / "dslr_images_undistorted"
    depths = scene / "ground_truth_depth" / "dslr_images"
    for folder in (pictures, depths, scene / "dslr_calibration_undistorted", scene / "dslr_calibration_jpg"):
        folder.mkdir(parents=True)
    for kind, prefix, size, model in (
        ("undistorted", "dslr_images_undistorted", (H, W), "PINHOLE"),
        ("jpg", "dslr_images", FISHEYE_SIZE, "THIN_PRISM_FISHEYE"),
    ):
        cameras, images = ["# Camera list"], ["# Image list"]
        for view, name in enumerate(names):
            k, camera = t.intrinsics[view], t.cam_from_world[view]
            lens = (k[0, 0], k[1, 1], k[0, 2], k[1, 2]) if model == "PINHOLE" else FISHEYE
            cameras.append(f"{view} {model} {size[1]} {size[0]} " + " ".join(map(str, map(float, lens))))
            pose = [*quat_wxyz(camera[:3, :3]), *camera[:3, 3]]
            images += [
                f"{view} " + " ".join(map(str, map(float, pose))) + f" {view} {prefix}/{name}",
                "1 1 -1",
            ]
        folder = scene / f"dslr_calibration_{kind}"
        (folder / "cameras.txt").write_text("\n".join(cameras) + "\n")
        (folder / "images.txt").write_text("\n".join(images) + "\n")
    row, column = np.mgrid[: FISHEYE_SIZE[0], : FISHEYE_SIZE[1]] + 0.5
    x, y = (column - FISHEYE[2]) / FISHEYE[0], (row - FISHEYE[3]) / FISHEYE[1]
    for _ in range(60):  # the inverse, by walking against what is left
        u, v = fisheye(x, y)
        x, y = x - 0.8 * (u - column) / FISHEYE[0], y - 0.8 * (v - row) / FISHEYE[1]
    files = []
    for view, name in enumerate(names):
        files.append(pictures / name)
        Image.fromarray(t.images[view]).save(files[-1])
        z = plane_depth(t.cam_from_world[view], x, y).astype("<f4")
        z[:40] = np.inf  # the laser saw nothing there
        z.tofile(depths / name)
    (depths / names[-1]).unlink()  # no truth for the last one: it must not be drawn
    return oracle_of(files, eth3d_depth())


def eth3d_depth() -> np.ndarray:
    """(S, H, W) the plane's z on the pixels of the undistorted pictures."""
    t, (row, column) = truth(), np.mgrid[:H, :W] + 0.5
    rays = [np.linalg.inv(k) @ np.stack([column.ravel(), row.ravel(), np.ones(H * W)]) for k in t.intrinsics]
    depth = [plane_depth(c, *ray[:2]) for c, ray in zip(t.cam_from_world, rays, strict=True)]
    return np.stack(depth).reshape(S, H, W)


def write_dtu(root: Path) -> Oracle:
    """scan1 in mm, with masks that see everything above the table."""
    t, files = truth(), []
    for folder in ("Rectified/scan1", "Rectified/scan2", "Calibration/cal18", "Points/stl", "ObsMask"):
        (root / folder).mkdir(parents=True)
    points = []
    for view in range(S):
        files.append(root / "Rectified" / "scan1" / f"rect_{view + 1:03d}_3_r5000.png")
        Image.fromarray(t.images[view]).save(files[-1])
        camera = t.cam_from_world[view].copy()
        camera[:3, 3] *= 1000  # mm
        projection = -0.7 * t.intrinsics[view] @ camera[:3]  # its scale and sign mean nothing
        rows = "\n".join(" ".join(f"{value:.12g}" for value in line) for line in projection)
        (root / "Calibration" / "cal18" / f"pos_{view + 1:03d}.txt").write_text(rows + "\n")
        row, column = np.nonzero(t.depth[view] > 0)
        rays = np.linalg.inv(t.intrinsics[view]) @ np.stack([column + 0.5, row + 0.5, np.ones(len(row))])
        in_cam = np.concatenate([1000 * rays * t.depth[view][row, column], np.ones((1, len(row)))])
        points.append((np.linalg.inv(camera) @ in_cam)[:3].T)
    points = np.concatenate(points)
    vertices = np.zeros(len(points), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1")])
    vertices["x"], vertices["y"], vertices["z"] = points.T
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\nproperty float x\n"
    header += "property float y\nproperty float z\nproperty uchar red\nend_header\n"
    (root / "Points" / "stl" / "stl001_total.ply").write_bytes(header.encode() + vertices.tobytes())
    low, cell = points.min(0) - 100, 50.0
    mask = np.ones(np.ceil((points.max(0) - low) / cell).astype(int) + 3, np.uint8)
    savemat(root / "ObsMask" / "ObsMask1_10.mat", {"ObsMask": mask, "BB": np.stack([low, low]), "Res": cell})
    savemat(root / "ObsMask" / "Plane1.mat", {"P": np.array([[0.0], [0.0], [0.0], [1.0]])})
    return oracle_of(files)


class Follower:
    """Follows the points of one video without mistakes, whatever the order of its frames."""

    def __init__(self, video: np.ndarray, tracks: np.ndarray, visible: np.ndarray) -> None:
        self.frames = {frame.tobytes(): index for index, frame in enumerate(video)}
        self.tracks, self.visible = torch.from_numpy(tracks), torch.from_numpy(visible)  # (T, N, 2), (T, N)
        self.shift, self.passes = 0.0, []

    def reconstruct(self, source, mode="pad", size=None, query_points=None):
        order = [self.frames[np.asarray(frame).tobytes()] for frame in source]
        self.passes.append(order)
        away = (query_points[:, None] - self.tracks[order[0]]).norm(dim=-1)  # (Q, N)
        which = away.argmin(1)
        assert away.min(1).values.max() < 1e-3, "a point is asked for where no track is"
        scene = Reconstruction([], [], [], torch.zeros(0), torch.zeros(0))
        scene.tracks = self.tracks[order][:, which] + self.shift
        scene.track_visibility = self.visible[order][:, which].float()
        return scene


def write_tapvid(root: Path, frames: int = 7) -> Follower:
    """One video "walk" of a generated scene."""
    scene = generate_scenes(1_000_004, 1, frames, 40, 64, num_tracks=12).apply(lambda x: x[0])
    video = (scene.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    tracks = scene.tracks.numpy().clip(0, [64, 40]).astype(np.float32)
    visible = scene.track_visibility.numpy().copy()
    visible[0, :3] = False  # these are first seen later
    content = {"video": video, "points": (tracks / [64, 40]).transpose(1, 0, 2), "occluded": ~visible.T}
    with (root / "tapvid_davis.pkl").open("wb") as file:
        pickle.dump({"walk": content}, file, protocol=4)
    return Follower(video, tracks, visible)
