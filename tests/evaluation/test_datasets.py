"""Published layouts: truth fed as a prediction scores perfectly, a known fault what it must."""

import numpy as np
import pytest
import torch

from tests.data.foreign import S, truth
from tests.evaluation.layouts import (
    FISHEYE,
    FISHEYE_SIZE,
    Oracle,
    fisheye,
    write_co3d_set,
    write_dtu,
    write_eth3d,
    write_tapvid,
)
from vggt_lite.data import PixelMap
from vggt_lite.data.pixel_map import look_up
from vggt_lite.data.readers.colmap import Camera
from vggt_lite.evaluation import Report
from vggt_lite.evaluation.datasets import Options, co3d, dtu, eth3d, evaluate_data, tapvid
from vggt_lite.evaluation.datasets.sample import random_frames
from vggt_lite.evaluation.report import pair_histograms
from vggt_lite.metrics.neighbors import refined

PAD = Options(mode="pad")


def turn_last(pred, degrees=20.5):
    """Turn the last camera about its own axis of sight; its centre stays."""
    angle = np.deg2rad(degrees)
    turn = torch.eye(3, dtype=torch.float64)
    turn[:2, :2] = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    pred.cam_from_world[-1] = turn @ pred.cam_from_world[-1]


def test_frames_drawn_from_a_seed_are_the_same_everywhere_and_for_good():
    assert random_frames(60, 10, 0) == [26, 35, 59, 28, 11, 2, 34, 58, 40, 22]
    assert sorted(random_frames(4, 10, 3)) == [0, 1, 2, 3]


def test_a_prediction_is_read_at_the_pixel_of_the_network_in_which_the_truths_pixel_lies():
    values = torch.arange(6.0).reshape(2, 3)
    halved = PixelMap(
        (4, 8), (2, 3), (0.5, 0.5), (-0.5, 0.0)
    )  # one column cut off at the left, and one right
    pixels = torch.tensor([[0.5, 0.5], [1.5, 0.5], [4.9, 3.5], [7.5, 3.5]])
    found = look_up(values, halved.to_network(pixels.double()))
    assert found[0].isnan() and found[3].isnan() and found[1:3].tolist() == [0.0, 4.0]


def test_co3d_takes_listed_sequences_with_good_cameras_of_seen_categories(tmp_path, monkeypatch):
    monkeypatch.setattr(co3d, "MIN_FRAMES", 3)
    model = write_co3d_set(tmp_path)
    (only,) = co3d.samples(tmp_path, PAD)
    assert (only.group, only.name, len(only.views)) == ("apple", "10_20_30", S)  # the lost frame is not there
    assert only.views.names == [f"frame{index:06d}" for index in random_frames(S, 10, 0)]
    report = evaluate_data(model, "co3d", tmp_path, PAD)
    assert report["auc_30"] == report["auc_min_30"] == 100
    assert report.scenes[0]["frames"] == only.views.names and report.protocol["seed"] == 0
    model.change = turn_last  # 3 of 6 pairs are off by 20.5°
    report = evaluate_data(model, "co3d", tmp_path, PAD)
    assert report["auc_30"] == pytest.approx(100 * (1 - 0.5 * 20 / 30), abs=1)
    assert report["rra_15"] == pytest.approx(50)
    assert sum(report.histograms["rotation"]) == 6 and sum(report.histograms["rotation"][20:21]) == 3


def test_co3d_without_lists_takes_all_sequences_and_too_short_ones_are_left_out(tmp_path, monkeypatch):
    write_co3d_set(tmp_path)
    (tmp_path / "apple" / "sequence_annotations.jgz").unlink()
    (tmp_path / "apple" / "set_lists" / "set_lists_fewview_dev.json").unlink()
    with pytest.raises(ValueError, match="50 frames with a camera"):
        list(co3d.samples(tmp_path, PAD))
    monkeypatch.setattr(co3d, "MIN_FRAMES", 3)
    assert [sample.name for sample in co3d.samples(tmp_path, PAD)] == ["10_20_30", "bad", "unlisted"]


