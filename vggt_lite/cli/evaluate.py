"""`vggt-lite evaluate`: scores on scenes kept out of training, on a data set, or on photographs."""

import argparse
from pathlib import Path

from vggt_lite.cli.options import (
    DISTANCE,
    FILE,
    PAGE,
    PIXELS,
    SCENES,
    SEED,
    VIEWS,
    add_device,
    add_precision,
    add_weights,
)
from vggt_lite.config import DEFAULT_MODE, LENSES, MODES
from vggt_lite.config_fields import check_multiple
from vggt_lite.evaluation.datasets import DATA_SETS, Options, evaluate_data
from vggt_lite.evaluation.metric_table import OWN
from vggt_lite.evaluation.own_scenes import evaluate_own
from vggt_lite.evaluation.photographs import evaluate_photographs
from vggt_lite.evaluation.pictures import NUM_SCENES, evaluate_pictures, side_by_side
from vggt_lite.evaluation.protocols import EVAL_DOMAINS, eval_domain, evaluate
from vggt_lite.evaluation.report import Report
from vggt_lite.evaluation.report_page import write_report_page
from vggt_lite.inference import VGGT
from vggt_lite.metrics.tracks import MODES as QUERY_MODES
from vggt_lite.pretrained.loading import BUNDLED, CONFIGS
from vggt_lite.pretrained.releases import WEIGHT_FILES
from vggt_lite.pretrained.weight_files import read_state_dict
from vggt_lite.research import distributed
from vggt_lite.training.workers import Alone
from vggt_lite.utils.files import file_sha256, kept
from vggt_lite.utils.runtime import pick_device

NUM_VIEWS = 4  # of a generated scene
# Which options have an effect on what is scored; another one would change nothing, so it is refused
COUNTS = {
    "generated scenes": {"kind", "scenes", "views", "size", "icp"},
    "--refine or --classical": {"kind", "scenes", "views", "lens"},
    "--photographs": {"size", "mode"},
    OWN: {"scenes", "views", "size", "seed", "icp"},
    "co3d": {"scenes", "views", "size", "seed", "mode"},
    "dtu": {"scenes", "views", "size", "mode"},
    "eth3d": {"scenes", "views", "size", "seed", "mode", "icp"},
    "tapvid-davis": {"scenes", "views", "size", "mode", "queries"},
}


