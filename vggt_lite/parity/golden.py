"""The golden files: what the official network computed with the rule's weights, and its rounding noise."""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from vggt_lite.config import VGGT_1B, ModelConfig
from vggt_lite.parity.deterministic_weights import deterministic_images, deterministic_points

FOLDER = Path(__file__).parent / "golden_data"

GOLDEN_TINY = ModelConfig(
    image_size=70, patch_size=14, dim=64, num_heads=4, vit_depth=2, depth=4,
    camera_depth=2, camera_num_heads=4,
    dense_layers=(0, 1, 2, 3), dense_dims=(24, 32, 40, 48), dense_dim=32,
    track_dim=16, track_fused=16, track_levels=3, track_radius=3, track_hidden=48, track_num_heads=8,
    track_depth=2, track_virtual=64, track_flow_scale=518.0, track_position_embedding=False,
    pixel_center=0.0,
)  # fmt: skip
CONFIGS = {"tiny": GOLDEN_TINY, "full": VGGT_1B}


def path_of(name: str) -> Path:
    """The file of a golden network, "tiny" or "full", or of "functions".

    Raises:
        FileNotFoundError: the package was installed without its data.
    """
    path = FOLDER / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: the golden numbers are part of the package. Install it again."
        )
    return path


def load(name: str) -> dict[str, Tensor]:
    """All arrays of a golden file."""
    with safe_open(path_of(name), "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


def metadata(name: str) -> dict:
    """The JSON values stored beside the arrays: cases, sizes, measured float32 noise, versions."""
    with safe_open(path_of(name), "pt") as file:
        return {key: json.loads(value) for key, value in (file.metadata() or {}).items()}


def case_inputs(case: dict) -> tuple[Tensor, Tensor | None]:
    """Images (B, S, 3, H, W) and query points (B, N, 2), or None, of a golden case."""
    batch, frames, size = case["batch"], case["frames"], (case["height"], case["width"])
    images = deterministic_images(case["images"], batch * frames, *size).unflatten(0, (batch, frames))
    if "points" not in case:
        return images, None
    points = [deterministic_points(f"{case['points']}{b}", case["num_points"], *size) for b in range(batch)]
    return images, torch.stack(points)
