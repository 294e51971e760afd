"""Smaller files of weights: what they hold, what they say, and how near their numbers stay."""

import json

import pytest
import torch
from safetensors import safe_open
from torch import nn

from vggt_lite import VGGT
from vggt_lite.config import NANO
from vggt_lite.inference.chunked import can_be_chunked, chunked
from vggt_lite.inference.memory_estimate import estimate_memory
from vggt_lite.pretrained.convert import OWN_LICENCE, convert
from vggt_lite.pretrained.int8 import STORED, Int8Linear, is_int8, rounded, scales, to_int8
from vggt_lite.pretrained.loading import BUNDLED, BUNDLED_SHA256, TrainedOn, load_pretrained, save_weights
from vggt_lite.utils.files import file_sha256
from vggt_lite.utils.tensor_files import stream_tensors, sum_is_wrong

SMALL = NANO.with_(dim=64, vit_depth=1, dense_dims=(8, 8, 8, 8), dense_dim=8, track_dim=8, track_hidden=16)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model, and its file."""
    torch.manual_seed(0)
    model = VGGT(SMALL).eval()
    model.trained_on = TrainedOn((16, 64), (1, 4))
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(model, path, training="not at all", licence="CC0")
    return model, path


def answers(model) -> list[torch.Tensor]:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with chunked(model):
        pred = model(images)
    return [pred.depth, pred.pose_encoding]


def test_integers_are_off_by_half_a_step_at_most():
    weight = torch.randn(40, 300)
    weight[3] = 0
    scale = scales(weight)
    integers = rounded(weight, scale)
    assert integers.dtype == torch.int8 and integers.abs().amax(1).tolist() == [127] * 3 + [0] + [127] * 36
    error = (integers * scale[:, None] - weight).abs()
    assert (error <= 0.5001 * scale[:, None]).all() and error[3].max() == 0


def test_a_layer_of_integers_multiplies_by_what_it_holds():
    linear = nn.Linear(120, 90)
    layer, x = Int8Linear(linear), torch.randn(7, 120)
    held = layer.weight.double() * layer.scale.double()[:, None]
    want = (x.double() @ held.T + linear.bias.double()).float()
    torch.testing.assert_close(layer(x), want, rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        same = nn.functional.linear(x, layer.weight * layer.scale[:, None], layer.bias)
        assert layer(x).dtype == torch.bfloat16 and torch.equal(layer(x), same), "rounded twice"
    assert "stored as int8" in repr(layer)


def test_int8_answers_are_near_and_the_model_says_what_it_is(small, tmp_path):
    model, path = small
    convert(path, tmp_path / "int8.safetensors", "int8")
    again = load_pretrained(tmp_path / "int8.safetensors")
    assert is_int8(again) and "Int8Linear" in repr(again) and again.trained_on == model.trained_on
    assert again.aggregator.matrix_dtype == torch.float32  # of its products
    for got, want in zip(answers(again), answers(model), strict=True):
        assert 0 < (got - want).abs().max() < 0.05 * want.abs().max()
    block = again.aggregator.frame_blocks[0]
    assert can_be_chunked(block)
    same = to_int8(load_pretrained(path)).state_dict()
    for key, value in again.state_dict().items():  # convolutions were rounded to bfloat16 on the way
        tolerance = 2**-8 if same[key].ndim == 4 else 0
        torch.testing.assert_close(value, same[key], rtol=tolerance, atol=0)


def test_convolutions_of_an_int8_file_stay_bfloat16_and_compute_in_float32(small, tmp_path):
    """The numbers are those of a model with the same rounded weights in float32; no second copy is made."""
    wide = VGGT(SMALL.with_(dense_dims=(16, 24, 32, 128), dense_dim=64)).eval()
    save_weights(wide, tmp_path / "wide.safetensors")
    convert(tmp_path / "wide.safetensors", tmp_path / "int8.safetensors", "int8")
    again = load_pretrained(tmp_path / "int8.safetensors")
    stored = [m for m in again.modules() if isinstance(m, tuple(STORED.values()))]
    assert stored and {m.weight.dtype for m in stored} == {torch.bfloat16}
    assert can_be_chunked(again.depth_head.pyramid)
    got = answers(again)
    for module in stored:
        module.weight = nn.Parameter(module.weight.float())
        module.__class__ = next(plain for plain, kind in STORED.items() if isinstance(module, kind))
    for mine, want in zip(got, answers(again), strict=True):
        assert torch.equal(mine, want)
    transposed = nn.ConvTranspose2d(64, 64, 4, stride=4)
    with torch.no_grad():
        transposed.weight.copy_(transposed.weight.bfloat16())
    x = torch.rand(1, 64, 3, 5)
    want = transposed(x)
    transposed.__class__ = STORED[nn.ConvTranspose2d]
    assert torch.equal(transposed(x), want)


def test_bfloat16_is_loaded_as_float32_or_as_asked(small, tmp_path):
    model, path = small
    convert(path, tmp_path / "half.safetensors", "bfloat16")
    again = load_pretrained(tmp_path / "half.safetensors")
    assert {value.dtype for value in again.state_dict().values()} == {torch.float32}
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=2**-8, atol=0)
    assert torch.equal(again.aggregator.camera_token, model.aggregator.camera_token)
    stored = load_pretrained(tmp_path / "half.safetensors", dtype=torch.bfloat16)
    assert stored.aggregator.matrix_dtype == torch.bfloat16


def test_a_file_says_where_it_came_from_and_keeps_what_its_source_said(small, tmp_path):
    model, path = small
    (path.parent / "elsewhere").mkdir(exist_ok=True)
    out = tmp_path / "part.safetensors"
    notes = convert(path, out, "int8", heads=["camera", "depth"])
    with safe_open(out, "pt") as file:  # the library's own reader
        said, keys = file.metadata(), set(file.keys())
        assert file.get_tensor("aggregator.frame_blocks.0.mlp.fc1.weight").dtype == torch.int8
        assert file.get_tensor("aggregator.frame_blocks.0.mlp.fc1.scale").dtype == torch.float32
    assert not sum_is_wrong(out) and notes.items() <= said.items() | notes.items()
    assert said["source"] == path.name and said["source_sha256"] == file_sha256(path)
    assert said["training"] == "not at all" and said["licence"] == "CC0"
    assert said["heads_left_out"] == "point, track" and said["stored_as"] == "int8"
    assert json.loads(said["config"])["heads"] == ["camera", "depth"]
    assert not [key for key in keys if key.startswith(("point_head", "track_head"))]
    assert out.stat().st_size < 0.45 * sum(value.nbytes for value in model.state_dict().values())


def test_a_bundled_model_and_a_folder_bring_their_licence(small, tmp_path):
    notes = convert("nano", tmp_path / "nano.safetensors", "int8", ["camera"])
    assert notes["licence"] == OWN_LICENCE and notes["source_sha256"] == BUNDLED_SHA256["nano"]
    assert file_sha256(BUNDLED / "nano.safetensors") == BUNDLED_SHA256["nano"]
    assert load_pretrained(tmp_path / "nano.safetensors").trained_on is not None
    folder = tmp_path / "folder"
    folder.mkdir()
    save_weights(small[0], folder / "model.safetensors")
    (folder / "LICENSE.txt").write_text("for lessons only", encoding="utf-8")
    notes = convert(folder, tmp_path / "half.safetensors", "bfloat16")
    assert notes["text of LICENSE.txt"] == "for lessons only" and "not stated" in notes["licence"]


def test_what_cannot_be_is_refused_and_nothing_is_written(small, tmp_path):
    model, path = small
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="exists already"):
        convert(path, out, "int8")
    assert out.read_bytes() == b"mine"
    out.unlink()
    with pytest.raises(ValueError, match="dtype='int4': choose among bfloat16, int8"):
        convert(path, out, "int4")
    with pytest.raises(ValueError, match="does not end in .safetensors"):
        convert(path, tmp_path / "out.pt", "int8")
    with pytest.raises(ValueError, match="no heads of this model"):
        convert(path, out, "int8", heads=["normals"])
    spoilt = VGGT(SMALL)
    spoilt.camera_head.pose_branch.fc1.weight.data[0, 0] = float("nan")
    torch.save({"model": spoilt.state_dict()}, tmp_path / "bad.pt")
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_number_that_is_not_finite_stops_it(small, tmp_path, monkeypatch):
    model, path = small
    from vggt_lite.pretrained import convert as module

    def spoilt(*args, **options):
        loaded = load_pretrained(path)
        loaded.depth_head.output[2].weight.data[0] = float("inf")
        return loaded

    monkeypatch.setattr(module, "load_pretrained", spoilt)
    with pytest.raises(ValueError, match="depth_head.output.2.weight of .* is not finite"):
        convert(path, tmp_path / "out.safetensors", "bfloat16")
    assert not list(tmp_path.iterdir())


def test_integers_stay_integers(small, tmp_path):
    _, path = small
    out = tmp_path / "int8.safetensors"
    convert(path, out, "int8")
    with pytest.raises(ValueError, match="holds int8 matrices.*leave out dtype.*small.safetensors"):
        load_pretrained(out, dtype=torch.float32)
    with pytest.raises(ValueError, match="holds int8 matrices already"):
        convert(out, tmp_path / "twice.safetensors", "bfloat16")
    with pytest.raises(ValueError, match="matrices are int8"):
        save_weights(load_pretrained(out), tmp_path / "again.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["int8.safetensors"]


def test_the_memory_of_integers_is_estimated(small, tmp_path):
    _, path = small
    convert(path, tmp_path / "int8.safetensors", "int8")
    held = sum(value.nbytes for value in load_pretrained(tmp_path / "int8.safetensors").state_dict().values())
    estimate = estimate_memory(SMALL, 2, 32, 32, stored=torch.int8)
    assert estimate.weights == held < 0.5 * estimate_memory(SMALL, 2, 32, 32).weights


def test_a_stream_that_makes_something_else_than_it_announced_leaves_no_file(tmp_path):
    kinds = {"a": (torch.float32, (2,)), "b": (torch.int8, (3,))}
    with pytest.raises(ValueError, match="b is torch.float32"):
        stream_tensors(tmp_path / "x.safetensors", kinds, {}, lambda name: torch.zeros(kinds[name][1]))
    assert not list(tmp_path.iterdir())
