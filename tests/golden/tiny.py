"""The tiny configuration of the golden files, and the scalar whose gradients they hold."""

from torch import Tensor

from tests.golden.loader import metadata, probe
from vggt_lite.model import Predictions
from vggt_lite.parity.deterministic_weights import deterministic_state_dict as load_rule
from vggt_lite.parity.golden import GOLDEN_TINY, case_inputs
from vggt_lite.parity.stages import outputs, run_with_stages, stages, summarise

CASES = metadata("tiny")["cases"]

__all__ = [
    "CASES",
    "GOLDEN_TINY",
    "case_inputs",
    "gradient_loss",
    "load_rule",
    "outputs",
    "run_with_stages",
    "stages",
    "summarise",
]


def gradient_loss(pred: Predictions, all_iterations: bool) -> Tensor:
    """The scalar whose gradients were stored: a fixed random mean of every output.

    The probe weights of depth were drawn for the shape (B, S, H, W, 1), which holds the same numbers.
    """
    found = outputs(pred)
    if all_iterations:
        found.pop("out.track")
        found |= {f"out.track.{i}": tracks for i, tracks in enumerate(pred.tracks_list)}
    return sum((value * probe(name, value)).mean() for name, value in found.items())
