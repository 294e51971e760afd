"""Without float64, as on Apple's GPUs, metrics use none, and say nearly the same."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vggt_lite.evaluation.motion_correlation import correlations
from vggt_lite.geometry import precision, umeyama
from vggt_lite.geometry.precision import precise_dtype
from vggt_lite.metrics import depth_metrics, point_metrics, pose_auc, track_metrics
from vggt_lite.metrics.trajectories import trajectory_metrics
from vggt_lite.synthetic import generate_scenes


class NoFloat64(TorchDispatchMode):
    """Refuses what an Apple GPU refuses; what comes from NumPy, and single numbers, lie on the CPU there."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is torch.ops.aten.lift_fresh.default:
            return result
        for x in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(x, torch.Tensor) and x.dtype == torch.float64 and x.ndim:
                raise TypeError(f"{function} made a tensor of float64")
        return result


@pytest.fixture
def no_float64(monkeypatch):
    monkeypatch.setattr(precision, "precise_dtype", lambda device: torch.float32)
    return NoFloat64()


def test_only_apples_gpus_lack_float64():
    assert precise_dtype(torch.device("mps")) == torch.float32
    assert {precise_dtype(torch.device(name)) for name in ("cpu", "cuda")} == {torch.float64}


def figures() -> dict[str, float]:
    scene = generate_scenes(1_000_000, 1, 4, 32, 32, num_tracks=8)
    g = torch.Generator().manual_seed(0)
    depth = scene.depth[0] * (1 + 0.1 * torch.rand(scene.depth[0].shape, generator=g))
    points = scene.point_map[0] + 0.05 * torch.randn(scene.point_map[0].shape, generator=g)
    cameras = scene.cam_from_world[0].clone()
    cameras[:, :, 3] += 0.1 * torch.rand(4, 3, generator=g)
    found = pose_auc(cameras, scene.cam_from_world[0])
    for alignment in ("median", "median_per_image", "scale", "scale_shift_l1", "scale_shift"):
        result = depth_metrics(depth, scene.depth[0], scene.valid[0], alignment)
        found |= {f"{alignment} {key}": value for key, value in result.items()}
    found |= point_metrics(points, scene.point_map[0], scene.valid[0], num_samples=200)
    found |= trajectory_metrics(cameras, scene.cam_from_world[0])
    seen = scene.track_visibility[0]
    found |= track_metrics(scene.tracks[0] + 1, seen, scene.tracks[0], seen, image_size=(32, 32))
    found |= correlations(torch.rand(9, 7, generator=g), torch.rand(9, 7, generator=g))
    found["scale of umeyama"] = umeyama(points.flatten(0, 2), scene.point_map[0].flatten(0, 2)).scale.item()
    return {key: float(value) for key, value in found.items()}


def test_metrics_do_without_float64_where_there_is_none(no_float64):
    with no_float64:
        found = figures()
    assert found


def test_metrics_in_float32_say_nearly_the_same(monkeypatch):
    exact = figures()
    monkeypatch.setattr(precision, "precise_dtype", lambda device: torch.float32)
    rough = figures()
    assert rough != exact
    assert rough == pytest.approx(exact, rel=2e-3, abs=2e-3)
