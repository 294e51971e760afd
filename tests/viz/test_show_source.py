"""`viz.show_source` shows the file itself, so that a lesson never quotes code that has changed."""

import inspect

import pytest

from vggt_lite import viz
from vggt_lite.model import layers
from vggt_lite.viz.show_source import source_of


def test_the_source_shown_is_the_source():
    text, file = source_of(layers.Attention)
    assert file == "vggt_lite/model/layers.py"
    assert text == inspect.getsource(layers.Attention).rstrip()


def test_a_method_is_shown_without_its_indentation():
    assert source_of(layers.Attention.forward)[0].startswith("def forward(")


def test_a_notebook_gets_code_that_follows_its_theme_and_a_text_gets_the_same(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    viz.show_source(layers.Attention, layers.Attention.forward)
    assert len(shown) == 2
    assert "```python\nclass Attention" in shown[0]["text/markdown"]
    assert shown[0]["text/plain"].startswith("# vggt_lite/model/layers.py\nclass Attention")


@pytest.mark.parametrize("thing", [3, "Attention", len])
def test_what_has_no_source_is_told(thing):
    with pytest.raises(TypeError, match="there is no source"):
        viz.show_source(thing)
