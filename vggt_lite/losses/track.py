"""The track loss: where each point is in every view, whether it is seen, and whether to trust the answer.

|                | "code" (a draft kept as a comment in the release) | "paper" (arXiv:2503.11651, sec. 3.4)  |
|----------------|---------------------------------------------------|---------------------------------------|
| "coordinates"  | mean of |x̂ − x| and |ŷ − y|                       | Euclidean distance                    |
| "visibility"   | binary cross-entropy                              | binary cross-entropy                  |
| "confidence"   | binary cross-entropy, true within 3 px            | none                                  |
| iterations     | weight 0.8^(n−1−i), divided by n                  | not stated; weighed as in the release |

The released training code raises an error when tracks are predicted. In the paper's total loss the track
loss has weight 0.05, and sums stand where we take means.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.config import FORMS, check_choice
from vggt_lite.losses.masked import masked_mean

ITERATION_DECAY = 0.8
TRUSTED_WITHIN = 3.0  # pixels
MIN_POSITIONS = 2  # more visible positions than this are needed


def track_loss(
    tracks_list: list[Tensor],
    visibility_logits: Tensor,
    confidence_logits: Tensor,
    tracks: Tensor,
    track_visibility: Tensor,
    form: str = "code",
) -> dict[str, Tensor]:
    """How far predicted tracks are from the true ones.

    A track counts if it is truly visible in the first view, where it is queried; a position counts if it
    is also visible where it stands.

    Args:
        tracks_list: n tensors (B, S, N, 2) px, one per iteration, the final one last.
        visibility_logits: (B, S, N), before the sigmoid.
        confidence_logits: (B, S, N), before the sigmoid.
        tracks: (B, S, N, 2) px, truth.
        track_visibility: (B, S, N) bool, truth.
        form: "code" or "paper", see the table above.

    Returns:
        Scalars {"coordinates", "visibility", "confidence"}; form "paper" has no "confidence". The loss is
        their sum.
    """
    check_choice("form", form, FORMS)
    visible = track_visibility.bool()
    queried = visible[:, :1].expand_as(visible)  # (B, S, N)
    terms = {
        "coordinates": _coordinate_term(tracks_list, tracks, queried & visible, form),
        "visibility": masked_mean(_cross_entropy(visibility_logits, visible), queried),
    }
    if form == "code":
        error = (tracks_list[-1].detach().float() - tracks).norm(dim=-1)
        trusted = error < TRUSTED_WITHIN
        terms["confidence"] = masked_mean(_cross_entropy(confidence_logits, trusted), queried)
    return terms


def _coordinate_term(tracks_list: list[Tensor], tracks: Tensor, counts: Tensor, form: str) -> Tensor:
    total = 0.0
    for age, predicted in enumerate(reversed(tracks_list)):  # the last iteration weighs most
        # A hidden point may have no position at all (NaN): drop it before it enters the graph
        error = torch.where(counts[..., None], predicted.float() - tracks, 0.0)
        distance = error.norm(dim=-1) if form == "paper" else error.abs().mean(-1)  # (B, S, N)
        total = total + ITERATION_DECAY**age * masked_mean(distance, counts)
    total = total / len(tracks_list)
    return torch.where(counts.sum() > MIN_POSITIONS, total, 0.0 * total)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none")
