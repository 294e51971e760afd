"""The training dashboard: terms that come later, one range for both depths, throttled drawing."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vggt_lite.viz import Dashboard, draw_dashboard
from vggt_lite.viz.show import PLOTLY

RECORDS = [
    {"step": 1, "camera": 0.4, "norm/aggregator": 3.0},
    {"step": 1, "eval": {"depth error": 0.9}},
    {"step": 2, "camera": 0.2, "norm/aggregator": 2.0},
    {"step": 2, "eval": {"depth error": 0.5}},
    {"step": 3, "skipped": ["camera"]},
]
CHARTS = {"loss": ["camera", "point"], "gradient norm": ["norm/aggregator"], "held-out": ["depth error"]}
SCENE = (torch.rand(3, 8, 12), torch.linspace(1, 2, 96).view(8, 12), torch.rand(8, 12) + 1)


def test_what_the_log_holds_is_drawn_and_what_it_lacks_is_left_out():
    figure = draw_dashboard(RECORDS, CHARTS, *SCENE, title="after 3 steps")
    drawn = {trace.name: (tuple(trace.x), tuple(np.round(trace.y, 3))) for trace in figure.data if trace.name}
    assert drawn["camera"] == ((1, 2), (0.4, 0.2)) and drawn["depth error"][0] == (1, 2)
    assert drawn["point"] == ((), ())
    named = [trace.name for trace in figure.data if trace.type == "scatter" and trace.showlegend]
    assert named == ["camera", "norm/aggregator", "depth error"]


def test_both_depths_share_the_range_of_the_truth():
    figure = draw_dashboard(RECORDS, CHARTS, *SCENE)
    heats = [trace for trace in figure.data if trace.type == "heatmap"]
    assert len(heats) == 2 and all(heat.coloraxis == "coloraxis" for heat in heats)
    assert 1 < figure.layout.coloraxis.cmin < figure.layout.coloraxis.cmax < 2


def test_it_draws_no_more_often_than_asked_and_in_one_place(monkeypatch):
    records, shown, replaced = list(RECORDS[:1]), [], []
    handle = SimpleNamespace(update=lambda bundle, raw: replaced.append(bundle))
    monkeypatch.setattr("IPython.display.display", lambda x, **_: shown.append(x) or handle)
    board = Dashboard(lambda: records, CHARTS, alt="Losses fall.", seconds=1000)
    with pytest.raises(ValueError, match="nothing to show"):
        board.finish()
    assert board.update(*SCENE)
    records += RECORDS[1:]
    assert not board.update(*SCENE)
    assert len(board.widget.data[0].x) == 1
    board.finish()
    assert tuple(board.widget.data[0].x) == (1, 2) and "after 3 steps" in board.widget.layout.title.text
    assert len(shown) == 2 and len(replaced) == 1  # a figure and its caption; then the figure once more
    assert replaced[0][PLOTLY]["layout"]["title"]["text"] == "after 3 steps"
    with pytest.raises(ValueError, match="alt is empty"):
        Dashboard(lambda: records, CHARTS, alt=" ")
