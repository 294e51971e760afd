"""Views of a sequence that show a place again: found among the network's own tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AT_ONCE = 8  # views that pass the ViT together; it sees each by itself
SIDE = 8  # tokens of a view are averaged to a grid of this many a side
NEIGHBORS = 3  # views so far apart are taken to show the same place


@torch.inference_mode(False)
@torch.no_grad()
def view_tokens(model: nn.Module, images: Tensor) -> Tensor:
    """Patch tokens of each view after the ViT, before the views exchange anything: (S, P, C) of length 1.

    What all views have in common at a place of the picture is subtracted: what is left tells views apart.

    Args:
        model: a `VGGT`.
        images: (S, 3, H, W) in [0, 1].
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    patch, stored = model.config.patch_size, model.aggregator.matrix_dtype
    grid = images.shape[-2] // patch, images.shape[-1] // patch
    found = []
    for part in images.split(AT_ONCE):
        with torch.autocast(device.type, stored, enabled=stored != torch.float32):
            tokens = model.aggregator.embed(part[None].to(device))  # (views, T, C)
        patches = tokens[:, -grid[0] * grid[1] :].float().cpu()
        maps = patches.mT.unflatten(-1, grid)  # (views, C, h, w)
        maps = F.adaptive_avg_pool2d(maps, (min(SIDE, grid[0]), min(SIDE, grid[1])))
        found.append(maps.flatten(2).mT)
    found = torch.cat(found)
    return F.normalize(found - found.mean(0), dim=-1)


def view_similarity(tokens: Tensor) -> Tensor:
    """(S, S): for each token of one view the most similar one of the other, on average, both ways.

    A mean over a view's tokens would not do: in one room all views are alike on average.
    """
    best = torch.stack([torch.einsum("pc,sqc->spq", view, tokens).amax(-1).mean(-1) for view in tokens])
    return (best + best.T) / 2


def find_loops(similarity: Tensor, apart: int, most: int) -> list[tuple[int, int, float]]:
    """Pairs of views (earlier, later, similarity) at least `apart` views apart, as alike as neighbours are.

    The most alike come first. Of pairs that begin and end within `apart` / 2 views of each other, one is
    taken.

    Args:
        similarity: (S, S).
        apart: ≥ 1.
        most: pairs that may come out.
    """
    if len(similarity) <= max(apart, NEIGHBORS):
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
