"""Small pictures: few colours, rare ones among them, and soft edges that stay soft."""

import io

import numpy as np
from PIL import Image

from vggt_lite.viz.style import small_png


def again(picture: Image.Image, colors: int, smooth: bool = False) -> np.ndarray:
    png = Image.open(io.BytesIO(small_png(picture, colors, smooth)))
    assert png.mode == "P" and len(png.getcolors()) <= colors
    return np.asarray(png.convert("RGBA")).astype(int)


def test_what_is_clear_stays_clear_and_soft_edges_stay_soft():
    picture = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    picture.paste((200, 30, 30, 255), (0, 0, 8, 16))
    picture.paste((117, 117, 117, 100), (8, 0, 10, 16))
    found = again(picture, 32)
    assert tuple(found[4, 1]) == (200, 30, 30, 255)
    assert tuple(found[4, 8]) == (117, 117, 117, 100)
    assert found[4, 12, 3] == 0


def test_a_rare_colour_is_kept_among_many_common_ones():
    colors = np.random.default_rng(0).integers(100, 160, (64, 64, 3)).astype(np.uint8)
    colors[30:32, 10:50] = (213, 94, 0)  # a thin orange line, such as a true camera
    found = again(Image.fromarray(colors), 16)
    assert np.abs(found[30, 10:50, :3] - (213, 94, 0)).max() <= 12
    assert np.abs(found[..., :3] - colors).mean() < 12


def test_a_smooth_ramp_has_more_steps_if_asked_for():
    wide = np.random.default_rng(0).integers(0, 256, (64, 256, 3)).astype(np.uint8)
    wide[:48] = np.linspace((0, 32, 76), (255, 234, 70), 256).round().astype(np.uint8)  # most of the picture
    steps = [len(np.unique(again(Image.fromarray(wide), 256, smooth)[0], axis=0)) for smooth in (False, True)]
    assert steps[1] > 2 * steps[0]
