"""Draw the README's picture: four views that nobody trained on, and what NANO makes of them.

python tools/hero.py [seed]
"""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from vggt_lite import VGGT, viz
from vggt_lite.evaluation.examples import held_out_scene

OUT = Path(__file__).parents[1] / "teaching" / "figures" / "hero.png"
SIDE, GAP = 190, 8  # pixels of one view, and between pictures


def main(seed: int = 1_000_000) -> None:
    scene = held_out_scene(VGGT.from_pretrained("nano"), seed).reconstruction
    height = 2 * SIDE + GAP
    cloud = viz.preview_scene(viz.Cloud.of(scene), viz.Cameras.of(scene), size=(620, height))
    cloud = Image.open(BytesIO(cloud)).convert("RGBA")
    picture = Image.new("RGB", (height + GAP + cloud.width, height), "white")
    for number, image in enumerate(scene.images):
        view = Image.fromarray(np.asarray(image)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        picture.paste(view, ((SIDE + GAP) * (number % 2), (SIDE + GAP) * (number // 2)))
    picture.paste(cloud, (height + GAP, 0), cloud)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(128).save(OUT, optimize=True)
    print(f"{OUT}, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
