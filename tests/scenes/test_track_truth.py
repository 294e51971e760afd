"""Tracks drawn from depth maps: the release's candidates and tests, and honest random draws."""

import pytest
import torch

from tests.geometry.cases import GOLDEN, assert_golden
from vggt_lite.data.tracks_release import (
    candidate_tracks,
    choose_positive,
    distance_to_epipolar_lines,
    draw_tracks,
    keep_usable,
)

SCENE = [GOLDEN[f"gttrack/{n}"] for n in ("depths", "world_points", "extrinsics", "intrinsics", "masks")]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_candidates_and_their_visibility_equal_the_release():
    tracks, visible = candidate_tracks(*SCENE, pixel_center=0.0)
    assert_golden(tracks, "gttrack/positive_tracks")
    assert torch.equal(visible, GOLDEN["gttrack/positive_vis"])
    assert torch.equal(keep_usable(visible), GOLDEN["gttrack/eligible_vis"])


def test_the_epipolar_test_of_negatives_equals_the_release():
    candidates = GOLDEN["gttrack/negative_candidates"]
    distance = distance_to_epipolar_lines(candidates, SCENE[2], SCENE[3])
    assert_golden(distance, "gttrack/sampson_sq")


def test_drawn_tracks_have_the_releases_shapes_and_are_candidates():
    tracks, visible, positive = draw_tracks(*SCENE, 64, 0, _generator(3), pixel_center=0.0)
    for got, name in ((tracks, "tracks"), (visible, "vis"), (positive, "positive")):
        assert got.shape == GOLDEN[f"gttrack/seed3_{name}"].shape
    candidates = GOLDEN["gttrack/positive_tracks"]
    got, known = (x.double().transpose(0, 1).flatten(1) for x in (tracks, candidates))
    nearest = torch.cdist(got, known).amin(1)
    assert nearest.max() < 1e-3
    assert visible[0].all()  # with plenty to choose from, none is unusable
    seen = visible.sum(0).float().mean()
    assert seen > GOLDEN["gttrack/eligible_vis"].sum(0).float().mean()  # and the better half is preferred


def test_the_same_seed_draws_the_same_tracks_and_another_seed_others():
    first, again, other = (draw_tracks(*SCENE, 32, 8, _generator(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_negatives_are_impossible_and_never_visible():
    tracks, visible, positive = draw_tracks(*SCENE, 16, 20, _generator())
    assert positive.sum() == 16 and not visible[:, ~positive].any()
    assert (distance_to_epipolar_lines(tracks[:, ~positive], SCENE[2], SCENE[3]) > 16).all()


def test_invisible_tracks_fill_up_only_when_usable_ones_run_out():
    visible = torch.zeros(3, 10, dtype=torch.bool)
    visible[:, :4] = True
    chosen = choose_positive(visible, 6, _generator())
    assert set(chosen[:4].tolist()) == {0, 1, 2, 3}
    assert len(set(chosen.tolist())) == 6


def test_impossible_wishes_are_refused():
    with pytest.raises(ValueError, match="view 0 has only 1092 valid pixels"):
        draw_tracks(*SCENE, 2000, 0, _generator())
    with pytest.raises(ValueError, match="num_negative=0"):
        draw_tracks(*(x[:1] for x in SCENE), 4, 4, _generator())
