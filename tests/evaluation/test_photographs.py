"""Photographs: truth scores zero, and where Debian's opencv-doc is, its truth fits its pictures."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from vggt_lite import VGGT
from vggt_lite.data import load_images
from vggt_lite.evaluation.datasets.sample import Options, Sample
from vggt_lite.evaluation.photographs import (
    RIG_PAIRS,
    Pair,
    pairs,
    panoramas,
    rig,
    score,
    to_the_right,
)
from vggt_lite.evaluation.report import Report
from vggt_lite.evaluation.report_page import write_report_page
from vggt_lite.geometry import rotation_angle
from vggt_lite.pretrained.loading import BUNDLED

OPENCV = Path("/usr/share/doc/opencv-doc/examples/data")  # where Debian puts them


class Guess:
    """Answers with given cameras and one depth map, in the original's pixels."""

    def __init__(self, right_from_left, depth):
        self.cameras = torch.stack([torch.eye(3, 4), right_from_left])
        self.depth = depth

    def reconstruct(self, source, mode, size):
        batch = load_images(source, "pad", 64, 8)
        depth = torch.zeros(2, 64, 64)
        top = (64 - self.depth.shape[0]) // 2
        depth[0, top : top + self.depth.shape[0]] = self.depth
        return SimpleNamespace(
            cam_from_world=self.cameras, depth=depth, pixel_maps=batch.pixel_maps, names=["l", "r"],
            intrinsics=torch.tensor([[32.0, 0, 32], [0, 32, 24], [0, 0, 1]]).repeat(2, 1, 1),
        )  # fmt: skip


class Turned:
    """Answers with the true cameras of panorama views, each turned further than the one before, and wider."""

    def __init__(self, sets, turn_deg, wider_deg):
        self.sets, self.turn, self.wider = iter(sets), turn_deg, wider_deg

    def reconstruct(self, source, mode, size):
        views, batch = next(self.sets), load_images(source, "crop", 64, 8)
        more = [Rotation.from_rotvec([0, self.turn * i, 0], degrees=True) for i in range(len(source))]
        cameras = views.cam_from_world.clone()
        cameras[:, :, :3] = (
            torch.from_numpy(np.stack([r.as_matrix() for r in more])).float() @ cameras[:, :, :3]
        )
        intrinsics = views.intrinsics.clone()
        intrinsics[:, 0, 0] = source[0].shape[1] / 2 / math.tan(math.radians(views.fov + self.wider) / 2)
        return SimpleNamespace(
            cam_from_world=cameras, depth=torch.ones(len(source), 64, 64), pixel_maps=batch.pixel_maps,
            intrinsics=intrinsics,
        )  # fmt: skip


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 48, 64, 3)).astype(np.uint8)
    depth = torch.from_numpy(rng.uniform(1, 3, (48, 64))).float()
    depth[:5] = 0  # unknown
    return Pair(*pictures, rig(), depth, 60.0)


def test_the_truth_in_another_unit_scores_zero_and_the_constant_does_not(pair):
    far = pair.depth.clone()
    far[:5] = 100.0  # where nothing is known
    moved = pair.right_from_left.clone()
    moved[:, 3] *= 0.01
    scored = score(Guess(moved, 3 * far), Sample("x", None, "g", pair), Options())
    assert scored.model["rotation_deg"] < 1e-3 and scored.model["translation_deg"] < 0.05
    assert scored.model["depth_abs_rel"] < 1e-6 and scored.model["depth_delta_125"] == 100
    assert scored.constant["rotation_deg"] == pytest.approx(0.515, abs=1e-3)
    assert scored.constant["translation_deg"] == pytest.approx(0.540, abs=2e-3)
    assert scored.model["fov_deg"] == pytest.approx(30, abs=1e-3)  # 64 pixels at a focal length of 32: 90°
    assert scored.constant["fov_deg"] == 0
    known = pair.depth[pair.depth > 0]
    expected = ((known.median() - known).abs() / known).mean().item()
    assert scored.constant["depth_abs_rel"] == pytest.approx(expected)


def test_a_known_turn_is_measured(pair):
    angle = rotation_angle(rig()[:, :3], torch.eye(3)).rad2deg().item()
    scored = score(Guess(to_the_right(5.0), pair.depth + 1), Sample("x", None, "g", pair), Options())
    assert scored.model["rotation_deg"] == pytest.approx(angle, abs=1e-4)
    assert scored.model["rotation_median_deg"] == scored.model["rotation_deg"]
    assert "depth_abs_rel" in scored.model


