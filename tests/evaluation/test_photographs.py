"""Pairs of photographs: truth scores zero, and where Debian's opencv-doc is, its truth fits its pictures."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from vggt_lite import VGGT
from vggt_lite.data import load_images
from vggt_lite.evaluation.datasets.sample import Options, Sample
from vggt_lite.evaluation.photographs import (
    RIG_PAIRS,
    Pair,
    evaluate_photographs,
    pairs,
    rig,
    score,
    to_the_right,
)
from vggt_lite.evaluation.report import Report
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
            cam_from_world=self.cameras, depth=depth, pixel_maps=batch.pixel_maps, names=["l", "r"]
        )


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, 48, 64, 3)).astype(np.uint8)
    depth = torch.from_numpy(rng.uniform(1, 3, (48, 64))).float()
    depth[:5] = 0  # unknown
    return Pair(*pictures, rig(), depth)


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
    known = pair.depth[pair.depth > 0]
    expected = ((known.median() - known).abs() / known).mean().item()
    assert scored.constant["depth_abs_rel"] == pytest.approx(expected)


def test_a_known_turn_is_measured(pair):
    angle = rotation_angle(rig()[:, :3], torch.eye(3)).rad2deg().item()
    scored = score(Guess(to_the_right(5.0), pair.depth + 1), Sample("x", None, "g", pair), Options())
    assert scored.model["rotation_deg"] == pytest.approx(angle, abs=1e-4)
    assert "depth_abs_rel" in scored.model and scored.rotation.shape == (1,)


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
def test_tinys_figures_of_the_motorcycle_come_out_again():
    """Seen on all fifteen pairs in the settings of recomputed.py: at most 3e-5 of a figure."""
    pytest.importorskip("skimage")
    published = Report.load(BUNDLED / "tiny_photographs.json").scenes[0]
    report = evaluate_photographs(VGGT.from_pretrained("tiny"), Options(mode="crop"))
    (found,) = report.scenes
    assert (found["name"], found["group"]) == (published["name"], published["group"]) == ("motorcycle",) * 2
    for who in ("model", "constant"):
        assert found[who] == pytest.approx(published[who], rel=1e-3, abs=1e-4)
    assert report.protocol["data"] == "photographs" and "direction of motion" in report.to_markdown()


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
