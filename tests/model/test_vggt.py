"""What the network promises beyond its numbers: shapes, invariances, clear errors."""

import sys
from pathlib import Path

import pytest
import torch

import vggt_lite
from vggt_lite import NANO, VGGT, ModelConfig
from vggt_lite.model.aggregator import first_and_others

SMALL = NANO.with_(dim=32, vit_depth=1, dense_dims=(8, 8, 8, 8), dense_dim=8, track_dim=8, track_hidden=16)
NANO_DEPTH = NANO.with_(heads=("depth",))


@pytest.fixture(scope="module")
def model() -> VGGT:
    torch.manual_seed(0)
    model = VGGT(SMALL).eval()
    with torch.no_grad():  # fresh special tokens are almost zero; make the first view matter
        model.aggregator.camera_token.normal_()
        model.aggregator.register_tokens.normal_()
        for name, value in model.named_parameters():
            if name.endswith("gamma"):
                value.fill_(1.0)
    return model


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 3, 48, 80), (2, 4, 3, 64, 40)])
def test_any_number_of_views_and_any_multiple_of_the_patch_work(model, shape):
    queries = 30 * pictures(*([shape[0]] if len(shape) == 5 else []), 5, 2)
    with torch.no_grad():
        pred = model(pictures(*shape), queries)
    batch, views, (height, width) = (shape[0] if len(shape) == 5 else 1), shape[-4], shape[-2:]
    assert pred.cam_from_world.shape == (batch, views, 3, 4)
    assert pred.intrinsics.shape == (batch, views, 3, 3)
    assert pred.depth.shape == pred.depth_conf.shape == pred.point_conf.shape == (batch, views, height, width)
    assert pred.point_map.shape == (batch, views, height, width, 3)
    assert pred.tracks.shape == (batch, views, 5, 2)
    assert len(pred.tracks_list) == len(pred.pose_encodings) == 4
    assert (pred.depth > 0).all() and (pred.depth_conf >= 1).all()


def test_scenes_of_a_batch_do_not_see_each_other(model):
    images, queries = pictures(2, 3, 3, 48, 48), 40 * pictures(2, 4, 2)
    with torch.no_grad():
        both = model(images, queries)
        alone = model(images[1], queries[1])
    torch.testing.assert_close(both.pose_encoding[1:], alone.pose_encoding, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both.depth[1:], alone.depth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both.tracks_list[0][1:], alone.tracks_list[0], atol=1e-4, rtol=1e-4)


