"""Alternating attention: checks of its exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check
from vggt_lite.course.checks.draws import draws
from vggt_lite.model import aggregator


def _rows_of_the_batch(tokens, num_scenes, num_views):
    slots = [0] + [1] * (num_scenes * num_views - 1)
    return tokens[0, slots]


first_and_others = Check(
    name="first and others",
    reference=aggregator.first_and_others,
    cases=lambda: [
        ("two scenes of three views", (torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1), 2, 3)),
        ("four registers", (*draws((1, 2, 4, 8)), 3, 2)),
        ("a single view", (*draws((1, 2, 4, 8), seed=1), 2, 1)),
    ],
    mutants={
        "every view got slot 0: it is for the first view of a scene only": lambda t, b, s: t[0, [0] * b * s],
        "every view got slot 1: the first view of a scene gets slot 0": lambda t, b, s: t[0, [1] * b * s],
        "you swapped the slots: 0 is the first view's": lambda t, b, s: t[0, ([1] + [0] * (s - 1)) * b],
        "only the first scene has a first view: every scene needs one": _rows_of_the_batch,
        "you ordered view by view: the views of one scene lie together": lambda t, b, s: t[
            0, [0] * b + [1] * b * (s - 1)
        ],
        "the views still have an axis of their own: the result is (B · S, K, C)": lambda t, b, s: (
            aggregator.first_and_others(t, b, s).unflatten(0, (b, s))
        ),
    },
    hint="One scene first: slot 0 once, slot 1 for the S − 1 others. Then repeat that for each scene.",
)


def alternate(x, num_scenes: int, frame_block, global_block):
    """One pair of blocks: (B · S, T, C) in, [after frame | after global] (B · S, T, 2C) out."""
    within = frame_block(x)
    across = global_block(within.reshape(num_scenes, -1, x.shape[-1])).reshape(x.shape)
    return torch.cat([within, across], dim=-1)


def _global_first(x, num_scenes, frame_block, global_block):
    across = global_block(x.reshape(num_scenes, -1, x.shape[-1])).reshape(x.shape)
    return torch.cat([frame_block(across), across], dim=-1)


def _side_by_side(x, num_scenes, frame_block, global_block):
    across = global_block(x.reshape(num_scenes, -1, x.shape[-1])).reshape(x.shape)
    return torch.cat([frame_block(x), across], dim=-1)


def _across_scenes(x, num_scenes, frame_block, global_block):
    return alternate(x, 1, frame_block, global_block)


def _never_global(x, num_scenes, frame_block, global_block):
    within = frame_block(x)
    return torch.cat([within, global_block(within)], dim=-1)


def _same_place_only(x, num_scenes, frame_block, global_block):
    within = frame_block(x)
    columns = within.unflatten(0, (num_scenes, -1)).transpose(1, 2).flatten(0, 1)  # (B · T, S, C)
    across = global_block(columns).unflatten(0, (num_scenes, -1)).transpose(1, 2).reshape(x.shape)
    return torch.cat([within, across], dim=-1)


def _halves_swapped(x, num_scenes, frame_block, global_block):
    return alternate(x, num_scenes, frame_block, global_block).roll(x.shape[-1], dims=-1)


def _only_the_last(x, num_scenes, frame_block, global_block):
    return alternate(x, num_scenes, frame_block, global_block)[..., x.shape[-1] :]


def _input_kept(x, num_scenes, frame_block, global_block):
    across = alternate(x, num_scenes, frame_block, global_block)[..., x.shape[-1] :]
    return torch.cat([x, across], dim=-1)


def pair_case(num_scenes: int, num_views: int, num_tokens: int, seed: int):
    """Tokens, and two stand-ins for blocks: each mixes the tokens of a sequence, in its own way."""

    def frame_block(y):
        return 2 * y + y.mean(dim=1, keepdim=True)

    def global_block(y):
        return y - y.mean(dim=1, keepdim=True) + 0.5 * y.amax(dim=1, keepdim=True)

    return (*draws((num_scenes * num_views, num_tokens, 4), seed=seed), num_scenes, frame_block, global_block)


pair = Check(
    name="one pair of blocks",
    reference=alternate,
    cases=lambda: [
        ("one scene of three views", pair_case(1, 3, 2, seed=0)),
        ("two scenes of two views", pair_case(2, 2, 5, seed=1)),
        ("a single view", pair_case(2, 1, 3, seed=2)),
    ],
    mutants={
        "the global block ran first": _global_first,
        "both blocks read the same x: the global block continues from the frame block": _side_by_side,
        "the scenes of the batch read each other: the global sequence is (B, S · T, C)": _across_scenes,
        "the global block saw one view at a time: join the S views of a scene": _never_global,
        "the global block saw only equal tokens of the views: it sees all S · T": _same_place_only,
        "you joined [global | frame]: frame comes first": _halves_swapped,
        "the first half is what came in: it must be what the frame block gave": _input_kept,
        "you returned the global half only: both are kept, side by side": _only_the_last,
    },
    hint="`reshape(num_scenes, -1, C)` before the global block, and back after it; then `torch.cat`.",
)


def token_index(view: int, row: int, column: int, grid: tuple[int, int], num_special: int) -> int:
    """Which of the S · T tokens of a scene is the patch (row, column) of a view; all counted from 0."""
    height, width = grid
    return view * (num_special + height * width) + num_special + row * width + column


def _special_once(view, row, column, grid, num_special):
    return num_special + (view * grid[0] + row) * grid[1] + column


def _next_view(view, row, column, grid, num_special):
    return token_index(view, row, column, grid, num_special) + num_special + grid[0] * grid[1]


place_in_sequence = Check(
    name="a patch's place in the sequence",
    reference=token_index,
    cases=lambda: [
        ("NANO's third view", (2, 4, 5, (8, 8), 5)),
        ("a wide grid", (1, 2, 0, (3, 7), 5)),
        ("no special tokens", (3, 1, 2, (4, 6), 0)),
        ("the very first patch", (0, 0, 0, (8, 8), 5)),
    ],
    mutants={
        "you left out the special tokens": lambda v, r, c, grid, k: token_index(v, r, c, grid, 0),
        "only the first view got special tokens: every view has its own": _special_once,
        "you counted by columns: patches lie row after row": lambda v, r, c, grid, k: (
            v * (k + grid[0] * grid[1]) + k + c * grid[0] + r
        ),
        "you multiplied the row by the height: a row is `width` patches long": lambda v, r, c, grid, k: (
            v * (k + grid[0] * grid[1]) + k + r * grid[0] + c
        ),
        "the patch's own view lacks its special tokens: they come first": lambda v, r, c, grid, k: (
            token_index(v, r, c, grid, k) - k
        ),
        "you counted views from 1: view 0 starts at token 0": _next_view,
        "you fixed NANO's sizes: take them from `grid` and `num_special`": lambda v, r, c, grid, k: (
            token_index(v, r, c, (8, 8), 5)
        ),
    },
    hint="Before it: `view` whole views, special tokens included; its own special tokens; the rows above.",
)


def one_way_mask(num_views: int, num_tokens: int, num_old: int):
    """Who may read from whom, (S · T, S · T): old views only from old ones, new views from all."""
    is_new = torch.arange(num_views).repeat_interleave(num_tokens) >= num_old
    return is_new[:, None] | ~is_new[None]


def _token_by_token(num_views, num_tokens, num_old):
    length = num_views * num_tokens
    return torch.ones(length, length, dtype=torch.bool).tril()


def _new_ones_apart(num_views, num_tokens, num_old):
    is_new = torch.arange(num_views).repeat_interleave(num_tokens) >= num_old
    return is_new[:, None] == is_new[None]


def _blind_to_themselves(num_views, num_tokens, num_old):
    is_new = torch.arange(num_views).repeat_interleave(num_tokens) >= num_old
    return (~is_new)[None].expand(len(is_new), -1)


def _counted_in_tokens(num_views, num_tokens, num_old):
    is_new = torch.arange(num_views * num_tokens) >= num_old
    return is_new[:, None] | ~is_new[None]


one_way = Check(
    name="a one-way mask",
    reference=one_way_mask,
    cases=lambda: [
        ("two old views and a new one", (3, 2, 2)),
        ("one old view, three new ones", (4, 5, 1)),
        ("nothing new", (2, 3, 2)),
    ],
    mutants={
        "you turned it round: rows are readers, and old ones do not read from new ones": lambda *a: (
            one_way_mask(*a).mT
        ),
        "True must mean *may read*; yours marks what is forbidden": lambda *a: ~one_way_mask(*a),
        "you forbade token by token: old views read all old ones": _token_by_token,
        "the new views do not see the old ones: that makes two scenes": _new_ones_apart,
        "the new views do not see themselves": _blind_to_themselves,
        "you counted in tokens where views were meant: every view has `num_tokens`": _counted_in_tokens,
    },
    hint="One boolean a token first: is its view new? Forbidden is: the reader old, the other new.",
)
