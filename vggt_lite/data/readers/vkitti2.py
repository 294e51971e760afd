"""Virtual KITTI 2: SceneNN/VARIATION with extrinsic.txt, intrinsic.txt, frames/rgb and frames/depth.

    frames/rgb/Camera_0/rgb_00000.jpg      pictures
    frames/depth/Camera_0/depth_00000.png  16 bits: z in centimetres, 65535 = sky
    extrinsic.txt                          a line per frame and camera: frame camera, 4 × 4 cam_from_world
    intrinsic.txt                          a line per frame and camera: frame camera fx fy cx cy

Its pixels have their centres at whole numbers: the principal point of 1242×375 pixels is (620.5, 187). Ours
lie at +0.5, so half a pixel is added. Cars drive: on them the views of one camera do not agree.

Source: europe.naverlabs.com, Virtual KITTI 2 (arXiv:2001.10773).
"""

import re
from pathlib import Path

import numpy as np
from torch import Tensor

from vggt_lite.data.parse import numbers, picture_size, pinhole, read_lines, read_wide_png
from vggt_lite.data.pictures import list_images
from vggt_lite.data.views import MapFile, View, Views

FILES = ("extrinsic.txt", "intrinsic.txt")
CENTIMETRES = 0.01
SKY = 65535


def read_vkitti2(path: str | Path) -> Views:
    """The frames of one camera in one variation of a scene, in metres.

    Args:
        path: SceneNN/VARIATION for its left camera, or the folder of a camera, as frames/rgb/Camera_1.

    Raises:
        ValueError: naming the file, what is wrong with it and the cure.
    """
    path = Path(path).expanduser()
    named = re.fullmatch(r"Camera_(\d+)", path.name)
    camera = int(named[1]) if named else 0
    root = find_variation(path) or path
    folder = root / "frames" / "rgb" / f"Camera_{camera}"
    pictures = list_images(folder) if folder.is_dir() else []
    if not pictures:
        raise ValueError(f"{folder} holds no pictures: unpack rgb, depth and textgt into one folder.")
    cameras, lenses = (_table(root / name, camera, count) for name, count in zip(FILES, (16, 4), strict=True))
    depths = root / "frames" / "depth" / f"Camera_{camera}"
    views = []
    for picture in pictures:
        number = re.search(r"\d+$", picture.stem)
        frame = int(number[0]) if number else -1
        for name, table in zip(FILES, (cameras, lenses), strict=True):
            if frame not in table:
                raise ValueError(f"{root / name} has no line for {picture.name}: unpack textgt again.")
        fx, fy, cx, cy = lenses[frame].tolist()
        pose, k = cameras[frame].reshape(4, 4)[:3], pinhole(fx, fy, cx + 0.5, cy + 0.5)
        depth = MapFile(depths / f"depth_{frame:05d}.png", _read_depth) if depths.is_dir() else None
        views.append(View(picture, picture_size(picture), pose, k, depth))
    source = f"Virtual KITTI 2, {root.parent.name}/{root.name}, Camera_{camera}"
    about = {"units": "metres", "source": source, "license": "the terms of Virtual KITTI 2"}
    return Views("Virtual KITTI 2", views, root / FILES[0], **about)


def find_variation(path: Path) -> Path | None:
    """The folder with both camera files, at the path or up to three levels above (frames/rgb/Camera_0)."""
    folders = (path, *path.parents[:3])
    return next((f for f in folders if all((f / name).is_file() for name in FILES)), None)


def _table(path: Path, camera: int, count: int) -> dict[int, Tensor]:
    """Frame → the `count` numbers of its line, for one camera."""
    table = {}
    for number, line in enumerate(read_lines(path)[1:], start=2):  # the first line names the columns
        if line:
            values = numbers(line.split(), f"{path}, line {number}", 2 + count)
            if int(values[1]) == camera:
                if int(values[0]) in table:
                    raise ValueError(f"{path}, line {number}: frame {values[0]:g} a second time: remove one.")
                table[int(values[0])] = values[2:]
    return table


def _read_depth(path: Path) -> np.ndarray:
    """(H, W) float32 z in metres; the sky has none."""
    depth = read_wide_png(path)
    return np.where(depth == SKY, 0, depth).astype(np.float32) * np.float32(CENTIMETRES)
