"""From the dense heads' raw numbers to depths, points and confidences."""

from collections.abc import Callable

import torch
from torch import Tensor


def signed_exponential(x: Tensor) -> Tensor:
    """sign(x) · (e^|x| − 1): near zero the identity, far out exponential (the release's "inv_log")."""
    return x.sign() * torch.expm1(x.abs())


def direction_exponential(x: Tensor) -> Tensor:
    """Keep a vector's direction and make its length e^‖x‖ − 1 (DUSt3R's choice)."""
    length = x.norm(dim=-1, keepdim=True)
    return x / length.clamp(min=1e-8) * torch.expm1(length)


def perspective(x: Tensor) -> Tensor:
    """(x, y, z) with z = signed exponential of the third number and x, y multiplied by z."""
    z = signed_exponential(x[..., 2:])
    return torch.cat([x[..., :2] * z, z], dim=-1)


VALUE: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,  # VGGT's depth: always positive
    "inv_log": signed_exponential,  # VGGT's points
    "norm_exp": direction_exponential,
    "norm": lambda x: x / x.norm(dim=-1, keepdim=True),
    "xy_inv_log": perspective,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "linear": lambda x: x,
}
CONFIDENCE: dict[str, Callable[[Tensor], Tensor]] = {
    "expp1": lambda x: 1 + x.exp(),  # VGGT's: never below 1
    "expp0": torch.exp,
    "sigmoid": torch.sigmoid,
}


def activate(raw: Tensor, value: str, confidence: str = "expp1") -> tuple[Tensor, Tensor]:
    """Split and activate a dense head's output.

    Args:
        raw: (M, K + 1, H, W); the last channel is the confidence.
        value, confidence: Names in `VALUE` and `CONFIDENCE`.

    Returns:
        values (M, H, W, K) and confidences (M, H, W).

    Raises:
        ValueError: an unknown name.
    """
    for name, table in ((value, VALUE), (confidence, CONFIDENCE)):
        if name not in table:
            raise ValueError(f"unknown activation {name!r}; choose among {sorted(table)}.")
    raw = raw.movedim(1, -1)  # (M, H, W, K + 1)
    return VALUE[value](raw[..., :-1]), CONFIDENCE[confidence](raw[..., -1])
