"""Attention: checks of the exercises, with the mistakes people make."""

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from vggt_lite.course.checks.check import Check, draws
from vggt_lite.course.checks.watching import Refused
from vggt_lite.model import layers


def shares_of_keys(q, k):
    """`layers.attention_weights` in one line."""
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)


def _exponentials(q, k):
    return (q @ k.mT / q.shape[-1] ** 0.5).exp()


attention_weights = Check(
    name="attention weights",
    reference=shares_of_keys,
    trained=True,
    without=(layers.attention_weights,),
    cases=lambda: {
        "three tokens": (2 * torch.eye(3)[:, :2], torch.tensor([[1.0, 0], [0, 1], [1, 1]])),
        "four queries and six keys in a batch": draws((3, 2, 4, 8), (3, 2, 6, 8)),
        "one token": draws((1, 8), (1, 8)),
    },
    mutants={
        "you skipped the division by √d": "/ q.shape[-1] ** 0.5 →",
        "you divided by d instead of √d": "** 0.5 →",
        "the softmax runs over the queries (dim=-2); each query's row must sum to 1":
            "softmax(-1) → softmax(-2)",
        "you returned the scores: the softmax is missing": ".softmax(-1) →",
        "you divided after the softmax: scale the scores, then take the softmax":
            "/ q.shape[-1] ** 0.5).softmax(-1) → ).softmax(-1) / q.shape[-1] ** 0.5",
        "you took the number of tokens for d: d is the width of a query, q.shape[-1]":
            "shape[-1] → shape[-2]",
        "you took the number of keys for d: d is the width of a query, q.shape[-1]":
            "q.shape[-1] → k.shape[-2]",
        "`len(q)` counts along the first axis: d is the last, q.shape[-1]": "q.shape[-1] → len(q)",
        "you divided by √2, as in the example of three tokens: d is q.shape[-1]": "q.shape[-1] → 2",
        "you multiplied by √d: divide": "/ q.shape[-1] ** 0.5 → * q.shape[-1] ** 0.5",
        "the softmax runs over the first axis (dim=0); each query's row must sum to 1":
            "softmax(-1) → softmax(0)",
        "the softmax runs over dim=1, which is a head or a batch where axes stand in front: use dim=-1":
            "softmax(-1) → softmax(1)",
        "you took exponentials and did not divide by their sum": "softmax(-1) → exp()",
        "you divided by sums of rows without `keepdim=True`: PyTorch then lays them over the columns":
            lambda q, k: _exponentials(q, k) / _exponentials(q, k).sum(-1),
        "you divided the scores by their sum: take exponentials first":
            lambda q, k: q @ k.mT / (q @ k.mT).sum(-1, keepdim=True),
        "you returned logarithms: `softmax`, not `log_softmax`": "softmax → log_softmax",
        "you divided by the lengths of queries and keys: they count, only √d is taken out":
            lambda q, k: shares_of_keys(F.normalize(q, dim=-1), F.normalize(k, dim=-1)),
        "queries and keys have changed places: rows belong to the queries": "q @ k.mT → k @ q.mT",
        "`k.T` turns all axes round, heads and batch too: use `k.mT` or `k.transpose(-2, -1)`":
            "k.mT → k.permute(*reversed(range(k.ndim)))",
    },
    hint="Scores (…, L, M) first: one dot product for each pair. Then scale. Then softmax of each row.",
)  # fmt: skip


def mix_heads(qkv, num_heads: int, prepare=None):
    """The middle of multi-head attention: [q | k | v] (B, L, 3C) in, the heads' outputs (B, L, C) out."""
    q, k, v = qkv.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4)  # three of (B, n, L, d)
    q, k = prepare(q, k) if prepare else (q, k)
    heads = layers.attention_weights(q, k) @ v
    return heads.transpose(1, 2).flatten(2)


def _prepared_uncut(qkv, num_heads, prepare=None):
    q, k, v = qkv.chunk(3, dim=-1)
    return mix_heads(torch.cat([*(prepare(q, k) if prepare else (q, k)), v], dim=-1), num_heads)


def _prepare(q, k):
    """In place of QK-norm and RoPE: works along channels d of a head, and differs from token to token."""
    return F.normalize(q, dim=-1), k * torch.arange(1.0, 1 + k.shape[-2])[:, None]


