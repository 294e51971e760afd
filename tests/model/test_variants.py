"""The departures from VGGT: off changes nothing, on does what it says."""

import pytest
import torch

from vggt_lite import NANO, VGGT, ModelConfig
from vggt_lite.geometry import camera_from_pose_encoding
from vggt_lite.model import Aggregator, grid_positions
from vggt_lite.model.variants.attention_scope import other_views
from vggt_lite.model.variants.reference_free import points_in_world, to_first_camera
from vggt_lite.model.variants.token_merging import MergingBlock, average_groups, group_tokens, plan_merge

SMALL = NANO.with_(
    dim=32, vit_depth=1, depth=2, dense_layers=(0, 0, 1, 1), dense_dims=(8, 8, 8, 8), dense_dim=8,
    track_dim=8, track_hidden=16, layer_scale=1.0, image_size=32, track_levels=2,
)  # fmt: skip
VARIANTS = {
    "global": {"attention": "global"},
    "cross": {"attention": "cross"},
    "registers": {"register_attention": (0,)},
    "no positions": {"global_positions": False},
    "no reference": {"reference": "none"},
    "merged": {"merge_tokens": 0.5},
}


def build(seed: int = 0, **changes) -> VGGT:
    """The same random weights for every variant; special tokens of a size that matters."""
    torch.manual_seed(seed)
    model = VGGT(SMALL.with_(**changes))
    with torch.no_grad():
        model.aggregator.camera_token.normal_()
        model.aggregator.register_tokens.normal_()
    return model.eval()


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def tokens_after(aggregator: Aggregator, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Camera tokens (S, 2C) and patch tokens (S, P, 2C) of one scene after the last pair."""
    with torch.no_grad():
        camera, kept = aggregator(images[None])
    return camera[0], kept[aggregator.config.depth - 1][0]


def views_that_change(changes: dict, depth: int) -> tuple[list[int], list[int]]:
    """(camera tokens, patch tokens): which views notice that the last of three got another picture."""
    aggregator = build(depth=depth, dense_layers=(0,) * 4, **changes).aggregator
    images = pictures(3)
    other = torch.cat([images[:2], 1 - images[2:]])
    pairs = zip(tokens_after(aggregator, images), tokens_after(aggregator, other), strict=True)
    return tuple([i for i in range(3) if not torch.equal(a[i], b[i])] for a, b in pairs)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_every_variant_keeps_the_parameters_and_changes_the_answer(changes):
    plain, changed = build(), build(**changes)
    a, b = plain.state_dict(), changed.state_dict()
    assert list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)
    with torch.no_grad():
        change = changed(pictures(3)).patch_tokens - plain(pictures(3)).patch_tokens
    assert change.abs().max() > 1e-3


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_gradients_reach_every_parameter_whether_or_not_blocks_are_recomputed(changes):
    model, gradients = build(**changes).train(), []
    images, queries = pictures(1, 3), torch.full((1, 2, 2), 12.0)
    for recompute in (False, True):
        model.zero_grad()
        model.gradient_checkpointing = recompute
        pred = model(images, queries)
        outputs = [*pred.pose_encodings, pred.depth, pred.depth_conf, pred.point_map, pred.point_conf]
        outputs += [*pred.tracks_list, pred.track_visibility, pred.track_conf]
        sum(x.square().mean() for x in outputs).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    for name, gradient in gradients[0].items():
        assert gradient is not None and torch.isfinite(gradient).all() and gradient.any(), name
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_with_and_without_gradients_the_numbers_are_the_same(changes):
    model, images = build(**changes), pictures(2, 3)
    with_graph = model(images)
    with torch.no_grad():
        without = model(images)
    torch.testing.assert_close(with_graph.depth.detach(), without.depth, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(with_graph.pose_encoding.detach(), without.pose_encoding, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_a_single_view_works(changes):
    with torch.no_grad():
        pred = build(**changes)(pictures(1))
    assert all(torch.isfinite(x).all() for x in (pred.pose_encoding, pred.depth, pred.point_map))


def test_one_pair_of_register_attention_tells_other_views_cameras_but_not_their_patches():
    assert views_that_change({}, depth=1) == ([0, 1, 2], [0, 1, 2])
    assert views_that_change({"register_attention": (0,)}, depth=1) == ([0, 1, 2], [2])
    # In the next pair patches read their own view's special tokens, which know
    assert views_that_change({"register_attention": (0, 1)}, depth=2) == ([0, 1, 2], [0, 1, 2])


def test_register_attention_leaves_other_pairs_alone():
    images = pictures(3)
    with torch.no_grad():
        _, plain = build(dense_layers=(0, 0, 1, 1)).aggregator(images[None])
        _, changed = build(register_attention=(1,)).aggregator(images[None])
    assert torch.equal(changed[0], plain[0]) and not torch.equal(changed[1], plain[1])


def test_the_first_block_of_a_pair_stays_within_a_view_only_when_alternating():
    """Channels are [after the first block | after the second]: what view 0 knows of view 1 by then."""
    images = pictures(2)
    other = torch.stack([images[0], 1 - images[1]])
    noticed = {}
    for attention in ("alternating", "global", "cross"):
        aggregator = build(attention=attention, depth=1, dense_layers=(0,) * 4).aggregator
        first, second = (tokens_after(aggregator, x)[1][0, :, : SMALL.dim] for x in (images, other))
        noticed[attention] = not torch.equal(first, second)
    assert noticed == {"alternating": False, "global": True, "cross": True}


def test_in_cross_attention_a_view_reads_the_others_and_not_itself():
    """Each block's attention, seen alone: its output for a view must not depend on that view's keys."""
    block = build(attention="cross").aggregator.frame_blocks[0]
    mask = other_views(2, 3, torch.device("cpu"))
    assert mask.int().tolist()[2] == [1, 1, 0, 0, 1, 1]
    x, keys = torch.rand(1, 6, 32), torch.eye(6, requires_grad=True)
    values = block.attn(keys @ x, mask=mask)
    (gradient,) = torch.autograd.grad(values[0, 2].sum(), keys)
    assert gradient[[0, 1, 4, 5]].abs().sum(1).min() > 0  # the other views' tokens
    assert gradient[3].abs().max() == 0  # the neighbour in its own view; row 2 also holds its query


def test_without_global_positions_exchanged_patches_are_seen_alike_by_other_views():
    """Swap two patches of view 1 (a convolution gives them no position): view 0 must not notice."""
    images = pictures(2)
    swapped = images.clone()
    swapped[1, :, :8, :8], swapped[1, :, 24:, 24:] = images[1, :, 24:, 24:], images[1, :, :8, :8]
    for positions in (True, False):
        changes = {"patch_embed": "conv", "global_positions": positions, "depth": 1, "dense_layers": (0,) * 4}
        aggregator = build(**changes).aggregator
        aggregator.frame_blocks[0] = torch.nn.Identity()
        aggregator.frame_blocks[0].forward = lambda x, rotary: x  # frame attention keeps its positions
        a, b = (tokens_after(aggregator, x)[1][0] for x in (images, swapped))
        assert torch.allclose(a, b, atol=1e-5) is not positions


def test_without_a_reference_permuted_views_give_permuted_answers():
    model, images, order = build(reference="none"), pictures(4), [2, 0, 3, 1]
    with torch.no_grad():
        pred, permuted = model(images), model(images[order])
    torch.testing.assert_close(permuted.patch_tokens, pred.patch_tokens[:, order], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(permuted.depth, pred.depth[:, order], atol=1e-5, rtol=1e-4)
    # The world is the first view's camera afterwards: compare what does not depend on the world
    four = torch.nn.functional.pad(pred.cam_from_world[0], (0, 0, 0, 1))
    four[:, 3, 3] = 1
    expected = (four[order] @ four[order[0]].inverse())[:, :3]
    torch.testing.assert_close(permuted.cam_from_world[0], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(permuted.cam_from_world[0, 0], torch.eye(3, 4), atol=1e-5, rtol=1e-5)
    rotation, translation = four[order[0], :3, :3], four[order[0], :3, 3]
    moved = pred.point_map[0, order] @ rotation.T + translation
    torch.testing.assert_close(permuted.point_map[0], moved, atol=1e-3, rtol=1e-3)


def test_poses_of_any_world_and_points_of_each_camera_end_in_the_first_view():
    """Camera 0 stands at x = 5, camera 1 at x = 7 turned by 90° to the right (y is down): both known."""
    half = 0.5**0.5
    encoding = torch.tensor([[[-5.0, 0, 0, 0, 0, 0, 1, 1, 1], [0.0, 0, -7, 0, -half, 0, half, 2, 2]]])
    moved = to_first_camera(encoding)
    torch.testing.assert_close(moved[0, 0], torch.tensor([0.0, 0, 0, 0, 0, 0, 1, 1, 1]))
    # From camera 0 the other one stands 2 to the right: t = −R c = −R (2, 0, 0) = (0, 0, −2)
    torch.testing.assert_close(moved[0, 1], torch.tensor([0, 0, -2, 0, -half, 0, half, 2, 2]))
    cam_from_world, _ = camera_from_pose_encoding(moved, (8, 8))
    ahead = torch.tensor([0.0, 0, 3]).expand(1, 2, 1, 1, 3)  # 3 in front of each camera
    points = points_in_world(ahead, cam_from_world)[0, :, 0, 0]
    torch.testing.assert_close(points, torch.tensor([[0.0, 0, 3], [5, 0, 0]]))


def test_with_a_reference_they_do_not():
    model, images, order = build(), pictures(4), [2, 0, 3, 1]
    with torch.no_grad():
        pred, permuted = model(images), model(images[order])
    assert not torch.allclose(permuted.depth, pred.depth[:, order], atol=1e-3)


def test_merging_keeps_the_first_view_the_special_tokens_and_an_even_share_of_the_rest():
    plan = plan_merge(grid_positions(4, 4, 2), num_special=2, num_views=3, share=0.75)
    assert plan.protected.tolist() == [0, 1, 18, 19, 36, 37]
    dst = plan.dst.tolist()
    assert sorted(dst[:16]) == list(range(2, 18))
    assert len(dst) == 16 + 2 * 4 and len(plan.src) == 2 * 12
    assert sorted(torch.cat(plan).tolist()) == list(range(54))
    rows = torch.tensor([i - 20 for i in dst[16:20]]) // 4
    assert len(set(rows.tolist())) >= 3  # scattered, not the first four patches


def test_a_patch_joins_the_most_similar_patch_that_stays_and_groups_are_averaged():
    # Two views of one special token and two patches; the second patch of view 1 is merged away
    plan = plan_merge(grid_positions(1, 2, 1), num_special=1, num_views=2, share=0.5)
    away = plan.src.item()
    tokens = torch.tensor([[[9.0, 9], [1, 0], [0, 1], [9, 9], [3, 3], [3, 3]]])
    tokens[0, away] = torch.tensor([0.1, 8.0])  # most like token 2, though nearer in value to others
    groups = group_tokens(tokens, plan)[0]
    stay = plan.kept
    assert stay[groups[away]] == 2
    merged, size = average_groups(tokens, groups[None], len(stay))
    torch.testing.assert_close(merged[0, groups[away]], torch.tensor([0.05, 4.5]))
    assert size[0].tolist() == [2.0 if i == 2 else 1.0 for i in stay.tolist()]


def test_merging_equal_tokens_changes_nothing():
    """Without positions, equal tokens ask and answer alike; one that counts n times stands for n of them."""
    torch.manual_seed(0)
    block = MergingBlock(32, 4, layer_scale=1.0, qk_norm=True)
    plan = plan_merge(grid_positions(4, 4, 2), num_special=2, num_views=3, share=0.75)
    tokens = torch.randn(2, 54, 32)
    tokens[:, plan.src] = tokens[:, plan.dst[:4]].repeat(1, 6, 1)  # copies of first-view patches
    assert plan.src.numel() == 24
    torch.testing.assert_close(block(tokens, None, plan), block(tokens), atol=1e-5, rtol=1e-5)


def test_merging_shortens_the_sequence_that_attends():
    model, lengths = build(merge_tokens=0.75), []
    for block in model.aggregator.global_blocks:
        block.attn.register_forward_hook(lambda module, inputs, output: lengths.append(output.shape[1]))
    with torch.no_grad():
        model(pictures(4))
    assert lengths == [4 * 5 + 16 + 3 * 4] * 2  # of 4 · (5 + 16) = 84 tokens


def test_merging_can_be_switched_on_over_trained_weights():
    plain = VGGT.from_pretrained("nano", heads=("depth",))
    merged = VGGT.from_pretrained("nano", config=NANO.with_(merge_tokens=0.25), heads=("depth",))
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        a, b = plain(images).depth, merged(images).depth
    assert 0 < ((a - b).abs() / a).mean() < 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention": "local"}, "'alternating', 'global', 'cross'"),
        ({"reference": "last"}, "'first', 'none'"),
        ({"register_attention": (4,)}, "0 … 3"),
        ({"register_attention": (1, 1)}, "different pairs"),
        ({"merge_tokens": 1.0}, "below 1"),
        ({"attention": "cross", "merge_tokens": 0.5}, "need attention"),
        ({"attention": "global", "register_attention": (0,)}, "need attention"),
        ({"reference": "none", "merge_tokens": 0.5}, "one of the two"),
        ({"reference": "none", "heads": ("point",)}, 'add "camera"'),
    ],
)
def test_variants_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**changes)