def add_options(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add_weights(sub)
    what = sub.add_mutually_exclusive_group()
    what.add_argument(
        "--data", choices=(*DATA_SETS, OWN), help=f'a published data set, in --root; "{OWN}": your own scenes'
    )
    what.add_argument("--photographs", action="store_true",
        help="bundled views of panoramas and the Motorcycle pair; with --root, the folder of opencv-doc's "
        "pictures, 14 pairs more")  # fmt: skip
    add("--refine", action="store_true",
        help="pictures of 448 pixels of generated scenes, before and after `refine`")  # fmt: skip
    add("--classical", action="store_true",
        help="the same pictures without a network: SIFT and essential matrices with the true lenses, "
        "COLMAP's mapper")  # fmt: skip
    add("--lens", choices=LENSES, help="with --refine: which focal lengths are free; default: each")
    add("--root", metavar="FOLDER", help="where the data lies; see docs/evaluation.md")
    add("--kind", choices=tuple(EVAL_DOMAINS),
        help="of generated scenes; default: nano's for models of at most 64 pixels, else tiny's")  # fmt: skip
    add("--scenes", type=SCENES, metavar="N", help="default: 200 generated ones, 500 of tiny's kind; or all")
    add("--views", type=VIEWS, metavar="S", help=f"of a scene; default: {NUM_VIEWS}, or the protocol's")
    add("--size", type=PIXELS, metavar="PIXELS", help="default: the size the model was made for")
    add("--seed", type=SEED, help="for the choice of a data set's frames; default: 0")
    add("--mode", choices=MODES, help=f"of photographs; default: {DEFAULT_MODE}")
    add("--queries", choices=QUERY_MODES, help="of TAP-Vid; default: first")
    add("--icp", type=DISTANCE, metavar="DISTANCE",
        help="refine points by ICP first (eth3d: metres; own and generated scenes: "
        "share of their scale)")  # fmt: skip
    add("--out", type=FILE, metavar="FILE", help="also write the report as JSON")
    add("--page", type=PAGE, metavar="FILE", help="also draw it, as an HTML page")
    add_device(sub)
    add_precision(sub)


def run(args: argparse.Namespace) -> None:
    """Score, write, then print.

    Raises:
        ValueError: options that do not go together.
        OSError: the report cannot be written; it is printed, and kept elsewhere if it was made by then.
    """
    if not args.photographs and (args.data is None) != (args.root is None):
        raise ValueError("--data and --root belong together: which data set, and the folder it lies in.")
    refuse_idle(args)
    views = NUM_VIEWS if args.views is None else args.views
    if args.refine or args.classical:
        return run_pictures(args, views)
    with distributed.init() as workers:
        report = scored(args, views, workers)
    if workers.rank:
        return
    report.protocol["weights"] = weights_used(args.weights)
    try:
        if args.out:
            kept(report.save, args.out)
        if args.page:
            kept(lambda page: write_report_page({args.weights: report}, page), args.page)
    finally:
        print(report)
    print(*(f"written: {path}" for path in (args.out, args.page) if path), sep="\n")


def run_pictures(args: argparse.Namespace, views: int) -> None:
    """Score the roads to the cameras of the same pictures; each has a report of its own."""
    if args.data or args.photographs:
        raise ValueError(
            "--refine and --classical are scored on generated scenes: leave out --data and so on."
        )
    roads = ["network", *["refined"] * args.refine, *["sift_e", "mapper"] * args.classical]
    model = VGGT.from_pretrained(args.weights)
    domain, _ = EVAL_DOMAINS[args.kind or eval_domain(model.config)]
    number = NUM_SCENES if args.scenes is None else args.scenes
    reports = evaluate_pictures(
        model, roads, number, views, scene_config=domain, lens=args.lens or "each", precision=args.precision
    )
    for report in reports.values():
        report.protocol["weights"] = weights_used(args.weights)
    print(side_by_side(reports))
    for road, report in reports.items() if args.out else ():
        path = Path(args.out).with_stem(f"{Path(args.out).stem}_{road}")
        kept(report.save, path)
        print(f"written: {path}")
    if args.page:
        kept(lambda page: write_report_page(reports, page), args.page)
        print(f"written: {args.page}")


def scored(args: argparse.Namespace, views: int, workers: Alone) -> Report:
    """The report that the options ask for; of several processes each scores its share."""
    model, device = VGGT.from_pretrained(args.weights), pick_device(args.device)
    size = model.config.image_size if args.size is None else args.size
    check_multiple("--size", size, model.config.patch_size)
    chosen = {"seed": args.seed, "mode": args.mode, "query_mode": args.queries}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    options = Options(args.views, size=args.size, icp=args.icp, precision=args.precision, **chosen)
    if args.data == OWN:
        own = (args.root, args.scenes, views, size, options.seed, device, args.icp, workers)
        return evaluate_own(model, *own, args.precision)
    if args.data:
        return evaluate_data(model, args.data, args.root, options, args.scenes, device, workers)
    if args.photographs:
        return evaluate_photographs(model.to(device), options, args.root, workers)
    domain, number = EVAL_DOMAINS[args.kind or eval_domain(model.config)]
    number = number if args.scenes is None else args.scenes
    return evaluate(
        model, number, num_views=views, size=size, scene_config=domain, device=device,
        icp_distance=args.icp, workers=workers, precision=args.precision,
    )  # fmt: skip


def refuse_idle(args: argparse.Namespace) -> None:
    """Raises: ValueError: an option that would change nothing about what is scored."""
    scored = "--photographs" if args.photographs else args.data or "generated scenes"
    if args.refine or args.classical:
        scored = "--refine or --classical"
    for option in sorted(set.union(*COUNTS.values()) - COUNTS[scored]):
        if getattr(args, option) is not None:
            where = ", ".join(name for name, options in COUNTS.items() if option in options)
            raise ValueError(f"--{option} would change nothing for {scored}: it is for {where}.")


def weights_used(name: str) -> dict[str, str]:
    """Which file the weights of this name are, its SHA-256, and how `convert` stored them if it did; of a
    folder's file the name only."""
    path = Path(name).expanduser()
    if name in CONFIGS:
        path = BUNDLED / f"{name}.safetensors"
    elif path.is_dir():
        path = next(path / file for file in WEIGHT_FILES if (path / file).is_file())
    elif not path.is_file():
        from vggt_lite.pretrained.hub import find_cached  # its client takes half a second to import

        path = find_cached(name)
    used = {"name": name, "file": path.name, "sha256": file_sha256(path)}
    notes = read_state_dict(path, only=())[1]
    return used | ({"stored_as": notes["stored_as"]} if "stored_as" in notes else {})
