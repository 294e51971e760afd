"""The training dashboard: terms that come later, one range for both depths, throttled drawing."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from vggt_lite.viz import Dashboard, draw_dashboard, preview_dashboard
from vggt_lite.viz.dashboard import charts_to_draw, flat_records

RECORDS = [
    {"step": 1, "camera": 0.4, "norm/aggregator": 3.0},
    {"step": 1, "watch": {"depth error": 0.9}},
    {"step": 2, "camera": 0.2, "norm/aggregator": 2.0},
    {"step": 2, "watch": {"depth error": 0.5}},
    {"step": 3, "skipped": ["camera"]},
]
CHARTS = {"loss": ["camera", "point"], "gradient norm": ["norm/aggregator"], "held-out": ["depth error"]}
SCENE = (torch.rand(3, 8, 12), torch.linspace(1, 2, 96).view(8, 12), torch.rand(8, 12) + 1)


def test_what_the_log_holds_is_drawn_and_what_it_lacks_is_left_out():
    figure = draw_dashboard(RECORDS, CHARTS, *SCENE, title="after 3 steps")
    drawn = {trace.name: (tuple(trace.x), tuple(np.round(trace.y, 3))) for trace in figure.data if trace.name}
    assert drawn["camera"] == ((1, 2), (0.4, 0.2)) and drawn["depth error"][0] == (1, 2)
    assert "point" not in drawn and set(drawn) == {"camera", "norm/aggregator", "depth error"}
    assert charts_to_draw(flat_records(RECORDS), CHARTS)["loss"] == ["camera"]


def test_both_depths_share_the_range_of_the_truth():
    figure = draw_dashboard(RECORDS, CHARTS, *SCENE)
    heats = [trace for trace in figure.data if trace.type == "heatmap"]
    assert len(heats) == 2 and all(heat.coloraxis == "coloraxis" for heat in heats)
    assert 1 < figure.layout.coloraxis.cmin < figure.layout.coloraxis.cmax < 2


def test_the_still_is_small_and_changes_with_the_run():
    first, later = (preview_dashboard(records, CHARTS, *SCENE) for records in ([], RECORDS))
    assert len(later) < 60_000 and first != later
    assert Image.open(io.BytesIO(later)).size[0] > 500


def test_it_draws_no_more_often_than_asked_and_ends_with_the_live_figure(tmp_path, monkeypatch):
    shown = []
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in RECORDS))
    board = Dashboard(log, CHARTS, alt="Losses fall.", seconds=1000)
    monkeypatch.setattr(board, "_put", lambda bundle, picture: shown.append(bundle))
    with pytest.raises(ValueError, match="nothing to show"):
        board.finish()
    assert board.update(*SCENE) and not board.update(*SCENE)
    board.finish()
    assert [bool(bundle) for bundle in shown] == [False, True]
    with pytest.raises(ValueError, match="alt is empty"):
        Dashboard(log, CHARTS, alt=" ")
