"""The rule that makes weights and inputs from names: no file, the same numbers on every machine.

`deterministic_tensor("aggregator.camera_token", shape)` depends on nothing but its arguments. A network that
knows the official parameter names can therefore be compared with the official one without its weights.
In words: tests/golden/README.md.
"""

import math
import re
import zlib

import numpy as np
import torch
from torch import Tensor, nn

from vggt_lite.config import ModelConfig
from vggt_lite.model import VGGT
from vggt_lite.pretrained.names import official_name
from vggt_lite.utils.runtime import progress

# last part of a parameter name -> scale of its standard normal numbers
TOKEN_SCALES = {
    "camera_token": 1.0, "register_token": 1.0, "register_tokens": 1.0, "cls_token": 1.0, "mask_token": 1.0,
    "empty_pose_tokens": 1.0, "virual_tracks": 1.0, "pos_embed": 0.5, "query_ref_token": 0.5,
}  # fmt: skip

# The variant "small" shrinks these, so that the variance entering a norm is comparable with its epsilon.
SMALL = re.compile(
    r"(aggregator|camera_head)\..*ls[12]\.gamma$|^aggregator\..*attn\.qkv\.|camera_token$|register_token"
    r"|cls_token$|pos_embed$|patch_embed\.proj\.|patch_embed\.norm\."
    r"|camera_head\.(token_norm|poseLN_modulation\.1)\.|feature_extractor\.scratch\.output_conv1\."
    r"|updateformer\.input_transform\.|virual_tracks$"
)
LONG = 100_000_000  # numbers; from here on making them takes seconds, and a bar says so


def generator(name: str) -> np.random.Generator:
    """A random generator seeded with nothing but a name."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def normal(name: str, shape) -> np.ndarray:
    """Standard normal float32 numbers that depend only on name and shape."""
    return generator(name).standard_normal(size=tuple(shape), dtype=np.float32)


def deterministic_tensor(key: str, shape, variant: str = "") -> Tensor:
    """The value of official parameter `key`: a function of its name and shape alone.

    Args:
        key: Official name. shape: Any.
        variant: "" or "small", which shows wrong epsilons of norms.
    """
    z, leaf = normal(key, shape), key.rsplit(".", 1)[-1]
    scale, shift = 1.0 / math.sqrt(z.size / shape[0]), 0.0
    if leaf in TOKEN_SCALES:
        scale = TOKEN_SCALES[leaf]
    elif leaf == "gamma" or (len(shape) == 1 and leaf == "weight"):
        scale, shift = 0.1, 1.0
    elif leaf.endswith("bias"):
        scale = 0.1
    if "flow_head" in key.split("."):
        scale *= 0.02  # else the tracker's iterations are chaotic
    if key.endswith("pose_branch.fc2.bias"):
        shift = 0.5  # keeps most fields of view above the final ReLU
    z *= np.float32(scale)  # in place: the largest tensors have 17 million numbers
    z += np.float32(shift)
    if variant == "small" and SMALL.search(key):
        z *= np.float32(0.003)
    return torch.from_numpy(z)


def deterministic_images(name: str, count: int, height: int, width: int) -> Tensor:
    """(count, 3, H, W) in [0, 1]: noise on a 14-pixel grid, smoothed bilinearly, and 10 % white noise."""
    rng = generator(name)
    grid = rng.random((count, 3, -(-height // 14) + 2, -(-width // 14) + 2))
    fine = rng.random((count, 3, height, width))
    y, x = (np.arange(height) + 0.5) / 14, (np.arange(width) + 0.5) / 14
    row, column = y.astype(int), x.astype(int)
    below, right = (y - row)[:, None], (x - column)[None, :]

    def corner(down: int, across: int) -> np.ndarray:
        return grid[:, :, row + down][:, :, :, column + across]

    top = corner(0, 0) * (1 - right) + corner(0, 1) * right
    bottom = corner(1, 0) * (1 - right) + corner(1, 1) * right
    smooth = top * (1 - below) + bottom * below
    return torch.from_numpy(np.clip(0.9 * smooth + 0.1 * fine, 0, 1).astype(np.float32))


def deterministic_points(name: str, count: int, height: int, width: int) -> Tensor:
    """(count, 2) pixel positions (x, y), multiples of 1/8, at least 2 px inside the image."""
    points = generator(name).random((count, 2)) * np.array([width - 5, height - 5]) + 2
    return torch.from_numpy((np.round(points * 8) / 8).astype(np.float32))


@torch.no_grad()
def deterministic_state_dict(model: nn.Module, variant: str = "", official: bool = False) -> nn.Module:
    """Fill a model with the rule's numbers, in place and one tensor at a time; returns the model.

    Args:
        model: A `VGGT`, or with `official` any network whose parameters have the official names.
        variant: As for `deterministic_tensor`.
    """
    state = model.state_dict()
    small = sum(value.numel() for value in state.values()) < LONG
    bar = {"disable": True} if small else {"desc": "weights by rule", "unit": "tensor"}
    for key, value in progress(state.items(), **bar):
        name = key if official else official_name(key)
        value.copy_(deterministic_tensor(name, tuple(value.shape), variant))
    return model


def deterministic_model(config: ModelConfig, variant: str = "", device: torch.device | str = "cpu") -> VGGT:
    """A network of any size with the rule's weights, in evaluation mode.

    It never holds anything but its own parameters and one tensor more: VGGT-1B takes 5 GB, and about 20
    seconds.
    """
    with torch.device("meta"):  # no memory, and no time spent on first values that nobody needs
        model = VGGT(config)
    model.to_empty(device="cpu")
    model.aggregator.register_constants()
    return deterministic_state_dict(model, variant).to(device).eval()