def test_eth3ds_depth_is_found_through_the_distortion(tmp_path):
    model = write_eth3d(tmp_path)
    report = evaluate_data(model, "eth3d", tmp_path, PAD)
    assert len(report.scenes[0]["frames"]) == S - 1  # one has no truth
    assert (
        report["depth_abs_rel"] < 0.004 < report.constant["depth_abs_rel"]
    )  # half a pixel of the depth file
    assert report["depth_overall"] < 0.01 and report["point_overall"] < 0.01  # metres
    assert (
        report["point_f_score"] > 99 and report["ate_rmse"] < 1e-4 and report["rpe_rotation_rmse_deg"] < 1e-3
    )
    assert report["depth_abs_rel_scale_shift_l1"] < 0.004 and "depth_abs_rel_none" not in report.model
    assert report["auc_30"] == 100 and report.protocol["unit"] == "m"

    def stretch(pred):
        pred.depth = pred.depth.clone()
        pred.depth[1:] *= 1.2  # the first frame's depth is right; one scale cannot mend both

    model.change = stretch
    worse = evaluate_data(model, "eth3d", tmp_path, PAD)
    assert 0.05 < worse["depth_abs_rel"] < 0.12
    assert worse["depth_abs_rel_median_per_image"] < 0.005  # one scale for each image can
    assert worse["depth_overall"] > 5 * worse["point_overall"]  # the other road was left alone


def test_every_term_of_the_distortion_counts():
    rays = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)).double() - 0.5
    camera = Camera("THIN_PRISM_FISHEYE", FISHEYE_SIZE, torch.tensor(FISHEYE).double())
    theirs = torch.from_numpy(np.stack(fisheye(*rays.numpy().T), axis=-1))
    torch.testing.assert_close(eth3d.distort(rays, camera), theirs, atol=1e-4, rtol=0)
    torch.testing.assert_close(eth3d.distort(0 * rays[:1], camera)[0], torch.tensor(FISHEYE[2:4]).double())


def test_eth3d_says_which_archive_is_missing(tmp_path):
    write_eth3d(tmp_path)
    file = next((tmp_path / "courtyard" / "ground_truth_depth" / "dslr_images").iterdir())
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ValueError, match="has 786,428 bytes"):
        list(eth3d.samples(tmp_path, PAD))
    (tmp_path / "courtyard" / "dslr_calibration_jpg" / "images.txt").unlink()
    with pytest.raises(ValueError, match="courtyard_dslr_jpg.7z"):
        list(eth3d.samples(tmp_path, PAD))


def test_dtus_matrices_come_apart_again_whatever_their_scale():
    t = truth()
    for k, camera in zip(t.intrinsics, t.cam_from_world, strict=True):
        for scale in (1.0, -0.7):
            intrinsics, cam_from_world = dtu.decompose(torch.from_numpy(scale * k @ camera[:3]))
            torch.testing.assert_close(intrinsics, torch.from_numpy(k))
            torch.testing.assert_close(cam_from_world, torch.from_numpy(camera[:3]))


def test_dtu_is_measured_in_millimetres_after_alignment(tmp_path):
    model = write_dtu(tmp_path)
    report = evaluate_data(model, "dtu", tmp_path, PAD)
    assert [scene["name"] for scene in report.scenes] == ["scan1"]  # scan2 is not an evaluation scan
    assert report["depth_overall"] < 0.02 and report["point_overall"] < 0.02 and report["auc_30"] == 100
    assert report.protocol["unit"] == "mm" and "mm" in report.to_markdown()
    (tmp_path / "ObsMask" / "Plane1.mat").unlink()
    with pytest.raises(ValueError, match="Plane1.mat"):
        evaluate_data(model, "dtu", tmp_path, PAD)