def test_turns_and_lenses_of_a_panorama_are_pooled_over_its_sets():
    sample = next(panoramas())
    scored = score(Turned(sample.truth, 2.0, 3.0), sample, Options())
    # Five pairs of neighbours are 2° off; in the set of four two more pairs are 4° off and one is 6°;
    # not quite, as these turns are about other axes than those between the views
    assert scored.model["rotation_deg"] == pytest.approx(24 / 8, abs=0.03)
    assert scored.model["rotation_median_deg"] == pytest.approx(2, abs=0.03)
    assert scored.model["fov_deg"] == pytest.approx(3, abs=1e-3)
    views = [abs(60 - views.fov) for views in sample.truth for _ in views.pictures]
    assert scored.constant["fov_deg"] == pytest.approx(np.mean(views)) and len(scored.frames) == 8
    assert (
        scored.constant["rotation_deg"] > 10
        and not {"translation_deg", "depth_abs_rel"} & scored.model.keys()
    )
    assert score(Turned(sample.truth, 0.0, 0.0), sample, Options()).model["rotation_deg"] < 0.01


def test_groups_stand_side_by_side_with_intervals_and_no_mean_over_them_is_shown(tmp_path):
    report = Report.load(BUNDLED / "nano_photographs.json")
    turned, pair = report.groups()["panoramas"], report.groups()["motorcycle"]
    assert [len(part.scenes) for part in (turned, pair)] == [12, 1]
    low, high = turned.interval("rotation_median_deg")
    text = report.to_markdown()
    (row,) = [line for line in text.splitlines() if line.startswith("| rotation error, median")]
    shown = [
        f"{turned['rotation_median_deg']:.2f} [{low:.2f}, {high:.2f}]",
        f"{pair['rotation_median_deg']:.2f}",
    ]
    assert [cell.strip() for cell in row.split("|")[3:7:2]] == shown
    assert f"| {report['rotation_median_deg']:.2f} |" not in text and "panoramas: model" in text
    page = write_report_page({"nano": report}, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "nano, panoramas" in page and "nano, motorcycle" in page and shown[0] in page


def test_all_pairs_of_a_named_folder_are_scored_and_a_missing_picture_is_an_error(tmp_path):
    pytest.importorskip("skimage")
    for name in [f"{side}{number:02d}.jpg" for side in ("left", "right") for number in RIG_PAIRS]:
        Image.new("L", (4, 3)).save(tmp_path / name)
    for name in ("aloeL.jpg", "aloeR.jpg", "aloeGT.png"):
        Image.new("L", (4, 3)).save(tmp_path / name)
    assert [sample.name for sample in pairs()] == ["motorcycle"]
    assert [sample.group for sample in pairs(tmp_path)] == ["motorcycle", *["chessboard"] * 13, "aloe"]
    (tmp_path / "right07.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"right07\.jpg is missing.*opencv-doc"):
        list(pairs(tmp_path))


@pytest.mark.numeric
@pytest.mark.parametrize("name", ["nano", "tiny"])
def test_the_first_and_last_figures_of_the_fixed_set_come_out_again(name):
    """A panorama and the Motorcycle; in the settings of recomputed.py figures moved by 3e-5 at most."""
    pytest.importorskip("skimage")
    published = Report.load(BUNDLED / f"{name}_photographs.json")
    assert [scene["group"] for scene in published.scenes] == [*["panoramas"] * 12, "motorcycle"]
    model = VGGT.from_pretrained(name).eval()
    for sample, row in ((next(panoramas()), published.scenes[0]), (next(pairs()), published.scenes[-1])):
        assert sample.name == row["name"]
        scored = score(model, sample, Options(mode="crop"))
        for who in ("model", "constant"):
            assert getattr(scored, who) == pytest.approx(row[who], rel=1e-3, abs=1e-4)


@pytest.mark.skipif(not OPENCV.is_dir(), reason="needs Debian's opencv-doc")
def test_aloes_depth_carries_the_left_photograph_onto_the_right_one():
    pytest.importorskip("skimage")
    (pair,) = [sample.truth for sample in pairs(OPENCV) if sample.name == "aloe"]
    left, right = (np.asarray(Image.open(file)).astype(float) for file in pair[:2])
    depth = pair.depth.numpy()
    assert 1.2 < depth[depth > 0].min() < depth.max() < 2.0  # metres: a pot on a table
    v, u = np.nonzero(depth)
    x = np.round(u - (3740 * 0.16 / depth[v, u] - 270)).astype(int)
    inside = x >= 0
    carried = np.abs(right[v[inside], x[inside]] - left[v[inside], u[inside]]).mean()
    stayed = np.abs(right[v[inside], u[inside]] - left[v[inside], u[inside]]).mean()
    assert carried < 0.4 * stayed
