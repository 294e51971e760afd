"""--precision reaches the network by every road of `evaluate`, and the report says what was done."""

from itertools import islice

import pytest
import torch

from vggt_lite import VGGT
from vggt_lite.cli import main
from vggt_lite.config import NANO
from vggt_lite.data import write_scene
from vggt_lite.evaluation import Report, evaluate, photographs
from vggt_lite.evaluation.datasets import Options
from vggt_lite.evaluation.own_scenes import evaluate_own
from vggt_lite.evaluation.photographs import evaluate_photographs
from vggt_lite.evaluation.pictures import evaluate_pictures
from vggt_lite.synthetic import generate_scenes
from vggt_lite.utils import runtime


class Formats(VGGT):
    """Remembers in which number format its products ran."""

    def forward(self, images, query_points=None):
        self.product = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        return super().forward(images, query_points)


def generated(model, precision, folder) -> Report:
    return evaluate(model, 1, num_views=2, size=16, num_tracks=2, device="cpu", precision=precision)


def own(model, precision, folder) -> Report:
    if not folder.exists():
        write_scene(folder, generate_scenes(7, 1, 2, 64, 64))
    return evaluate_own(model, folder, num_views=2, device="cpu", precision=precision)


def larger_pictures(model, precision, folder) -> Report:
    return evaluate_pictures(model, ["network"], 1, 2, picture_size=64, precision=precision)["network"]


def of_photographs(model, precision, folder) -> Report:
    return evaluate_photographs(model, Options(precision=precision))


@pytest.mark.filterwarnings("ignore:no usable camera", "ignore:.*of the predicted")  # weights are random
@pytest.mark.parametrize("road", [generated, own, larger_pictures, of_photographs])
def test_the_network_computes_so_and_the_report_says_so(road, monkeypatch, tmp_path):
    one = list(islice(photographs.panoramas(), 1))
    monkeypatch.setattr(photographs, "panoramas", lambda: one)
    monkeypatch.setattr(photographs, "pairs", lambda folder: ())
    monkeypatch.setattr(runtime, "multiplies_bfloat16", lambda: True)
    torch.manual_seed(0)
    model = Formats(NANO.with_(heads=("camera", "depth")))
    for precision, product in (("exact", torch.float32), ("fast", torch.bfloat16)):
        protocol = road(model, precision, tmp_path / "scene").protocol
        assert model.product == product
        assert (protocol["computed"], f"torch.{protocol['precision']}") == (precision, str(product))
    monkeypatch.setattr(runtime, "multiplies_bfloat16", lambda: False)
    with pytest.warns(UserWarning, match='precision="fast" changes nothing on this cpu'):
        protocol = road(model, "fast", tmp_path / "scene").protocol
    assert (protocol["computed"], protocol["precision"]) == ("exact", "float32")
    with pytest.raises(ValueError, match="precision"):
        road(model, "best", tmp_path / "scene")


def test_the_command_takes_it(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime, "multiplies_bfloat16", lambda: True)
    few = ["--weights", "nano", "--scenes", "1", "--views", "2", "--size", "16", "--device", "cpu"]
    for precision in ("exact", "fast"):
        file = tmp_path / f"{precision}.json"
        assert main(["evaluate", *few, "--precision", precision, "--out", str(file)]) == 0
        assert Report.load(file).protocol["computed"] == precision
