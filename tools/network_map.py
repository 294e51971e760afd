"""Draw the map of the network: notebooks/figures/network.svg, and network_01.svg … for the lessons' heads.

    python tools/network_map.py

Every file is one drawing for light and dark pages (`prefers-color-scheme`) on a ground of its own, so that it
reads where page and system disagree, too. Text is text. The small ones say "you are here".
"""

import sys
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # when run as a script

from vggt_lite.utils.files import write_text  # noqa: E402

FOLDER = ROOT / "notebooks" / "figures"
WIDTH = 700  # pixels, the width of a column of text
BOTH = "VGGT, from left to right"
DESCRIPTION = (
    "Photographs are cut into patches that a DINOv2 ViT embeds as tokens. Each view gets a camera token and "
    "registers. L pairs of frame attention and global attention follow. From the tokens the camera head "
    "reads pose and field of view, two DPT heads read a depth map and a point map with confidences, and the "
    "track head follows query points. A number at a part is the lesson that builds it."
)

# Colour of each class of shape: on light pages, on dark ones.
FILLS = {
    "ground": ("#ffffff", "#14181e"),
    "title": ("#1b1f24", "#e8ecf0"),
    "detail": ("#4a5560", "#b4bec9"),
    "box": ("#f3f5f8", "#20262e"),
    "number": ("#0072b2", "#7cc4f2"),
    "on-number": ("#ffffff", "#0b1620"),
    "camera": ("#d55e00", "#ff9a4d"),
    "register": ("#009e73", "#4fd1a5"),
    "patch": ("#0072b2", "#7cc4f2"),
    "here": ("#fce3d3", "#4a2a12"),
}
STROKES = {"box": ("#8a94a0", "#6b7683"), "line": ("#6b7683", "#8a94a0"), "here": ("#d55e00", "#ff9a4d")}


class Part(NamedTuple):
    """A box of the drawing.

    Attributes:
        lesson: two digits; empty where no lesson builds it.
        title: lines of text.
        detail: smaller lines below, left out of the small drawings.
        box: left, top, width, height in pixels.
    """

    lesson: str
    title: tuple[str, ...]
    detail: tuple[str, ...]
    box: tuple[float, float, float, float]


# What the line "you are here" calls the part.
NAMES = {
    "01": "camera geometry",
    "02": "the patch embedding",
    "03": "the attention block",
    "04": "tokens and alternating attention",
    "05": "the camera head",
    "06": "the two DPT heads",
    "07": "the track head",
    "08": "the losses",
    "09": "scenes and training",
    "10": "the released weights",
    "11": "evaluation",
}


def parts(small: bool) -> list[Part]:
    """All boxes; frames come before what stands inside them."""
    top, head, gap = (34, 28, 6) if small else (12, 50, 8)
    height = 4 * head + 3 * gap  # of the network, without what is around it
    inner = (height - (68 if small else 76)) / 2
    tall, below, low = (70, 14, 42) if small else (94, 40, 62)
    start = top + (height - tall) / 2
    heads = (
        ("05", "Camera head", "pose, field of view"),
        ("06", "DPT depth head", "depth map, confidence"),
        ("06", "DPT point head", "point map, confidence"),
        ("07", "Track head", "query points → tracks"),
    )
    around = (
        ("01", "Cameras", "projection"),
        ("08", "Losses", "confidence"),
        ("09", "Training", "scenes, loop"),
        ("10", "Weights", "VGGT-1B"),
        ("11", "Evaluation", "metrics"),
        ("12", "Results", "refine, export"),
        ("13", "Experiment", "your own"),
    )
    found = [
        Part("02", ("Patch", "embedding"), ("DINOv2 ViT", "pixels → tokens"), (112, start, 112, tall)),
        Part("04", ("Tokens",), (), (244, top, 110, height)),
        Part("04", ("Alternating", "attention"), (), (370, top, 136, height)),
        Part("03", ("frame", "attention"), ("within one view",), (380, top + 43, 116, inner)),
        Part("03", ("global", "attention"), ("across all views",), (380, top + 49 + inner, 116, inner)),
    ]
    for row, (lesson, title, detail) in enumerate(heads):
        found.append(Part(lesson, (title,), (detail,), (532, top + row * (head + gap), 158, head)))
    for column, (lesson, title, detail) in enumerate(around):
        box = (10 + column * 98, top + height + below, 92, low)
        found.append(Part(lesson, ("", title), (detail,), box))
    if small:
        found = [part._replace(detail=part.detail[:1] if part.lesson == "02" else ()) for part in found]
        found = [part._replace(title=part.title[:1]) if part.lesson == "03" else part for part in found]
    return found


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def rectangle(kind: str, x: float, y: float, width: float, height: float, radius: float = 5) -> str:
    size = f'width="{width:g}" height="{height:g}" rx="{radius:g}"'
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" {size}/>'


def drawn(part: Part, here: str) -> list[str]:
    """The box, its lesson at the upper right, its lines of text."""
    x, y, width, height = part.box
    shapes = [rectangle("here" if part.lesson == here else "box", *part.box)]
    shapes += [rectangle("number", x + width - 25, y + 5, 20, 15, 7)]
    shapes += [text(x + width - 15, y + 16.5, part.lesson, "on-number", "middle")]
    lines = [(line, "title") for line in part.title] + [(line, "detail") for line in part.detail]
    return shapes + [
        text(x + 8, y + 18.5 + 17 * row, line, kind) for row, (line, kind) in enumerate(lines) if line
    ]


