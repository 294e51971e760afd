"""`my_vggt.py`: gathered from notebooks, importable, and of the solved lessons the network itself."""

import importlib.util

import nbformat
import pytest
import torch

from tests.notebooks.lesson import ROOT
from vggt_lite.config import NANO
from vggt_lite.course import PiecesMissing, gather
from vggt_lite.metrics import pose_auc
from vggt_lite.model import LayerScale
from vggt_lite.pretrained import load_pretrained
from vggt_lite.synthetic import generate_scenes

v4 = nbformat.v4


def imported(path):
    spec = importlib.util.spec_from_file_location("my_vggt", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def notebook(folder, name, *cells):
    """Code cells, each (source, tags)."""
    made = v4.new_notebook(cells=[v4.new_code_cell(source) for source, *_ in cells])
    for cell, (_, *tags) in zip(made.cells, cells, strict=True):
        cell.metadata["tags"] = tags
    nbformat.write(made, folder / name)


STUB = "def my_sum(x):\n    '''A sum.'''\n    ...", "exercise", "piece"
WRITTEN = "def my_sum(x):\n    return plus(x, OS.sep)  # mine", "exercise", "piece"
HELPER = ("import os as OS, sys\n%time 1\ndef plus(a, b):\n    return a + b",)


def test_the_last_definition_counts_and_what_it_needs_comes_along(tmp_path):
    notebook(tmp_path, "03_a.ipynb", STUB, HELPER, WRITTEN, ("this is a note",))
    path = gather(tmp_path, tmp_path / "out" / "my_vggt.py")
    text = path.read_text(encoding="utf-8")
    assert "# mine" in text and "import os as OS" in text and "sys" not in text
    assert imported(path).my_sum("a") in ("a/", "a\\")
    assert gather(tmp_path, path) == path and path.read_text(encoding="utf-8") == text


def test_what_is_blank_is_named_with_its_notebook(tmp_path):
    stub = "class MyNet:\n    def __init__(self):\n        self.a = 1\n    def forward(self, x):\n        ..."
    notebook(tmp_path, "03_a.ipynb", STUB)
    notebook(tmp_path, "04_b.ipynb", (stub, "piece"))
    with pytest.raises(PiecesMissing, match=r"my_sum \(03_a.ipynb\), MyNet \(04_b.ipynb\)"):
        gather(tmp_path, tmp_path / "my_vggt.py")
    assert not (tmp_path / "my_vggt.py").exists()
    with pytest.raises(PiecesMissing, match="no notebook in .* has a cell tagged `piece`"):
        gather(tmp_path / "elsewhere", tmp_path / "my_vggt.py")


def test_what_cannot_be_gathered_is_told(tmp_path):
    notebook(tmp_path, "03_a.ipynb", ("size = 3\ndef my_sum(x):\n    return x + size", "piece"))
    with pytest.raises(ValueError, match="`my_sum` of 03_a.ipynb needs `size`, which no cell there"):
        gather(tmp_path, tmp_path / "my_vggt.py")
    notebook(tmp_path, "03_a.ipynb", ("def my_sum(x)\n    return x", "piece"))
    with pytest.raises(ValueError, match="03_a.ipynb, cell 1, line 1 is no Python"):
        gather(tmp_path, tmp_path / "my_vggt.py")


def test_a_file_of_ones_own_is_not_replaced(tmp_path):
    notebook(tmp_path, "03_a.ipynb", HELPER, WRITTEN)
    own = tmp_path / "my_vggt.py"
    own.write_text("mine = 1", encoding="utf-8")
    with pytest.raises(ValueError, match="was not gathered from notebooks"):
        gather(tmp_path, own)
    assert own.read_text(encoding="utf-8") == "mine = 1"


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    return imported(gather(ROOT / "notebooks", tmp_path_factory.mktemp("solved") / "my_vggt.py"))


def test_the_pieces_of_the_solved_lessons_are_the_network(mine):
    theirs, room = load_pretrained("nano"), generate_scenes(1_000_000, 1, 4, 64, 64)
    network = mine.MyVGGT(NANO)
    weights = {name: w for name, w in theirs.state_dict().items() if name in network.state_dict()}
    network.load_state_dict(weights)
    with torch.no_grad():
        (cameras, intrinsics, depth, points), expected = network(room.images), theirs(room.images)
    for got, want in (
        (cameras, expected.cam_from_world),
        (intrinsics, expected.intrinsics),
        (depth, expected.depth),
        (points, expected.point_map),
    ):
        torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-3)
    assert pose_auc(cameras[0], room.cam_from_world[0])["auc@30"] > 0.5


def test_no_class_of_the_package_hides_in_it(mine):
    network = mine.MyVGGT(NANO)
    kinds = {type(module) for module in network.modules() if type(module).__module__.startswith("vggt_lite")}
    assert kinds == {LayerScale}, "γ alone is the package's"


def test_student_copies_gather_nothing_and_say_what_is_missing(tmp_path):
    with pytest.raises(PiecesMissing, match="my_attention_weights .*MyCameraHead"):
        gather(ROOT / "notebooks" / "student", tmp_path / "my_vggt.py")
