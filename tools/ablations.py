"""The small experiments of lessons 11 and 13: `python tools/ablations.py run runs/ablations`.

Trains every variant below with seeds 0, 1 and 2, one run after the other, and goes on where it was stopped.
`show FOLDER` prints what has finished so far, `gather FOLDER` puts it into data/experiments/ablations.json.
"""

import argparse
import json
from pathlib import Path

import torch

from vggt_lite.research.comparison import compare_runs
from vggt_lite.research.experiment import SMALL_RECIPE, Variant, read_runs, run_experiment
from vggt_lite.utils.files import atomic_write

SEEDS = (0, 1, 2)
ALTERNATING = Variant("alternating")
# The paper's tables 5 and 6
PAPER = (
    ALTERNATING,
    Variant("global only", model={"attention": "global"}),
    Variant("cross-attention", model={"attention": "cross"}),
    *(
        Variant(f"without {name} loss", train={"loss_weights": SMALL_RECIPE.train.loss_weights | {name: 0.0}})
        for name in ("camera", "depth", "track")
    ),
)
# What came after VGGT
LATER = (
    Variant("register attention", model={"register_attention": (1, 2)}),
    Variant("no global positions", model={"global_positions": False}),
    Variant("no reference view", model={"reference": "none"}),
    Variant("merged tokens", model={"merge_tokens": 0.5}),
)
GATHERED = Path(__file__).parents[1] / "data" / "experiments" / "ablations.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("do", choices=("run", "show", "gather"))
    parser.add_argument("folder", type=Path, help="of the runs")
    parser.add_argument("--scenes", type=Path, help="where scenes are rendered ahead; default: FOLDER/scenes")
    parser.add_argument("--threads", type=int, default=1, help="of the processor, for run")
    parser.add_argument("--device", help="for run; default: the best at hand")
    arguments = parser.parse_args()
    if arguments.do == "run":
        torch.set_num_threads(arguments.threads)
        where = (arguments.folder, arguments.scenes, arguments.device)
        run_experiment((*PAPER, *LATER), SEEDS, SMALL_RECIPE, *where)
    runs = read_runs(arguments.folder)
    print(f"{len(runs)} of {len(SEEDS) * len(PAPER + LATER)} runs have finished.\n")
    print(compare_runs(runs, ALTERNATING.name))
    if arguments.do == "gather":
        with atomic_write(GATHERED) as temporary:
            lines = ",\n".join(json.dumps(run, ensure_ascii=False) for run in runs)  # one run a line
            temporary.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(f"Gathered in {GATHERED}.")


if __name__ == "__main__":
    main()
