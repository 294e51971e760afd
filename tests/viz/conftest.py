"""A small scene to draw: generated truth, with a made-up confidence."""

import pytest
import torch

from vggt_lite.data import normalize_scene
from vggt_lite.inference import Reconstruction
from vggt_lite.synthetic import generate_scenes


@pytest.fixture(scope="session")
def scene() -> Reconstruction:
    batch = normalize_scene(generate_scenes(1_000_000, 1, 3, 24, 32, num_tracks=6))
    scene = Reconstruction.from_batch(batch)
    generator = torch.Generator().manual_seed(0)
    scene.depth_conf = 1 + torch.rand(scene.depth.shape, generator=generator)
    scene.point_conf = 1 + torch.rand(scene.depth.shape, generator=generator)
    return scene
