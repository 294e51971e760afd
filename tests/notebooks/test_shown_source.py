"""What a lesson prints as the package's source is what the package holds today."""

import re

import pytest

from tests.notebooks.lesson import ROOT, lessons

SHOWN = re.compile(r"^`(vggt_lite/[\w/]+\.py)`\n\n```python\n(.*)\n```$", re.DOTALL)


def shown(lesson) -> list[tuple[str, str]]:
    """(file, text) of every piece of source in a lesson's saved outputs."""
    outputs = [output for cell in lesson.code for output in cell.outputs]
    texts = [output.get("data", {}).get("text/markdown", "") for output in outputs]
    return [found.groups() for found in map(SHOWN.match, texts) if found]


def unindented(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.number)
def test_printed_source_is_not_stale(lesson):
    pieces = shown(lesson)
    for file, text in pieces:
        source = unindented((ROOT / file).read_text(encoding="utf-8"))
        assert unindented(text) in source, f"{file} has changed: python tools/nb.py run {lesson.path.name}"


def test_lessons_do_print_source():
    assert sum(len(shown(lesson)) for lesson in lessons()) > 40
