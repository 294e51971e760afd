"""Patches and token colours: lines fall between patches, colours mean what the words say."""

import numpy as np
import pytest
import torch

from vggt_lite.viz import draw_patches, draw_tokens, filter_sheet, pca_colors
from vggt_lite.viz.patches import hatch, patch_lines


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


def test_lines_run_between_whole_patches_only():
    x, y = patch_lines(9, 12, 4)  # one row of pixels is left over
    assert {v for v in x if v is not None} == {0, 4, 8, 12}
    assert {v for v in y if v is not None} == {0, 4, 8}
    assert x[2::3] == y[2::3] == [None] * (4 + 3)


def test_padding_is_striped_and_the_photograph_untouched():
    picture = np.full((120, 120, 3), 255, np.uint8)
    mask = np.zeros((120, 120), bool)
    mask[:, :60] = True
    striped = hatch(picture, torch.tensor(mask))
    assert (striped[:, :60] == 255).all()
    assert 0.4 < (striped[:, 60:] == 117).mean() < 0.6
    assert (picture == 255).all()


def test_pictures_of_different_sizes_share_one_scale():
    figure = draw_patches([random(3, 16, 24), random(3, 32, 16)], 8, ["wide", "tall"])
    assert figure.layout.yaxis.range == figure.layout.yaxis2.range == (32, 0)
    wide, tall = (np.diff(axis.domain)[0] for axis in (figure.layout.xaxis, figure.layout.xaxis2))
    assert wide / tall == pytest.approx(24 / 16)


def test_like_tokens_get_like_colours_and_a_mean_added_to_all_changes_nothing():
    tokens = random(2, 4, 5, 16)
    tokens[1, 3, 4] = tokens[0, 0, 0]
    colors = pca_colors(torch.tensor(tokens))
    assert colors.shape == (2, 4, 5, 3) and colors.min() == 0 and colors.max() == 1
    np.testing.assert_allclose(colors[1, 3, 4], colors[0, 0, 0])
    again = pca_colors(tokens + 7.0, like=colors)
    np.testing.assert_allclose(again, colors, atol=0.05)


def test_colours_of_the_next_layer_do_not_jump_when_only_signs_differ():
    tokens = random(3, 40, 8) * [9, 7, 5, 1, 1, 1, 1, 1]
    colors = pca_colors(tokens)
    np.testing.assert_allclose(pca_colors(-tokens, like=colors), colors, atol=0.05)
    turned = pca_colors(tokens @ np.linalg.qr(random(8, 8))[0], like=colors)
    np.testing.assert_allclose(turned, colors, atol=0.05)


def test_a_row_of_tokens_for_each_name_and_a_square_for_each_token():
    rows = {"entry": random(2, 4, 6, 3), "norm": random(2, 4, 6, 3)}
    figure = draw_tokens(random(2, 3, 32, 48), rows)
    assert [np.shape(trace.z) for trace in figure.data if trace.z is not None] == 4 * [(4, 6, 3)]
    titles = [note.text for note in figure.layout.annotations]
    assert titles == ["view 1", "view 2", "picture", "entry", "norm"]


def test_filters_stand_row_by_row_and_zero_is_grey():
    filters = np.zeros((5, 3, 2, 2))
    filters[3, 0] = 2.0  # red
    sheet = filter_sheet(torch.tensor(filters), columns=3)
    assert sheet.shape == (4, 6, 3)
    assert (sheet[2:, :2] == [255, 128, 128]).all()
    assert (sheet[:2] == 128).all()
