"""A perfect model gets full marks, a blind one the constant's, and a report says how it was made."""

import math
import re

import pytest
import torch

from tests.training.test_parts import SMALL
from vggt_lite.config import NANO, TINY, VGGT_1B, WIDE_SCENES, SceneConfig
from vggt_lite.data import normalize_scene
from vggt_lite.evaluation import Report, evaluate
from vggt_lite.evaluation.constant import ConstantPredictor, nearest_rotation
from vggt_lite.evaluation.metric_table import ROWS
from vggt_lite.evaluation.motion_correlation import (
    COMPONENTS,
    correlations,
    motion_components,
    rotation_vector,
)
from vggt_lite.evaluation.protocols import EVAL_DOMAINS, eval_domain, kind_of, predict
from vggt_lite.evaluation.scene_classes import PARALLAX, class_of
from vggt_lite.evaluation.scores import Scores
from vggt_lite.geometry import matrix_from_quat_xyzw
from vggt_lite.model import VGGT, Predictions
from vggt_lite.synthetic import generate_scenes

SIZE = 32
# What only reports on data sets and photographs hold
OF_DATA_SETS = {"auc_min_30", "rotation_deg", "translation_deg", "fov_deg"}
OF_DATA_SETS |= {key for key in ROWS if key.endswith(("accuracy_median", "completeness_median"))}


@pytest.fixture(scope="module")
def scenes():
    return generate_scenes(1_000_000, 12, 4, SIZE, SIZE, num_tracks=16)


def oracle(scenes, scale=1.0) -> Predictions:
    """What a perfect model says; a scale other than 1 must not cost it anything."""
    truth = normalize_scene(scenes)
    cameras = torch.cat([truth.cam_from_world[..., :3], scale * truth.cam_from_world[..., 3:]], -1)
    return Predictions(
        images=truth.images,
        cam_from_world=cameras,
        intrinsics=truth.intrinsics,
        depth=scale * truth.depth,
        point_map=scale * truth.point_map,
        tracks_list=[truth.tracks],
        track_visibility=truth.track_visibility.float(),
    )


def scored(pred, scenes) -> dict[str, float]:
    scores = Scores(thorough=True)
    scores.add(pred, scenes, patch_size=8)
    return scores.result()


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_a_perfect_model_gets_full_marks_at_any_scale(scenes, scale):
    found = scored(oracle(scenes, scale), scenes)
    for key in "auc_5 auc_30 rra_15 rta_15 depth_delta_125 track_delta track_aj track_oa".split():
        assert found[key] == pytest.approx(100, abs=0.5), key
    for key in "rotation_median_deg translation_median_deg fov_median_deg".split():
        assert found[key] == pytest.approx(0, abs=0.1), key
    for key in "depth_abs_rel point_error depth_point_error ate_rmse rpe_translation_rmse".split():
        assert found[key] == pytest.approx(0, abs=2e-3), key
    for key in "depth_f_score point_f_score".split():
        assert found[key] == pytest.approx(100), key
    for key in "depth_overall point_accuracy point_completeness depth_abs_rel_scale_shift".split():
        assert found[key] == pytest.approx(0, abs=2e-3), key
    as_it_is = found["depth_abs_rel_none"]  # the only figure that knows of the unit
    assert as_it_is == pytest.approx(scale - 1, abs=1e-3)
    for name in COMPONENTS:
        assert found[f"correlation_{name}"] == pytest.approx(1, abs=1e-3), name


def test_a_model_without_yaw_is_found_out_by_that_component_alone(scenes):
    pred = oracle(scenes)
    vector = rotation_vector(pred.cam_from_world[..., :3])
    noise = torch.randn(vector.shape[:2], generator=torch.Generator().manual_seed(0))
    vector[..., 1] = 0.3 * noise  # its yaw is a guess
    angle = vector.norm(dim=-1, keepdim=True)
    quaternion = torch.cat([torch.sin(angle / 2) * vector / angle.clamp(min=1e-9), torch.cos(angle / 2)], -1)
    center = -(pred.cam_from_world[..., :3].mT @ pred.cam_from_world[..., 3:])
    rotation = matrix_from_quat_xyzw(quaternion)
    pred.cam_from_world = torch.cat([rotation, -rotation @ center], dim=-1)
    found = scored(pred, scenes)
    assert abs(found["correlation_yaw"]) < 0.5
    assert found["correlation_pitch"] > 0.99 and found["correlation_sideways"] > 0.99
    assert found["auc_30"] < 60


