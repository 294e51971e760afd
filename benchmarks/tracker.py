"""What does the tracker gain by correlating only where it looks?   python -m benchmarks.tracker [--threads 2]

The method as it is explained, and as the release computes it, correlates every track with the *whole*
feature map of every view and reads a window of the result (`correlate_whole_map`). The package samples
the features under the window and correlates those: the same numbers, since sampling is linear.

Measured with VGGT-1B's tracker, random seeded weights and smooth random feature maps, 1,024 queries in 8
views of 518 × 518 pixels:

- the correlations of one iteration, all levels of the pyramid, in both forms;
- the whole tracker in both forms: its transformer, the same in both, takes most of what is left;
- the whole tracker as the release runs it: besides whole maps, the table of positions is made anew in every
  iteration, attention is asked for its weights (which keeps the fused kernel from being used), and all tokens
  are treated at once.

Forms take turns for their times; each peak is taken in a process of its own and counts what is above the
inputs (feature maps, queries, weights). Ratios are new ÷ old, turn by turn. Written to
benchmarks/results/tracker_<device>.json.
"""

import argparse
from contextlib import nullcontext
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import measure
from vggt_lite.config import VGGT_1B
from vggt_lite.inference.chunked import chunked
from vggt_lite.model import Attention, attention_weights, track_head
from vggt_lite.model.track_head import (
    STRIDE,
    TrackBlock,
    Tracker,
    axis_table,
    correlate_whole_map,
    feature_pyramid,
    sample_bilinear,
)

SIZES = {"views": 8, "queries": 1024, "height": 518, "width": 518}
QUICK = {"views": 2, "queries": 64, "height": 280, "width": 280}
WINDOW, WHOLE, RELEASED = "window", "whole map", "as released"
FORMS = {"correlations": (WHOLE, WINDOW), "whole tracker": (RELEASED, WHOLE, WINDOW)}
REPEATS = {"correlations": 7, "whole tracker": 3}


# --- the old forms --------------------------------------------------------------------------------


class WholeMapTracker(Tracker):
    """A volume of all tracks × all pixels for every level."""

    def correlations(self, *inputs: Tensor) -> Tensor:
        with patch.object(track_head, "correlate", correlate_whole_map):
            return super().correlations(*inputs)


