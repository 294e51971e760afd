"""Figures that a page quotes are those of the committed reports they come from, rounded as printed."""

import json
import re
from pathlib import Path

import pytest

from tools import fine_tune_demo, training_report
from vggt_lite import VGGT, VGGT_1B
from vggt_lite.evaluation import Report, bundled_report
from vggt_lite.pretrained.loading import BUNDLED
from vggt_lite.training.log import read_log, seconds_of

ROOT = Path(__file__).resolve().parents[1]


def read(file: str) -> dict:
    return json.loads((ROOT / file).read_text(encoding="utf-8"))


def seconds(benchmark: str, **conditions) -> float:
    """Median time of the row of a benchmark that has these values."""
    rows = read(f"benchmarks/results/{benchmark}_cpu.json")["rows"]
    (row,) = [row for row in rows if conditions.items() <= row.items()]
    return row["seconds_median"]


def minutes(log: list[dict]) -> float:
    stages = dict.fromkeys(line["stage"] for line in log)
    return sum(seconds_of([line for line in log if line["stage"] == stage]) for stage in stages) / 60


WEIGHTS_PAGE = (BUNDLED / "README.md").relative_to(ROOT).as_posix()
NANO, TINY = bundled_report("nano"), bundled_report("tiny")
PHOTOGRAPHS = [Report.load(BUNDLED / f"{name}_photographs.json").groups() for name in ("nano", "tiny")]
TURNED, PAIR = (PHOTOGRAPHS[1][group] for group in ("panoramas", "motorcycle"))  # TINY's
TINY_LOG = read_log(BUNDLED / "tiny_log.jsonl")
FINE_TUNED = {name: read(f"data/experiments/fine_tuning_{name}.json")["rows"] for name in ("nano", "tiny")}
BEFORE = FINE_TUNED["tiny"]["before"]
REHEARSED = FINE_TUNED["tiny"]["adapters and heads, old scenes rehearsed"]
# A page, its words with {} in the place of the figure, and what stands there unrounded
REFINED = read("benchmarks/results/refinement_cpu.json")
ROWS = {row["cameras"]: row for row in REFINED["rows"]}
QUOTED = [
    ("README.md", "On {} generated scenes of four views", REFINED["num_scenes"]),
    ("README.md", "from {} to 91 and AUC@5", ROWS["TINY"]["auc_30"]),
    ("README.md", "to {} and AUC@5 from", ROWS["refined"]["auc_30"]),
    ("README.md", "either, reaches {} and", ROWS["COLMAP's mapper"]["auc_30"]),
    ("README.md", "reaches 76 and {}.", ROWS["COLMAP's mapper"]["auc_5"]),
    ("README.md", "AUC@5 from {} to", ROWS["TINY"]["auc_5"]),
    ("README.md", "AUC@5 from 1 to {};", ROWS["refined"]["auc_5"]),
    ("README.md", "essential matrices reach {} and", ROWS["SIFT + E"]["auc_30"]),
    ("README.md", "97 and {}.", ROWS["SIFT + E"]["auc_5"]),
    ("README.md", "On {} generated scenes kept out of training", TINY.protocol["num_scenes"]),
    ("README.md", "it reaches AUC@30 {} for cameras", TINY["auc_30"]),
    ("README.md", "a depth AbsRel of {}, where a constant", TINY["depth_abs_rel"]),
    ("README.md", "a constant guess has {};", TINY.constant["depth_abs_rel"]),
    ("README.md", "generated rooms at {} pixels", TINY.protocol["size"]),
    ("README.md", "in an easier world at {} pixels", NANO.protocol["size"]),
    ("README.md", "pixels, {} and 0.", NANO["auc_30"]),
    ("README.md", "70 and {}. All", NANO["depth_abs_rel"]),
    (WEIGHTS_PAGE, "AUC@30 from 33 to {}:", TINY["auc_30"]),
    (WEIGHTS_PAGE, "tracks from 33 to {} %,", TINY["track_delta_px"]),
    (WEIGHTS_PAGE, "depth from 0.137 to {} and", TINY["depth_abs_rel"]),
    (WEIGHTS_PAGE, "{} minutes of one core were", minutes(TINY_LOG)),
    (WEIGHTS_PAGE, "of one core were {} steps", TINY_LOG[-1]["total"]),
    (WEIGHTS_PAGE, "turns are learned (yaw {}, against", TINY["correlation_yaw"]),
    (WEIGHTS_PAGE, "against {} for the constant predictor)", abs(TINY.constant["correlation_yaw"])),
    (WEIGHTS_PAGE, "is what is weakest (median {}° off)", TINY["translation_median_deg"]),
    (WEIGHTS_PAGE, "{} % of rotations lie within 15°", TINY["rra_15"]),
    (WEIGHTS_PAGE, "within 15°, {} % of directions", TINY["rta_15"]),
    (WEIGHTS_PAGE, "better by two fifths ({} against", PAIR["depth_abs_rel_scale_shift_l1"]),
    (WEIGHTS_PAGE, "against {}). So it sees", PAIR.constant["depth_abs_rel_scale_shift_l1"]),
    (WEIGHTS_PAGE, "Its rotations are off by {}° (median)", TURNED["rotation_median_deg"]),
    (WEIGHTS_PAGE, "who does not look is off by {}°", TURNED.constant["rotation_median_deg"]),
    (WEIGHTS_PAGE, "The field of view is {}° off", TURNED["fov_deg"]),
    (WEIGHTS_PAGE, "60° always would be {}° off", TURNED.constant["fov_deg"]),
    ("docs/fine_tuning.md", "TINY gets the new lens (field of view {}° off", BEFORE["new"]["fov_median_deg"]),
    ("docs/fine_tuning.md", "° off → {}°) and a sixth", REHEARSED["new"]["fov_median_deg"]),
    ("docs/fine_tuning.md", "its field of view goes from {}° to", BEFORE["old"]["fov_median_deg"]),
    ("docs/fine_tuning.md", "from 3.4° to {}° off", REHEARSED["old"]["fov_median_deg"]),
    ("docs/fine_tuning.md", "the new lens (field of view {}° off → under 2°)",
     FINE_TUNED["nano"]["before"]["new"]["fov_median_deg"]),
]  # fmt: skip
# The same in words: the sentence, what it is about, and what it says, to a fifth
SHIFTED, SCALED = (
    PAIR[key] / PAIR.constant[key] for key in ("depth_abs_rel_scale_shift_l1", "depth_abs_rel")
)
IN_WORDS = [
    (WEIGHTS_PAGE, "Four views take a third of a second on one CPU core",
     seconds("bundled", model="tiny", views=4, threads=1), 1 / 3),
    (WEIGHTS_PAGE, "with one scale TINY is two fifths more wrong", SCALED - 1, 2 / 5),
    (WEIGHTS_PAGE, "it is better by two fifths", 1 - SHIFTED, 2 / 5),
    ("docs/fine_tuning.md", "a sixth less error of depth",
     1 - REHEARSED["new"]["depth_abs_rel"] / BEFORE["new"]["depth_abs_rel"], 1 / 6),
    ("benchmarks/README.md", "Correlating takes about an eighth of the tracker's time",
     VGGT_1B.track_iterations * seconds("tracker", case="correlations", form="window")
     / seconds("tracker", case="whole tracker", form="window"), 1 / 8),
]  # fmt: skip