multi_head = Check(
    name="several heads",
    reference=mix_heads,
    trained=True,
    cases=lambda: {
        "two heads": (*draws((1, 3, 12)), 2),
        "four heads of a batch": (*draws((2, 5, 48), seed=1), 4),
        "one head": (*draws((2, 4, 9), seed=2), 1),
        "prepared queries and keys": (*draws((2, 5, 48), seed=3), 4, _prepare),
    },
    mutants={
        "you cut into heads before cutting into q, k and v: the order is [q | k | v]":
            "(3, num_heads, -1)).permute(2, 0, 3 → (num_heads, 3, -1)).permute(3, 0, 2",
        "`prepare` was never called": "prepare(q, k) if prepare else (q, k) → q, k",
        "`prepare` got keys and queries in the wrong order": "prepare(q, k) → prepare(k, q)[::-1]",
        "`prepare` may be None: then q and k stay as they are": "if prepare else (q, k) →",
        "`prepare` got all C channels: cut into heads first, each is prepared by itself":
            _prepared_uncut,
        "`prepare` got (B, L, n, d): tokens come next to last, (B, n, L, d)":
            "prepare(q, k) if → (x.transpose(1, 2) "
            "for x in prepare(q.transpose(1, 2), k.transpose(1, 2))) if",
        "you prepared the values too: only queries and keys":
            "weights(q, k) @ v → weights(q, k) @ (prepare(v, v)[0] if prepare else v)",
        "you divided by √C: a head compares only d = C / n channels": "(q, k) → (q / num_heads**0.5, k)",
        "you flattened (n, L, d) as it stands: move the heads behind the tokens first, (L, n, d)":
            "heads.transpose(1, 2).flatten(2) → heads.reshape(*qkv.shape[:2], -1)",
        "you dealt the channels out to the heads in turn: a head owns d neighbouring channels":
            "(3, num_heads, -1)).permute(2, 0, 3, 1, 4) → (3, -1, num_heads)).permute(2, 0, 4, 1, 3); "
            "transpose(1, 2) → permute(0, 2, 3, 1)",
        "`reshape` cut rows where it should cut channels: (B, L, n, d) first, then move the heads forward":
            "qkv.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4) "
            "→ (part.reshape(len(qkv), num_heads, qkv.shape[1], -1) for part in qkv.chunk(3, dim=-1))",
        "heads attend to each other within one token: move the heads before the tokens":
            ".permute(2, 0, 3, 1, 4) → .unbind(2); .transpose(1, 2) →",
        "you averaged the heads; they stand side by side, n · d = C channels": "flatten(2) → mean(2)",
        "you took the keys for the queries: the order is [q | k | v]": "q, k, v = → k, q, v =",
        "you took the keys for the values: the order is [q | k | v]": "q, k, v = → q, v, k =",
        "you averaged the keys: the weights belong to the values": "@ v → @ k",
        "the division by √d is missing": "layers.attention_weights(q, k) → (q @ k.mT).softmax(-1)",
        "you compared all channels at once; every head has its own": "(3, num_heads, -1) → (3, 1, -1)",
    },
    hint="Print every shape: (B, L, 3C), (B, L, 3, n, d), three of (B, n, L, d), (B, L, n, d), (B, L, C).",
)  # fmt: skip


class RowsOfWeights(TorchFunctionMode):
    """Notes the most rows of attention weights, (…, rows, M) for M keys, that any step inside returns."""

    def __init__(self, num_keys: int) -> None:
        super().__init__()
        self.num_keys, self.most = num_keys, 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is F.scaled_dot_product_attention:  # its rows never come out
            self.most = max(self.most, result.shape[-2])
        if isinstance(result, torch.Tensor) and result.ndim > 1 and result.shape[-1] == self.num_keys:
            rows = result.shape[-2]  # keys on their side, (…, d, M), have more rows than there are tokens
            self.most = max(self.most, rows if rows <= self.num_keys else 0)
        return result


def try_pieces(answer, q, k, v, most: int):
    """What came out, unless more rows than allowed were held on the way."""
    with RowsOfWeights(k.shape[-2]) as rows:
        result = answer(q, k, v, most)
    if rows.most > most:
        raise Refused(f"{rows.most} rows of attention weights were held at once; at most {most} may be.")
    return result


def in_pieces(q, k, v, most: int):
    """Attention a few queries at a time."""
    read = [layers.attention_weights(some, k) @ v for some in q.split(most, dim=-2)]
    return torch.cat(read, dim=-2)


def _own_keys_only(q, k, v, most):
    pieces = zip(*(x.split(most, dim=-2) for x in (q, k, v)), strict=True)
    return torch.cat([layers.attention_weights(q, k) @ v for q, k, v in pieces], dim=-2)


def _summed(q, k, v, most):
    pieces = zip(k.split(most, dim=-2), v.split(most, dim=-2), strict=True)
    return sum(layers.attention_weights(q, some) @ values for some, values in pieces)


pieces = Check(
    name="attention in pieces",
    reference=in_pieces,
    run=try_pieces,
    trained=True,
    cases=lambda: {
        "six tokens in twos": (*draws((6, 8), (6, 8), (6, 8)), 2),
        "seven tokens in threes": (*draws((2, 7, 8), (2, 7, 8), (2, 7, 8), seed=1), 3),
        "all at once": (*draws((5, 8), (5, 8), (5, 8), seed=2), 100),
    },
    mutants={
        "a piece of the queries saw only the keys of its own piece: it must see all of them": _own_keys_only,
        "you cut the keys, and each piece had its own softmax: a row needs all keys at once":
            lambda q, k, v, most: _summed(q, k, v, most) / len(k.split(most, dim=-2)),
        "you cut the keys and added up what came out: the softmax of a row needs all keys at once": _summed,
        "you held all rows of attention weights at once: cut the queries before you compare":
            "split(most, → split(q.shape[-2],",
        "`chunk(most)` makes `most` pieces, `split(most)` pieces of `most` queries": "q.split → q.chunk",
        "you lost the last tokens when the length is no multiple of the piece":
            "q.split → q[..., : q.shape[-2] // most * most, :].split",
        "the division by √d is missing": "layers.attention_weights(some, k) → (some @ k.mT).softmax(-1)",
        "you returned inside the loop: only the first piece came out":
            lambda q, k, v, most: layers.attention_weights(q[..., :most, :], k) @ v,
        "only the last piece came out: collect the pieces in a list, then `torch.cat`":
            lambda q, k, v, most: layers.attention_weights(q.split(most, dim=-2)[-1], k) @ v,
    },
    hint="Cut q along the tokens; k and v stay whole. `torch.cat(…, dim=-2)` joins the pieces.",
)  # fmt: skip
