"""One table in text, Markdown and HTML."""

import pytest
from markupsafe import Markup

from vggt_lite.utils.table import html_table, markdown_table, text_table

HEADS, ROWS = ("name", "value"), [("a", 1), ("longer", 20.5), ("", "–")]


def test_text_stands_in_columns_as_wide_as_their_widest_cell():
    assert text_table(HEADS, ROWS, "lr").splitlines() == [
        "name    value",
        "a           1",
        "longer   20.5",
        "            –",
    ]


def test_markdown_has_a_rule_that_aligns_and_pipes_end_no_cell():
    table = markdown_table(HEADS, [*ROWS, ("a|b\nc", "")], "lr")
    assert table.splitlines() == [
        "| name | value |",
        "|---|---:|",
        "| a | 1 |",
        "| longer | 20.5 |",
        "| | – |",
        "| a\\|b c | |",
    ]


def test_html_is_escaped_unless_it_is_markup():
    table = html_table(["<h>"], [["<b>"], [Markup("<b>bold</b>")]], "r", caption="a & b")
    assert table == (
        "<table><caption>a &amp; b</caption><thead><tr><th>&lt;h&gt;</th></tr></thead><tbody>"
        '<tr><td class="number">&lt;b&gt;</td></tr>'
        '<tr><td class="number"><b>bold</b></td></tr></tbody></table>'
    )
    assert html_table(HEADS, []).count("<tr>") == 1


@pytest.mark.parametrize("form", [text_table, html_table])
def test_a_row_with_a_cell_too_few_is_an_error(form):
    with pytest.raises(ValueError):
        form(HEADS, [["alone"]])
