"""The published checkpoints: which network each one is, under which licence, in which files."""

from dataclasses import dataclass

from vggt_lite.config import VGGT_1B, ModelConfig

SITE = "https://huggingface.co"
WEIGHT_FILES = ("model.safetensors", "model.pt")  # the first that a repository or folder has is taken


@dataclass(frozen=True)
class Release:
    """What is known of a hub repository; of one we do not know, the defaults."""

    config: ModelConfig | None = None
    licence: str = "see its page"
    files: tuple[str, ...] = WEIGHT_FILES


RELEASES = {
    "facebook/VGGT-1B": Release(VGGT_1B, "CC BY-NC 4.0, for non-commercial use only"),
    # Gated: its licence must be accepted on its page first.
    "facebook/VGGT-1B-Commercial": Release(
        VGGT_1B,
        "VGGT's own; commercial use is allowed, military use is not",
        ("vggt_1B_commercial.pt", *WEIGHT_FILES),
    ),
    # The tracker was trained again, now with the position embedding that the first release left out.
    "facebook/VGGT_tracker_fixed": Release(
        VGGT_1B.with_(track_position_embedding=True), files=("model_tracker_fixed_e20.pt", *WEIGHT_FILES)
    ),
}


def release_of(repository: str) -> Release:
    """The entry of a hub repository, "owner/name"."""
    return RELEASES.get(repository, Release())