def test_depth_that_is_wrong_by_a_tenth_scores_a_tenth(scenes):
    pred = oracle(scenes)
    pred.depth = pred.depth.clone()
    left = (torch.arange(SIZE) % 2 == 0).expand_as(pred.depth)
    pred.depth[left] *= 1.2
    found = scored(pred, scenes)
    assert found["depth_abs_rel"] == pytest.approx(0.1, abs=0.02)
    assert found["depth_abs_rel_none"] == pytest.approx(0.1, abs=1e-4)
    assert found["depth_delta_125_none"] == 100


def test_a_shift_of_depth_is_forgiven_only_by_the_alignments_that_shift(scenes):
    pred = oracle(scenes)
    pred.depth = 0.5 * pred.depth + 0.3
    found = scored(pred, scenes)
    for name in ("scale_shift", "scale_shift_l1"):
        assert found[f"depth_abs_rel_{name}"] < 1e-5 and found[f"depth_delta_125_{name}"] == 100
    assert min(found[f"depth_abs_rel{name}"] for name in ("", "_none", "_median_per_image", "_scale")) > 0.05


def test_the_last_camera_out_of_place_costs_the_path_and_a_cloud_beside_the_truth_its_f_score(scenes):
    pred = oracle(scenes)
    pred.cam_from_world = pred.cam_from_world.clone()
    pred.cam_from_world[:, -1, :, 3] += 0.5
    pred.point_map = pred.point_map + 0.2 * torch.randn(
        pred.point_map.shape, generator=torch.Generator().manual_seed(0)
    )
    found = scored(pred, scenes)
    assert found["ate_rmse"] > 0.01 and found["rpe_rotation_rmse_deg"] < 0.1 < found["rpe_translation_rmse"]
    assert found["point_f_score"] < 80 and found["point_overall"] > 0.03


def test_what_is_watched_during_a_training_leaves_out_the_slow_figures(scenes):
    scores = Scores()
    scores.add(oracle(scenes), scenes, patch_size=8)
    assert not any("f_score" in key or "scale" in key for key in scores.result())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"num_views": 1}, "--views"), ({"size": 60}, r"size=60.* 56 and 64"), ({"num_scenes": 0}, "--scenes")],
)
def test_impossible_requests_are_refused_before_anything_is_computed(arguments, said):
    with pytest.raises(ValueError, match=said):
        evaluate(VGGT(SMALL), **arguments)


def test_a_model_is_at_home_where_its_size_says_whatever_its_file_is_called():
    assert eval_domain(NANO) == eval_domain(NANO.with_(image_size=48)) == "nano"
    assert eval_domain(TINY) == eval_domain(TINY.with_(dense_dim=16)) == eval_domain(VGGT_1B) == "tiny"
    assert (
        kind_of(EVAL_DOMAINS["tiny"][0]) == "TINY's kind"
        and kind_of(SceneConfig(walls="landmark")) != "NANO's kind"
    )


def test_a_step_up_is_height_whatever_way_the_camera_looks():
    pitch_down = rotation_x(0.5)
    cam_from_world = torch.eye(3, 4).repeat(1, 2, 1, 1)
    up_in_first = pitch_down @ torch.tensor([0.0, -1.0, 0.0])
    cam_from_world[0, 1, :, 3] = -0.7 * up_in_first  # the centre moved 0.7 up
    moved = motion_components(cam_from_world, up_in_first[None])[0, 0]
    assert moved[COMPONENTS.index("height")] == pytest.approx(0.7)
    assert moved[COMPONENTS.index("sideways")] == pytest.approx(0.0)


def rotation_x(angle: float) -> torch.Tensor:
    half = torch.tensor(angle / 2)
    return matrix_from_quat_xyzw(torch.stack([half.sin(), half * 0, half * 0, half.cos()]))


def test_the_rotation_vector_is_axis_times_angle():
    assert torch.allclose(rotation_vector(rotation_x(-0.8)), torch.tensor([-0.8, 0.0, 0.0]), atol=1e-6)
    assert torch.equal(rotation_vector(torch.eye(3)), torch.zeros(3))


def test_a_constant_correlates_with_nothing():
    truth = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    assert set(correlations(torch.ones(50, 7), truth).values()) == {0.0}
    assert correlations(3 * truth + 1, truth)["yaw"] == pytest.approx(1.0)
    assert correlations(-truth, truth)["height"] == pytest.approx(-1.0)