def test_dtu_drops_what_is_far_unobserved_or_below_the_table():
    x, y = torch.meshgrid(torch.arange(0.0, 60, 1), torch.arange(0.0, 60, 1), indexing="ij")
    sheet = torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(-1, 3).double()
    mask = np.ones((7, 7, 7), bool)
    mask[0] = False  # x below 5 mm was not observed
    observed = dtu.Observed(mask, [0, 0, -30], 10, [0, 0, 1, 0.5])  # the table is at z = −0.5
    up = torch.tensor([0.0, 0.0, 2.0])
    found = dtu.judge(sheet + up, sheet, observed)
    assert found["accuracy"] == pytest.approx(2) and found["completeness"] == pytest.approx(2)
    stray = torch.tensor([[30.0, 30, 27], [1, 1, 10]])  # too far away; not observed
    below = sheet[:100] - torch.tensor([0.0, 0.0, 9.0])  # of the truth: under the table
    found = dtu.judge(torch.cat([sheet + up, stray]), torch.cat([sheet, below]), observed)
    assert found["accuracy"] == pytest.approx(2) and found["completeness"] == pytest.approx(2, abs=0.01)
    assert found["chamfer"] == pytest.approx(2, abs=0.01) and found["accuracy_median"] == pytest.approx(2)
    lost = refined(sheet + 500, sheet, dtu.ICP_DISTANCE)  # too far for ICP
    assert torch.equal(lost, sheet + 500) and dtu.judge(lost, sheet, observed)["chamfer"] == 20


@pytest.mark.parametrize("mode", ["first", "strided"])
def test_tapvids_points_are_followed_from_every_query(tmp_path, mode):
    model = write_tapvid(tmp_path)
    options = Options(mode="pad", query_mode=mode)
    report = evaluate_data(model, "tapvid-davis", tmp_path, options)
    assert report["track_aj"] == report["track_delta"] == report["track_oa"] == 100
    assert report.constant["track_delta"] < 90
    starts = {order[0] for order in model.passes}
    assert starts > {0} if mode == "first" else starts == {0, 5}
    assert all(sorted(order[1:]) == order[1:] for order in model.passes)
    model.shift = torch.tensor([3 / 256 * 64, 0.0])  # 3 pixels at 256 × 256
    assert evaluate_data(model, "tapvid-davis", tmp_path, options)["track_delta"] == pytest.approx(60)


def test_long_videos_are_shown_in_windows_that_each_begin_with_the_query():
    assert tapvid.windows(6, 1, Options(num_views=3)) == [[2, 3], [4, 5]]
    assert tapvid.windows(6, 1, Options(query_mode="strided")) == [[0, 2, 3, 4, 5]]


def test_wrong_requests_say_what_would_be_right(tmp_path):
    model = Oracle({})
    with pytest.raises(ValueError, match="co3d, dtu, eth3d, tapvid-davis"):
        evaluate_data(model, "kitti", tmp_path)
    with pytest.raises(FileNotFoundError, match="docs/evaluation.md"):
        evaluate_data(model, "dtu", tmp_path / "nowhere")
    for data, said in (
        ("co3d", "frame_annotations.jgz"),
        ("dtu", "MVS Data"),
        ("eth3d", "dslr_calibration_undistorted"),
        ("tapvid-davis", "tapvid_davis"),
    ):
        with pytest.raises(ValueError, match=said):
            evaluate_data(model, data, tmp_path)


def test_means_are_over_groups_and_survive_json(tmp_path):
    scenes = [
        {"name": name, "group": group, "frames": ["a"], "model": {"auc_30": auc}, "constant": {}}
        for name, group, auc in (
            ("1", "apple", 10.0),
            ("2", "apple", 20.0),
            ("3", "book", 60.0),
            ("4", "book", 60.0),
        )
    ]
    protocol = {"text": "t", "data": "co3d", "hardware": "h", "seconds": 1.0}
    report = Report.of_scenes(scenes, protocol, pair_histograms(torch.ones(3), torch.ones(3)))
    assert report["auc_30"] == pytest.approx((15 + 60) / 2)
    again = Report.load(report.save(tmp_path / "r.json"))
    assert again == report and "| apple | 2 | 15.0 |" in again.to_markdown()
    low, high = report.interval("auc_30")
    assert low == 35 and high == 40  # book does not vary
    (tmp_path / "r.json").write_text('{"frames": 3}')
    with pytest.raises(ValueError, match="is no report"):
        Report.load(tmp_path / "r.json")
