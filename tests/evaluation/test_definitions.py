"""What protocols add to the metrics: both AUCs, every alignment, surfaces, ICP, query modes; by hand."""

import math

import numpy as np
import pytest
import torch

from tests.metrics.test_pose_metrics import turned
from vggt_lite.metrics import (
    accuracy_curve,
    bootstrap_interval,
    choose_queries,
    depth_metrics,
    group_mean,
    map_normals,
    point_metrics,
    pose_scores,
    surface_metrics,
    track_metrics,
)
from vggt_lite.metrics.depths import ALIGNMENTS, least_absolute_line
from vggt_lite.metrics.neighbors import icp, nearest, voxel_downsample


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_papers_auc_takes_the_smaller_accuracy_and_the_codes_auc_the_larger_error():
    rotation, translation = torch.tensor([0.5, 9.0]), torch.tensor([9.0, 0.5])  # good once each
    scores = pose_scores(rotation, translation, thresholds=(5, 10))
    assert scores["rra@5"] == scores["rta@5"] == 0.5
    assert scores["auc@5"] == 0 and scores["auc_min@5"] == 0.5  # no pair is good, each half is
    assert scores["auc@10"] == pytest.approx(0.1)  # at 10° only
    assert scores["auc_min@10"] == pytest.approx((9 * 0.5 + 1) / 10)
    assert accuracy_curve(rotation, 10).tolist() == [0.5] * 9 + [1]
    better_turned = pose_scores(torch.tensor([0.5, 0.5]), translation, thresholds=(5,))
    assert better_turned["rra@5"] == 1 and better_turned["auc_min@5"] == better_turned["auc@5"] == 0.5


def test_the_papers_auc_is_never_below_the_codes():
    for seed in range(20):
        scores = pose_scores(*random(2, 45, seed=seed).abs() * 10)
        assert all(scores[f"auc@{t}"] <= scores[f"auc_min@{t}"] for t in (3, 5, 15, 30))


def test_each_image_gets_its_own_median_only_where_that_is_asked():
    true = torch.tensor([[[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]]])  # (2, 1, 3)
    pred = torch.stack([true[0] * 2, true[1] * 5])
    valid = torch.ones_like(true, dtype=torch.bool)
    assert depth_metrics(pred, true, valid, "median_per_image")["abs_rel"] == pytest.approx(0)
    assert depth_metrics(pred, true, valid, "median")["abs_rel"] > 0.2
    valid[1] = False  # an image without truth is left out
    assert depth_metrics(pred, true, valid, "median_per_image")["abs_rel"] == pytest.approx(0)


def test_the_line_of_least_absolute_error_is_that_of_the_best_two_points():
    for seed in range(5):
        x, y = random(2, 15, seed=seed)
        pairs = [(i, j) for i in range(15) for j in range(i)]  # the best line leads through two of the points
        scales = torch.stack([(y[i] - y[j]) / (x[i] - x[j]) for i, j in pairs])
        shifts = torch.stack([y[i] for i, _ in pairs]) - scales * torch.stack([x[i] for i, _ in pairs])
        best = (scales[:, None] * x + shifts[:, None] - y).abs().sum(1).min()
        scale, shift = least_absolute_line(x, y)
        assert (scale * x + shift - y).abs().sum().item() == pytest.approx(best.item())


def test_outliers_bend_least_squares_but_not_least_absolute_error():
    true = torch.linspace(1, 5, 200)
    pred = (true - 0.5) / 2
    true[90:110] = 60.0
    valid = torch.ones_like(true, dtype=torch.bool)
    kept = {a: depth_metrics(pred, true, valid, a)["delta_1.25"] for a in ("scale_shift", "scale_shift_l1")}
    assert kept["scale_shift_l1"] == pytest.approx(0.9) and kept["scale_shift"] < 0.7


def test_a_constant_prediction_becomes_the_median():
    true, pred = torch.tensor([1.0, 2.0, 9.0]), torch.ones(3)
    scores = depth_metrics(pred, true, torch.ones(3, dtype=torch.bool), "scale_shift_l1")
    assert scores["abs_rel"] == pytest.approx((1 + 0 + 7 / 9) / 3)


