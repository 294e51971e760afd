"""Apple's GPUs have no float64: reconstruct, train and evaluate on a device that refuses it."""

import numpy as np
import pytest
import torch

from tests.stand_in_device import OnDevice, refuses_float64
from tests.training.test_distributed import EVERYTHING, SMALL
from vggt_lite.config import SceneConfig
from vggt_lite.data.batches import GeneratedScenes, load_ahead
from vggt_lite.evaluation import evaluate
from vggt_lite.inference import VGGT
from vggt_lite.training import train


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = VGGT(SMALL.with_(image_size=32))
    with torch.no_grad():
        model.camera_head.pose_branch.fc2.bias[6:] = 0.25  # usable cameras
    return model


def test_the_stand_in_refuses_what_the_device_refuses():
    with refuses_float64() as device:
        x = torch.randn(3, 4).to(device)
        assert isinstance(x, OnDevice) and x.device.type == "mps" and x.cpu().device.type == "cpu"
        torch.testing.assert_close((x @ x.T).cpu(), x.cpu() @ x.cpu().T)
        for refused in (
            x.double,
            lambda: torch.zeros(2, device=device, dtype=torch.float64),
            lambda: torch.tensor(np.zeros(2), device=device),
            lambda: torch.zeros(2, dtype=torch.float64).to(device),
        ):
            with pytest.raises(TypeError, match="no float64"):
                refused()
        with pytest.raises(RuntimeError, match="mixes cpu and mps"):
            x + torch.zeros(4)
        x += 1  # in place, and indexed, as anywhere
        x[0] = 5.0
        assert x[0].tolist() == [5.0] * 4 and x[x > 4.5].cpu().min() == 5


@pytest.mark.filterwarnings("ignore:no usable camera")
def test_reconstruct(model):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (32, 32, 3)).astype(np.uint8) for _ in range(3)]
    want = model.reconstruct(pictures, query_points=[[10.0, 20.0]], size=32)
    with refuses_float64() as device:
        got = model.reconstruct(pictures, query_points=[[10.0, 20.0]], size=32, device=device)
        assert all(isinstance(p, OnDevice) for p in model.parameters())
    for name in ("cam_from_world", "intrinsics", "depth", "point_map", "tracks"):
        torch.testing.assert_close(getattr(got, name), getattr(want, name), rtol=1e-4, atol=1e-4)


def test_train(model, tmp_path):
    with refuses_float64() as device:
        config = EVERYTHING.with_(steps=2, num_tracks=4)
        scenes = GeneratedScenes(config, SceneConfig(num_objects=2), size=32, path_views=3)
        model.to(device)
        before = model.aggregator.camera_token.cpu().clone()
        done = train(model, load_ahead(scenes, config.steps, device), config, tmp_path)
        assert done.finished and not torch.equal(model.aggregator.camera_token.cpu(), before)


def test_evaluate(model):
    options = {"num_scenes": 1, "num_views": 2, "size": 32, "num_tracks": 4, "icp_distance": 0.1}
    want = evaluate(model, device="cpu", **options)
    with refuses_float64() as device:
        got = evaluate(model, device=device, **options)
    assert got.model == pytest.approx(want.model, rel=1e-2, abs=1e-2)
    assert got.protocol["device"] == "mps:0"
