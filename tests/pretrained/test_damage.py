"""A weight file that is damaged, or says what cannot be, is refused before use; none such is written."""

import json
import math
import random
import re
import time

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from vggt_lite import VGGT
from vggt_lite.config import NANO
from vggt_lite.pretrained import loading
from vggt_lite.pretrained.loading import TrainedOn, load_pretrained, save_weights
from vggt_lite.utils import tensor_files

SMALL = NANO.with_(dim=32, vit_depth=1, dense_dims=(8, 8, 8, 8), dense_dim=8, track_dim=8, track_hidden=16)


@pytest.fixture(scope="module")
def small() -> VGGT:
    torch.manual_seed(0)
    model = VGGT(SMALL).eval()
    model.trained_on = TrainedOn((16, 64), (1, 4))
    return model


def flipped(content: bytes, place: int, bit: int = 0) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def test_any_flipped_bit_of_a_weight_file_is_noticed_or_changes_nothing(small, tmp_path):
    path, draw = tmp_path / "w.safetensors", random.Random(0)
    save_weights(small, path, note='"sha256_of_rest":"' + "0" * 64 + '"')
    content, good, noticed = path.read_bytes(), load_pretrained(path), 0
    assert good.config == SMALL and good.trained_on == small.trained_on
    assert all(torch.equal(good.state_dict()[key], value) for key, value in small.state_dict().items())
    header = 8 + int.from_bytes(content[:8], "little")
    places = draw.choices(range(header), k=12) + draw.choices(range(header, len(content)), k=12)
    for place in [*range(8), *places, *(m.start() for m in re.finditer(b"sha256_of", content))]:
        path.write_bytes(flipped(content, place, draw.randrange(8)))
        try:
            again = load_pretrained(path)
            assert again.config == SMALL and again.trained_on == small.trained_on, place
            same = [torch.equal(again.state_dict()[key], x) for key, x in small.state_dict().items()]
            assert all(same), place
        except ValueError as error:
            noticed += str(path) in str(error) and "\n" not in str(error)
    assert noticed >= 30  # all but a flip in the name of the sum, which leaves a file without one


def test_a_bundled_file_is_checked_and_its_sum_is_the_one_that_the_page_beside_it_says(tmp_path, monkeypatch):
    page = (loading.BUNDLED / "README.md").read_text(encoding="utf-8")
    for name, digest in loading.BUNDLED_SHA256.items():
        assert re.search(rf"`{name}\.safetensors` \| \d+ \| `{digest}`", page)
    content = (loading.BUNDLED / "nano.safetensors").read_bytes()
    (tmp_path / "nano.safetensors").write_bytes(flipped(content, len(content) - 1))
    monkeypatch.setattr(loading, "BUNDLED", tmp_path)
    with pytest.raises(ValueError, match=r"nano\.safetensors is damaged or was replaced: install"):
        load_pretrained("nano")


ABSURD = [
    ("depth", 10**7), ("vit_depth", 10**9), ("camera_depth", -1), ("track_depth", 201), ("dim", 10**12),
    ("dim", -32), ("dim", 0), ("num_heads", 0), ("num_heads", -2), ("camera_num_heads", 0),
    ("patch_size", -8),
    ("patch_size", 0), ("image_size", 10**30), ("image_size", 0), ("num_registers", -1),
    ("track_num_heads", 3),
    ("dense_dims", [-1] * 4), ("dense_dims", [10**12] * 4), ("dense_dims", "abcd"),
    ("dense_layers", [-1] * 4),
    ("camera_iterations", 10**9), ("track_iterations", 0), ("track_radius", 10**6), ("track_levels", 10**6),
    ("track_virtual", 10**9), ("layer_scale", "text"), ("layer_scale", math.nan), ("rope_base", 0),
    ("track_flow_scale", math.inf), ("pixel_center", None), ("heads", 7), ("heads", ["eyes"]), ("dim", 32.5),
    ("global_positions", "yes"), ("attention", ["global"]), ("colour", 3),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), ABSURD)
def test_an_absurd_configuration_is_refused_at_once(small, tmp_path, field, value):
    path, config = tmp_path / "w.safetensors", json.dumps({**SMALL.to_dict(), field: value})
    save_file(small.state_dict(), path, {"config": config})
    started = time.monotonic()
    with pytest.raises(ValueError, match=f"w.safetensors states a configuration .*{field}") as caught:
        load_pretrained(path)
    assert time.monotonic() - started < 2 and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "7", "null", "{", '{"dim": NaN}'])
def test_a_configuration_that_is_none_is_refused(small, tmp_path, text):
    save_file(small.state_dict(), tmp_path / "w.safetensors", {"config": text})
    with pytest.raises(
        ValueError, match="w.safetensors states a configuration that this version cannot read"
    ):
        load_pretrained(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "7", '{"sizes": [1, 2]}', '{"sizes": ["a", 2], "views": [1, 2]}']
)
def test_a_range_of_training_that_is_none_is_refused(small, tmp_path, text):
    about = {"config": json.dumps(SMALL.to_dict()), "trained_on": text}
    save_file(small.state_dict(), tmp_path / "w.safetensors", about)
    with pytest.raises(ValueError, match="w.safetensors states a range of training that this version cannot"):
        load_pretrained(tmp_path / "w.safetensors")


def test_a_model_of_ones_own_is_not_made_larger_than_the_file_could_fill(small, tmp_path):
    class Mine(VGGT):
        pass

    config = SMALL.with_(dim=96_000, num_heads=8).to_dict()
    save_file(small.state_dict(), tmp_path / "w.safetensors", {"config": json.dumps(config)})
    with pytest.raises(ValueError, match="holds [0-9,]+ numbers, but its configuration asks for [0-9,]+"):
        load_pretrained(tmp_path / "w.safetensors", cls=Mine)


@pytest.mark.parametrize(
    ("value", "dtype"), [(math.nan, torch.float32), (math.inf, torch.float32), (1e6, torch.float16)]
)
def test_weights_that_are_not_finite_are_never_written(small, tmp_path, value, dtype):
    path, model = tmp_path / "w.safetensors", VGGT(SMALL)
    save_weights(small, path)
    before = path.read_bytes()
    with torch.no_grad():
        model.camera_head.empty_pose.flatten()[0] = value
    with pytest.raises(ValueError, match=r"was not written: 1 tensors are not finite.*\.empty_pose"):
        save_weights(model, path, dtype)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_full_disk_leaves_the_older_file_and_is_said_in_one_line(small, tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    save_weights(small, path)
    before = path.read_bytes()

    def full(tensors, place, metadata):
        place.write_bytes(before[:1000])
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(tensor_files, "save_file", full)
    with pytest.raises(OSError, match=r"w\.safetensors could not be written \(.*No space.*make room"):
        save_weights(small, path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]
