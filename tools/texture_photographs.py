"""Make tileable patterns of photographs: what some surfaces of the wide world are painted with.

    python tools/texture_photographs.py     write vggt_lite/synthetic/photographs/masks.png anew

The photographs come with scikit-image (pip install scikit-image); each is CC0 or in the public domain, as
its docstring in `skimage.data` says. Two squares are cut from each: the largest one in the middle, and a
quarter of its area. A pattern is painted in colours of the scene, so of a photograph only two masks stay:
its first principal component of colour (nearly its brightness), and the positive half of the second.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when run as a script

from vggt_lite.synthetic.textures import PHOTOGRAPH_FILE, SIZE  # noqa: E402

SOURCES = ("brick", "grass", "gravel", "chelsea", "coffee", "astronaut", "rocket", "camera")
MARGIN = SIZE // 8  # texels along which opposite sides are blended
EXTREMES = (1, 99)  # percentiles that become 0 and 1


def squares(picture: np.ndarray) -> list[Image.Image]:
    """The largest square in the middle of a picture (H, W, 3), and the quarter right above its middle."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    whole = Image.fromarray(picture[top : top + side, left : left + side])
    return [whole, whole.crop((side // 2, side // 8, side, side // 8 + side // 2))]


def tileable(square: Image.Image) -> np.ndarray:
    """(SIZE, SIZE, 3): what stands beyond the right and lower edge fades into the left and upper one."""
    pixels = np.asarray(square.resize((SIZE + MARGIN, SIZE + MARGIN), Image.Resampling.BOX), np.float64)
    fade = (np.arange(MARGIN) + 0.5)[:, None, None] / MARGIN
    for _ in range(2):  # rows, then columns
        pixels[:MARGIN] = fade * pixels[:MARGIN] + (1 - fade) * pixels[SIZE:]
        pixels = pixels[:SIZE].swapaxes(0, 1)
    return pixels


def two_masks(pixels: np.ndarray) -> np.ndarray:
    """(SIZE, 2 · SIZE) bytes: the two principal components of colour, side by side."""
    colours = pixels.reshape(-1, 3)
    centred = colours - colours.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, [2, 1]]  # columns, the strongest first
    axes = axes * np.sign(axes.sum(axis=0))  # bright is 1
    first, second = (centred @ axes).T
    low, high = np.percentile(first, EXTREMES)
    first = (first - low) / (high - low)
    second = second / max(high - low, 1)  # in the units of the first: none where all is grey
    masks = np.stack([first, second]).clip(0, 1).reshape(2, SIZE, SIZE)
    return np.round(255 * np.concatenate(list(masks), axis=1)).astype(np.uint8)


def main() -> None:
    rows = []
    for name in SOURCES:
        picture = getattr(data, name)()
        if picture.ndim == 2:
            picture = picture[..., None].repeat(3, axis=-1)
        rows += [two_masks(tileable(square)) for square in squares(picture)]
    Image.fromarray(np.concatenate(rows)).save(PHOTOGRAPH_FILE, optimize=True)
    print(f"written: {PHOTOGRAPH_FILE}, {len(rows)} patterns, {PHOTOGRAPH_FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
