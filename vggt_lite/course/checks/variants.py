"""Departures from VGGT: checks of the exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draws
from vggt_lite.geometry import compose, invert_rigid, matrix_from_quat_xyzw


def special_tokens_attend(x, num_views: int, num_special: int, block):
    """Camera and register tokens of all views through a block; patches as they were. (B · S, T, C)."""
    special, patches = x[:, :num_special], x[:, num_special:]
    joined = special.reshape(-1, num_views * num_special, x.shape[-1])  # (B, S · K, C)
    return torch.cat([block(joined).reshape(special.shape), patches], dim=1)


def _everybody(x, num_views, num_special, block):
    return special_tokens_attend(x, num_views, x.shape[1], block)


def _each_view_alone(x, num_views, num_special, block):
    return special_tokens_attend(x, 1, num_special, block)


def _all_scenes(x, num_views, num_special, block):
    return special_tokens_attend(x, len(x), num_special, block)


def _cameras_only(x, num_views, num_special, block):
    return special_tokens_attend(x, num_views, 1, block)


def _like_with_like(x, num_views, num_special, block):
    special = x[:, :num_special].unflatten(0, (-1, num_views)).transpose(1, 2)  # (B, K, S, C)
    met = block(special.flatten(0, 1)).unflatten(0, (-1, num_special)).transpose(1, 2).flatten(0, 1)
    return torch.cat([met, x[:, num_special:]], dim=1)


def _patches_lost(x, num_views, num_special, block):
    return special_tokens_attend(x, num_views, num_special, block)[:, :num_special]


def _special_at_the_end(x, num_views, num_special, block):
    return special_tokens_attend(x, num_views, num_special, block).roll(-num_special, dims=1)


def exchange_case(num_scenes: int, num_views: int, num_tokens: int, num_special: int, seed: int):
    """Tokens, and a stand-in for a block that mixes the tokens of a sequence, unevenly."""

    def block(y):
        return y + 0.5 * y.mean(dim=1, keepdim=True) - 0.25 * y.amax(dim=1, keepdim=True)

    return (*draws((num_scenes * num_views, num_tokens, 4), seed=seed), num_views, num_special, block)


register_attention = Check(
    name="register attention",
    reference=special_tokens_attend,
    cases=lambda: [
        ("two views of two special tokens and one patch", exchange_case(1, 2, 3, 2, seed=0)),
        ("two scenes of three views", exchange_case(2, 3, 9, 5, seed=1)),
        ("a single view", exchange_case(2, 1, 4, 3, seed=2)),
    ],
    mutants={
        "patches took part: only the first `num_special` tokens of every view meet": _everybody,
        "every view stayed alone: join the special tokens of its scene's views": _each_view_alone,
        "the scenes of the batch met each other: the sequence is (B, S · K, C)": _all_scenes,
        "only camera tokens met: registers are special tokens, too": _cameras_only,
        "camera tokens met cameras, first registers first registers: all K · S belong in one sequence": (
            _like_with_like
        ),
        "the patches are gone: they come back unchanged behind the special tokens": _patches_lost,
        "the special tokens come back behind the patches: they stand first": _special_at_the_end,
    },
    hint="Cut off `x[:, :num_special]`, reshape to (B, S · K, C), block, reshape back, `torch.cat`.",
)


def relative_to_first(cam_from_any):
    """Camera poses (S, 3, 4) of any world → of the first camera's frame."""
    return compose(cam_from_any, invert_rigid(cam_from_any[:1]))


def _turn_forgotten(cam_from_any):
    moved = cam_from_any[..., 3:] - cam_from_any[:1, :, 3:]
    return torch.cat([relative_to_first(cam_from_any)[..., :3], moved], dim=-1)


def _inverse_by_sign(cam_from_any):
    first = cam_from_any[0]
    return compose(cam_from_any, torch.cat([first[:, :3].T, -first[:, 3:]], dim=-1))


def _inverse_by_turn(cam_from_any):
    first = cam_from_any[0]
    return compose(cam_from_any, torch.cat([first[:, :3].T, -first[:, :3] @ first[:, 3:]], dim=-1))


def some_poses(count: int, seed: int):
    quaternions, centers = draws((count, 4), (count, 3), seed=seed)
    rotation = matrix_from_quat_xyzw(torch.nn.functional.normalize(quaternions, dim=-1))
    return torch.cat([rotation, centers[..., None]], dim=-1)


def _only_moved():
    poses = torch.eye(3, 4).repeat(2, 1, 1)
    poses[:, 0, 3] = torch.tensor([5.0, 7.0])
    return poses


