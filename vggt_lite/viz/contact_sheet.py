"""A contact sheet of scenes: one row a scene, its views and the first view's depth."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vggt_lite.utils.files import atomic_write, file_target
from vggt_lite.viz.style import TEXT_COLOR, as_array, as_pictures, colorize


def write_sheet(batch, path: str | Path, first_seed: int = 0, width: int = 160) -> Path:
    """Write a PNG with the views of each scene of a `SceneBatch` side by side.

    Args:
        batch: The scenes.
        path: The file, for example "sheet.png".
        first_seed: Seed of the first scene, written beside the rows.
        width: Of one view, pixels; small images are enlarged without blending.
    """
    path = file_target(path, ".png")
    count, views = batch.images.shape[:2]
    height = round(width * batch.images.shape[-2] / batch.images.shape[-1])
    margin, gap = 90, 4
    size = (margin + (views + 1) * (width + gap), count * (height + gap))
    sheet = Image.new("RGBA", size, (0, 0, 0, 0))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row in range(count):
        top = row * (height + gap)
        pen.text((4, top + 8), f"seed\n{first_seed + row}", fill=TEXT_COLOR, font=font)
        depth = as_array(batch.depth[row, 0])
        panels = [*as_pictures(batch.images[row]), colorize(depth, depth.min(), depth.max())]
        for column, panel in enumerate(panels):
            tile = Image.fromarray(panel).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(tile, (margin + column * (width + gap), top))
    with atomic_write(path) as temporary:
        sheet.save(temporary, "PNG")
    return path
