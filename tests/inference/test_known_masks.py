"""What masks leave out is in no cloud, no export and no refinement."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.inference.oracle import Oracle, pictures, report
from vggt_lite.geometry import project_points
from vggt_lite.inference import Reconstruction, reconstruct
from vggt_lite.inference.correspondences import find_tracks
from vggt_lite.inference.masks import in_masks
from vggt_lite.inference.refine import own_tracks
from vggt_lite.synthetic import generate_scenes

pytestmark = pytest.mark.filterwarnings("ignore:the views differ in size")


def whole(scene) -> list[torch.Tensor]:
    return [torch.ones(size, dtype=torch.bool) for size in scene.original_sizes]


@pytest.fixture
def masks(scene) -> list[torch.Tensor]:
    """All of views 0 and 2; of view 1, 120×80 pixels, what is right of column 37."""
    masks = whole(scene)
    masks[1][:, :37] = False
    return masks


def test_masked_pixels_are_in_no_cloud(scene, masks):
    found = scene.with_masks(masks)
    for source in scene.sources:
        view = scene.points(source)[3]
        xyz, _, _, left = found.points(source)
        assert (left == 0).sum() == (view == 0).sum() and (left == 2).sum() == (view == 2).sum()
        assert 0 < (left == 1).sum() < 0.7 * (view == 1).sum()
        pixels, _ = project_points(xyz[left == 1], found.cam_from_world[1], found.intrinsics[1])
        assert pixels[:, 0].min() >= 37 - 1e-3
        dropped = (scene.valid & ~found.valid)[1].nonzero().flip(-1) + 0.5  # (x, y) of the network
        assert scene.pixel_maps[1].to_original(dropped)[:, 0].max() < 37
    assert (found.depth_at_original(1)[:, :36] == 0).all()
    assert scene.masks is None and scene.valid.sum() > found.valid.sum()  # the scene given is as it was
    with pytest.raises(ValueError, match="no depth: choose a place that the network saw and no mask"):
        found.scaled(1.0, ((1, 20, 60), (1, 60, 60)))


def test_a_second_call_leaves_out_more(scene, masks):
    more = whole(scene)
    more[1][:, 60:] = False
    found = scene.with_masks(masks).with_masks(more)
    assert torch.equal(found.masks[1], masks[1] & more[1]) and torch.equal(found.masks[0], more[0])
    assert torch.equal(found.valid, scene.with_masks(masks).valid & scene.with_masks(more).valid)


def test_masks_are_arrays_files_or_a_folder_and_black_is_left_out(scene, masks, tmp_path):
    expected = scene.with_masks(masks).valid
    scene.names[:] = ["a.jpg", "b.jpg", "c"]
    files = [tmp_path / name for name in ("a.jpg.png", "b.png", "c.png")]  # COLMAP's name, or the plain one
    for path, mask in zip(files, masks, strict=True):
        Image.fromarray(mask.numpy().astype(np.uint8) * 200).save(path)
    for given in (
        tmp_path,
        str(tmp_path),
        files,
        [255 * mask.byte() for mask in masks],
        [m.numpy() for m in masks],
    ):
        assert torch.equal(scene.with_masks(given).valid, expected)
    files[1].unlink()
    with pytest.raises(FileNotFoundError, match="has no mask for b.jpg: looked for b.jpg.png and b.png"):
        scene.with_masks(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m[:2], "there are 2 masks for 3 views"),
        (lambda m: [m[0], m[1][:64, :64], m[2]], r"mask of view_001 has shape \(64, 64\): give \(120, 80\)"),
        (lambda m: [m[0], m[1].T, m[2]], r"mask of view_001 has shape \(80, 120\)"),
        (lambda m: [m[0], m[1], ~m[2]], "mask of view_002 is all black"),
    ],
)
def test_masks_that_do_not_fit_are_refused(scene, masks, change, said):
    with pytest.raises(ValueError, match=said):
        scene.with_masks(change(masks))
    oracle = Oracle()
    oracle.forward = None  # the network is not asked
    with pytest.raises(ValueError, match=said):
        reconstruct(oracle, pictures(), masks=change(masks))


def test_photographs_are_reconstructed_with_masks(scene, masks):
    found = reconstruct(Oracle(), pictures(), masks=masks)
    assert torch.equal(found.valid, scene.with_masks(masks).valid) and torch.equal(found.masks[1], masks[1])


def test_a_refinement_that_was_loses_what_is_masked(scene, masks):
    scene = replace(scene, refinement=report(scene))
    before, after = scene.refinement, scene.with_masks(masks).refinement
    gone = before.inliers[1] & ~in_masks(masks, before.tracks)[1]
    assert gone.any() and not after.inliers[1, gone].any() and after.tracks[1, gone].isnan().all()
    assert (after.inliers.sum(0)[after.inliers.any(0)] >= 2).all()
    assert torch.equal(after.points.isfinite().all(-1), after.inliers.any(0))
    assert "6" in str(before) and str(after) != str(before)


def test_points_to_refine_by_are_not_taken_where_a_mask_is_black():
    """Of photographs at another size than their masks, too."""
    batch = generate_scenes(1_000_008, 1, 3, 160, 160, num_tracks=30)
    scene = Reconstruction.from_batch(batch)
    masks = [mask.clone() for mask in whole(scene)]
    for mask in masks:
        mask[:, 80:] = False
    inside = find_tracks(scene.images, "sift", masks)
    assert inside.seen.sum() > 20 and inside.pixels[inside.seen][:, 0].max() < 80
    assert (find_tracks(scene.images).pixels[..., 0] > 80).any()
    large = [mask.repeat_interleave(2, 0).repeat_interleave(2, 1) for mask in masks]
    found = find_tracks(scene.images, "sift", large, [(320, 320)] * len(scene))  # photographs twice as large
    assert found.seen.sum() > 20 and 120 < found.pixels[found.seen][:, 0].max() < 160
    own = own_tracks(scene.with_masks(masks))
    assert (
        own.seen.any()
        and own.pixels[own.seen][:, 0].max() < 80
        and (own.seen.sum(0)[own.seen.any(0)] >= 2).all()
    )
