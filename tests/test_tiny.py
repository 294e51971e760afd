"""The bundled TINY is what its page says: its size, its scores, and views that are compared."""

import pytest
import torch

from vggt_lite import TINY, VGGT
from vggt_lite.config import VARIED_SCENES
from vggt_lite.evaluation import bundled_report, evaluate
from vggt_lite.geometry import rotation_angle
from vggt_lite.scenes import generate_scenes
from vggt_lite.weights import BUNDLED


@pytest.fixture(scope="module")
def tiny() -> VGGT:
    return VGGT.from_pretrained("tiny")


def test_it_has_the_published_sizes(tiny):
    assert (BUNDLED / "tiny.safetensors").stat().st_size <= 32_000_000
    assert tiny.config == TINY
    assert 8e6 <= sum(p.numel() for p in tiny.parameters()) <= 20e6


def test_on_held_out_scenes_it_scores_about_what_its_report_says(tiny):
    published = bundled_report("tiny")
    assert published.protocol["scene_config"]["photographic"] and published.protocol["num_scenes"] == 500
    report = evaluate(tiny, num_scenes=24, size=112, num_tracks=8, scene_config=VARIED_SCENES)
    for key, slack in (("auc_30", 12.0), ("depth_abs_rel", 0.05), ("rotation_median_deg", 2.5)):
        assert abs(report[key] - published[key]) < slack, key
    assert report["auc_30"] > 15 + report.constant["auc_30"]
    assert report["depth_abs_rel"] < 0.5 * report.constant["depth_abs_rel"]


def test_it_compares_views(tiny):
    """First views of other scenes in the place of theirs: nothing matches, and the turn is lost."""
    scenes = generate_scenes(1_000_600, 16, 2, 112, 112, config=VARIED_SCENES.with_(paths=("orbit",)))
    shuffled = scenes.images.clone()
    shuffled[:, 0] = shuffled[:, 0].roll(1, dims=0)
    first, second = (scenes.cam_from_world[:, k, :, :3] for k in (0, 1))
    with torch.inference_mode():
        errors = [
            rotation_angle(tiny(images).cam_from_world[:, 1, :, :3], second @ first.mT).rad2deg().median()
            for images in (scenes.images, shuffled)
        ]
    assert errors[0] < 0.6 * errors[1]
