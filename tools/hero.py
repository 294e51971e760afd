"""Draw the README's picture: four views that nobody trained on, and what TINY makes of them.

python tools/hero.py [seed]
"""

import json
import os
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # when run as a script

from tools import stills  # noqa: E402
from vggt_lite import VGGT, viz  # noqa: E402
from vggt_lite.config import VARIED_SCENES  # noqa: E402
from vggt_lite.evaluation.examples import held_out_scene  # noqa: E402
from vggt_lite.utils.files import atomic_write  # noqa: E402
from vggt_lite.viz.style import SPACE, TEXT_COLOR, as_pictures, small_png  # noqa: E402

OUT = ROOT / "teaching" / "figures" / "hero.png"
SIDE, HEAD, GAP = 190, 24, 8  # pixels of one view, of the words above it, and between pictures
HIDDEN = 15  # per cent of the points, the least trusted: what `make demo` hides with its slider
EYE = {"x": 0.3, "y": -0.5, "z": -1.0}  # nearer than a figure that one can turn


def main(seed: int = 1_000_003) -> None:
    os.environ["VGGT_LITE_MAX_POINTS"] = "60000"  # all of them
    scene = held_out_scene(VGGT.from_pretrained("tiny"), seed, scenes=VARIED_SCENES).reconstruction
    width, height = 2 * (SIDE + GAP), 2 * (HEAD + SIDE) + GAP
    fig = viz.draw_scene(viz.Cloud.of(scene), viz.Cameras.of(scene), percentile=HIDDEN)
    fig.update_layout(width=620, height=height, annotations=[], margin={"t": 10}).update_scenes(
        camera_eye=EYE
    )
    (cloud,) = stills.draw([json.loads(fig.to_json())])
    picture = Image.new("RGB", (GAP + width + cloud.width, height), SPACE)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=14)
    for number, image in enumerate(as_pictures(scene.images)):
        x, y = GAP + (SIDE + GAP) * (number % 2), (HEAD + SIDE) * (number // 2)
        pen.text((x, y + 5), f"view {number + 1}", fill=TEXT_COLOR, font=font)
        view = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.paste(view, (x, y + HEAD))
    picture.paste(cloud.convert("RGB"), (GAP + width, 0))
    with atomic_write(OUT) as temporary:
        temporary.write_bytes(small_png(picture, 256))
    print(f"{OUT}, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