def text_of(page: str) -> str:
    """A page in one line."""
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


def quoted(page: str, words: str) -> str:
    """The figure that stands in a page in the place of {}."""
    text = text_of(page)
    before, after = map(re.escape, words.split("{}"))
    found = re.findall(rf"{before}(?<![\d.,])(\d[\d,]*(?:\.\d+)?){after}", text)
    assert len(found) == 1, f"{page} has {len(found)} × “{words}”: has the sentence changed?"
    return found[0].replace(",", "")


@pytest.mark.parametrize(("page", "words", "value"), QUOTED, ids=[row[1] for row in QUOTED])
def test_a_quoted_figure_is_that_of_its_report(page, words, value):
    shown = quoted(page, words)
    assert shown == f"{value:.{len(shown.partition('.')[2])}f}"


@pytest.mark.parametrize(
    ("group", "what", "key", "decimals"),
    [
        ("panoramas", "rotation error, median °", "rotation_median_deg", 1),
        ("panoramas", "field of view error, °", "fov_deg", 1),
        ("motorcycle", "depth AbsRel, one scale", "depth_abs_rel", 3),
    ],
)
def test_the_table_of_photographs_shows_both_reports(group, what, key, decimals):
    figures = [groups[group][key] for groups in PHOTOGRAPHS] + [PHOTOGRAPHS[1][group].constant[key]]
    cells = " | ".join(f"{figure:.{decimals}f}" for figure in figures)
    assert f"| {group}: {what} | {cells} |" in text_of("docs/evaluation.md")


@pytest.mark.parametrize("name", ["nano", "tiny"])
def test_sizes_that_are_quoted_are_those_of_the_weights(name):
    million = sum(p.numel() for p in VGGT.from_pretrained(name).parameters()) / 1e6
    assert quoted(WEIGHTS_PAGE, f"| {name.upper()}, {{}} million parameters") == f"{million:.1f}"


@pytest.mark.parametrize("name", ["nano", "tiny"])
def test_the_tables_beside_the_weights_show_their_reports(name):
    page = (BUNDLED / "README.md").read_text(encoding="utf-8")
    assert training_report.with_tables(page, BUNDLED / name) == page, "tools/training_report.py tables …"


@pytest.mark.parametrize("name", ["nano", "tiny"])
def test_the_tables_of_fine_tuning_show_their_reports(name):
    page = fine_tune_demo.PAGE.read_text(encoding="utf-8")
    table = fine_tune_demo.table({"rows": FINE_TUNED[name]})
    assert training_report.put_between(page, f"fine-tuning {name}", table) == page


@pytest.mark.parametrize(("page", "words", "value", "said"), IN_WORDS, ids=[row[1] for row in IN_WORDS])
def test_a_figure_said_in_words_is_about_that_of_its_report(page, words, value, said):
    assert words in text_of(page), "has the sentence changed?"
    assert value == pytest.approx(said, rel=0.2)
