"""Saving a lesson: a still beside every figure, payloads gone, and the whole small enough."""

import base64
import io
import os
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from tools import nb, stills

ALT = "A curve that rises."


def notebook(*bundles: dict) -> nbformat.NotebookNode:
    """One executed code cell that displayed these figures, each with its caption."""
    v4, outputs = nbformat.v4, []
    for bundle in bundles:
        outputs.append(v4.new_output("display_data", data={**bundle, "text/plain": ALT}))
        outputs.append(v4.new_output("display_data", data={"text/markdown": f"*{ALT}*", "text/plain": "<M>"}))
    return v4.new_notebook(cells=[v4.new_code_cell("show", execution_count=1, outputs=outputs)])


def noise(side: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8))


def payload(name: str = "a") -> dict:
    return {nb.PLOTLY: {"data": [{"name": name}], "layout": {}}}


def test_each_payload_becomes_a_picture_with_the_words_of_its_caption(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(stills, "draw", lambda figures: asked.extend(figures) or [noise(8), noise(9)])
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, **payload("b")}
    path = tmp_path / "lesson.ipynb"
    nb.save(notebook(payload("a"), widget), path)
    assert [figure["data"][0]["name"] for figure in asked] == ["a", "b"] and not nb.problems(path)
    figures = nbformat.read(path, as_version=4).cells[0].outputs[::2]
    for figure, side in zip(figures, (8, 9), strict=True):
        assert set(figure.data) == {"image/png", "text/plain"}
        assert figure.metadata["image/png"]["alt"] == ALT
        assert Image.open(io.BytesIO(base64.b64decode(figure.data["image/png"]))).size == (side, side)


def test_a_lesson_without_new_figures_is_saved_without_a_browser(tmp_path, monkeypatch):
    monkeypatch.setattr(stills, "CHROMIUM", None)
    kept = {"image/png": base64.b64encode(stills.as_pngs([noise(4)], 10_000)[0]).decode()}
    nb.save(notebook(kept), tmp_path / "lesson.ipynb")
    assert not nb.problems(tmp_path / "lesson.ipynb")


def test_without_a_browser_a_figure_is_not_thrown_away_silently(tmp_path, monkeypatch):
    monkeypatch.setattr(stills, "CHROMIUM", None)
    with pytest.raises(RuntimeError, match="no Chromium found.*CHROMIUM="):
        nb.save(notebook(payload()), tmp_path / "lesson.ipynb")
    assert not list(tmp_path.iterdir())


def test_a_figure_without_a_still_is_refused(tmp_path):
    path = tmp_path / "lesson.ipynb"
    path.write_text(nb.as_text(nb.clean(notebook(payload()))), encoding="utf-8")
    assert any("figure without a still" in problem for problem in nb.problems(path))


def test_pictures_share_the_room_and_the_largest_give_up_colours_first():
    pictures = [noise(16), noise(64)]
    small, large = stills.as_pngs(pictures, 10**6)
    room = len(small) + len(large) - 1
    same, fewer = stills.as_pngs(pictures, room)
    assert same == small and len(fewer) < len(large)
    assert len(fewer) + len(same) <= room
    assert stills.as_pngs(pictures, 0)  # no room at all: as few colours as there may be, and no endless loop


def test_alt_texts_survive_nbconvert_with_the_settings_that_set_up_installs(tmp_path):
    v4, settings = nbformat.v4, nb.ROOT / "jupyter_config"
    png = base64.b64encode(stills.as_pngs([noise(4)], 10_000)[0]).decode()
    alt = 'A "curve" <that> rises & falls.'
    still = v4.new_output("display_data", data={"image/png": png}, metadata={"image/png": {"alt": alt}})
    other = v4.new_output("display_data", data={"image/png": png})
    cell = v4.new_code_cell("show", execution_count=1, outputs=[still, other])
    path = tmp_path / "lesson.ipynb"
    nbformat.write(v4.new_notebook(cells=[cell]), path)
    env = {**os.environ, "JUPYTER_CONFIG_PATH": str(settings / "etc/jupyter")}
    env |= {"JUPYTER_PATH": str(settings / "share/jupyter"), "JUPYTER_CONFIG_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(path)]
    subprocess.run(command, env=env, check=True, capture_output=True)
    page = (tmp_path / "lesson.html").read_text(encoding="utf-8")
    pictures = BeautifulSoup(page, "html.parser").select("img")
    assert [picture["alt"] for picture in pictures] == [
        alt,
        "No description has been provided for this image",
    ]
