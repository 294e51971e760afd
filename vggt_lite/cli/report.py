"""`vggt-lite report`: one page from several reports, side by side."""

import argparse
from pathlib import Path

from vggt_lite.cli.options import PAGE


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("reports", nargs="+", metavar="FILE", help="reports that `evaluate --out` wrote")
    sub.add_argument("--out", type=PAGE, required=True, metavar="PAGE", help="the HTML page to write")


def run(args: argparse.Namespace) -> None:
    from vggt_lite.evaluation.report import Report
    from vggt_lite.evaluation.report_page import write_report_page

    if len(set(args.reports)) < len(args.reports):
        raise ValueError("a report is named twice: name each once.")
    reports = {name_of(file, args.reports): Report.load(file) for file in args.reports}
    print(f"written: {write_report_page(reports, args.out)}")


def name_of(file: str, among: list[str]) -> str:
    """The file's name without its suffix, or its whole path if another has the same name."""
    stems = [Path(other).stem for other in among]
    return Path(file).stem if stems.count(Path(file).stem) == 1 else str(file)
