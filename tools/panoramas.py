"""Cut pinhole views from panoramas: real pixels whose rotations and lens are known exactly.

    python tools/panoramas.py FOLDER     write vggt_lite/evaluation/panorama_views/ anew, and the panoramas
                                         that rooms are papered with, vggt_lite/synthetic/panoramas/

FOLDER holds NAME.exr for each name of `NARROWEST` and `WALLS`: README.md in the written folders says where
they come from. They are read by OpenEXR (pip install OpenEXR), which nothing else here needs. Same panoramas,
same views.

A panorama is equirectangular, (H, W, 3), linear light: columns are longitudes from -180° to 180°, to the
right; rows are latitudes from 90° (up) to -90°. In its world z points to longitude 0, x to its right, y down.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

from vggt_lite.evaluation.panoramas import FOLDER, rotation_of  # noqa: E402
from vggt_lite.synthetic.panoramas import FILE, HEIGHT, WIDTH  # noqa: E402

# Pixels. A view 60° wide then has as many pixels per degree as a panorama of 1024 columns.
SIDE = 192
QUALITY = 90
SAMPLES = 4  # rays per pixel and axis
MIDDLE_GREY = 0.18  # what the median luminance becomes, linear; white is 1
LUMINANCE = (0.2126, 0.7152, 0.0722)
# Which panoramas, and from how wide a view on (degrees): those of 512 columns are too coarse for a narrow one
WIDEST = 75
NARROWEST = {
    "city": 40, "courtyard": 40, "forest": 40, "interior": 40, "sunrise": 40, "sunset": 40,
    "esplanade": 60, "hall": 60, "lab": 60, "lobby": 60, "warehouse": 60, "workshop": 60,
}  # fmt: skip
# To learn from: other places than those above
WALLS = ("apartment", "bridge", "dawn", "night", "park", "piazza", "plaza", "woods")
SETS = ((2, 10, 18), (2, 22, 34), (4, 9, 16))  # (views, degrees between neighbours: from, to)


def cut(
    panorama: np.ndarray, yaw_pitch_roll: tuple[float, float, float], fov: float, side: int
) -> np.ndarray:
    """A square pinhole view, linear light, each pixel the mean of its rays.

    Args:
        panorama: (H, W, 3), equirectangular, linear light.
        yaw_pitch_roll: degrees, as for `rotation_of`.
        fov: how wide the view is, degrees.
        side: of the view, pixels.

    Returns:
        (side, side, 3)
    """
    height, width = panorama.shape[:2]
    steps = (np.arange(side * SAMPLES) + 0.5) / SAMPLES - side / 2  # pixels from the middle
    x, y = np.meshgrid(steps, steps)
    rays = np.stack([x, y, np.full_like(x, side / 2 / np.tan(np.radians(fov) / 2))], axis=-1)
    rays = rays @ rotation_of(*yaw_pitch_roll).as_matrix()  # world_from_cam, applied to row vectors
    longitude = np.arctan2(rays[..., 0], rays[..., 2])
    latitude = np.arctan2(-rays[..., 1], np.hypot(rays[..., 0], rays[..., 2]))
    column, row = (longitude / (2 * np.pi) + 0.5) * width - 0.5, (0.5 - latitude / np.pi) * height - 0.5
    around = np.pad(
        panorama, ((0, 0), (1, 1), (0, 0)), mode="wrap"
    )  # the last column's neighbour is the first
    colours = [map_coordinates(around[..., c], [row, column + 1], order=1, mode="nearest") for c in range(3)]
    return np.stack(colours, axis=-1).reshape(side, SAMPLES, side, SAMPLES, 3).mean(axis=(1, 3))


def developed(views: np.ndarray) -> np.ndarray:
    """Linear light (…, 3) as 8-bit sRGB, exposed like one photograph: the median luminance is middle grey."""
    views = views.clip(0)
    exposed = (views * MIDDLE_GREY / np.median(views @ LUMINANCE)).clip(max=1)
    curved = np.where(exposed <= 0.0031308, 12.92 * exposed, 1.055 * exposed ** (1 / 2.4) - 0.055)
    return (255 * curved).round().astype(np.uint8)


def drawn(seed: int, narrowest: float) -> list[dict]:
    """Sets of views: {"fov": degrees, "views": [[yaw, pitch, roll], …]}, to a hundredth of a degree."""
    draw, sets = np.random.RandomState(seed), []  # NumPy's old generator: its draws are fixed for good
    for number, least, most in SETS:
        fov = draw.uniform(narrowest, WIDEST)
        turn, slope = draw.uniform(least, min(most, fov / 2)), np.radians(draw.uniform(-25, 25))
        middle = np.arange(number) - (number - 1) / 2
        yaw = draw.uniform(-180, 180) + draw.choice([-1, 1]) * middle * turn * np.cos(slope)
        pitch = draw.uniform(-8, 4) + middle * turn * np.sin(slope)
        angles = np.stack([yaw, pitch, draw.uniform(-5, 5, number)], axis=-1)
        sets.append({"fov": round(fov, 2), "views": angles.round(2).tolist()})
    return sets


def read(path: Path) -> np.ndarray:
    """(H, W, 3) float32 of an OpenEXR file."""
    try:
        import OpenEXR
    except ImportError as error:
        raise SystemExit("panoramas are read by OpenEXR: pip install OpenEXR") from error
    with OpenEXR.File(str(path)) as file:
        channels = file.channels()
        pixels = next(channels[name].pixels for name in ("RGB", "RGBA") if name in channels)
    return np.asarray(pixels, dtype=np.float32)[..., :3]


def make(folder: Path, out: Path) -> None:
    """Cut all views: NAME.jpg holds those of a panorama side by side, views.json how they look."""
    missing = [name for name in (*NARROWEST, *WALLS) if not (folder / f"{name}.exr").is_file()]
    if missing:
        raise SystemExit(
            f"{folder}: {missing[0]}.exr is missing; {out / 'README.md'} and {FILE.parent / 'README.md'} "
            "say where such files come from."
        )
    found = {}
    for seed, (name, narrowest) in enumerate(NARROWEST.items()):
        panorama, found[name], strip = read(folder / f"{name}.exr"), drawn(seed, narrowest), []
        for one in found[name]:
            views = [cut(panorama, angles, one["fov"], SIDE) for angles in one["views"]]
            strip += list(developed(np.stack(views)))
        # 4:4:4, so that the colours of neighbours do not run into each other; 192 is a multiple of JPEG's 8
        path = out / f"{name}.jpg"
        Image.fromarray(np.concatenate(strip, axis=1)).save(path, quality=QUALITY, subsampling=0)
        print(f"{path}: {path.stat().st_size:,} bytes")
    lines = ",\n ".join(f"{json.dumps(name)}: {json.dumps(sets)}" for name, sets in found.items())
    (out / "views.json").write_text(f"{{\n {lines}\n}}\n", encoding="utf-8", newline="\n")
    write_walls(folder)


def write_walls(folder: Path) -> None:
    """The panoramas of `WALLS`, one below the other, each exposed like one photograph."""
    strip = [Image.fromarray(developed(read(folder / f"{name}.exr"))) for name in WALLS]
    strip = [picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX) for picture in strip]
    FILE.parent.mkdir(exist_ok=True)
    Image.fromarray(np.concatenate(strip)).save(FILE, quality=QUALITY, subsampling=0)
    print(f"{FILE}: {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    make(Path(sys.argv[1]), FOLDER)