def photographs(small: bool, middle: float) -> list[str]:
    """Three overlapping pictures, and what they are."""
    shapes = []
    for k in range(3):
        x, y = 14 + 9 * k, middle - 34 + 9 * k
        shapes += [rectangle("box", x, y, 58, 42, 2)]
        shapes += [f'<path class="line" d="M{x + 4:g} {y + 37:g}l14 -18 10 11 9 -8 15 15"/>']
    shapes += [text(10, middle + 44, "Photographs", "title")]
    return shapes if small else [*shapes, text(10, middle + 61, "of one scene", "detail")]


def tokens(part: Part, small: bool) -> list[str]:
    """A row of tokens for each view; which is which."""
    x, y, _, height = part.box
    kinds = ["camera"] + ["register"] * 4 + ["patch"] * 4
    first, step = (30, 13) if small else (47, 34)
    shapes = [
        rectangle(kind, x + 8 + 10 * k + 3 * (k > 0) + 3 * (k > 4), y + first + step * row, 8, 8, 1)
        for row in range(3)
        for k, kind in enumerate(kinds)
    ]
    if not small:
        views = enumerate(("view 1", "view 2", "view S"))
        shapes += [text(x + 8, y + first - 5 + step * row, words, "detail") for row, words in views]
    names = (("camera", "camera token"), ("register", "registers"), ("patch", "patch tokens"))
    line = 17
    for row, (kind, words) in enumerate(names):
        base = y + height - 10 - line * (2 - row)
        shapes += [rectangle(kind, x + 8, base - 8, 8, 8, 1), text(x + 21, base, words, "detail")]
    return shapes


def arrow(x: float, y: float, to: float) -> str:
    """From left to right, with a head."""
    return f'<path class="line" d="M{x:g} {y:g}H{to:g}m-5 -4l5 4-5 4"/>'


def svg(lesson: str = "") -> str:
    """The map; with a lesson, the small one on which that lesson's part stands out."""
    small, boxes = bool(lesson), parts(bool(lesson))
    row = boxes[1]  # the tokens: as high as the network
    top, height = row.box[1], row.box[3]
    middle, bottom = top + height / 2, boxes[-1].box[1] + boxes[-1].box[3] + 10
    title = (
        f"{BOTH}: you are here, {NAMES[lesson]}" if small else "Map of VGGT, and of the lessons that build it"
    )
    shapes = [rectangle("ground", 0, 0, WIDTH, bottom, 8)]
    if small:
        shapes += [rectangle("here", 10, 9, 14, 14, 3)]
        shapes += [text(31, 20.5, f"You are here: lesson {lesson}, {NAMES[lesson]}", "title")]
    else:
        shapes += [rectangle("number", 10, top + height + 18, 20, 15, 7)]
        shapes += [text(20, top + height + 29.5, "05", "on-number", "middle")]
        shapes += [
            text(
                37,
                top + height + 30,
                "the lesson that builds a part; below, what surrounds the network",
                "detail",
            )
        ]
    for part in boxes:
        shapes += drawn(part, lesson)
    shapes += photographs(small, middle) + tokens(row, small)
    frame = boxes[2].box
    pairs = "× L" if small else "× L pairs of blocks"
    shapes += [text(frame[0] + frame[2] / 2, top + height - 7, pairs, "detail", "middle")]
    shapes += [arrow(94, middle, 110), arrow(226, middle, 242), arrow(356, middle, 368)]
    centres = [part.box[1] + part.box[3] / 2 for part in boxes[5:9]]
    shapes += [f'<path class="line" d="M508 {middle:g}H519M519 {centres[0]:g}V{centres[-1]:g}"/>']
    shapes += [arrow(519, y, 530) for y in centres]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:g}" width="{WIDTH}" '
        f'height="{bottom:g}" role="img" aria-labelledby="t d">\n<title id="t">{escape(title)}</title>\n'
        f'<desc id="d">{escape(DESCRIPTION)}</desc>\n<style>\n{style()}</style>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def style() -> str:
    """Light colours for every reader, dark ones for those who asked for them."""

    def colours(index: int) -> str:
        fills = "".join(f".{kind}{{fill:{pair[index]}}}" for kind, pair in FILLS.items())
        return fills + "".join(f".{kind}{{stroke:{pair[index]}}}" for kind, pair in STROKES.items())

    return (
        "text{font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px}\n"
        ".title{font-weight:600}.on-number{font-size:11px;font-weight:600}"
        f".line{{fill:none;stroke-width:1.5}}.here{{stroke-width:3}}\n{colours(0)}\n"
        f"@media(prefers-color-scheme:dark){{{colours(1)}}}\n"
    )


def files() -> dict[Path, str]:
    """Path → text of every drawing."""
    small = {FOLDER / f"network_{lesson}.svg": svg(lesson) for lesson in NAMES}
    return {FOLDER / "network.svg": svg(), **small}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for path, drawing in files().items():
        write_text(path, drawing)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
