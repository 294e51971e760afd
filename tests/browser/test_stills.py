"""Stills: as large as the live figure, as clear, with soft text, and drawn without a network."""

import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from tools import nb, stills

LETTERS = {
    "data": [{"type": "scatter", "x": [0, 1], "y": [0, 1], "line": {"color": "#0072B2", "width": 3}}],
    "layout": {
        "width": 320, "height": 240, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "#757575"}, "title": {"text": "A title"}, "margin": {"t": 60},
    },
}  # fmt: skip
CLOUD = {
    "data": [{"type": "scatter3d", "mode": "markers", "x": [0, 1, 2], "y": [0, 1, 0], "z": [0, 1, 1],
              "marker": {"color": ["#D55E00", "#009E73", "#0072B2"], "size": 40}}],
    "layout": {"paper_bgcolor": "rgba(0,0,0,0)", "height": 300},
}  # fmt: skip
CELL = """import json
from vggt_lite import viz
from vggt_lite.inference import Reconstruction
from vggt_lite.synthetic import generate_scenes

def draw(k):
    return viz.draw_bars({"bar": {"piece": k}}, "unit").update_layout(width=300 + k)

viz.show(draw(1), alt="One bar.")
viz.show_with_sliders(draw, {"k": [1, 2, 3]}, start={"k": 2}, alt="A bar to change.")
scene = Reconstruction.from_batch(generate_scenes(1_000_000, 1, 2, 24, 24))
viz.show_reconstruction(scene, alt="A room.")
view = scene.colors[0]
board = viz.Dashboard(lambda: [{"step": 1, "a": 1.0}, {"step": 2, "a": 0.5}], {"loss": ["a"]}, alt="A loss.")
board.update(view, scene.depth[0], scene.depth[0])
board.finish()"""


@pytest.fixture(scope="module")
def pictures():
    if reason := stills.missing():
        pytest.fail(reason)
    return [np.asarray(picture.convert("RGBA")) for picture in stills.draw([LETTERS, CLOUD])]


def test_a_still_has_the_size_of_the_live_figure(pictures):
    assert pictures[0].shape == (240, 320, 4)
    assert pictures[1].shape == (300, stills.WIDTH, 4)


def test_the_ground_is_clear_and_text_has_soft_edges_of_its_own_grey(pictures):
    title = pictures[0][:45].reshape(-1, 4)
    assert (title[:, 3] == 0).mean() > 0.8
    ink = title[title[:, 3] > 0]
    assert len(np.unique(ink[:, 3])) > 10
    assert np.abs(ink[ink[:, 3] > 200][:, :3].astype(int) - 0x75).max() < 8


def test_points_in_space_are_drawn_without_a_graphics_card(pictures):
    for color in ((0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73), (0x00, 0x72, 0xB2)):
        assert (np.abs(pictures[1][..., :3].astype(int) - color).sum(-1) < 60).sum() > 100


def test_a_lesson_that_was_run_is_saved_with_a_still_of_every_kind_of_figure(tmp_path):
    lesson = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    path = tmp_path / "lesson.ipynb"
    nb.save(nb.execute(lesson, {"VGGT_LITE_QUIET": "1"}), path)
    assert not nb.problems(path)
    outputs = nbformat.read(path, as_version=4).cells[0].outputs
    stills_of = {out.data["text/plain"]: out.data["image/png"] for out in outputs if "image/png" in out.data}
    assert list(stills_of) == ["One bar.", "A bar to change.", "A room.", "A loss."]
    widths = [Image.open(io.BytesIO(nb.base64.b64decode(png))).width for png in stills_of.values()]
    assert widths == [301, 302, stills.WIDTH, 760]
