"""The two measured examples of the demo: units, baselines, and a verdict that follows the numbers."""

import numpy as np
import pytest
import torch

from vggt_lite.data import normalize_scene
from vggt_lite.evaluation.examples import (
    ALIGNED,
    Example,
    compared,
    held_out_scene,
    motorcycle_truth,
    scaled,
    usual,
    verdict,
)
from vggt_lite.evaluation.report import Report
from vggt_lite.inference import Reconstruction
from vggt_lite.synthetic import generate_scenes


@pytest.fixture(scope="module")
def truth() -> Reconstruction:
    return Reconstruction.from_batch(normalize_scene(generate_scenes(1_000_000, 1, 4, 32, 32)))


def test_a_perfect_answer_in_another_unit_scores_zero_and_comes_back_in_the_truths_unit(truth):
    example = compared(scaled(truth, 7.0), truth, "metres")
    assert example.metrics[ALIGNED]["model"] < 1e-4 < example.metrics[ALIGNED]["constant depth"]
    torch.testing.assert_close(example.reconstruction.depth, truth.depth)
    torch.testing.assert_close(example.reconstruction.cam_from_world, truth.cam_from_world)
    assert example.depth_error().nanmean() < 1e-4


def test_error_maps_average_to_the_printed_figure(truth):
    generator = torch.Generator().manual_seed(0)
    guess = scaled(truth, 1.0)
    guess.depth = guess.depth * (1 + 0.2 * torch.rand(truth.depth.shape, generator=generator))
    example = compared(guess, truth, "scene units")
    assert abs(example.depth_error().nanmean().item() - example.metrics[ALIGNED]["model"]) < 1e-3


@pytest.mark.parametrize(("model", "said"), [(0.1, "50 % better"), (0.3, "50 % worse"), (0.201, "no better")])
def test_the_verdict_says_what_the_numbers_say(truth, model, said):
    text = verdict(Example(truth, truth, {ALIGNED: {"model": model, "constant depth": 0.2}}, "metres"))
    assert said in text and "trained on photographs" in text


def test_beside_one_scene_stand_the_mean_and_what_nine_of_ten_score():
    figures = [{"auc_30": k, "rotation_median_deg": 1.0, "depth_abs_rel": k / 100} for k in range(101)]
    scenes = [{"name": str(k), "group": "", "model": f, "constant": {}} for k, f in enumerate(figures)]
    text = usual(Report.of_scenes(scenes, {}, {}))
    assert "over 101 such scenes: pose AUC@30 50.0" in text and "AbsRel 0.500" in text
    assert "nine scenes of ten: pose AUC@30 5 to 95, depth AbsRel 0.050 to 0.950" in text


def test_seeds_of_training_scenes_are_refused():
    with pytest.raises(ValueError, match="1000000"):
        held_out_scene(None, seed=5)


def test_in_the_notebooks_scene_the_camera_walks_to_the_right():
    """Notebook 00 asks the reader to see this in the pictures."""
    scene = normalize_scene(generate_scenes(1_000_000, 1, 4, 64, 64))
    cameras = scene.cam_from_world[0]
    centers = -(cameras[:, :, :3].mT @ cameras[:, :, 3:])[:, 0, 0]  # x: to the right of camera 1
    assert (centers.diff() > 0).all()


def test_the_motorcycles_truth_matches_its_photographs():
    """A point of the left photograph, carried by depth and cameras, lands on the same colours right."""
    pytest.importorskip("skimage")
    left, right, truth = motorcycle_truth()
    assert truth.depth[0].shape == left.shape[:2] and not truth.valid[1].any()
    depth = truth.depth[0][truth.valid[0]]
    assert 1.5 < depth.min() < depth.max() < 10  # metres: a workshop
    height, width = left.shape[:2]
    v, u = np.nonzero(truth.valid[0].numpy())
    world = truth.point_map[0].numpy()[v, u]
    in_right = world @ truth.cam_from_world[1, :, :3].numpy().T + truth.cam_from_world[1, :, 3].numpy()
    pixels = in_right @ truth.intrinsics[1].numpy().T
    x, y = (pixels[:, :2] / pixels[:, 2:]).T
    np.testing.assert_allclose(y, v + 0.5, atol=1e-2)  # rectified: the same row
    inside = (x > 0) & (x < width)
    carried = right[v[inside], x[inside].astype(int)].astype(float)
    stayed = right[v[inside], u[inside]].astype(float)
    wanted = left[v[inside], u[inside]].astype(float)
    assert np.abs(carried - wanted).mean() < 0.5 * np.abs(stayed - wanted).mean()
