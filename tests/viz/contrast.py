"""Contrast as the Web Content Accessibility Guidelines (WCAG 2) count it, of the colours that figures use."""

import json
import re
from collections.abc import Iterator

from vggt_lite.viz.style import GROUND

TEXT = 4.5  # the least for text; 3 for lines and marks


def contrast(one: str, other: str) -> float:
    """Contrast of two colours "#RRGGBB", from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    values = [int(part, 16) / 255 for part in re.fullmatch(r"#(..)(..)(..)", color).groups()]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def font_colors(part) -> Iterator[str]:
    """Every colour of a font, or of an axis and so of its text, in a figure's JSON."""
    if isinstance(part, list):
        part = dict(enumerate(part))
    for key, value in part.items() if isinstance(part, dict) else ():
        if key == "font" or str(key).endswith("font") or re.fullmatch(r"[xyz]axis\d*", str(key)):
            yield from [value["color"]] if "color" in value else []
        if key != "template":
            yield from font_colors(value)


def assert_readable(*figures) -> None:
    """Figures have a ground of their own, whatever the theme, and all text stands out from it."""
    for figure in figures:
        drawn = json.loads(figure.to_json())
        ground, colors = drawn["layout"]["paper_bgcolor"], set(font_colors(drawn))
        assert drawn["layout"]["plot_bgcolor"] in (ground, GROUND) and colors
        faint = {color: contrast(color, ground) for color in colors if contrast(color, ground) < TEXT}
        assert not faint, f"too faint on {ground}: {faint}"
