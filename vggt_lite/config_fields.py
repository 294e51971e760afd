"""What the configurations share: copies with changes, a dict for files, and checks of their fields."""

from collections.abc import Collection
from dataclasses import asdict, fields, replace
from math import isfinite
from numbers import Real

import msgspec

MOST, MOST_REPEATED = 100_000, 200  # of a width or a side in pixels; of blocks, levels, rounds
REPEATED = ("vit_depth", "depth", "camera_depth", "camera_iterations", "track_levels", "track_radius",
            "track_depth", "track_iterations")  # fmt: skip


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is unknown; choose among {', '.join(map(repr, choices))}.")


def check_range(name: str, pair: tuple[float, float], lowest: float, highest: float) -> None:
    low, high = pair
    if not lowest <= low <= high <= highest:
        raise ValueError(
            f"{name}: ({low}, {high}) must be (low, high) with {lowest} ≤ low ≤ high ≤ {highest}, "
            f"for example ({lowest}, {highest})."
        )


def check_multiple(name: str, size: int, unit: int, of: str = "patch_size") -> None:
    """Refuse a side in pixels that is not filled by whole patches, or by what else `of` names."""
    if size % unit or size < unit:
        below = max(size - size % unit, unit)
        raise ValueError(
            f"{name}={size} is not a multiple of {of}={unit}; nearest that fit: {below} and {below + unit}."
        )


class Config:
    """What the three configurations share: variants, and a plain dict for files."""

    def with_(self, **changes):
        """A copy with some fields changed; validated again."""
        return replace(self, **changes)

    def to_dict(self) -> dict:
        return {key: dict(v) if isinstance(v, dict) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict):
        """The inverse of `to_dict`, for values that went through JSON (lists become tuples).

        Raises:
            ValueError: a field is unknown, of another type, or out of its range.
        """
        if isinstance(values, dict) and (unknown := values.keys() - {item.name for item in fields(cls)}):
            raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}.")
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error

    def check_finite(self) -> None:
        """Refuse infinite numbers and NaN in any field."""
        for item in fields(self):
            value = getattr(self, item.name)
            numbers = value if isinstance(value, tuple) else (value,)
            if not all(isfinite(x) for x in numbers if isinstance(x, Real)):
                raise ValueError(f"{item.name}={value} must be finite; the default is {item.default}.")


def check_sizes(config: Config) -> None:
    """Refuse numbers that no network has, before one is built.

    Raises:
        ValueError: a size is below 1 or beyond `MOST`, a count of repetitions beyond `MOST_REPEATED`.
    """
    for item in fields(config):
        value, most = getattr(config, item.name), MOST_REPEATED if item.name in REPEATED else MOST
        sizes = {int: (value,), tuple[int, ...]: value}.get(item.type, ())
        least = 0 if item.name in ("num_registers", "dense_layers", "register_attention") else 1
        if not all(least <= size <= most for size in sizes):
            raise ValueError(
                f"{item.name}={value} must lie in {least} … {most}; the default is {item.default}."
            )
    for name in ("rope_base", "track_flow_scale"):
        if getattr(config, name) <= 0:
            raise ValueError(f"{name}={getattr(config, name)} must be above 0, for example 100.")