def test_what_is_farther_than_max_depth_does_not_count_and_logarithms_stay_finite():
    true, pred = torch.tensor([1.0, 10.0, 100.0]), torch.tensor([2.0, 10.0, 0.0])
    valid = torch.ones(3, dtype=torch.bool)
    near = depth_metrics(pred, true, valid, "none", max_depth=70)
    assert near["abs_rel"] == pytest.approx(0.5)
    assert near["log_rmse"] == pytest.approx(math.log(2) / math.sqrt(2))
    far = depth_metrics(pred, true, valid, "none")
    assert far["log_rmse"] == pytest.approx(math.sqrt((math.log(2) ** 2 + math.log(1e7) ** 2) / 3), rel=1e-5)
    with pytest.raises(ValueError, match="max_depth"):
        depth_metrics(pred, true, valid, "none", max_depth=0.5)


def test_more_freedom_never_raises_the_error_that_is_minimised():
    pred, true = random(2, 400).abs() + 0.5
    valid = torch.ones(400, dtype=torch.bool)
    rmse = {a: depth_metrics(pred, true, valid, a)["rmse"] for a in ALIGNMENTS if a != "median_per_image"}
    assert rmse["scale_shift"] == min(rmse.values())


def test_means_and_medians_look_both_ways_and_far_points_can_be_dropped():
    true = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    pred = torch.tensor([[0.0, 0, 0.1], [1, 0, 0.1], [2, 0, 0.1], [3, 0, 40]])
    scores = surface_metrics(pred, true, threshold=0.2, max_distance=20)
    assert scores["accuracy"] == scores["accuracy_median"] == pytest.approx(0.1)  # the far one is dropped
    assert scores["completeness"] == pytest.approx((0.3 + math.sqrt(1.01)) / 4)
    assert scores["completeness_median"] == pytest.approx(0.1)
    assert scores["precision"] == scores["recall"] == 0.75 == scores["f_score"]  # it still counts here
    all_of_it = surface_metrics(pred, true, threshold=0.2)
    assert all_of_it["accuracy"] == pytest.approx((0.3 + 40) / 4)
    assert math.isnan(surface_metrics(pred + 100, true, max_distance=1)["accuracy"])


def test_normals_are_compared_up_to_their_sign_with_those_of_the_nearest_point():
    flat = torch.tensor([[0.0, 0, 0], [5, 0, 0]])
    up, tilted = torch.tensor([0.0, 0, 1]), torch.tensor([0.0, 0.6, 0.8])
    pair = (torch.stack([-up, tilted]), torch.stack([up, up]))
    scores = surface_metrics(flat + 0.1, flat, normals=pair)
    assert scores["normal_consistency"] == pytest.approx((1 + 0.8) / 2)
    with pytest.raises(ValueError, match="voxel= or normals="):
        surface_metrics(flat, flat, voxel=1, normals=pair)


def test_normals_of_a_slanted_plane_are_those_of_the_plane():
    v, u = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    points = torch.stack([u, v, 0.75 * u], dim=-1)[None]
    valid = torch.ones(1, 6, 8, dtype=torch.bool)
    valid[0, 2, 3] = False
    normals, known = map_normals(points, valid)
    assert not known[0, 2, 3] and known.sum() == 47
    cosine = (normals[known] * torch.tensor([0.6, 0.0, -0.8])).sum(-1).abs()
    torch.testing.assert_close(cosine, torch.ones(47))


def test_a_thinned_cloud_has_one_point_per_cube():
    points = torch.tensor([[0.01, 0, 0], [0.03, 0, 0], [0.25, 0, 0], [-0.01, 0, 0]])
    thin = voxel_downsample(points, 0.2)
    assert sorted(round(x, 4) for x in thin[:, 0].tolist()) == [-0.01, 0.02, 0.25]
    with pytest.raises(ValueError, match="positive"):
        voxel_downsample(points, 0)


