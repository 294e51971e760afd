"""Weights in and out: official names, strict loading, the hub and its failures."""

import json

import pytest
import torch

from vggt_lite import NANO, VGGT, VGGT_1B
from vggt_lite.names import official_name, our_name
from vggt_lite.weights import from_official, load_into, load_pretrained, save_weights, to_official

SMALL = NANO.with_(dim=32, vit_depth=1, dense_dims=(8, 8, 8, 8), dense_dim=8, track_dim=8, track_hidden=16)


@pytest.fixture
def small() -> VGGT:
    torch.manual_seed(0)
    return VGGT(SMALL).eval()


def test_names_of_the_full_model_map_one_to_one_and_back():
    with torch.device("meta"):
        ours = VGGT(VGGT_1B).state_dict()
    official = to_official(ours)
    assert len(official) == len(ours) == 1797
    assert from_official(official).keys() == ours.keys()
    assert sum(value.numel() for value in ours.values()) == 1_256_537_516


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
    from safetensors.torch import save_file

    folder = tmp_path / "official"
    folder.mkdir()
    save_file(to_official(small.state_dict()), folder / "model.safetensors")
    again = load_pretrained(folder, config=SMALL)
    torch.testing.assert_close(again.state_dict(), small.state_dict())


def test_a_torch_file_is_read_without_unpickling_objects(small, tmp_path):
    torch.save(to_official(small.state_dict()), tmp_path / "model.pt")
    torch.testing.assert_close(load_pretrained(tmp_path, config=SMALL).state_dict(), small.state_dict())
    torch.save({"model": print}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="cannot be read as weights"):
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


def test_a_truncated_file_is_named(small, tmp_path):
    path = tmp_path / "m.safetensors"
    save_weights(small, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="m.safetensors cannot be read"):
        load_pretrained(path)


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
