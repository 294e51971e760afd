"""The bundled TINY is what its page says: its size, its scores, and views that are compared."""

import pytest
import torch

from tests.evaluation.recomputed import TINY_REL, check_means, check_scenes
from vggt_lite import TINY, VGGT
from vggt_lite.config import VARIED_SCENES, SceneConfig
from vggt_lite.evaluation import bundled_report
from vggt_lite.evaluation.protocols import collect, held_out_scenes
from vggt_lite.evaluation.scores import Scores
from vggt_lite.geometry import rotation_angle
from vggt_lite.pretrained.loading import BUNDLED
from vggt_lite.synthetic import generate_scenes
from vggt_lite.synthetic.generate import FIRST_EVALUATION_SEED


@pytest.fixture(scope="module")
def tiny() -> VGGT:
    return VGGT.from_pretrained("tiny")


def test_it_has_the_published_sizes(tiny):
    assert (BUNDLED / "tiny.safetensors").stat().st_size <= 32_000_000
    assert tiny.config == TINY
    assert 8e6 <= sum(p.numel() for p in tiny.parameters()) <= 20e6


def test_its_report_is_of_500_scenes_of_its_own_world_kept_out_of_training():
    published = bundled_report("tiny")
    assert published.protocol["scene_config"]["photographic"] and published.protocol["num_scenes"] == 500
    assert published.protocol["first_seed"] == FIRST_EVALUATION_SEED and len(published.scenes) == 500
    check_means(published)


@pytest.fixture(scope="module")
def found(tiny) -> list[dict[str, float]]:
    """Its figures of the first scenes of its report, computed now."""
    made = bundled_report("tiny").protocol
    scenes = held_out_scenes(
        20, made["first_seed"], made["num_views"], made["size"], SceneConfig.from_dict(made["scene_config"]),
        made["num_tracks"], made["batch_size"], "cpu",
    )  # fmt: skip
    scores = {"model": Scores(thorough=True, icp_distance=made["icp"])}
    return collect({"model": tiny}, scenes, tiny.config.patch_size, scores)["model"].scenes


@pytest.mark.numeric
def test_the_first_scenes_of_its_report_come_out_again(found):
    check_scenes(bundled_report("tiny"), found, TINY_REL)


@pytest.mark.numeric
def test_it_is_far_better_than_an_answer_that_does_not_look(found):
    constant = [scene["constant"] for scene in bundled_report("tiny").scenes]
    auc, depth = (
        [sum(scene[key] for scene in scenes[: len(found)]) / len(found) for scenes in (found, constant)]
        for key in ("auc_30", "depth_abs_rel")
    )
    assert auc[0] > 15 + auc[1] and depth[0] < 0.5 * depth[1]


@pytest.mark.numeric
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
