"""Weights in and out: official names, strict loading, the hub and its failures."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vggt_lite import NANO, VGGT, VGGT_1B
from vggt_lite.pretrained import from_official, load_pretrained, save_weights, to_official
from vggt_lite.pretrained.loading import CONFIGS, TrainedOn, cast_linear_weights, load_into
from vggt_lite.pretrained.names import official_name, our_name
from vggt_lite.pretrained.weight_files import skip_init
from vggt_lite.research.presets import PRESETS

SMALL = NANO.with_(dim=32, vit_depth=1, dense_dims=(8, 8, 8, 8), dense_dim=8, track_dim=8, track_hidden=16)


@pytest.fixture
def small() -> VGGT:
    torch.manual_seed(0)
    return VGGT(SMALL).eval()


def test_names_of_the_full_model_map_one_to_one_and_back():
    with torch.device("meta"), skip_init():
        ours = VGGT(VGGT_1B).state_dict()
    official = to_official(ours)
    assert len(official) == len(ours) == 1797
    assert from_official(official).keys() == ours.keys()
    assert sum(value.numel() for value in ours.values()) == 1_256_537_516
    # the list of all names and shapes of the release, of which this is the SHA-256
    lines = sorted(f"{name} {list(value.shape)}" for name, value in official.items())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert digest == "7db43ba7e2e0d37113f4ae2223b57d53128f16177f8a7b1833fc7298198e7bb2"


@pytest.mark.parametrize(
    ("ours", "official"),
    [
        ("aggregator.patch_embed.position_table", "aggregator.patch_embed.pos_embed"),
        ("aggregator.register_tokens", "aggregator.register_token"),
        ("aggregator.patch_embed.register_tokens", "aggregator.patch_embed.register_tokens"),
        ("camera_head.modulation.bias", "camera_head.poseLN_modulation.1.bias"),
        ("depth_head.pyramid.norm.weight", "depth_head.norm.weight"),
        ("point_head.output.2.bias", "point_head.scratch.output_conv2.2.bias"),
        (
            "track_head.pyramid.fusions.3.unit2.conv1.bias",
            "track_head.feature_extractor.scratch.refinenet4.resConfUnit2.conv1.bias",
        ),
        ("track_head.tracker.update.virtual_tracks", "track_head.tracker.updateformer.virual_tracks"),
        (
            "track_head.tracker.update.points_from_virtual.5.attn.qkv.weight",
            "track_head.tracker.updateformer.space_point2virtual_blocks.5.cross_attn.in_proj_weight",
        ),
    ],
)
def test_some_names_by_hand(ours, official):
    assert official_name(ours) == official
    assert our_name(official) == ours


def test_saving_and_loading_gives_the_same_model(small, tmp_path):
    save_weights(small, tmp_path / "m.safetensors", seed="0")
    again = load_pretrained(tmp_path / "m.safetensors")
    images = torch.rand(2, 3, 48, 48)
    assert again.config == SMALL and not again.training
    with torch.no_grad():
        torch.testing.assert_close(again(images).depth, small(images).depth, rtol=0, atol=0)
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"], "a temporary file was left behind"


def test_a_half_size_file_loads_as_float32_and_nearly_the_same(small, tmp_path):
    save_weights(small, tmp_path / "full.safetensors")
    save_weights(small, tmp_path / "half.safetensors", torch.float16)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.7 * sizes[0]
    again = load_pretrained(tmp_path / "half.safetensors").state_dict()
    assert all(value.dtype == torch.float32 for value in again.values())
    torch.testing.assert_close(again, small.state_dict(), rtol=1e-3, atol=1e-6)


def test_a_file_with_official_names_is_recognised(small, tmp_path):
    folder = tmp_path / "official"
    folder.mkdir()
    save_file(to_official(small.state_dict()), folder / "model.safetensors")
    again = load_pretrained(folder, config=SMALL)
    torch.testing.assert_close(again.state_dict(), small.state_dict())


def test_a_torch_file_is_read_without_unpickling_objects(small, tmp_path):
    torch.save(to_official(small.state_dict()), tmp_path / "model.pt")
    torch.testing.assert_close(load_pretrained(tmp_path, config=SMALL).state_dict(), small.state_dict())
    torch.save({"model": print}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="cannot be read as weights.*could run code"):
        load_pretrained(tmp_path, config=SMALL)
    torch.save({"model": to_official(small.state_dict()), "epoch": 20}, tmp_path / "model.pt")
    torch.testing.assert_close(load_pretrained(tmp_path, config=SMALL).state_dict(), small.state_dict())
    torch.save(to_official(small.state_dict()) | {"epoch": 20}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="'epoch' is no tensor"):
        load_pretrained(tmp_path, config=SMALL)


def test_keys_that_do_not_fit_are_named(small):
    state = small.state_dict()
    key = "camera_head.pose_branch.fc2.bias"
    with pytest.raises(ValueError, match=f"missing.*{key}"):
        load_into(small, {k: v for k, v in state.items() if k != key}, "file")
    with pytest.raises(ValueError, match="unexpected.*extra"):
        load_into(small, state | {"extra": torch.zeros(1)}, "file")
    with pytest.raises(ValueError, match=r"wrong shape.*fc2.bias is \(4,\), expected \(9,\)"):
        load_into(small, state | {key: torch.zeros(4)}, "file")


def test_a_file_with_official_names_is_complained_about_in_these(small, tmp_path):
    path = tmp_path / "model.safetensors"
    official = to_official(small.state_dict())
    key = "camera_head.poseLN_modulation.1.bias"

    def complaint(state: dict) -> str:
        save_file(state, path)
        with pytest.raises(ValueError, match="model.safetensors") as caught:
            load_pretrained(path, config=SMALL)
        return str(caught.value)

    assert f"missing, first ['{key}']" in complaint({k: v for k, v in official.items() if k != key})
    assert "unexpected, first ['scratch.x']" in complaint(official | {"scratch.x": torch.ones(1)})
    assert f"{key} is (4,), expected" in complaint(official | {key: torch.zeros(4)})
    assert f"not floating-point, first ['{key}']" in complaint(official | {key: official[key].to(torch.int8)})
    same = "track_head.tracker.updateformer.space_virtual_blocks.0.attn.{}_proj.weight"
    twice = official | {same.format("out").replace(".out_proj", ".proj"): torch.zeros(1)}
    assert same.format("out") in complaint(twice) and "two names for one parameter" in complaint(twice)


@pytest.mark.parametrize("length", [0, 5, 1000, -8])
def test_a_truncated_file_is_named(small, tmp_path, length):
    path = tmp_path / "m.safetensors"
    save_weights(small, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        ValueError, match="m.safetensors cannot be read.*download or write it again"
    ) as caught:
        load_pretrained(path)
    if length == -8:
        header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
        last = max(header.keys() - {"__metadata__"}, key=lambda key: header[key]["data_offsets"])
        assert f"in {last}; 1 tensors" in str(caught.value)


def test_a_truncated_torch_file_is_named(small, tmp_path):
    path = tmp_path / "model.pt"
    torch.save(to_official(small.state_dict()), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="model.pt cannot be read.*download or write it again"):
        load_pretrained(path, config=SMALL)


def test_only_the_heads_asked_for_are_built_and_read(small, tmp_path):
    state = to_official(small.state_dict())
    state["track_head.tracker.query_ref_token"] = torch.zeros(7)  # would not fit, but is not read
    save_file(state, tmp_path / "model.safetensors")
    model = load_pretrained(tmp_path, SMALL, heads=("depth", "camera"))
    assert model.config.heads == ("camera", "depth") and model.point_head is model.track_head is None
    expected = {k: v for k, v in small.state_dict().items() if not k.startswith(("point_", "track_"))}
    torch.testing.assert_close(model.state_dict(), expected, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"heads=\['segment'\].*choose among \('camera', 'depth'"):
        load_pretrained("nano", heads=("camera", "segment"))
    with pytest.raises(ValueError, match=r"heads=\['track'\]"):
        load_pretrained(tmp_path, SMALL.with_(heads=("camera",)), heads=("track",))
    assert load_pretrained("nano", heads="camera").config.heads == ("camera",)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_matrices_of_the_aggregator_are_stored_short(small, tmp_path, dtype):
    save_weights(small, tmp_path / "m.safetensors")
    model = load_pretrained(tmp_path / "m.safetensors", dtype=dtype)
    for name, value in model.state_dict().items():
        linear = name.startswith("aggregator.") and not any(
            part in name for part in ("norm", "gamma", "token", "position_table", "scale")
        )
        assert value.dtype == (dtype if linear else torch.float32), name
    assert model.aggregator.mean.dtype == torch.float32
    with pytest.raises(ValueError, match="dtype=torch.int8: choose among torch.float32"):
        load_pretrained("nano", dtype=torch.int8)


def test_short_matrices_change_no_number_under_autocast(small):
    """To the bit: autocast rounds the same weights in the same way for every product."""
    images = torch.rand(1, 2, 3, 48, 48)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        tokens, kept = small.aggregator(images)
        cast_linear_weights(small, torch.bfloat16)
        again, kept_again = small.aggregator(images)
    assert torch.equal(tokens, again)
    assert all(torch.equal(kept[layer], kept_again[layer]) for layer in kept)


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_training_a_loaded_model_leaves_the_file_alone(small, tmp_path, kind):
    path = tmp_path / f"model.{kind}"
    official = to_official(small.state_dict())
    save_file(official, path) if kind == "safetensors" else torch.save(official, path)
    before = path.read_bytes()
    model = load_pretrained(path, SMALL)
    assert [p.requires_grad for p in model.parameters()] == [p.requires_grad for p in small.parameters()]
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.rand(1, 2, 3, 48, 48)).depth.mean().backward()
    optimiser.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, small.state_dict()[k])}
    assert "depth_head.output.0.weight" in changed
    assert path.read_bytes() == before
    save_weights(model, tmp_path / "model.safetensors")  # over the file that is mapped, for one of the kinds
    again = load_pretrained(tmp_path / "model.safetensors")
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_a_configuration_that_is_given_wins_over_the_one_inside(small, tmp_path):
    path = tmp_path / "m.safetensors"
    save_weights(small, path)
    assert load_pretrained(path, SMALL.with_(track_iterations=2)).config.track_iterations == 2
    with pytest.raises(ValueError, match="does not fit"):
        load_pretrained(path, SMALL.with_(dim=64))
    save_file(small.state_dict(), path, metadata={"config": '{"colour": "blue"}'})
    with pytest.raises(ValueError, match="m.safetensors states a configuration.*colour.*pass config"):
        load_pretrained(path)
    torch.testing.assert_close(load_pretrained(path, SMALL).state_dict(), small.state_dict())


LOADING = """
import json, os, re, sys, torch
from vggt_lite.config import ModelConfig
from vggt_lite.pretrained.loading import load_pretrained

