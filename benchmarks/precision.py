"""Does bfloat16 pay on this processor?   python -m benchmarks.precision [--threads 1]

Parts of VGGT-1B with random weights, for two views of 518 × 392 pixels, in three forms: float32; bfloat16,
as precision="fast" has it; and float32 of which oneDNN may round the products to bfloat16 by itself
(`torch.backends.mkldnn.{matmul,conv}.fp32_precision`). The forms take turns, so that all see the same load of
the machine, and the fastest turn of each counts. A difference is the median of |a − b| ÷ the median of |b|, b
in float32; of a block it is that of what the block adds to its tokens.

Written to benchmarks/results/precision_cpu.json, with the instructions that the processor has for it.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import measure
from vggt_lite import VGGT_1B
from vggt_lite.inference.chunked import chunked
from vggt_lite.model.dense_head import DenseHead
from vggt_lite.model.layers import Block, rotary_tables

TURNS = 2
VIEWS, GRID = 2, (28, 37)  # patches of 518 × 392 pixels
TOKENS = 1 + VGGT_1B.num_registers + GRID[0] * GRID[1]


@contextmanager
def one_dnn_rounds() -> Iterator[None]:
    """Inside, oneDNN may round float32 products to bfloat16."""
    kinds = (torch.backends.mkldnn.matmul, torch.backends.mkldnn.conv)
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "bf16"
        yield
    finally:
        for kind, value in zip(kinds, before, strict=True):
            kind.fp32_precision = value


FORMS = {
    "float32": nullcontext,
    "bfloat16": lambda: torch.autocast("cpu", torch.bfloat16, cache_enabled=False),
    "float32, oneDNN rounds": one_dnn_rounds,
}


def parts() -> dict[str, Callable[[], Tensor]]:
    """What is measured, by its name; a block gives what it adds to its tokens."""
    dim, heads = VGGT_1B.dim, VGGT_1B.num_heads
    block = Block(dim, heads, layer_scale=VGGT_1B.layer_scale, qk_norm=True).eval()
    head = DenseHead(2 * dim, VGGT_1B.dense_dims, VGGT_1B.dense_dim, 1, "exp", VGGT_1B.patch_size).eval()
    x = torch.randn(VIEWS, TOKENS, dim)  # (S, T, C)
    rotary = rotary_tables(torch.randn(TOKENS, 2), dim // heads, VGGT_1B.rope_base)
    both = tuple(torch.cat([table] * VIEWS) for table in rotary)  # of all S · T tokens
    q = torch.randn(1, heads, VIEWS * TOKENS, dim // heads)  # (1, n, S · T, d)
    matrix = torch.randn(4 * dim, dim)
    layers = [torch.randn(1, 1, GRID[0] * GRID[1], 2 * dim) for _ in range(4)]

    def attention() -> Tensor:
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else q.dtype
        return F.scaled_dot_product_attention(*[q.to(kind)] * 3)

    def run(module, *inputs):
        with chunked(module, precision="fast" if torch.is_autocast_enabled("cpu") else "exact"):
            return module(*inputs)

    together = x.reshape(1, VIEWS * TOKENS, dim)
    return {
        "matrix product": lambda: F.linear(together, matrix),
        "attention": attention,
        "frame block": lambda: run(block, x, rotary) - x,
        "global block": lambda: run(block, together, both) - together,
        "dense head, one view": lambda: run(head, layers, GRID)[0],
    }


def computed(part: Callable[[], Tensor], context: Callable) -> Tensor:
    """A part in one of the `FORMS`."""
    with context():
        return part()


@torch.no_grad()
def rows() -> list[dict]:
    torch.manual_seed(0)
    found = []
    for name, part in parts().items():
        runs = {form: partial(computed, part, context) for form, context in FORMS.items()}
        answers = {form: run() for form, run in runs.items()}
        turns = measure.in_turn(runs, TURNS)
        times = {form: min(work for _, work in both) for form, both in turns.items()}
        exact = answers["float32"]
        for form in FORMS:
            best, base = times[form], times["float32"]
            off = (answers[form].float() - exact).abs().median() / exact.abs().median()
            row = {
                "part": name,
                "form": form,
                "cpu_seconds": best,
                "ratio": round(best / base, 3),
                "difference_percent": 100 * float(off),
            }
            print(row, flush=True)
            found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default="precision_cpu", help="name of the result file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    report = measure.hardware() | {"threads": arguments.threads, "instructions": measure.instructions()}
    measure.write_result(arguments.out, report | {"rows": rows()})


if __name__ == "__main__":
    main()
