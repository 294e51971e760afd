"""Refusing a setting that makes no sense, in words that say what would."""


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: {value!r} is unknown; choose among {', '.join(map(repr, choices))}.")


def check_range(name: str, pair: tuple[float, float], lowest: float, highest: float) -> None:
    low, high = pair
    if not lowest <= low <= high <= highest:
        raise ValueError(
            f"{name}: ({low}, {high}) must be (low, high) with {lowest} ≤ low ≤ high ≤ {highest}, "
            f"for example ({lowest}, {highest})."
        )
