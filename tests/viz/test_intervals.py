"""Scores with intervals: who leads stands on top, nobody changes colour, what is no interval is refused."""

import pytest

from vggt_lite.viz import Interval, draw_intervals

ROWS = {
    "small": Interval(0.3, 0.2, 0.5),
    "middle": Interval(0.1, 0.05, 0.2),
    "large": Interval(0.2, 0.1, 0.3),
}


def rows_from_top(figure) -> list[str]:
    """Names of a one-panel figure's rows, as the reader sees them."""
    main = [trace for trace in figure.data if trace.name]
    return [trace.name for trace in sorted(main, key=lambda trace: trace.y[0])]


def test_runs_become_their_mean_and_standard_deviation():
    score = Interval.of_runs([1.0, 2.0, 6.0])  # mean 3, deviations −2 −1 3, variance 14 / 2
    assert (score.low, score.middle, score.high) == pytest.approx((3 - 7**0.5, 3, 3 + 7**0.5))
    assert score.runs == (1.0, 2.0, 6.0)
    assert Interval.of_runs([5.0]).low == 5.0  # one run: no width, and no NaN


def test_the_best_stands_on_top_and_everyone_keeps_colour_and_sign():
    plain, best = (draw_intervals({"": ROWS}, "error", order=order) for order in (None, "lowest first"))
    assert rows_from_top(plain) == ["small", "middle", "large"]
    assert rows_from_top(best) == ["middle", "large", "small"]
    assert rows_from_top(draw_intervals({"": ROWS}, "share", order="highest first"))[0] == "small"
    looks = [{t.name: (t.marker.color, t.marker.symbol) for t in f.data if t.name} for f in (plain, best)]
    assert looks[0] == looks[1] and len(set(looks[0].values())) == 3
    # Sliders change traces in place: they must come in the same sequence whatever the order of the rows
    assert [trace.name for trace in plain.data] == [trace.name for trace in best.data]


def test_an_interval_need_not_lie_evenly_and_its_numbers_are_printed():
    figure = draw_intervals({"": ROWS}, "error", number=".2f")
    bar = figure.data[0].error_x
    assert (bar.arrayminus[0], bar.array[0]) == pytest.approx((0.1, 0.2))
    texts = [annotation.text.strip() for annotation in figure.layout.annotations]
    assert {"small", "0.30", "middle", "0.10"} <= set(texts)
    assert figure.layout.xaxis.title.text == "error"


def test_panels_have_their_own_units_and_single_runs():
    ours = {name: Interval.of_runs([row.low, row.high]) for name, row in ROWS.items()}
    figure = draw_intervals({"here": ours, "paper": ROWS}, {"here": "error", "paper": "metres"})
    assert [figure.layout[axis].title.text for axis in ("xaxis", "xaxis2")] == ["error", "metres"]
    assert [len(trace.x) for trace in figure.data if not trace.name] == [2, 2, 2, 0, 0, 0]
    assert [note.text.strip() for note in figure.layout.annotations].count(
        "small"
    ) == 1  # rows are named once


@pytest.mark.parametrize(
    ("panels", "order", "message"),
    [
        ({}, None, "same rows"),
        ({"": {}}, None, "same rows"),
        ({"a": ROWS, "b": {"small": ROWS["small"]}}, None, "same rows"),
        ({"": ROWS}, "best first", "unknown"),
        ({"": {"x": Interval(1.0, 2.0, 3.0)}}, None, "low ≤ middle ≤ high"),
        ({"": {"x": Interval(float("nan"), 0.0, 1.0)}}, None, "finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(panels, order, message):
    with pytest.raises(ValueError, match=message):
        draw_intervals(panels, "error", order=order)