def test_permuting_all_views_but_the_first_permutes_the_outputs(model):
    images, order = pictures(4, 3, 48, 48), [0, 2, 3, 1]
    with torch.no_grad():
        pred, permuted = model(images), model(images[order])
    torch.testing.assert_close(permuted.pose_encoding, pred.pose_encoding[:, order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(permuted.point_map, pred.point_map[:, order], atol=1e-5, rtol=1e-5)


def test_another_first_view_changes_the_outputs(model):
    images, order = pictures(3, 3, 48, 48), [1, 0, 2]
    with torch.no_grad():
        pred, other = model(images), model(images[order])
    assert not torch.allclose(other.pose_encoding, pred.pose_encoding[:, order], atol=1e-3)


def test_first_slot_goes_to_the_first_view_of_each_scene_only():
    tokens = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    assert first_and_others(tokens, 2, 3).flatten().tolist() == [1, 2, 2, 1, 2, 2]


def test_only_layers_that_heads_read_are_kept():
    deep = VGGT(SMALL.with_(depth=6, dense_layers=(0, 2, 3, 4), heads=("camera",)))
    camera_tokens, kept = deep.aggregator(pictures(1, 2, 3, 48, 48))
    assert sorted(kept) == [0, 2, 3, 4, 5]
    assert camera_tokens.shape == (1, 2, 64)
    assert kept[0].shape == (1, 2, 36, 64)  # special tokens are not stored


def test_the_query_stays_exactly_where_it_was_asked(model):
    queries = torch.tensor([[3.25, 7.5], [40.0, 1.0]])
    with torch.no_grad():
        pred = model(pictures(3, 3, 48, 48), queries)
    for tracks in pred.tracks_list:
        torch.testing.assert_close(tracks[0, 0], queries)


def test_recomputing_blocks_gives_the_same_gradients():
    torch.manual_seed(0)
    model = VGGT(SMALL.with_(heads=("camera",))).train()
    gradients = []
    for recompute in (False, True):
        model.gradient_checkpointing = recompute
        model.zero_grad()
        model(pictures(2, 3, 48, 48)).pose_encoding.square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_a_plain_convolution_can_replace_the_vit():
    model = VGGT(SMALL.with_(patch_embed="conv", heads=("camera",)))
    assert model(pictures(2, 3, 48, 48)).pose_encoding.shape == (1, 2, 9)


def test_disabled_heads_leave_their_fields_empty():
    pred = VGGT(SMALL.with_(heads=("depth",)))(pictures(1, 3, 48, 48))
    assert pred.depth is not None
    assert pred.pose_encoding is None and pred.point_map is None and pred.tracks is None


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(3, 48, 48), r"\(S, 3, H, W\)"),
        (torch.rand(2, 48, 48, 3), r"\(S, 3, H, W\)"),
        (torch.rand(2, 3, 50, 48), "height=50 is not a multiple.*48 and 56"),
        (torch.rand(0, 3, 48, 48), "at least one view"),
        (torch.zeros(1, 3, 48, 48, dtype=torch.uint8), "divide by 255"),
        (torch.full((1, 3, 48, 48), 200.0), r"200 to 200; expected \[0, 1\]"),
        (torch.full((1, 3, 48, 48), float("nan")), "NaN"),
        ([[1.0]], "is a list"),
    ],
)
def test_wrong_images_are_explained(model, images, message):
    with pytest.raises(ValueError, match=message):
        model(images)


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        (torch.rand(5, 3), r"\(N, 2\)"),
        (torch.rand(2, 5, 2), "B = 1"),
        (torch.tensor([[1.0, float("nan")]]), "NaN"),
    ],
)
def test_wrong_query_points_are_explained(model, queries, message):
    with pytest.raises(ValueError, match=message):
        model(pictures(1, 3, 48, 48), queries)


def test_query_points_without_a_track_head_are_an_error():
    with pytest.raises(ValueError, match="no track head"):
        VGGT(SMALL.with_(heads=("camera",)))(pictures(1, 3, 48, 48), torch.zeros(1, 2))


def test_images_too_small_for_the_correlation_pyramid_are_explained():
    model = VGGT(SMALL.with_(track_levels=7))
    with pytest.raises(ValueError, match="at least 128 pixels"):
        model(pictures(1, 3, 64, 64), torch.ones(1, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 60}, "nearest that fit: 56 and 64"),
        ({"dim": 100}, "multiple of 4"),
        ({"heads": ("camera", "normals")}, "normals"),
        ({"dense_layers": (0, 1, 2, 9)}, "depth=4"),
        ({"patch_embed": "swin"}, "vit"),
    ],
)
def test_impossible_sizes_are_refused_when_the_configuration_is_made(changes, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**changes)


def test_from_images_to_depth_a_reader_passes_eight_files():
    """Those whose code runs when the network is built, and when it sees images."""
    package, files = Path(vggt_lite.__file__).parent, set()

    def note(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(package):
            files.add(path.relative_to(package).as_posix())

    sys.setprofile(note)
    try:
        model = VGGT(NANO_DEPTH)
        model(pictures(2, 3, 64, 64))
    finally:
        sys.setprofile(None)
    assert {"model/vggt.py", "model/aggregator.py", "model/layers.py", "model/dense_head.py"} <= files
    assert len(files) <= 8, sorted(files)


def test_a_configuration_survives_json():
    import json

    assert ModelConfig.from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL
