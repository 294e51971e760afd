"""Some rooms of `PAPERED_SCENES` show a real panorama, and some cameras only turn."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from vggt_lite.config import PAPERED_SCENES
from vggt_lite.geometry import camera_center
from vggt_lite.synthetic import generate_scenes, panoramas
from vggt_lite.synthetic.batch_rng import BatchRNG
from vggt_lite.synthetic.layout import sample_layout
from vggt_lite.synthetic.materials import PAPERED, sample_materials

PLAIN = PAPERED_SCENES.with_(moving_objects=0, photographic=False)
SEED, COUNT = 1_000_000, 24


@pytest.fixture(scope="module")
def papers():
    """Of each scene: the number of its panorama, below 0 where there is none, and how it is turned."""
    rng = BatchRNG(SEED, COUNT)
    materials = sample_materials(rng, sample_layout(rng, 2, PLAIN), PLAIN)
    return materials[:, -1, -1] - panoramas.PATTERNS.start, materials[:, -1, -3]


def seen_from_the_middle(points: np.ndarray, number: int, turn: float) -> np.ndarray:
    """(n, 3) colours of a panorama in the directions of points (n, 3), by another library."""
    picture = panoramas.bank(torch.device("cpu"))[number].numpy()  # (3, H, W + 2)
    x, y, z = points.T - np.array([[0.0], [0.0], [panoramas.EYE]])
    longitude, latitude = np.arctan2(x, y) / (2 * np.pi) + turn, np.arctan2(z, np.hypot(x, y)) / np.pi
    where = [(0.5 - latitude) * panoramas.HEIGHT - 0.5, longitude % 1 * panoramas.WIDTH + 0.5]
    return np.stack(
        [map_coordinates(channel, where, order=1, mode="nearest") for channel in picture], axis=-1
    )


def test_walls_show_the_panorama_and_other_scenes_show_none(papers):
    batch = generate_scenes(SEED, COUNT, 2, 32, 32, config=PLAIN)
    shares = []
    for scene, (number, turn) in enumerate(zip(*papers, strict=True)):
        points = batch.point_map[scene].reshape(-1, 3).numpy()
        colours = batch.images[scene].permute(0, 2, 3, 1).reshape(-1, 3).numpy()
        wanted = seen_from_the_middle(points, max(int(number), 0), float(turn))
        same = (abs(colours - wanted) < 0.01).all(-1).mean()
        assert number >= 0 or same < 0.05
        shares += [same] if number >= 0 else []
    assert 0.5 * PAPERED < len(shares) / COUNT < 1.5 * PAPERED
    assert min(shares) > 0.03 and np.median(shares) > 0.3  # the rest are things that stand in front


def test_a_camera_that_turns_stays_where_it_is_and_turns_by_equal_steps():
    batch = generate_scenes(SEED, COUNT, 5, 8, 8, config=PLAIN.with_(paths=("turn",), roll_deg=0.0))
    centers = camera_center(batch.cam_from_world)
    assert (centers - centers[:, :1]).abs().amax() < 1e-5
    ahead = batch.cam_from_world[:, :, 2, :2]  # (B, S, 2): along the floor
    angle = torch.atan2(ahead[..., 1], ahead[..., 0])
    step = torch.rad2deg((angle[:, 1:] - angle[:, :-1] + torch.pi) % (2 * torch.pi) - torch.pi)
    assert (step - step[:, :1]).abs().amax() < 0.01
    low, high = PLAIN.turn_deg
    assert (step.abs() > low - 0.01).all() and (step.abs() < high + 0.01).all() and step.std() > low
