"""Single functions of the network give the official numbers."""

import pytest
import torch

from tests.golden.loader import deterministic_tensor, load, worst_ratio
from vggt_lite.model.camera_head import activate_pose
from vggt_lite.model.dense_head import (
    CONFIDENCE,
    VALUE,
    ResidualUnit,
    activate,
    resize,
    signed_exponential,
    sincos_2d,
)
from vggt_lite.model.patch_embed import resize_position_table
from vggt_lite.model.track_head import (
    TrackBlock,
    axis_table,
    correlate_whole_map,
    correlate_window,
    feature_pyramid,
    flow_embedding,
    query_positions,
    sample_bilinear,
)
from vggt_lite.pretrained.names import our_name

GOLD = load("functions")


@pytest.mark.parametrize(("height", "width"), [(1, 25), (3, 3), (4, 6), (5, 5), (9, 2)])
def test_position_table_is_resized_as_in_the_release(height, width):
    got = resize_position_table(GOLD["vitpos/pos_embed_5x5"], height, width)
    assert worst_ratio(got, GOLD[f"vitpos/to_{height}x{width}"]) <= 1


@pytest.mark.parametrize(("height", "width", "dim"), [(28, 37, 8), (4, 6, 16)])
def test_separable_dense_positions_equal_the_full_map(height, width, dim):
    across, down = sincos_2d(height, width, dim, width / height, torch.device("cpu"))
    full = torch.cat([across.expand(-1, height, -1), down.expand(-1, -1, width)])  # (D, H, W)
    assert worst_ratio(full.permute(1, 2, 0), GOLD[f"dptpos/embed_w{width}_h{height}_c{dim}"]) <= 1


def test_residual_unit_adds_the_rectified_input():
    unit = ResidualUnit(6)
    unit.load_state_dict(
        {k.removeprefix("rcu/param."): v for k, v in GOLD.items() if k.startswith("rcu/param.")}
    )
    assert worst_ratio(unit(GOLD["rcu/in"]), GOLD["rcu/out"]) <= 1


def test_resizing_keeps_corners_in_place():
    x = GOLD["interp/in"]
    assert worst_ratio(resize(x, (12, 18)), GOLD["interp/x2"]) <= 1
    assert worst_ratio(resize(x, (7, 4)), GOLD["interp/7x4"]) <= 1


@pytest.mark.parametrize("name", [n for n in VALUE if n != "norm"])
def test_value_activations_equal_the_official_ones(name):
    values, _ = activate(GOLD["act/in"], name)
    assert worst_ratio(values, GOLD[f"act/{name}"]) <= 1


def test_norm_activation_equals_the_official_one():
    values, _ = activate(GOLD["act/in"], "norm")
    assert worst_ratio(values[1:], GOLD["act/norm"]) <= 1  # only the second image was stored


@pytest.mark.parametrize("name", CONFIDENCE)
def test_confidence_activations_equal_the_official_ones(name):
    _, confidence = activate(GOLD["act/in"], "linear", name)
    assert worst_ratio(confidence, GOLD[f"act/conf_{name}"]) <= 1


def test_signed_exponential_and_pose_activation_equal_the_official_ones():
    assert worst_ratio(signed_exponential(GOLD["act/inv_log_in"]), GOLD["act/inv_log_out"]) <= 1
    assert worst_ratio(activate_pose(GOLD["act/pose_in"]), GOLD["act/pose_out"]) <= 1


def test_an_unknown_activation_names_those_that_exist():
    with pytest.raises(ValueError, match="choose among.*inv_log"):
        activate(GOLD["act/in"], "log")


@pytest.mark.parametrize("padding", ["border", "zeros"])
def test_bilinear_sampling_equals_the_official_one(padding):
    maps, points = GOLD["sample/input"], GOLD["sample/coords"]
    got = sample_bilinear(maps, points.flatten(1, 2), padding).transpose(1, 2)  # (2, C, 4 · 5)
    assert worst_ratio(got, GOLD[f"sample/{padding}"]) <= 1


def test_point_sampling_equals_the_official_one():
    assert (
        worst_ratio(sample_bilinear(GOLD["sample/input"], GOLD["sample/points"]), GOLD["sample/points_out"])
        <= 1
    )


@pytest.mark.parametrize("correlate", [correlate_whole_map, correlate_window])
def test_correlation_pyramid_equals_the_official_one(correlate):
    pyramid = feature_pyramid(GOLD["corr/fmaps"][0], 3)
    features, centers = GOLD["corr/targets"][0], GOLD["corr/coords"][0]
    for number, level in enumerate(pyramid):
        assert worst_ratio(level, GOLD[f"corr/pyramid.{number}"]) <= 1
    got = [correlate(level, features, centers / 2**number, 2) for number, level in enumerate(pyramid)]
    assert worst_ratio(torch.cat(got, -1), GOLD["corr/out"]) <= 1


def test_window_correlation_equals_the_whole_map_inside_at_the_edge_and_far_outside():
    g = torch.Generator().manual_seed(0)
    level, features = torch.randn(2, 6, 9, 11, generator=g), torch.randn(2, 5, 6, generator=g)
    centers = torch.tensor([[5.3, 4.8], [0.0, 0.0], [10.9, 8.1], [-3.5, 20.25], [-1e6, 1e6]]).expand(
        2, -1, -1
    )
    args = (level, features, centers, 3)
    torch.testing.assert_close(correlate_window(*args), correlate_whole_map(*args), atol=2e-5, rtol=1e-4)


def test_query_positions_equal_the_official_table():
    table = GOLD["trackpos/sincos_d52_h5_w7"][0]  # (52, 5, 7)
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    got = query_positions(torch.stack([x, y], dim=-1), (5, 7), 52)  # (5, 7, 52)
    assert worst_ratio(got, table.permute(1, 2, 0)) <= 1


def test_query_positions_between_pixels_equal_sampling_the_table():
    points = torch.rand(1, 9, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([9.0, 7.0]) - 1
    across, down = axis_table(7, 13).T, axis_table(5, 13).T  # (26, 7), (26, 5)
    table = torch.cat([across[:, None].expand(-1, 5, -1), down[:, :, None].expand(-1, -1, 7)])
    got = query_positions(points, (5, 7), 52)
    torch.testing.assert_close(got, sample_bilinear(table[None], points), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dim", [8, 64])
def test_flow_embedding_equals_the_official_one(dim):
    assert worst_ratio(flow_embedding(GOLD["trackpos/flows"], dim), GOLD[f"trackpos/flow_embed_c{dim}"]) <= 1


@pytest.mark.parametrize("cross", [False, True])
def test_tracker_block_starts_its_skip_from_the_normalised_input(cross):
    block = TrackBlock(16, 8, cross)
    kind = "cross_attn" if cross else "attn"
    state = {}
    for key, value in block.state_dict().items():
        bare = key.replace("attn.qkv.", f"{kind}.in_proj_").replace("attn.proj.", f"{kind}.out_proj.")
        state[key] = deterministic_tensor(bare, value.shape)
    block.load_state_dict(state)
    got = block(GOLD["tblock/x"], GOLD["tblock/context"] if cross else None)
    assert worst_ratio(got, GOLD["tblock/cross_out" if cross else "tblock/self_out"]) <= 1


def test_our_name_leaves_our_own_names_alone_where_they_agree():
    assert our_name("camera_head.trunk.0.attn.qkv.weight") == "camera_head.trunk.0.attn.qkv.weight"
