"""Alternating attention: checks of its exercises, with the mistakes people make."""

import torch

from vggt_lite.course.checks.check import Check, draws
from vggt_lite.model import aggregator


def one_for_the_first(tokens, num_scenes: int, num_views: int):
    """Learned tokens (1, 2, K, C), slot 0 for first views and slot 1 for others → (B · S, K, C)."""
    slots = [0] + [1] * (num_views - 1)
    return tokens[0, slots * num_scenes]


first_and_others = Check(
    name="first and others",
    reference=one_for_the_first,
    trained=True,
    without=(aggregator.first_and_others,),
    cases=lambda: {
        "two scenes of three views": (torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1), 2, 3),
        "four registers": (*draws((1, 2, 4, 8)), 3, 2),
        "a single view": (*draws((1, 2, 4, 8), seed=1), 2, 1),
    },
    mutants={
        "every view got slot 0: it is for the first view of a scene only": "[1] → [0]",
        "every view got slot 1: the first view of a scene gets slot 0": "[0] + → [1] +",
        "you swapped the slots: 0 is the first view's": "[0] + [1] → [1] + [0]",
        "only the first scene has a first view: every scene needs one":
            "(num_views - 1) → (num_scenes * num_views - 1); slots * num_scenes → slots",
        "you ordered view by view: the views of one scene lie together":
            "slots * num_scenes → sorted(slots * num_scenes)",
        "you exchanged `num_scenes` and `num_views`":
            lambda tokens, scenes, views: one_for_the_first(tokens, views, scenes),
        "you wrote the slots of two scenes of three views: build the list from `num_scenes` and `num_views`":
            "slots * num_scenes → [0, 1, 1, 0, 1, 1]",
        "all views of the first scene got slot 0: it is for the first view of every scene":
            "[0] + [1] * (num_views - 1) → [0] * num_views + [1] * num_views * (num_scenes - 1); "
            "slots * num_scenes → slots",
        "the last view of each scene got slot 0: it is for the first":
            "[0] + [1] * (num_views - 1) → [1] * (num_views - 1) + [0]",
        "the slots alternate, 0 1 0 1 …: slot 0 once a scene, then slot 1 for all its other views":
            "slots * num_scenes → [view % 2 for view in range(num_scenes * num_views)]",
        "the views still have an axis of their own: the result is (B · S, K, C)":
            "slots * num_scenes] → slots * num_scenes].unflatten(0, (num_scenes, num_views))",
    },
    hint="One scene first: slot 0 once, slot 1 for the S − 1 others. Then repeat that for each scene.",
)  # fmt: skip


def alternate(x, num_scenes: int, frame_block, global_block):
    """One pair of blocks: (B · S, T, C) in, [after frame | after global] (B · S, T, 2C) out."""
    within = frame_block(x)
    joined = within.reshape(num_scenes, -1, x.shape[-1])
    across = global_block(joined).reshape(x.shape)
    return torch.cat([within, across], dim=-1)


def pair_case(num_scenes: int, num_views: int, num_tokens: int, seed: int):
    """Tokens, and two stand-ins for blocks: each mixes the tokens of a sequence, in its own way."""
    blocks = (
        lambda y: 2 * y + y.mean(dim=1, keepdim=True),
        lambda y: y - y.mean(dim=1, keepdim=True) + 0.5 * y.amax(dim=1, keepdim=True),
    )
    return (*draws((num_scenes * num_views, num_tokens, 4), seed=seed), num_scenes, *blocks)


pair = Check(
    name="one pair of blocks",
    reference=alternate,
    trained=True,
    cases=lambda: {
        "one scene of three views": pair_case(1, 3, 2, seed=0),
        "two scenes of two views": pair_case(2, 2, 5, seed=1),
        "a single view": pair_case(2, 1, 3, seed=2),
    },
    mutants={
        "the global block ran first": "frame_block(x) → x; [within, across] → [frame_block(across), across]",
        "both blocks got the same x: the global block continues from the frame block": "= within. → = x.",
        "the scenes of the batch attend to each other: the global sequence is (B, S · T, C)":
            "(num_scenes, → (1,",
        "the global block saw one view at a time: join the S views of a scene": "(joined) → (within)",
        "the global block saw only equal tokens of the views: it sees all S · T":
            "within.reshape(num_scenes, -1, x.shape[-1]) "
            "→ within.unflatten(0, (num_scenes, -1)).transpose(1, 2).flatten(0, 1); "  # (B · T, S, C)
            "(joined) → (joined).unflatten(0, (num_scenes, -1)).transpose(1, 2)",
        "you joined B views, not the S views of a scene: `reshape(num_scenes, -1, C)`":
            "(num_scenes, -1, → (-1, num_scenes * x.shape[1],",
        "you read (B · S) as views of scenes, (S, B): the views of a scene lie one after another":
            "within.reshape(num_scenes, -1, x.shape[-1]) "
            "→ within.unflatten(0, (-1, num_scenes)).transpose(0, 1).flatten(1, 2); "
            "(joined).reshape(x.shape) "
            "→ (joined).unflatten(1, (-1, x.shape[1])).transpose(0, 1).reshape(x.shape)",
        "channels and tokens are mixed: the global sequence is (B, S · T, C), with C last":
            "(num_scenes, -1, x.shape[-1]) → (num_scenes, x.shape[-1], -1)",
        "you added x to what a block gives: the block has done that":
            "= frame_block(x) → = x + frame_block(x); global_block(joined) → (joined + global_block(joined))",
        "the frame block ran twice, in place of the global block, too":
            "global_block(joined) → frame_block(joined)",
        "the channels of the halves alternate: `torch.cat(…, dim=-1)` lays one half behind the other":
            "torch.cat([within, across], dim=-1) → torch.stack([within, across], dim=-1).flatten(-2)",
        "you joined [global | frame]: frame comes first": "[within, across] → [across, within]",
        "the first half is what came in: it must be what the frame block gave": "[within, → [x,",
        "you returned the global half only: both are kept, side by side": "[within, across] → [across]",
    },
    hint="`reshape(num_scenes, -1, C)` before the global block, and back after it; then `torch.cat`.",
)  # fmt: skip


