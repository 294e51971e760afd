"""Epipolar figures: the line passes through the true match, the controls move it."""

import pytest
import torch

from tests.viz.contrast import assert_readable
from vggt_lite.synthetic import generate_scenes
from vggt_lite.viz import Epipolar, EpipolarControls, draw_epipolar
from vggt_lite.viz.epipolar import line_ends


@pytest.fixture(scope="module")
def views() -> Epipolar:
    batch = generate_scenes(1_000_002, 1, 3, 24, 32).apply(lambda x: x[0])
    return Epipolar(batch.images, batch.cam_from_world, batch.intrinsics, batch.depth, numbers=[1, 4, 5])


def test_the_true_match_and_every_guess_lie_on_the_line(views):
    lines = views.lines(12.5, 14.5)
    for pixels in (views.match(12.5, 14.5)[0], views.at_depth(12.5, 14.5, 0.9)[0]):
        distance = (torch.nn.functional.pad(pixels[1:], (0, 1), value=1.0) * lines).sum(-1)
        assert distance.abs().max() < 1e-3
    torch.testing.assert_close(views.match(12.5, 14.5)[0][0], torch.tensor([12.5, 14.5]).double())
    title = draw_epipolar(views, 12.5, 14.5, match=True).layout.title.text
    assert "view 1" in title and float(title.split()[-2]) < 1e-3


def test_a_match_outside_the_picture_or_behind_something_is_not_seen(views):
    wrong = Epipolar(views.images, views.cam_from_world, views.intrinsics, views.depth.clone())
    assert views.match(12.5, 14.5)[1].tolist()[0]
    wrong.depth[1:] *= 0.5  # a curtain in front of everything
    assert views.match(12.5, 14.5)[1][1:].any() and not wrong.match(12.5, 14.5)[1][1:].any()


def test_a_line_is_drawn_across_the_picture_which_cuts_it_off(views):
    lines = torch.tensor([[0, 1, -10], [1, 0, -5], [0.6, -0.8, 0], [0, 1, -100.0]]).double()
    ends = torch.from_numpy(line_ends(lines, (24, 32)))
    distance = (ends * lines[:, None, :2]).sum(-1) + lines[:, None, 2]
    assert distance.abs().max() < 1e-9
    beyond = (ends < 0) | (ends > torch.tensor([32, 24]))
    assert beyond.any(-1).all()  # both ends lie outside
    figure = draw_epipolar(views, 12.5, 14.5)
    assert figure.layout.xaxis2.range == (0, 32) and figure.layout.yaxis2.range == (24, 0)


def test_without_truth_there_is_no_match_to_show(views):
    bare = Epipolar(views.images, views.cam_from_world, views.intrinsics)
    draw_epipolar(bare, 3.5, 4.5, guess=1.0)
    assert "match" not in EpipolarControls(bare, (3, 4)).sliders
    with pytest.raises(ValueError, match="depth"):
        draw_epipolar(bare, 3.5, 4.5, match=True)


def test_sliders_and_clicks_move_point_and_line(views):
    controls = EpipolarControls(views, (12, 14))
    lines = [trace for trace in controls.figure.data if trace.name == "epipolar line"]
    assert len(lines) == 2
    before = [tuple(line.y) for line in lines]
    controls.sliders["y"].value = 6.5
    assert [tuple(line.y) for line in lines] != before
    controls.sliders["match"].value = True
    assert "miss the lines" in controls.figure.layout.title.text

    class Click:
        xs, ys = [20.0], [9.0]

    controls._clicked(None, Click, None)
    assert (controls.values["x"], controls.values["y"]) == (20.5, 9.5)
    chosen = next(trace for trace in controls.figure.data if trace.name == "chosen point")
    assert (chosen.x[0], chosen.y[0]) == (20.5, 9.5)


def test_it_is_readable_in_light_and_dark(views):
    assert_readable(draw_epipolar(views, 12.5, 14.5))
