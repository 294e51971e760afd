"""A network of a few hundred weights and scenes of noise: enough to test the loop, not to learn."""

from types import SimpleNamespace

import torch
from torch import nn

from vggt_lite.config import TrainConfig
from vggt_lite.data.batches import step_generator
from vggt_lite.losses import SceneBatch
from vggt_lite.model import Predictions

SIZE = 16
CONFIG = TrainConfig(
    steps=24, max_images=8, num_tracks=4, loss_weights={"camera": 5.0, "depth": 1.0},
    checkpoint_every=4, log_every=3,
)  # fmt: skip


class ToyModel(nn.Module):
    """Pose encodings from the mean colour, depth from a convolution; dropout uses the global generator."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = SimpleNamespace(patch_size=8)
        self.aggregator = nn.Conv2d(3, 8, 3, padding=1)
        self.dropout = nn.Dropout(0.1)
        self.camera_head = nn.Linear(8, 9)
        self.depth_head = nn.Conv2d(8, 2, 1)

    def forward(self, images, query_points=None):
        features = self.dropout(self.aggregator(images.flatten(0, 1)).tanh())
        encoding = self.camera_head(features.mean((-2, -1))).unflatten(0, images.shape[:2])
        depth, confidence = self.depth_head(features).exp().unflatten(0, images.shape[:2]).unbind(2)
        return Predictions(
            images=images, pose_encodings=[encoding, encoding], depth=depth, depth_conf=1 + confidence
        )


class ToyScenes:
    """Batches of noise with cameras in a row; `spoil` names steps whose depth is infinite."""

    def __init__(self, spoil=()) -> None:
        self.spoil = spoil

    def description(self) -> dict:
        """One name for all classes that tests derive: they make the same scenes."""
        return {"class": "toy scenes", "code": "the same"}

    def batch_for_step(self, step: int) -> SceneBatch:
        g = step_generator(0, step)
        depth = 1 + torch.rand(4, 2, SIZE, SIZE, generator=g)
        cameras = torch.eye(3, 4).repeat(4, 2, 1, 1)
        cameras[:, 1, 0, 3] = torch.rand(4, generator=g)
        intrinsics = torch.tensor([[16.0, 0, 8], [0, 16, 8], [0, 0, 1]]).expand(4, 2, 3, 3)
        images = torch.rand(4, 2, 3, SIZE, SIZE, generator=g)
        if step in self.spoil:
            images = images * torch.nan
        points = torch.rand(4, 2, SIZE, SIZE, 3, generator=g)
        return SceneBatch(images, depth, cameras, intrinsics, points, depth > 0)
