"""The bundled model is what its page says: small, ours, and able to relate views."""

import pytest
import torch

from tests.evaluation.recomputed import NANO_REL, check_means, check_scenes
from vggt_lite import NANO, VGGT
from vggt_lite.config import SceneConfig
from vggt_lite.evaluation import Report, bundled_report, evaluate
from vggt_lite.geometry import rotation_angle
from vggt_lite.pretrained.loading import BUNDLED
from vggt_lite.synthetic import generate_scenes
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED


@pytest.fixture(scope="module")
def nano() -> VGGT:
    return VGGT.from_pretrained("nano")


def test_it_is_small_and_has_the_published_sizes(nano):
    assert (BUNDLED / "nano.safetensors").stat().st_size < 10_000_000
    assert nano.config == NANO
    assert 2e6 < sum(p.numel() for p in nano.parameters()) < 5e6


def test_its_report_is_of_200_scenes_kept_out_of_training():
    published = bundled_report("nano")
    assert published.protocol["first_seed"] == FIRST_EVALUATION_SEED
    assert len(published.scenes) == published.protocol["num_scenes"] == 200
    check_means(published)


@pytest.fixture(scope="module")
def found(nano) -> Report:
    """The report of the first scenes of its report, computed now."""
    made = bundled_report("nano").protocol
    return evaluate(
        nano, 10, made["first_seed"], made["num_views"], made["size"],
        SceneConfig.from_dict(made["scene_config"]), made["num_tracks"], batch_size=4,
        icp_distance=made["icp"],
    )  # fmt: skip


@pytest.mark.numeric
@pytest.mark.parametrize("who", ["model", "constant"])
def test_the_first_scenes_of_its_report_come_out_again(found, who):
    check_scenes(bundled_report("nano"), [scene[who] for scene in found.scenes], NANO_REL, who)


@pytest.mark.numeric
def test_it_is_far_better_than_an_answer_that_does_not_look(found):
    assert found["auc_30"] > 30 + found.constant["auc_30"]
    assert found["depth_abs_rel"] < 0.6 * found.constant["depth_abs_rel"]


@pytest.mark.numeric
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
