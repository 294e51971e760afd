"""What ten thousand scenes cost: operations are counted completely, and the page shows what was counted."""

import pytest

from benchmarks import throughput
from benchmarks.throughput import counted, hours, operations
from tools.training_report import put_between
from vggt_lite import NANO

CONFIG = NANO.with_(heads=("camera", "depth"))


def test_two_counts_tell_those_of_any_number_of_views_and_attention_is_among_them():
    parts = operations(CONFIG, 64, 48)
    assert {part: found(3) for part, found in parts.items()} == counted(CONFIG, 3, 64, 48)
    tokens = 1 + CONFIG.num_registers + 8 * 6  # of a view
    assert parts["aggregator"].quadratic == 4 * CONFIG.depth * tokens**2 * CONFIG.dim  # q · k, weights · v
    assert parts["depth head"].quadratic == 0 < parts["depth head"].linear


def test_hours_are_scenes_times_operations_by_speed_shared_among_gpus():
    assert hours(3.6e15, 100.0, scenes=1000) == pytest.approx(10)
    assert hours(3.6e15, 100.0, scenes=1000, gpus=8) == pytest.approx(10 / 8)


@pytest.mark.parametrize(
    "given",
    [
        ["--peak", "989"],
        ["--peak", "989", "--share", "0.3"],
        ["--peak", "0", "--share", "0.3", "--price", "2"],
        ["--peak", "989", "--share", "30", "--price", "2"],
    ],
)
def test_no_figure_of_a_gpu_is_made_up(given, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["throughput", *given])
    with pytest.raises(SystemExit):
        throughput.main()
    assert "--peak above 0, --share in 0 … 1 and --price together" in capsys.readouterr().err


@pytest.mark.slow  # VGGT-1B is counted: half a minute
@pytest.mark.parametrize("name", throughput.TABLES)
def test_the_page_shows_what_is_counted(name):
    text = throughput.PAGE.read_text(encoding="utf-8")
    assert put_between(text, f"throughput {name}", throughput.TABLES[name]()) == text