to_first_camera = Check(
    name="poses seen from the first view",
    reference=relative_to_first,
    cases=lambda: [
        ("two cameras that do not turn", (_only_moved(),)),
        ("four random cameras", (some_poses(4, seed=0),)),
        ("one camera", (some_poses(1, seed=1),)),
    ],
    mutants={
        "you composed on the wrong side: names must touch, cam_from_any · any_from_first": lambda p: compose(
            invert_rigid(p[:1]), p
        ),
        "you did not invert the first pose: what you need is any_from_first": lambda p: compose(p, p[:1]),
        "you inverted the others, not the first: cam_from_any · any_from_first": lambda p: compose(
            p[:1], invert_rigid(p)
        ),
        "you subtracted translations: the difference must be turned, too (t − R t₁)": _turn_forgotten,
        "the inverse of [R | t] is [Rᵀ | −Rᵀ t]; you only changed the sign of t": _inverse_by_sign,
        "the inverse of [R | t] is [Rᵀ | −Rᵀ t]; you wrote −R t": _inverse_by_turn,
        "you took the last view for the first": lambda p: compose(p, invert_rigid(p[-1:])),
        "each camera is seen from the one before it: all must be seen from the first": lambda p: compose(
            p, invert_rigid(torch.cat([p[:1], p[:-1]]))
        ),
    },
    hint="Put p_any = R₁ᵀ (p_first − t₁) into p_cam = R p_any + t: what stands before p_first, what is left?",
)


def merged_reading(x, groups, count: int, *, weight=torch.log, member: bool = False, root: float = 0.5):
    """Attention of tokens (L, C) with themselves, over one mean token for each group, copied back."""
    size = torch.bincount(groups, minlength=count).to(x)  # (M,)
    means = x.new_zeros(count, x.shape[-1]).index_add(0, groups, x) / size[:, None]
    if member:
        first = torch.stack([(groups == group).nonzero()[0, 0] for group in range(count)])
        means = x[first]
    scores = means @ means.T / x.shape[-1] ** root + weight(size)
    return (scores.softmax(-1) @ means)[groups]


def _sums(x, groups, count):
    size = torch.bincount(groups, minlength=count).to(x)[:, None]
    means = x.new_zeros(count, x.shape[-1]).index_add(0, groups, x)
    return ((means @ means.T / x.shape[-1] ** 0.5 + size.log().T).softmax(-1) @ means)[groups]


def _louder(x, groups, count):
    size = torch.bincount(groups, minlength=count).to(x)
    means = x.new_zeros(count, x.shape[-1]).index_add(0, groups, x) / size[:, None]
    return ((means @ means.T / x.shape[-1] ** 0.5).softmax(-1) * size @ means)[groups]


def _own_queries(x, groups, count):
    size = torch.bincount(groups, minlength=count).to(x)
    means = x.new_zeros(count, x.shape[-1]).index_add(0, groups, x) / size[:, None]
    return (x @ means.T / x.shape[-1] ** 0.5 + size.log()).softmax(-1) @ means


def _not_copied_back(x, groups, count):
    size = torch.bincount(groups, minlength=count).to(x)
    means = x.new_zeros(count, x.shape[-1]).index_add(0, groups, x) / size[:, None]
    return (means @ means.T / x.shape[-1] ** 0.5 + size.log()).softmax(-1) @ means


merging = Check(
    name="attention over merged tokens",
    reference=merged_reading,
    cases=lambda: [
        ("three tokens, two of them equal", (torch.tensor([[2.0, 0], [0, 2], [0, 2]]), _of(0, 1, 1), 2)),
        ("nine tokens in four groups", (*draws((9, 8)), _of(0, 1, 2, 3, 1, 1, 3, 2, 1), 4)),
        ("nothing merged", (*draws((5, 4), seed=1), torch.arange(5), 5)),
    ],
    mutants={
        "a group of n counts once: add log n to the scores of its column (softmax cancels it in a row)": (
            lambda x, g, m: merged_reading(x, g, m, weight=torch.zeros_like)
        ),
        "you added n, not log n: softmax makes it exp(n)": lambda x, g, m: merged_reading(
            x, g, m, weight=lambda n: n
        ),
        "you multiplied the shares by n after the softmax: they no longer sum to 1": _louder,
        "you summed a group: one token stands for their mean": _sums,
        "one member spoke for its group: take the mean of all": lambda x, g, m: merged_reading(
            x, g, m, member=True
        ),
        "only keys and values were merged: the reader is its group's mean, too": _own_queries,
        "you returned one row a group: copy each back to its members, `[groups]`": _not_copied_back,
        "you skipped the division by √d": lambda x, g, m: merged_reading(x, g, m, root=0.0),
    },
    hint="`torch.bincount(groups)` counts; `zeros.index_add(0, groups, x)` sums; `[groups]` copies back.",
)


def _of(*groups: int):
    return torch.tensor(groups)
