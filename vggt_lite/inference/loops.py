"""Views of a sequence that show a place again: found among the network's own tokens."""

import torch
from torch import Tensor, nn

AT_ONCE = 8  # views that pass the network together, each by itself
NEIGHBORS = 3  # views so far apart are taken to show the same place


@torch.inference_mode(False)
@torch.no_grad()
def view_descriptors(model: nn.Module, images: Tensor) -> Tensor:
    """One direction (S, C) for each view: the mean of its patch tokens after the last frame block.

    Every view passes by itself: views are alike because they show the same, not because they were in one pass.
    What all views have in common is subtracted.

    Args:
        model: a `VGGT`.
        images: (S, 3, H, W) in [0, 1].
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    means = []
    for part in images.split(AT_ONCE):
        _, kept = model.aggregator(part[:, None].to(device))  # B = views, S = 1
        tokens = kept[max(kept)][:, 0].float()  # (B, P, 2C): after the frame block, after the global block
        means.append(tokens[..., : tokens.shape[-1] // 2].mean(1).cpu())
    means = torch.cat(means)
    return nn.functional.normalize(means - means.mean(0), dim=-1)


def find_loops(descriptors: Tensor, apart: int, most: int) -> list[tuple[int, int, float]]:
    """Pairs of views (earlier, later, similarity) at least `apart` views apart, as alike as neighbours are.

    The most alike come first. Of pairs that begin and end within `apart` / 2 views of each other, one is taken.

    Args:
        descriptors: (S, C), of length 1.
        apart: ≥ 1.
        most: pairs that may come out.
    """
    count = len(descriptors)
    similarity = descriptors @ descriptors.T
    if count <= max(apart, NEIGHBORS):
        return []
    needed = similarity.diagonal(NEIGHBORS).median()
    far = torch.ones_like(similarity, dtype=torch.bool).triu(apart)
    candidates = (far & (similarity >= needed)).nonzero()
    order = similarity[candidates[:, 0], candidates[:, 1]].argsort(descending=True)
    found: list[tuple[int, int, float]] = []
    for first, second in candidates[order].tolist():
        near = any(abs(first - a) < apart / 2 and abs(second - b) < apart / 2 for a, b, _ in found)
        if not near and len(found) < most:
            found.append((first, second, similarity[first, second].item()))
    return found
