"""Draw the README's picture: four views that nobody trained on, and what NANO makes of them.

python tools/hero.py [seed]
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # when run as a script

from tools import stills  # noqa: E402
from vggt_lite import VGGT, viz  # noqa: E402
from vggt_lite.evaluation.examples import held_out_scene  # noqa: E402
from vggt_lite.utils.files import atomic_write  # noqa: E402
from vggt_lite.viz.style import small_png  # noqa: E402

OUT = ROOT / "teaching" / "figures" / "hero.png"
SIDE, GAP = 190, 8  # pixels of one view, and between pictures


def main(seed: int = 1_000_000) -> None:
    scene = held_out_scene(VGGT.from_pretrained("nano"), seed).reconstruction
    height = 2 * SIDE + GAP
    fig = viz.draw_scene(viz.Cloud.of(scene), viz.Cameras.of(scene)).update_layout(width=620, height=height)
    (cloud,) = stills.draw([json.loads(fig.to_json())])
    picture = Image.new("RGB", (height + GAP + cloud.width, height), "white")
    for number, image in enumerate(scene.images):
        view = Image.fromarray(np.asarray(image)).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        picture.paste(view, ((SIDE + GAP) * (number % 2), (SIDE + GAP) * (number // 2)))
    picture.paste(cloud, (height + GAP, 0), cloud)
    with atomic_write(OUT) as temporary:
        temporary.write_bytes(small_png(picture))
    print(f"{OUT}, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
