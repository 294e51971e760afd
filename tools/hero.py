"""Draw the README's moving picture: four views that nobody trained on, what TINY makes of them, the truth.

    python tools/hero.py [seed]     writes teaching/figures/hero.webp and, for dark pages, hero_dark.webp

The camera swings to and fro before both clouds, which are drawn in one frame and one unit.
"""

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # when run as a script

from tools import stills  # noqa: E402
from vggt_lite import VGGT, viz  # noqa: E402
from vggt_lite.config import VARIED_SCENES  # noqa: E402
from vggt_lite.evaluation.examples import held_out_scene  # noqa: E402
from vggt_lite.utils.files import atomic_write  # noqa: E402
from vggt_lite.viz.scene import frame_of  # noqa: E402
from vggt_lite.viz.style import SPACE, TEXT_COLOR, as_pictures  # noqa: E402

# Where it goes, its ground, and its words
THEMES = {"hero.webp": (SPACE, TEXT_COLOR), "hero_dark.webp": ("#3C3C3C", "#F0F0F0")}
FOLDER = ROOT / "teaching" / "figures"
SIDE, HEAD, GAP = 160, 24, 8  # pixels of one view, of the words above it, and between pictures
CLOUD = 330  # pixels of the width of a cloud
HIDDEN = 15  # per cent of the points, the least trusted: what `make demo` hides with its slider
STEPS, SWING, MILLISECONDS = 9, 0.55, 130  # pictures from one end to the other; radians to either side
EYE = np.array([0.0, -0.5, -1.05])  # of the middle picture, nearer than a figure that one can turn


def eye_after(step: int) -> dict[str, float]:
    """Where the camera of a picture stands, plotly's units: slow at both ends."""
    angle = -SWING * math.cos(math.pi * step / (STEPS - 1))
    x, y, z = EYE
    return {"x": x + math.sin(angle) * -z, "y": y, "z": math.cos(angle) * z}


def clouds(scene, truth, height: int) -> list[list[Image.Image]]:
    """For each step, both clouds on a ground that is transparent."""
    parts = [(viz.Cloud.of(x), viz.Cameras.of(x)) for x in (scene, truth)]
    frame = frame_of(*parts[1])
    figures = []
    for cloud, cameras in parts:
        figure = viz.draw_scene(cloud, cameras, percentile=HIDDEN if cloud is parts[0][0] else 0, frame=frame)
        figure.update_layout(
            width=CLOUD, height=height, margin={"t": 0, "b": 0, "l": 0, "r": 0}, paper_bgcolor="rgba(0,0,0,0)"
        )
        figure.layout.annotations = ()
        figures.append(figure.update_scenes(xaxis_visible=False, yaxis_visible=False, zaxis_visible=False))
    asked = [
        json.loads(figure.update_scenes(camera_eye=eye_after(step)).to_json())
        for step in range(STEPS)
        for figure in figures
    ]
    drawn = stills.draw(asked)
    return [drawn[k : k + 2] for k in range(0, len(drawn), 2)]


def page(views: list[np.ndarray], pair: list[Image.Image], ground: str, words: str) -> Image.Image:
    """One picture of the movement."""
    left, height = 2 * (SIDE + GAP), 2 * (HEAD + SIDE) + GAP
    picture = Image.new("RGB", (2 * GAP + left + 2 * CLOUD, height), ground)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=14)
    for number, image in enumerate(views):
        x, y = GAP + (SIDE + GAP) * (number % 2), (HEAD + SIDE) * (number // 2)
        pen.text((x, y + 5), f"view {number + 1}", fill=words, font=font)
        view = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.paste(view, (x, y + HEAD))
    for number, (cloud, name) in enumerate(zip(pair, ("TINY, one forward pass", "truth"), strict=True)):
        x = GAP + left + (CLOUD + GAP) * number
        picture.paste(cloud, (x, HEAD), cloud)
        pen.text((x + GAP, 5), name, fill=words, font=font)
    return picture


def main(seed: int = 1_000_003) -> None:
    os.environ["VGGT_LITE_MAX_POINTS"] = "60000"  # all of them
    example = held_out_scene(VGGT.from_pretrained("tiny"), seed, scenes=VARIED_SCENES)
    views = as_pictures(example.reconstruction.images)
    pairs = clouds(example.reconstruction, example.truth, 2 * (HEAD + SIDE) + GAP - HEAD)
    for name, (ground, words) in THEMES.items():
        pages = [page(views, pair, ground, words) for pair in pairs]
        pages += pages[-2:0:-1]  # and back
        with atomic_write(FOLDER / name) as temporary:
            options = {"duration": MILLISECONDS, "loop": 0, "quality": 60, "method": 6}
            pages[0].save(temporary, "WEBP", save_all=True, append_images=pages[1:], **options)
        print(f"{FOLDER / name}, {(FOLDER / name).stat().st_size:,} bytes, {len(pages)} pictures")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
