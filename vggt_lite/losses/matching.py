"""A loss that asks for matches: the patch of another view that shows the same place should look alike.

This is our own addition; neither the paper nor the release has it. A small network first learns what a
single view shows (pitch, height), and only after many steps to compare views. This term asks for the
comparison directly: among all patches of view j, find the one that shows what patch p of view i shows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from vggt_lite.geometry import project_points
from vggt_lite.geometry.visibility import visible_by_depth
from vggt_lite.losses.masked import masked_mean
from vggt_lite.losses.scene_batch import SceneBatch


def matching_loss(
    patch_tokens: Tensor, batch: SceneBatch, patch_size: int, temperature: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of patch similarities against true correspondences, over all ordered pairs of views.

    Args:
        patch_tokens: (B, S, P, C) tokens of the image patches, row by row.
        batch: the scenes; images of P = (H / patch_size) · (W / patch_size) patches.
        patch_size: pixels.
        temperature: cosine similarities are divided by it; smaller asks for sharper matches.

    Returns:
        loss: (), log P where all patches look alike; 0 if no patch is seen twice.
        accuracy: () share of patches whose most similar patch in the other view is the right one.

    The similarities take B · S² · P² numbers: meant for small images or few views.
    """
    target, seen = patch_correspondences(batch, patch_size)  # (B, S, S, P) each
    if patch_tokens.shape[:3] != target.shape[:1] + target.shape[2:]:
        raise ValueError(
            f"patch_tokens {tuple(patch_tokens.shape)} do not fit {target.shape[2]} views of "
            f"{target.shape[3]} patches (patch_size={patch_size}); leave out camera and register tokens."
        )
    with torch.autocast(patch_tokens.device.type, enabled=False):
        tokens = F.normalize(patch_tokens.float(), dim=-1)
        # From patch p of view i to patch q of view j
        logits = torch.einsum("bipc,bjqc->bijpq", tokens, tokens) / temperature  # (B, S, S, P, P)
    loss = F.cross_entropy(logits.flatten(0, 3), target.flatten(), reduction="none").view_as(target)
    right = logits.detach().argmax(-1) == target
    return masked_mean(loss, seen), masked_mean(right.float(), seen)


@torch.no_grad()
def patch_correspondences(batch: SceneBatch, patch_size: int) -> tuple[Tensor, Tensor]:
    """Which patch of view j shows what the middle of each patch of view i shows.

    Args:
        batch: scenes with depth, cameras and point maps.
        patch_size: pixels; H and W are multiples of it.

    Returns:
        target: (B, S, S, P) long: target[b, i, j, p] is the patch of view j
            (meaningless where it is not seen).
        seen: (B, S, S, P) bool: it projects into view j ≠ i and no nearer surface hides it.
    """
    num_views, height, width = batch.depth.shape[1:]
    middle = slice(patch_size // 2, None, patch_size)
    places = batch.point_map[:, :, middle, middle].flatten(2, 3)  # (B, S, P, 3)
    known = batch.valid[:, :, middle, middle].flatten(2, 3)  # (B, S, P)
    # Every place of every view i, projected into every view j
    pixels, z = project_points(places.flatten(1, 2)[:, None], batch.cam_from_world, batch.intrinsics)
    seen = visible_by_depth(pixels, z, batch.depth)  # (B, S_j, S_i · P)
    x, y = (torch.where(seen[..., None], pixels, 0.0) / patch_size).long().unbind(-1)
    target = y * (width // patch_size) + x

    seen, target = (m.unflatten(2, (num_views, -1)).transpose(1, 2) for m in (seen, target))  # (B, S, S, P)
    different = ~torch.eye(num_views, dtype=torch.bool, device=seen.device)[:, :, None]
    return target, seen & known[:, :, None] & different
