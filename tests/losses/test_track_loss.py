"""The track loss: the release's draft, and the paper's form."""

import pytest
import torch

from tests.geometry.cases import GOLDEN, assert_golden
from vggt_lite.losses import track_loss


def test_values_and_gradients_equal_the_release():
    pred, visibility, confidence = (
        GOLDEN[f"loss/track_{name}"].clone().requires_grad_()
        for name in ("pred", "vis_logits", "conf_logits")
    )
    truth = (GOLDEN["loss/track_gt"], GOLDEN["loss/track_vis"])
    terms = track_loss(list(pred), visibility, confidence, *truth)
    for ours, official, leaf, gradient in (
        ("coordinates", "coords", pred, "dpred"),
        ("visibility", "vis", visibility, "dlogit"),
        ("confidence", "conf", confidence, "dlogit"),
    ):
        assert_golden(terms[ours], f"loss/track/{official}")
        assert_golden(torch.autograd.grad(terms[ours], leaf)[0], f"loss/track/{official}_{gradient}")


def _case(scenes: int = 2, views: int = 3, points: int = 8):
    g = torch.Generator().manual_seed(0)
    tracks = 60 * torch.rand(scenes, views, points, 2, generator=g)
    visible = torch.rand(scenes, views, points, generator=g) > 0.3
    logits = torch.randn(2, scenes, views, points, generator=g)
    return tracks, visible, logits[0], logits[1]


def test_the_papers_form_measures_distances_of_what_is_visible():
    tracks, visible, vis_logits, conf_logits = _case()
    offset = torch.tensor([3.0, 4.0])
    terms = track_loss([tracks + offset], vis_logits, conf_logits, tracks, visible, form="paper")
    torch.testing.assert_close(terms["coordinates"].item(), 5.0)
    assert set(terms) == {"coordinates", "visibility"}


@pytest.mark.parametrize("form", ["code", "paper"])
def test_tracks_not_visible_in_the_first_view_do_not_count_even_if_they_are_nan(form):
    tracks, visible, vis_logits, conf_logits = _case()
    pred = (tracks + 1).requires_grad_()
    before = track_loss([pred], vis_logits, conf_logits, tracks, visible, form)
    hidden = ~(visible & visible[:, :1])
    spoiled = tracks.masked_fill(hidden[..., None], float("nan"))
    terms = track_loss([pred], vis_logits, conf_logits, spoiled, visible, form)
    torch.testing.assert_close(terms["coordinates"], before["coordinates"])
    terms["coordinates"].backward()
    assert torch.isfinite(pred.grad).all() and not pred.grad[hidden].any()


def test_without_visible_tracks_everything_is_zero():
    tracks, visible, vis_logits, conf_logits = _case()
    terms = track_loss([tracks + 1], vis_logits, conf_logits, tracks, torch.zeros_like(visible))
    assert all(term == 0 for term in terms.values())
