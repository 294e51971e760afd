"""Golden numbers of the official VGGT, and the rule that makes its weights (see README.md beside this file).

The numbers were measured on the official release with weights and inputs that depend on nothing but a
name: `rule_tensor("aggregator.camera_token", shape)` is the same array on every machine. A network that
speaks the official parameter names can therefore be checked without any weight file.
"""

import json
import math
import re
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

FOLDER = Path(__file__).parent

# last part of a parameter name -> scale of its standard normal numbers
TOKEN_SCALES = {
    "camera_token": 1.0,
    "register_token": 1.0,
    "cls_token": 1.0,
    "register_tokens": 1.0,
    "mask_token": 1.0,
    "empty_pose_tokens": 1.0,
    "virual_tracks": 1.0,
    "pos_embed": 0.5,
    "query_ref_token": 0.5,
}

# The variant "small" shrinks these, so that the variance entering a norm is comparable with its epsilon.
SMALL = re.compile(
    r"(aggregator|camera_head)\..*ls[12]\.gamma$|^aggregator\..*attn\.qkv\.|camera_token$|register_token"
    r"|cls_token$|pos_embed$|patch_embed\.proj\.|patch_embed\.norm\."
    r"|camera_head\.(token_norm|poseLN_modulation\.1)\.|feature_extractor\.scratch\.output_conv1\."
    r"|updateformer\.input_transform\.|virual_tracks$"
)


def load(name: str) -> dict[str, Tensor]:
    """All arrays of `tests/golden/<name>.safetensors`."""
    with safe_open(FOLDER / f"{name}.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


def metadata(name: str) -> dict:
    """The JSON values stored beside the arrays: cases, sizes, measured float32 noise, versions."""
    with safe_open(FOLDER / f"{name}.safetensors", "pt") as file:
        return {key: json.loads(value) for key, value in (file.metadata() or {}).items()}


def generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def normal(name: str, shape) -> np.ndarray:
    return generator(name).standard_normal(size=tuple(shape), dtype=np.float32)


def rule_tensor(key: str, shape, variant: str = "") -> Tensor:
    """The value of official parameter `key`: a function of its name and shape alone."""
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
    value = z * np.float32(scale) + np.float32(shift)
    if variant == "small" and SMALL.search(key):
        value = value * np.float32(0.003)
    return torch.from_numpy(value)


def rule_images(name: str, count: int, height: int, width: int) -> Tensor:
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


def rule_points(name: str, count: int, height: int, width: int) -> Tensor:
    """(count, 2) pixel positions (x, y), multiples of 1/8, at least 2 px inside the image."""
    points = generator(name).random((count, 2)) * np.array([width - 5, height - 5]) + 2
    return torch.from_numpy((np.round(points * 8) / 8).astype(np.float32))


def probe(name: str, like: Tensor) -> Tensor:
    """Fixed random weights, used to fold a tensor into one number."""
    return torch.from_numpy(normal("probe." + name, tuple(like.shape))).to(like)


def worst_ratio(got: Tensor, want: Tensor, noise: float = 0.0) -> float:
    """Largest error ÷ tolerance; passes when ≤ 1. Tolerance: 10 × max(measured noise, 2e-6 · max|x|)."""
    want = want.double().flatten()
    error = (got.detach().double().flatten() - want).abs().max().item()
    tolerance = 10 * max(noise, 2e-6 * want.abs().max().item())
    return math.inf if math.isnan(error) else error / tolerance
