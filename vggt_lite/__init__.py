"""vggt_lite: VGGT built from scratch, to be read, run, changed and retrained."""

from importlib import import_module
from typing import TYPE_CHECKING

from vggt_lite.config import NANO, TINY, VGGT_1B, ModelConfig

if TYPE_CHECKING:  # for editors; see __getattr__
    from vggt_lite.data import load_images
    from vggt_lite.inference import VGGT, Reconstruction
    from vggt_lite.synthetic import generate_scenes

__version__ = "0.1.0"
__all__ = [
    "NANO", "TINY", "VGGT", "VGGT_1B", "ModelConfig", "Reconstruction", "generate_scenes", "load_images",
]  # fmt: skip

_HOME = {
    "VGGT": "inference",
    "Reconstruction": "inference",
    "load_images": "data",
    "generate_scenes": "synthetic",
}


def __getattr__(name: str):
    """What needs torch is imported when it is first asked for: `vggt-lite --help` does not wait for it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