def memory(line):
    return int(re.search(line + r":\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

for path in sys.argv[2:]:
    for heads, dtype in ((None, None), (("depth",), None), (None, torch.bfloat16)):
        if os.fork():  # each case in a process of its own; the parent waits
            assert os.wait()[1] == 0
            continue
        open("/proc/self/clear_refs", "w").write("5")  # the peak is counted from here
        begin = memory("VmRSS")
        config = ModelConfig.from_dict(json.loads(sys.argv[1]))
        model = load_pretrained(path, config, heads=heads, dtype=dtype)
        sum(float(p.sum()) for p in model.parameters())  # now every page has been read
        slow = bool({"torch._dynamo", "sympy"} & sys.modules.keys())
        print(memory("VmHWM") - begin, sum(p.nbytes for p in model.parameters()), slow, flush=True)
        os._exit(0)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's account of memory")
def test_a_large_file_is_loaded_without_a_second_copy(tmp_path):
    config = NANO.with_(dim=384, vit_depth=12, depth=10, dense_layers=(0, 3, 6, 9))
    with torch.device("meta"), skip_init():
        shapes = {key: value.shape for key, value in VGGT(config).state_dict().items()}
    state = to_official({key: torch.full(shape, 0.5) for key, shape in shapes.items()})
    paths = [str(tmp_path / name) for name in ("model.safetensors", "model.pt")]
    save_file(state, paths[0])
    torch.save(state, paths[1])
    size = Path(paths[0]).stat().st_size
    assert size > 250e6
    command = [sys.executable, "-c", LOADING, json.dumps(config.to_dict()), *paths]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    for (peak, parameters, slow), case in zip(rows, 2 * ("all", "depth", "bfloat16"), strict=True):
        print(f"{case}: {int(peak) / size:.2f} of the file, parameters {int(parameters) / size:.2f}")
        # Python's own objects, and the few tensors that are being converted, come on top
        assert int(peak) < int(parameters) + 0.2 * size, case
        assert int(peak) < 1.3 * size
        assert slow == "False", "torch's compiler was imported to load a file"


@pytest.mark.parametrize(
    ("name", "message"),
    [("nanoo", '"nano"'), ("no/such.safetensors", "not found"), ("empty", "holds none of")],
)
def test_wrong_names_say_what_exists(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=message):
        load_pretrained(name)


def test_without_network_or_cache_the_hub_says_what_to_do(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="not in the cache"):
        load_pretrained("facebook/VGGT-1B", cache=tmp_path)


def test_a_model_in_the_hub_cache_is_found_offline(small, tmp_path, monkeypatch):
    """The cache's own folder layout stands in for the hub."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repository, commit = tmp_path / "models--someone--small", "0" * 40
    save_weights(small, repository / "snapshots" / commit / "model.safetensors")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    again = load_pretrained("someone/small", cache=tmp_path)
    torch.testing.assert_close(again.state_dict(), small.state_dict())


def test_the_configuration_inside_a_file_is_plain_json(small, tmp_path):
    from safetensors import safe_open

    save_weights(small, tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert json.loads(file.metadata()["config"])["dim"] == 32


def test_weights_say_what_they_were_trained_on(small, tmp_path):
    """Ours by a table that repeats the recipes; any other file by what `save_weights` wrote into it."""
    for name in CONFIGS:
        stages = PRESETS[name].stages.values()
        sizes, views = [s.size for s in stages], [n for s in stages for n in s.config.views]
        trained_on = load_pretrained(name).trained_on
        assert trained_on == TrainedOn((min(sizes), max(sizes)), (min(views), max(views))), name
    small.trained_on = TrainedOn(sizes=(48, 96), views=(2, 3))
    save_weights(small, tmp_path / "m.safetensors")
    assert load_pretrained(tmp_path / "m.safetensors").trained_on == small.trained_on
    metadata = {"config": json.dumps(SMALL.to_dict()), "trained_on": "[1]"}
    save_file(small.state_dict(), tmp_path / "m.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match="m.safetensors states a range of training that"):
        load_pretrained(tmp_path / "m.safetensors")
