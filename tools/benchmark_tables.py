"""Keep the tables of benchmarks/README.md in step with benchmarks/results/*.json.

    python tools/benchmark_tables.py update     write the tables anew from the result files
    python tools/benchmark_tables.py check      say what is out of step; exit code 1 if anything is

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. The letter behind each figure names the
machine it was measured on, explained below the table. NAME_cpu.json fills the columns of the CPU, any other
NAME_<device>.json those of the GPU; what nobody has measured yet stays empty.
"""

import json
import re
import string
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # for the estimate beside measured memory

from tools.benchmark_figures import (  # noqa: E402
    Row,
    estimated,
    heads,
    images_per_second,
    middle,
    number_format,
    pixels,
    plain,
    rounded,
    seconds,
    size_of,
    times,
    waiting,
    yes_no,
)
from vggt_lite.utils.table import markdown_table  # noqa: E402

Column = tuple[str, Callable[[Row], str]]  # heading, and what a row says under it ("" if nothing)


@dataclass(frozen=True)
class Table:
    """Which rows of which result files become which columns."""

    files: str  # results/<files>_*.json
    part: str  # "rows" or "ratios" of a file
    keys: tuple[Column, ...]  # what a row is about
    values: tuple[Column, ...]  # what was measured; once per kind of device
    wanted: tuple[Row, ...] = ()  # rows to be measured, shown before they are


NETWORK = (("views", plain("views")), ("pixels", pixels), ("heads", heads), ("format", plain("dtype")))
ON_A_GPU = {"form": "vggt_lite", "height": 336, "width": 518, "heads": "camera+depth", "dtype": "bfloat16"}
CASE, FORM, NAMED = ("what", plain("case")), ("form", plain("form")), ("network", plain("model"))
RATIOS = (
    ("time", times("time")),
    ("processor time", times("cpu_time")),
    ("memory", times("memory")),
)
TABLES = {
    "inference": Table(
        "inference",
        "rows",
        (*NETWORK, FORM),
        (
            ("time", seconds),
            ("above the weights", size_of("peak_above_weights_bytes")),
            ("weights", size_of("weights_bytes")),
        ),
        tuple({**ON_A_GPU, "views": views} for views in (100, 200, 1250)),
    ),
    "inference ratios": Table("inference", "ratios", (*NETWORK, FORM), RATIOS),
    "tracker": Table(
        "tracker",
        "rows",
        (CASE, FORM),
        (("time", seconds), ("above the inputs", size_of("peak_above_inputs_bytes"))),
    ),
    "tracker ratios": Table("tracker", "ratios", (CASE, FORM), RATIOS),
    "memory": Table(
        "memory",
        "rows",
        (
            ("network", plain("config")),
            *NETWORK[:3],
            ("queries", plain("queries")),
            ("format", number_format),
        ),
        (
            ("weights", size_of("weights_bytes")),
            ("above them, measured", size_of("peak_above_weights_bytes")),
            ("estimated", estimated),
        ),
    ),
    "thirty": Table(
        "thirty",
        "rows",
        (*NETWORK[:3], ("blocks", lambda row: "all" if row["whole"] else "those that are read")),
        (
            ("most memory of the process", size_of("peak_rss")),
            ("weights and work, estimated", size_of("estimated_bytes")),
            ("time of one core", rounded("cpu_seconds", 0, " s")),
            ("share of a whole pass", rounded("share_of_whole", 2)),
            ("a whole pass, from these", rounded("cpu_minutes_whole", 0, " min")),
        ),
    ),
    "raycaster": Table(
        "raycaster",
        "rows",
        (("threads", plain("threads")), ("side", plain("size")), ("scenes", plain("config"))),
        (("images per second", images_per_second),),
    ),
    "bundled": Table(
        "bundled",
        "rows",
        (NAMED, ("views", plain("views")), ("side", plain("size")), ("threads", plain("threads"))),
        (("a forward pass", seconds),),
    ),
    "refinement": Table(
        "refinement",
        "rows",
        (("cameras", plain("cameras")), ("views", plain("views"))),
        (
            ("AUC@5", plain("auc_5")),
            ("AUC@10", plain("auc_10")),
            ("AUC@30", plain("auc_30")),
            ("rotation, median °", plain("rotation_median_deg")),
            ("direction, median °", plain("translation_median_deg")),
        ),
    ),
    "long sequences": Table(
        "long_sequences",
        "rows",
        (("chunks", plain("chunks")), ("put together", plain("way"))),
        (("ATE, % of the path", plain("ate_percent_mean")), ("worst walk", plain("ate_percent_worst"))),
    ),
    "precision": Table(
        "precision",
        "rows",
        (("part", plain("part")), ("form", plain("form"))),
        (
            ("time, of one core", rounded("cpu_seconds", 2, " s")),
            ("÷ float32", rounded("ratio", 2)),
            ("off by, median", rounded("difference_percent", 2, " %")),
        ),
    ),
    "small": Table(
        "small",
        "rows",
        (("network", plain("network")), ("stored", plain("form"))),
        (
            ("file", size_of("file_bytes")),
            ("most memory, loading and running", size_of("peak_bytes")),
            ("a forward pass, of one core", rounded("cpu_seconds_median", 1, " s")),
            ("÷ float32", rounded("time_to_float32", 2)),
            ("÷ bfloat16", rounded("time_to_bfloat16", 2)),
            ("depth off by, median", rounded("depth_median_percent", 2, " %")),
            ("depth, most", rounded("depth_most_percent", 2, " %")),
            ("rotation off by, most °", rounded("rotation_deg", 3)),
            ("position, most", rounded("translation_percent", 2, " %")),
            ("memory of `convert`", size_of("convert_bytes")),
        ),
    ),
    "small scores": Table(
        "small",
        "scores",
        (("network", plain("network")), ("stored", plain("form")), ("scenes", plain("scenes"))),
        (
            ("AUC@30", rounded("auc_30", 2)),
            ("change", rounded("auc_30_change_percent", 2, " %")),
            ("AUC@5", rounded("auc_5", 2)),
            ("AbsRel", rounded("depth_abs_rel", 4)),
            ("its change", rounded("depth_abs_rel_change_percent", 2, " %")),
        ),
    ),
    "training": Table(
        "training",
        "rows",
        (NAMED, ("side", plain("size")), ("images", plain("images")), FORM),
        (
            ("a step", seconds),
            ("scenes per second", plain("scenes_per_s")),
            ("above model, moments and average", size_of("peak_above_state_bytes")),
        ),
    ),
    "picture cost": Table(
        "picture_cost",
        "rows",
        (("training", plain("form")), ("side", plain("size"))),
        (
            ("a picture, of one core", rounded("per_picture", 3, " s")),
            ("of it rendering ahead", rounded("rendering", 3, " s")),
            ("pictures per second of a core", plain("pictures_per_s")),
            ("÷ all heads", rounded("times_as_many", 2, " ×")),
            ("compiling", rounded("compiling", 0, " s")),
        ),
    ),
    "picture cost curve": Table(
        "picture_cost",
        "curve",
        (("training", plain("form")), ("pictures seen", plain("pictures"))),
        tuple((name, rounded(name, 3)) for name in ("camera", "depth", "matching", "direction")),
    ),
    "training ratios": Table("training", "ratios", (NAMED, FORM), (("time", times("time")),)),
    "training parts": Table(
        "training",
        "parts",
        (NAMED, ("part", plain("part"))),
        (("share of a step", lambda row: f"{row['share']:.1%}"),),
    ),
    "training loading": Table(
        "training",
        "loading",
        (NAMED, ("scenes", plain("scenes_from")), ("ahead of the step", yes_no("prefetch"))),
        (("a step", middle("seconds_median")), ("of it waiting for its batch", waiting)),
    ),
}


