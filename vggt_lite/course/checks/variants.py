"""Departures from VGGT: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check, draws
from vggt_lite.geometry import compose, invert_rigid, matrix_from_quat_xyzw


def special_tokens_attend(x, num_views: int, num_special: int, block):
    """Camera and register tokens of all views through a block; patches as they were. (B · S, T, C)."""
    special, patches = x[:, :num_special], x[:, num_special:]
    joined = special.reshape(-1, num_views * num_special, x.shape[-1])  # (B, S · K, C)
    met = block(joined).reshape(special.shape)
    return torch.cat([met, patches], dim=1)


def exchange_case(num_scenes: int, num_views: int, num_tokens: int, num_special: int, seed: int):
    """Tokens, and a stand-in for a block that mixes the tokens of a sequence, unevenly."""

    def block(y):
        return y + 0.5 * y.mean(dim=1, keepdim=True) - 0.25 * y.amax(dim=1, keepdim=True)

    return (*draws((num_scenes * num_views, num_tokens, 4), seed=seed), num_views, num_special, block)


register_attention = Check(
    name="register attention",
    reference=special_tokens_attend,
    trained=True,
    cases=lambda: {
        "two views of two special tokens and one patch": exchange_case(1, 2, 3, 2, seed=0),
        "two scenes of three views": exchange_case(2, 3, 9, 5, seed=1),
        "a single view": exchange_case(2, 1, 4, 3, seed=2),
    },
    mutants={
        "patches took part: only the first `num_special` tokens of every view meet":
            lambda x, views, special, block: special_tokens_attend(x, views, x.shape[1], block),
        "every view stayed alone: join the special tokens of its scene's views": "num_views * →",
        "the scenes of the batch met each other: the sequence is (B, S · K, C)":
            "(-1, num_views * num_special, → (1, -1,",
        "only camera tokens met: registers are special tokens, too":
            lambda x, views, special, block: special_tokens_attend(x, views, 1, block),
        "camera tokens met cameras, first registers first registers: all K · S belong in one sequence":
            "special.reshape(-1, num_views * num_special, x.shape[-1]) "
            "→ special.unflatten(0, (-1, num_views)).transpose(1, 2).flatten(0, 1); "
            ".reshape(special.shape) → .unflatten(0, (-1, num_special)).transpose(1, 2).flatten(0, 1)",
        "the patches are gone: they come back unchanged behind the special tokens": "[met, patches] → [met]",
        "the special tokens come back behind the patches: they stand first": "met, patches → patches, met",
    },
    hint="Cut off `x[:, :num_special]`, reshape to (B, S · K, C), block, reshape back, `torch.cat`.",
)  # fmt: skip


def relative_to_first(cam_from_any):
    """Camera poses (S, 3, 4) of any world → of the first camera's frame."""
    rotation, translation = cam_from_any[0, :, :3], cam_from_any[0, :, 3:]
    any_from_first = torch.cat([rotation.mT, -rotation.mT @ translation], dim=-1)
    return compose(cam_from_any, any_from_first)


def some_poses(count: int, seed: int):
    quaternions, centers = draws((count, 4), (count, 3), seed=seed)
    return torch.cat([matrix_from_quat_xyzw(quaternions), centers[..., None]], dim=-1)


def _only_moved():
    poses = torch.eye(3, 4).repeat(2, 1, 1)
    poses[:, 0, 3] = torch.tensor([5.0, 7.0])
    return poses


def _turn_forgotten(cam_from_any):
    moved = cam_from_any[..., 3:] - cam_from_any[:1, :, 3:]
    return torch.cat([relative_to_first(cam_from_any)[..., :3], moved], dim=-1)


to_first_camera = Check(
    name="poses seen from the first view",
    reference=relative_to_first,
    cases=lambda: {
        "two cameras that do not turn": (_only_moved(),),
        "four random cameras": (some_poses(4, seed=0),),
        "one camera": (some_poses(1, seed=1),),
    },
    mutants={
        "you composed on the wrong side: names must touch, cam_from_any · any_from_first":
            "(cam_from_any, any_from_first) → (any_from_first, cam_from_any)",
        "you did not invert the first pose: what you need is any_from_first":
            ", any_from_first) → , cam_from_any[0])",
        "you inverted the others, not the first: cam_from_any · any_from_first":
            "cam_from_any, any_from_first → cam_from_any[0], invert_rigid(cam_from_any)",
        "you subtracted translations: the difference must be turned, too (t − R t₁)": _turn_forgotten,
        "the inverse of [R | t] is [Rᵀ | −Rᵀ t]; you only changed the sign of t": "-rotation.mT @ → -",
        "the inverse of [R | t] is [Rᵀ | −Rᵀ t]; you wrote −R t": "-rotation.mT @ → -rotation @",
        "you took the last view for the first": "cam_from_any[0, → cam_from_any[-1,",
        "each camera is seen from the one before it: all must be seen from the first":
            lambda poses: compose(poses, invert_rigid(torch.cat([poses[:1], poses[:-1]]))),
    },
    hint="Put p_any = R₁ᵀ (p_first − t₁) into p_cam = R p_any + t: what stands before p_first, what is left?",
)  # fmt: skip


def merged_reading(x, groups, count: int):
    """Attention of tokens (L, C) with themselves, over one mean token for each group, copied back."""
    size = torch.bincount(groups, minlength=count).to(x)  # (M,)
    means = x.new_zeros(count, x.shape[-1]).index_add(0, groups, x) / size[:, None]
    scores = means @ means.mT / x.shape[-1] ** 0.5 + size.log()
    return (scores.softmax(-1) @ means)[groups]


merging = Check(
    name="attention over merged tokens",
    reference=merged_reading,
    trained=True,
    cases=lambda: {
        "three tokens, two of them equal": (
            torch.tensor([[2.0, 0], [0, 2], [0, 2]]),
            torch.tensor([0, 1, 1]),
            2,
        ),
        "nine tokens in four groups": (*draws((9, 8)), torch.tensor([0, 1, 2, 3, 1, 1, 3, 2, 1]), 4),
        "nothing merged": (*draws((5, 4), seed=1), torch.arange(5), 5),
    },
    mutants={
        "a group of n counts once: add log n to the scores of its column (softmax cancels it in a row)":
            "+ size.log() →",
        "you added n, not log n: softmax makes it exp(n)": "size.log() → size",
        "you multiplied the shares by n after the softmax: they no longer sum to 1":
            "+ size.log() →; softmax(-1) → softmax(-1) * size",
        "you summed a group: one token stands for their mean": "/ size[:, None] →",
        "one member spoke for its group: take the mean of all":
            "x.new_zeros(count, x.shape[-1]).index_add(0, groups, x) / size[:, None] "
            "→ x[(groups == torch.arange(count)[:, None]).int().argmax(-1)]",
        "only keys and values were merged: the reader is its group's mean, too":
            "means @ means.mT → x @ means.mT; [groups] →",
        "you returned one row a group: copy each back to its members, `[groups]`": "[groups] →",
        "you skipped the division by √d": "/ x.shape[-1] ** 0.5 →",
    },
    hint="`torch.bincount(groups)` counts; `zeros.index_add(0, groups, x)` sums; `[groups]` copies back.",
)  # fmt: skip