class ReleasedTracker(WholeMapTracker):
    """And a table of positions for the whole map in every iteration, to be read at the queries."""

    def forward(self, maps: Tensor, queries: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        self.size = maps.shape[-2:]
        nothing = torch.zeros(*queries.shape[:2], self.token_dim, device=maps.device)
        swaps = (
            patch.object(track_head, "query_positions", lambda *_: nothing),  # `tokens` adds them instead
            patch.object(TrackBlock, "forward", whole_track_block),
            patch.object(Attention, "forward", attention_with_weights),
        )
        with swaps[0], swaps[1], swaps[2]:
            return super().forward(maps, queries)

    def tokens(self, correlations: Tensor, features: Tensor, tracks: Tensor) -> Tensor:
        (height, width), quarter = self.size, self.token_dim // 4
        across = axis_table(width, quarter, tracks.device).T[None, :, None, :].expand(1, -1, height, -1)
        down = axis_table(height, quarter, tracks.device).T[None, :, :, None].expand(1, -1, -1, width)
        place = sample_bilinear(torch.cat([across, down], dim=1), tracks[:, 0])
        return super().tokens(correlations, features, tracks) + place[:, None]


def whole_track_block(self, x: Tensor, context: Tensor | None = None) -> Tensor:
    """`TrackBlock.forward`, all tokens at once."""
    x = self.norm1(x)
    x = x + self.attn(x, None if context is None else self.norm_context(context))
    return x + self.mlp(self.norm2(x))


def attention_with_weights(self, x: Tensor, context: Tensor | None = None, rotary=None) -> Tensor:
    """`Attention.forward` by way of the weights, which are also averaged over heads, for nobody."""
    q, k, v = self.queries_keys_values(x, context, rotary)
    weights = attention_weights(q, k)
    weights.mean(dim=1)
    return self.proj((weights @ v).transpose(1, 2).flatten(2))


TRACKERS = {WINDOW: Tracker, WHOLE: WholeMapTracker, RELEASED: ReleasedTracker}


# --- what is measured -----------------------------------------------------------------------------


def set_up(form: str, device: str, views: int, queries: int, height: int, width: int):
    """A tracker of the given form and its inputs: feature maps (1, S, C, H, W) and queries (1, N, 2)."""
    torch.manual_seed(0)
    tracker = TRACKERS[form](VGGT_1B).eval().to(device)
    size = (height // STRIDE, width // STRIDE)
    coarse = torch.randn(views, VGGT_1B.track_dim, size[0] // 14, size[1] // 14)
    maps = F.interpolate(coarse, size=size, mode="bicubic").to(device)
    maps = maps.to(memory_format=torch.channels_last)[None]  # as the convolutions before it leave them
    points = torch.rand(1, queries, 2) * torch.tensor([size[1] - 1.0, size[0] - 1.0])
    return tracker, maps, points.to(device)


def work(case: str, tracker: Tracker, maps: Tensor, points: Tensor):
    """The call that is measured; the package's own form computes in chunks, as in `reconstruct`."""

    def computed(call, *inputs):
        with chunked(tracker) if type(tracker) is Tracker else nullcontext():
            return call(*inputs)

    if case == "whole tracker":
        return lambda: computed(tracker, maps, points)
    normed = tracker.feature_map_norm(maps.movedim(2, -1)).movedim(-1, 2)  # as in Tracker.forward
    pyramid = feature_pyramid(normed.flatten(0, 1), tracker.levels)
    shape = (1, maps.shape[1], points.shape[1])
    features = torch.randn(*shape, tracker.dim, generator=torch.Generator().manual_seed(1)).to(maps)
    tracks = points[:, None].expand(*shape, 2)
    return lambda: computed(lambda *inputs: tracker.correlations(*inputs), pyramid, features, tracks)


@torch.inference_mode()
def times(case: str, device: str, repeats: int, **sizes) -> dict:
    """Seconds of one call in every form, turn by turn."""
    calls = {form: work(case, *set_up(form, device, **sizes)) for form in FORMS[case]}
    if case == "correlations":
        measure.in_turn(calls, 1, device)  # wakes libraries; beside half a minute it would not show
    return measure.in_turn(calls, repeats, device)


@torch.inference_mode()
def peak(case: str, form: str, device: str, **sizes) -> dict:
    """Peak memory of one call above its inputs."""
    call = work(case, *set_up(form, device, **sizes))
    with measure.PeakMemory(device) as memory:
        call()
    return {"peak_above_inputs_bytes": memory.bytes}


@torch.inference_mode()
def agreement(device: str, **sizes) -> dict:
    """How far the forms' results lie apart, for a few of the queries: largest difference, and magnitude.

    Tracks after one iteration: later ones magnify rounding a thousandfold each (see `flow_embedding`).
    """
    sizes["queries"] = min(64, sizes["queries"])
    found = {}
    for case, forms in FORMS.items():
        results = []
        for form in forms:
            tracker, *inputs = set_up(form, device, **sizes)
            tracker.iterations = 1
            result = work(case, tracker, *inputs)()
            results.append(result if case == "correlations" else result[0][0])
        new = results[-1]
        difference = max((old - new).abs().max().item() for old in results)
        found[case] = {"largest_difference": difference, "largest_value": new.abs().max().item()}
    return found


def run(device: str, sizes: dict, threads: int | None, quick: bool, repeats: int | None) -> dict:
    report = {**measure.hardware(device), "threads": threads, "dtype": "float32", **sizes}
    if device == "cpu":
        report["instructions"] = measure.instructions()
    report |= {"rows": [], "ratios": []}
    for case, forms in FORMS.items():
        common = {"case": case, "device": device, "threads": threads, **sizes}
        repeats = 1 if quick else repeats or REPEATS[case]
        turns, peaks = measure.in_child("benchmarks.tracker:times", repeats=repeats, **common), {}
        for form in forms:
            found = measure.in_child("benchmarks.tracker:peak", memory=True, form=form, **common)
            peaks[form] = found["peak_above_inputs_bytes"]
            row = {"case": case, "form": form, **measure.spread(turns[form])}
            report["rows"].append(row | {"peak_above_inputs_bytes": peaks[form]})
            print("  ".join(f"{key}={value}" for key, value in report["rows"][-1].items()), flush=True)
        *olds, new = forms
        for old in olds:
            ratio = {"case": case, "form": f"{new} ÷ {old}"} | measure.ratio(turns[old], turns[new])
            ratio["memory"] = round(peaks[new] / peaks[old], 3)
            report["ratios"].append(ratio)
            print(ratio, flush=True)
    report["agreement"] = measure.in_child("benchmarks.tracker:agreement", device=device, **sizes)
    del report["agreement"]["peak_rss"]
    print(report["agreement"])
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, once; writes no file")
    parser.add_argument("--threads", type=int, help="CPU threads; default: torch's choice")
    parser.add_argument("--repeats", type=int, help="turns of the forms; default: 7 for correlations, else 3")
    parser.add_argument("--out", help="name of the result file; default: tracker_<device>")
    arguments = parser.parse_args()
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        threads = (arguments.threads or torch.get_num_threads()) if device == "cpu" else None
        report = run(device, QUICK if arguments.quick else SIZES, threads, arguments.quick, arguments.repeats)
        if not arguments.quick:
            measure.write_result(arguments.out or f"tracker_{measure.slug(device)}", report)


if __name__ == "__main__":
    main()
