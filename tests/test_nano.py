"""The bundled model is what its page says: small, ours, and able to relate views."""

import pytest
import torch

from vggt_lite import NANO, VGGT
from vggt_lite.config import SceneConfig
from vggt_lite.evaluation import bundled_report, evaluate
from vggt_lite.geometry import rotation_angle
from vggt_lite.scenes import generate_scenes
from vggt_lite.weights import BUNDLED


@pytest.fixture(scope="module")
def nano() -> VGGT:
    return VGGT.from_pretrained("nano")


def test_it_is_small_and_has_the_published_sizes(nano):
    assert (BUNDLED / "nano.safetensors").stat().st_size < 10_000_000
    assert nano.config == NANO
    assert 2e6 < sum(p.numel() for p in nano.parameters()) < 5e6


def test_on_held_out_scenes_it_scores_about_what_its_report_says(nano):
    report, published = evaluate(nano, num_scenes=40, num_tracks=16), bundled_report("nano")
    assert published.protocol["first_seed"] >= 1_000_000
    for key, slack in (("auc_30", 8.0), ("depth_abs_rel", 0.03), ("track_delta_px", 8.0)):
        assert abs(report[key] - published[key]) < slack, key
    assert report["auc_30"] > 30 + report.constant["auc_30"]
    assert report["depth_abs_rel"] < 0.6 * report.constant["depth_abs_rel"]


def test_it_knows_which_way_the_camera_turned(nano):
    """Not to be had from one view: it takes matches between views."""
    scenes = generate_scenes(1_000_300, 24, 2, 64, 64)
    shuffled = scenes.images.clone()
    shuffled[:, 0] = shuffled[:, 0].roll(1, dims=0)  # first views of other scenes: nothing matches
    first, second = (scenes.cam_from_world[:, k, :, :3] for k in (0, 1))
    true = second @ first.mT
    with torch.inference_mode():
        errors = [rotation_angle(nano(images).cam_from_world[:, 1, :, :3], true).rad2deg().median().item()
                  for images in (scenes.images, shuffled)]  # fmt: skip
    assert errors[0] < 8 < errors[1]


def test_the_same_pictures_give_the_same_numbers(nano):
    images = generate_scenes(1_000_001, 1, 3, 64, 64, config=SceneConfig()).images
    with torch.inference_mode():
        assert torch.equal(nano(images).depth, nano(images).depth)
