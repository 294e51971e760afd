"""A table in three forms: text for terminals, Markdown for pages on GitHub, HTML for notebooks and pages.

Each takes headings, rows of cells (anything that `str` makes text of) and the sides to which columns are
aligned: one letter a column, "l" or "r"; columns without a letter are aligned left.
"""

from collections.abc import Iterable, Sequence

from jinja2 import Environment
from markupsafe import Markup

Cells = Sequence[object]
HTML = Environment(autoescape=True).from_string(
    "<table>{% if caption %}<caption>{{ caption }}</caption>{% endif %}"
    "<thead><tr>{% for head in heads %}<th>{{ head }}</th>{% endfor %}</tr></thead><tbody>"
    "{% for line in lines %}<tr>{% for side, cell in line %}"
    "<td{% if side == 'r' %} class=\"number\"{% endif %}>{{ cell }}</td>"
    "{% endfor %}</tr>{% endfor %}</tbody></table>"
)


def text_table(heads: Cells, rows: Iterable[Cells], align: str = "") -> str:
    """Columns two spaces apart, each as wide as its widest cell."""
    lines = [[str(cell) for cell in line] for line in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides = [">" if side == "r" else "<" for side in align.ljust(len(heads), "l")]
    columns = list(zip(sides, widths, strict=True))
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, (side, width) in zip(line, columns, strict=True)).rstrip()
        for line in lines
    )


def markdown_table(heads: Cells, rows: Iterable[Cells], align: str = "") -> str:
    """A pipe table. Cells may hold Markdown; a "|" in one does not end it."""
    rule = "".join("---:|" if side == "r" else "---|" for side in align.ljust(len(heads), "l"))
    lines = []
    for line in (heads, *rows):
        cells = (" ".join(str(cell).split("\n")).replace("|", "\\|") for cell in line)
        lines.append("|" + "".join(f" {cell} |" if cell else " |" for cell in cells))
    return "\n".join([lines[0], f"|{rule}", *lines[1:]])


def html_table(heads: Cells, rows: Iterable[Cells], align: str = "", caption: str = "") -> Markup:
    """A <table>. Cells are escaped, unless they are `Markup`; right-aligned ones have the class "number"."""
    sides = align.ljust(len(heads), "l")
    lines = [list(zip(sides, row, strict=True)) for row in rows]
    return Markup(HTML.render(heads=heads, lines=lines, caption=caption))