def test_the_nearest_rotation_is_a_rotation_and_keeps_rotations():
    noisy = torch.randn(20, 3, 3, generator=torch.Generator().manual_seed(0))
    near = nearest_rotation(noisy)
    torch.testing.assert_close(near @ near.mT, torch.eye(3).expand(20, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(near), torch.ones(20))
    torch.testing.assert_close(nearest_rotation(near), near, atol=1e-5, rtol=0)


def test_the_constant_says_the_same_whatever_it_sees(scenes):
    constant = ConstantPredictor(SceneConfig(), 4, SIZE, num_scenes=8)
    said = predict(constant, scenes)
    assert said.depth.shape == scenes.depth.shape
    assert torch.equal(said.depth[0], said.depth[5])
    assert torch.equal(said.tracks[:, 3], scenes.tracks[:, 0])
    torch.testing.assert_close(said.cam_from_world[0, 0], torch.eye(3, 4), atol=1e-5, rtol=0)


def test_a_report_of_a_real_network_survives_json_and_does_not_depend_on_the_batch(tmp_path):
    torch.manual_seed(0)
    model = VGGT(SMALL)
    options = {"num_scenes": 3, "num_views": 3, "size": 64, "num_tracks": 8}
    report = evaluate(model, batch_size=2, **options)
    assert set(report.model) == ROWS.keys() - OF_DATA_SETS
    assert set(report.constant) == ROWS.keys() - OF_DATA_SETS - {"matching_accuracy"}
    whole = evaluate(model, batch_size=3, **options)
    for key in report.model:  # of 24 tracks one may lie on a threshold, and rounding then decides
        assert report[key] == pytest.approx(whole[key], rel=1e-3, abs=5 if "track_" in key else 1e-3), key
    assert report.protocol["batch_size"] == 2 and "of NANO's kind" in report.protocol["text"]

    loaded = Report.load(report.save(tmp_path / "report.json"))
    assert loaded.to_markdown() == report.to_markdown()
    assert loaded.protocol["first_seed"] == 1_000_000 and loaded.protocol["hardware"]
    assert "| pose AUC@30 | ↑ |" in loaded.to_markdown() and "| as it is | " in loaded.to_markdown()


def test_heads_that_a_model_lacks_are_left_out():
    report = evaluate(VGGT(SMALL.with_(heads=("depth",))), num_scenes=2, num_views=2, num_tracks=4)
    assert {"depth_abs_rel", "matching_accuracy"} <= set(report.model)
    assert not any(key.startswith(("auc", "track", "point")) for key in report.model)
    assert "–" in report.to_markdown()


def test_a_report_on_wide_scenes_has_tables_by_place_and_path():
    model = VGGT(NANO.with_(heads=("camera",)))
    report = evaluate(model, 8, num_views=2, size=32, scene_config=WIDE_SCENES, num_tracks=4)
    kinds = [(scene["place"], scene["path"]) for scene in report.scenes]
    text = report.to_markdown()
    assert all(f"| {name} |" in text for pair in kinds for name in pair)
    assert report.groups("path")[kinds[0][1]]["auc_30"] == pytest.approx(
        sum(s["model"]["auc_30"] for s in report.scenes if s["path"] == kinds[0][1])
        / sum(s["path"] == kinds[0][1] for s in report.scenes)
    )
    assert list(report.groups()) == [""]  # one group: means are over scenes


def test_tables_by_parallax_and_overlap_run_from_low_to_high():
    model = VGGT(NANO.with_(heads=("camera",)))
    report = evaluate(model, 24, num_views=2, size=32, scene_config=WIDE_SCENES, num_tracks=4)
    for what in ("parallax", "overlap"):
        classes = list(report.groups(what))
        lowest = [int(re.match(r"\d+", name)[0]) for name in classes]
        assert len(classes) > 1 and lowest == sorted(lowest)
        assert sum(len(group.scenes) for group in report.groups(what).values()) == 24
        assert f"| {what} | scenes |" in report.to_markdown()


@pytest.mark.parametrize(
    "percent, name",
    [(0.0, "0–2 %"), (1.99, "0–2 %"), (2.0, "2–5 %"), (80.0, "10 % and more"), (math.nan, "nothing shared")],
)
def test_classes_of_a_percentage(percent, name):
    assert class_of(percent, PARALLAX) == name
