"""ATE and RPE: by hand on small paths, and beside the evo package on a random one."""

import math

import pytest
import torch

from vggt_lite.geometry import matrix_from_quat_xyzw
from vggt_lite.metrics import trajectory_metrics

# evo 1.38.1 on `walk()`: APE of the translation part after align(); RPE in frames, all pairs.
EVO = {
    ("similarity", 1): (0.583321456, 0.545563682, 0.937056825, 0.95639091, 7.992892758, 2.396943594),
    ("similarity", 3): (0.583321456, 0.545563682, 0.937056825, 1.083959586, 7.633932477, 2.396943594),
    ("rigid", 1): (2.367416235, 2.249711413, 3.720262245, 1.86456657, 7.992892758, 1.0),
    ("none", 3): (5.18115787, 4.960364502, 6.622971636, 3.067975663, 7.633932477, 1.0),
}
KEYS = ("ate_rmse", "ate_mean", "ate_max", "rpe_translation_rmse", "rpe_rotation_rmse_deg", "scale")


def walk():
    """True and predicted cameras (10, 3, 4): a drunken walk, and what a careless observer wrote down."""
    generator = torch.Generator().manual_seed(0)

    def draw():
        return torch.randn(10, 3, generator=generator, dtype=torch.float64)

    def cameras(turn, shift):
        quat = torch.cat([turn, torch.ones(10, 1, dtype=torch.float64)], dim=-1)
        return torch.cat([matrix_from_quat_xyzw(quat), shift[..., None]], dim=-1)

    turn, shift = draw().cumsum(0) / 10, draw().cumsum(0)
    return cameras(turn, shift), cameras(turn + draw() / 30, 0.4 * shift + draw() / 10)


def straight(*positions):
    """Cameras that look along z from (x, 0, 0)."""
    cameras = torch.eye(3, 4).repeat(len(positions), 1, 1)
    cameras[:, 0, 3] = -torch.tensor(positions)
    return cameras


@pytest.mark.parametrize("case", EVO)
def test_evo_says_the_same(case):
    true, pred = walk()
    found = trajectory_metrics(pred, true, *case)
    assert [found[key] for key in KEYS] == pytest.approx(EVO[case], abs=1e-6)


def test_one_camera_out_of_place():
    found = trajectory_metrics(straight(0.0, 1.0, 5.0), straight(0.0, 1.0, 2.0), "none")
    assert found["ate_rmse"] == pytest.approx(math.sqrt(3)) and found["ate_mean"] == pytest.approx(1)
    assert found["rpe_translation_rmse"] == pytest.approx(math.sqrt(9 / 2))  # steps 1 and 4 for 1 and 1
    assert found["rpe_rotation_rmse_deg"] == 0


def test_a_path_in_other_units_and_another_world_is_the_same_path():
    true, _ = walk()
    moved = true.clone()
    moved[:, :, 3] = 3 * true[:, :, 3]
    turn = matrix_from_quat_xyzw(torch.tensor([0.5, 0.5, 0.5, 0.5], dtype=torch.float64))
    moved[:, :, :3] = true[:, :, :3] @ turn
    found = trajectory_metrics(moved, true)
    assert found["ate_rmse"] < 1e-9 and found["rpe_translation_rmse"] < 1e-9
    assert found["rpe_rotation_rmse_deg"] < 1e-5
    assert found["scale"] == pytest.approx(1 / 3)
    assert trajectory_metrics(moved, true, "rigid")["ate_rmse"] > 1


def test_a_turned_camera_counts_in_the_steps_before_and_after_it():
    true, pred = straight(0.0, 1.0, 2.0, 3.0), straight(0.0, 1.0, 2.0, 3.0)
    angle = math.radians(10)
    turn = [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    pred[1] = torch.tensor(turn) @ pred[1]
    found = trajectory_metrics(pred, true, "none")
    assert found["rpe_rotation_rmse_deg"] == pytest.approx(10 * math.sqrt(2 / 3), abs=1e-4)
    assert found["ate_rmse"] < 1e-6


@pytest.mark.parametrize("arguments", [{"alignment": "affine"}, {"step": 0}, {"step": 4}])
def test_what_cannot_be_measured_is_refused(arguments):
    with pytest.raises(ValueError, match=r"alignment='affine'|step="):
        trajectory_metrics(straight(0.0, 1.0, 2.0, 3.0), straight(0.0, 1.0, 2.0, 3.0), **arguments)
