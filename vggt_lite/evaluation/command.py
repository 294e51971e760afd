"""`vggt-lite evaluate` and `vggt-lite report`: their options, and what they do."""

import argparse
from pathlib import Path

from vggt_lite.evaluation.datasets import DATA_SETS, Options, evaluate_data
from vggt_lite.evaluation.photographs import evaluate_photographs
from vggt_lite.evaluation.protocols import HOME, evaluate
from vggt_lite.evaluation.report import Report, file_sha256
from vggt_lite.evaluation.tracks import MODES as QUERY_MODES
from vggt_lite.model import VGGT
from vggt_lite.releases import WEIGHT_FILES
from vggt_lite.runtime import pick_device
from vggt_lite.scenes.images import MODES
from vggt_lite.weights import BUNDLED, CONFIGS

NUM_VIEWS = 4  # of a generated scene


def evaluate_options(sub: argparse.ArgumentParser, weights: str) -> None:
    """Add the options of `vggt-lite evaluate`; `weights` explains what a name of weights may be."""
    sub.add_argument("--weights", default="nano", help=weights)
    what = sub.add_mutually_exclusive_group()
    what.add_argument("--data", choices=tuple(DATA_SETS), help="a published data set, in --root")
    what.add_argument("--photographs", action="store_true", help="pairs of photographs that are at hand")
    sub.add_argument("--root", metavar="FOLDER", help="where the data set lies; see docs/evaluation.md")
    sub.add_argument("--varied", action="store_true", help="generate TINY's kind of scenes, not NANO's")
    sub.add_argument(
        "--scenes", type=int, metavar="N", help="default: 200 generated ones, 500 of TINY's kind; or all"
    )
    sub.add_argument(
        "--views", type=int, metavar="S", help=f"of a scene; default: {NUM_VIEWS}, or the protocol's"
    )
    sub.add_argument("--size", type=int, metavar="PIXELS", help="default: the size the model was made for")
    sub.add_argument("--seed", type=int, default=0, help="for the choice of a data set's frames")
    sub.add_argument("--mode", choices=MODES, help="fit pictures to that size; default: crop (pairs: pad)")
    sub.add_argument("--queries", default="first", choices=QUERY_MODES, help="of TAP-Vid")
    sub.add_argument("--out", metavar="FILE", help="also write the report as JSON")
    sub.add_argument("--page", metavar="FILE", help="also draw it, as an HTML page")


def run_evaluate(args: argparse.Namespace) -> None:
    """`vggt-lite evaluate`.

    Raises:
        ValueError: options that do not go together.
    """
    if (args.data is None) != (args.root is None):
        raise ValueError("--data and --root belong together: which data set, and the folder it lies in.")
    model, device = VGGT.from_pretrained(args.weights), pick_device()
    options = Options(args.views, args.seed, args.mode or "crop", args.size, args.queries)
    if args.data:
        report = evaluate_data(model, args.data, args.root, options, args.scenes, device)
    elif args.photographs:
        report = evaluate_photographs(model.to(device), Options(mode=args.mode or "pad", size=args.size))
    else:
        domain, number = HOME["tiny"] if args.varied else HOME.get(args.weights, HOME["nano"])
        report = evaluate(
            model, args.scenes or number, num_views=args.views or NUM_VIEWS,
            size=args.size or model.config.image_size, scene_config=domain, device=device,
        )  # fmt: skip
    report.protocol["weights"] = weights_used(args.weights)
    print(report)
    if args.out:
        print(f"written: {report.save(args.out)}")
    if args.page:
        from vggt_lite.viz.report_page import write_report_page

        print(f"written: {write_report_page({report.protocol['weights']['name']: report}, args.page)}")


def report_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of `vggt-lite report`."""
    sub.add_argument("reports", nargs="+", metavar="FILE", help="reports that `evaluate --out` wrote")
    sub.add_argument("--out", required=True, metavar="PAGE", help="the HTML page to write")


def run_report(args: argparse.Namespace) -> None:
    """`vggt-lite report`: one page from several reports, side by side."""
    from vggt_lite.viz.report_page import write_report_page

    reports = {name_of(file, args.reports): Report.load(file) for file in args.reports}
    print(f"written: {write_report_page(reports, args.out)}")


def name_of(file: str, among: list[str]) -> str:
    """The file's name without its suffix, or its whole path if another has the same name."""
    stems = [Path(other).stem for other in among]
    return Path(file).stem if stems.count(Path(file).stem) == 1 else str(file)


def weights_used(name: str) -> dict[str, str]:
    """Which file the weights of this name are, and its SHA-256; of a folder's file the name only."""
    path = Path(name).expanduser()
    if name in CONFIGS:
        path = BUNDLED / f"{name}.safetensors"
    elif path.is_dir():
        path = next(path / file for file in WEIGHT_FILES if (path / file).is_file())
    elif not path.is_file():
        from vggt_lite.hub import find_cached  # its client takes half a second to import

        path = find_cached(name)
    return {"name": name, "file": path.name, "sha256": file_sha256(path)}