def token_index(view: int, row: int, column: int, grid: tuple[int, int], num_special: int) -> int:
    """Which of the S · T tokens of a scene is the patch (row, column) of a view; all counted from 0."""
    height, width = grid
    return view * (num_special + height * width) + num_special + row * width + column


place_in_sequence = Check(
    name="a patch's place in the sequence",
    reference=token_index,
    cases=lambda: {
        "NANO's third view": (2, 4, 5, (8, 8), 5),
        "a wide grid": (1, 2, 0, (3, 7), 5),
        "no special tokens": (3, 1, 2, (4, 6), 0),
        "the very first patch": (0, 0, 0, (8, 8), 5),
    },
    mutants={
        "you left out the special tokens": "num_special + →",
        "only the first view got special tokens: every view has its own": "(num_special + height → (height",
        "you counted by columns: patches lie row after row": "row * width + column → column * height + row",
        "you multiplied the row by the height: a row is `width` patches long": "row * width → row * height",
        "the patch's own view lacks its special tokens: they come first": "num_special + row → row",
        "you counted views from 1: view 0 starts at token 0": "return view → return (view + 1)",
        "you counted from 1: the first token of all is number 0": "+ column → + column + 1",
        "the whole views before it are missing": "view * (num_special + height * width) + →",
        "you fixed 69 tokens a view: take them from `grid` and `num_special`":
            "(num_special + height * width) → 69",
        "you fixed five special tokens: take them from `num_special`":
            lambda view, row, column, grid, _: token_index(view, row, column, grid, 5),
        "you fixed NANO's sizes: take them from `grid` and `num_special`":
            "height, width = grid → height, width, num_special = 8, 8, 5",
    },
    hint="Before it: `view` whole views, special tokens included; its own special tokens; the rows above.",
)  # fmt: skip


def one_way_mask(num_views: int, num_tokens: int, num_old: int):
    """Which token may attend to which, (S · T, S · T): old views only to old ones, new views to all."""
    is_new = torch.arange(num_views).repeat_interleave(num_tokens) >= num_old
    return is_new[:, None] | ~is_new[None]


def _views(num_views: int, num_tokens: int):
    return torch.arange(num_views).repeat_interleave(num_tokens)


one_way = Check(
    name="a one-way mask",
    reference=one_way_mask,
    cases=lambda: {
        "two old views and a new one": (3, 2, 2),
        "one old view, three new ones": (4, 5, 1),
        "nothing new": (2, 3, 2),
    },
    mutants={
        "you turned it round: rows are queries, and those of old views may not attend to new ones":
            lambda *sizes: one_way_mask(*sizes).mT,
        "True must mean *may attend*; yours marks what is forbidden": lambda *sizes: ~one_way_mask(*sizes),
        "you made it causal, view by view: old views attend to all old ones, new views to all new ones":
            lambda views, tokens, _: torch.ones(views, views).tril().bool()
            .repeat_interleave(tokens, 0).repeat_interleave(tokens, 1),
        "you forbade token by token: old views attend to all old ones":
            lambda *sizes: torch.ones_like(one_way_mask(*sizes)).tril(),
        "the new views do not see the old ones: that makes two scenes": "| ~is_new → == is_new",
        "the new views do not attend to each other: they attend to all": lambda views, tokens, old:
            one_way_mask(views, tokens, old) & (_views(views, tokens)[:, None] == _views(views, tokens)
            ) | (_views(views, tokens) < old),
        "nothing is forbidden": lambda *sizes: torch.ones_like(one_way_mask(*sizes)),
        "old views attend to nothing: they attend to each other":
            "is_new[:, None] | ~is_new[None] → is_new[:, None].expand(-1, len(is_new))",
        "a token may attend to itself: the diagonal is True":
            lambda *sizes: one_way_mask(*sizes) & ~torch.eye(len(one_way_mask(*sizes)), dtype=torch.bool),
        "`repeat` deals out the views token by token: `repeat_interleave` keeps a view's tokens together":
            "repeat_interleave → repeat",
        "you are one view off: views count from 0, so view `num_old` is new": ">= num_old → > num_old",
        "you wrote *and* for *or*: the query is new, or the key is old": "] | ~ → ] & ~",
        "the new views do not see themselves":
            "is_new[:, None] | ~is_new[None] → ~is_new.expand(len(is_new), -1)",
        "you counted in tokens where views were meant: every view has `num_tokens`":
            "torch.arange(num_views).repeat_interleave(num_tokens) → torch.arange(num_views * num_tokens)",
    },
    hint="One boolean a token first: is its view new? Forbidden is: the query old, the key new.",
)  # fmt: skip