def test_the_nearest_point_is_that_of_the_smallest_of_all_distances():
    points, cloud = random(200, 3), random(300, 3, seed=1)
    distance, index = torch.cdist(points, cloud, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
    torch.testing.assert_close(nearest(points, cloud), (distance, index))
    assert [len(found) for found in nearest(points[:0], cloud)] == [0, 0]
    with pytest.raises(ValueError, match="empty cloud"):
        nearest(points, cloud[:0])


def test_icp_undoes_a_small_motion_without_knowing_which_point_is_which():
    cloud = random(400, 3)
    rotation, shift = turned(4.0).double(), torch.tensor([0.05, -0.02, 0.03], dtype=torch.float64)
    moved = (cloud @ rotation.mT + shift)[torch.randperm(400, generator=torch.Generator().manual_seed(0))]
    motion = icp(moved, cloud, max_distance=0.5, iterations=60)
    assert nearest(motion.apply(moved), cloud)[0].max() < 1e-6
    torch.testing.assert_close(motion.rotation, rotation.mT, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="0 of 400"):
        icp(cloud + 100, cloud, max_distance=0.1)


def test_icp_after_the_alignment_forgives_wrong_correspondences():
    true = random(400, 3)
    pred, valid = true.clone(), torch.ones(400, dtype=torch.bool)
    pred[:60] = true[:60].roll(1, dims=0)  # the same points in another order
    plain = point_metrics(pred, true, valid, "rigid", num_samples=None)
    refined = point_metrics(pred, true, valid, "rigid", num_samples=None, icp_distance=0.5)
    assert refined["chamfer"] < 1e-6 < 1e-3 < plain["chamfer"]
    assert refined["mean_distance"] == plain["mean_distance"]  # per pixel, before ICP


def test_strided_queries_ask_for_every_visible_track_every_five_views_and_judge_both_directions():
    visible = torch.ones(7, 2, dtype=torch.bool)
    visible[:3, 1] = False
    assert [x.tolist() for x in choose_queries(visible)] == [[0, 1], [0, 3]]
    track, view = choose_queries(visible, "strided")
    assert (track.tolist(), view.tolist()) == ([0, 0, 1], [0, 5, 5])

    true = torch.zeros(7, 1, 2)
    pred = true.clone()
    pred[0, 0, 0] = 3.0  # wrong before the query at view 2, by three pixels
    seen = torch.ones(7, 1, dtype=torch.bool)
    asked = torch.tensor([2])
    first = track_metrics(pred, seen, true, seen, (256, 256), asked)
    both = track_metrics(pred, seen, true, seen, (256, 256), asked, "strided")
    assert first["delta_avg"] == 1 and both["delta@2"] == pytest.approx(5 / 6) and both["delta@4"] == 1
    assert both["average_jaccard"] == pytest.approx((2 * 5 / 7 + 3) / 5)
    with pytest.raises(ValueError, match="strided"):
        track_metrics(pred, seen, true, seen, (256, 256), asked, "last")
    with pytest.raises(ValueError, match="one view of 0 … 6"):
        track_metrics(pred, seen, true, seen, (256, 256), torch.tensor([7]))


def test_intervals_contain_the_mean_and_shrink_with_the_number_of_scenes():
    few, many = random(20).tolist(), random(2000).tolist()
    (a, b), (c, d) = bootstrap_interval(few), bootstrap_interval(many)
    assert a < group_mean(few) < b and b - a > 5 * (d - c)
    assert d - c == pytest.approx(2 * 1.96 * np.std(many) / math.sqrt(2000), rel=0.1)
    assert bootstrap_interval(few) == bootstrap_interval(few)
    assert bootstrap_interval([3.0]) == (3, 3) and math.isnan(bootstrap_interval([math.nan])[0])


def test_groups_count_alike_and_single_scenes_do_not_feign_certainty():
    values, groups = [0.0, 2.0, 10.0], ["a", "a", "b"]
    assert group_mean(values, groups) == 5.5 and group_mean([1.0, math.nan, 3.0]) == 2
    assert bootstrap_interval(values, groups) == (1, 10)  # groups are drawn: means 1 and 10
    low, high = bootstrap_interval([0.0, 2.0, 10.0, 10.0], ["a", "a", "b", "b"])
    assert (low, high) == (5, 6)
