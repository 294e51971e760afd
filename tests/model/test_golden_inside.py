"""Inside the stages: tensors between the golden model's modules (the `extra/` arrays of the tiny file)."""

import pytest
import torch

from tests.golden.loader import load, metadata, worst_ratio
from tests.golden.tiny import CASES, GOLDEN_TINY, case_inputs, load_rule
from vggt_lite import VGGT
from vggt_lite.model import grid_positions
from vggt_lite.model.patch_embed import resize_position_table
from vggt_lite.model.track_head import sample_bilinear

GOLD, NOISE = load("tiny"), metadata("tiny")["noise"]
GRID, ASPECT = (4, 6), 84 / 56


def assert_golden(got: torch.Tensor, name: str) -> None:
    want = GOLD[f"extra/{name}"]
    assert got.numel() == want.numel(), (got.shape, want.shape)
    assert worst_ratio(got, want, NOISE.get(f"extra/{name}", 0.0)) <= 1


@pytest.fixture(scope="module")
def model() -> VGGT:
    return load_rule(VGGT(GOLDEN_TINY)).eval()


@pytest.fixture(scope="module")
def seen(model) -> dict:
    """Tensors caught on their way through one forward pass of the case `main`."""
    images, points = case_inputs(CASES["main"])
    tracker, caught, handles = model.track_head.tracker, {}, []

    def catch(module, name: str, inputs: bool = False) -> None:
        def hook(_module, args, out) -> None:
            caught.setdefault(name, []).append((args[0] if inputs else out).detach())

        handles.append(module.register_forward_hook(hook))

    catch(model.aggregator.patch_embed.blocks[0], "vit.tokens_in", inputs=True)
    catch(model.aggregator.frame_blocks[0], "agg.tokens_in", inputs=True)
    catch(tracker.corr_mlp, "track.corr", inputs=True)
    catch(tracker.update, "track.former_in", inputs=True)
    catch(tracker.visibility, "track.feats_last", inputs=True)
    for k in range(4):
        catch(model.depth_head.pyramid.projects[k], f"depth.projected.{k}")
        catch(model.depth_head.pyramid.resizes[k], f"depth.resized.{k}")
    with torch.no_grad():
        caught["pred"] = model(images, points)
        _, kept = model.aggregator(images)
        caught["maps"] = model.track_head.feature_maps([kept[i] for i in range(4)], GRID)
    for handle in handles:
        handle.remove()
    return caught


@pytest.mark.parametrize("name", ["vit.tokens_in", "agg.tokens_in"])
def test_tokens_that_enter_the_first_blocks(seen, name):
    assert_golden(seen[name][0], name)


def test_positions_of_tokens_and_the_resized_table(model):
    positions = grid_positions(*GRID, num_special=5)
    want = GOLD["extra/agg.positions"]  # one copy per image
    assert torch.equal(positions.expand(want.shape).to(want.dtype), want)
    table = resize_position_table(model.aggregator.patch_embed.position_table, *GRID)
    assert_golden(table, "vit.pos_embed_4x6")


@pytest.mark.parametrize("k", range(4))
def test_maps_of_the_dense_pyramid(seen, k):
    want = GOLD[f"extra/depth.projected.{k}"]
    assert_golden(seen[f"depth.projected.{k}"][0][: len(want)], f"depth.projected.{k}")
    want = GOLD[f"extra/depth.resized.{k}"]
    assert_golden(seen[f"depth.resized.{k}"][0][: len(want)], f"depth.resized.{k}")


def test_track_features_and_the_feature_at_the_query(model, seen):
    assert_golden(seen["maps"], "track.fmaps")
    _, points = case_inputs(CASES["main"])
    normed = model.track_head.tracker.feature_map_norm(seen["maps"].movedim(2, -1)).movedim(-1, 2)
    assert_golden(sample_bilinear(normed[:, 0], points / 2), "track.query_feat")


@pytest.mark.parametrize("iteration", range(4))
def test_correlations_tokens_and_tracks_of_every_iteration(seen, iteration):
    # the files hold (B · N, S, …) where our tracker works on (B, S, N, …)
    assert_golden(seen["track.corr"][iteration].transpose(1, 2), f"track.corr.{iteration}")
    assert_golden(seen["track.former_in"][iteration], f"track.former_in.{iteration}")
    assert_golden(seen["pred"].tracks_list[iteration], f"track.coords.{iteration}")


def test_last_track_features_and_logits(seen):
    assert_golden(seen["track.feats_last"][0], "track.feats_last")
    assert_golden(seen["pred"].track_visibility_logits, "track.vis_logit")
    assert_golden(seen["pred"].track_conf_logits, "track.conf_logit")


def test_a_tracker_of_one_iteration():
    model = load_rule(VGGT(GOLDEN_TINY.with_(track_iterations=1))).eval()
    with torch.no_grad():
        pred = model(*case_inputs(CASES["main"]))
    assert_golden(pred.tracks, "track.iters1_coords")
    assert_golden(pred.track_visibility, "track.iters1_vis")
    assert_golden(pred.track_conf, "track.iters1_conf")