def machine(report: dict) -> str:
    """Where and with what a file's figures were measured."""
    threads = f"{report['threads']} threads, " if report.get("threads") else ""
    cores = f"{report['cpu_count']} cores, " if "cpu_count" in report else ""
    has = f" ({report['instructions']})" if "instructions" in report else ""
    return f"{report['hardware']}{has}, {cores}{threads}torch {report['torch']}, {report['date']}"


def render(table: Table, results: Path) -> str:
    """A table in Markdown, and below it the machines its letters stand for."""
    cells: dict[tuple, dict[str, list[str]]] = {}
    machines = []
    files = sorted(results.glob(f"{table.files}_*.json"))
    for path in sorted(files, key=lambda path: not path.stem.endswith("_cpu")):
        report = json.loads(path.read_text(encoding="utf-8"))
        kind = "CPU" if path.stem.endswith("_cpu") else "GPU"
        letter = string.ascii_lowercase[len(machines)]
        machines.append(f"{letter}: {machine(report)}")
        for row in report.get(table.part, ()):
            found = cells.setdefault(tuple(write(row) for _, write in table.keys), {})
            for heading, write in table.values:
                if text := write(row):
                    found.setdefault(f"{kind}: {heading}", []).append(f"{text} <sup>{letter}</sup>")
    for row in table.wanted:
        cells.setdefault(tuple(write(row) for _, write in table.keys), {})
    columns = [f"{kind}: {heading}" for kind in ("CPU", "GPU") for heading, _ in table.values]
    headings = [heading for heading, _ in table.keys] + columns
    lines = [
        [*key, *("<br>".join(found.get(column, ())) for column in columns)] for key, found in cells.items()
    ]
    text = markdown_table(headings, lines, "l" * len(table.keys) + "r" * len(columns))
    return text + "\n\n" + ("<br>\n".join(machines) or "Not measured yet.")


MARKED = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def updated(folder: Path) -> str:
    """The text benchmarks/README.md should have.

    Raises:
        ValueError: the page names a table that is not known here.
    """

    def fill(match: re.Match) -> str:
        if match[2] not in TABLES:
            raise ValueError(f"README.md asks for table {match[2]!r}; known are {sorted(TABLES)}.")
        return f"{match[1]}{render(TABLES[match[2]], folder / 'results')}\n{match[3]}"

    return MARKED.sub(fill, (folder / "README.md").read_text(encoding="utf-8"))


def problems(folder: Path) -> list[str]:
    found, page = [], (folder / "README.md").read_text(encoding="utf-8")
    if updated(folder) != page:
        found.append("benchmarks/README.md is out of step: python tools/benchmark_tables.py update")
    shown = tuple(f"{TABLES[match[2]].files}_" for match in MARKED.finditer(page))
    stems = [path.stem for path in (folder / "results").glob("*.json")]
    names = {stem.split("_")[0] for stem in stems if not stem.startswith(shown)}
    return found + [f"benchmarks/README.md has no table of {name}_*.json" for name in sorted(names)]


def main(arguments: list[str]) -> int:
    if arguments not in (["update"], ["check"]):
        print(__doc__)
        return 2
    folder = ROOT / "benchmarks"
    if arguments == ["update"]:
        (folder / "README.md").write_text(updated(folder), encoding="utf-8", newline="\n")
    found = problems(folder)
    print("\n".join(found) or "benchmarks/README.md is in step")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
