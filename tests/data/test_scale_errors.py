"""Wrong scales are measured and named; noise, holes, planes and poses a little off raise no alarm."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.data.foreign import write_colmap, write_nerfstudio
from tests.data.test_folder import room
from tests.data.test_readers_formats import change_json
from vggt_lite.cli.main import main
from vggt_lite.config import VARIED_SCENES
from vggt_lite.data import write_scene
from vggt_lite.data.consistency_check import CheckResult, judge
from vggt_lite.data.residuals import LONGEST, DepthResiduals, Geometry, SeenPoints, smoothed
from vggt_lite.data.scale_errors import FOCAL, PICTURE_SIZE, PRINCIPAL_POINT, TRANSLATIONS, certainty
from vggt_lite.data.scene_check import RawScene, examine
from vggt_lite.geometry import project_points, unproject_depth
from vggt_lite.geometry.visibility import visible_by_depth
from vggt_lite.synthetic import generate_scenes

PATHS = {"orbit": 5, "walk": 4, "forward": 6}  # and how many views
CAMERAS = Path("cameras.npz")


def scene_on(path: str, views: int, seed: int = 3_000_000) -> Geometry:
    """A scene of TINY's domain, 112 × 112 pixels; something flies past."""
    config = VARIED_SCENES.with_(paths=(path,), photographic=False)
    scene = generate_scenes(seed, 1, views, 112, 112, config=config).apply(lambda x: x[0])
    return Geometry(scene.cam_from_world, scene.intrinsics, list(scene.depth))


@pytest.fixture(scope="module")
def scenes() -> dict[str, Geometry]:
    return {path: scene_on(path, views) for path, views in PATHS.items()}


def noisy(scene: Geometry, share: float) -> Geometry:
    generator = torch.Generator().manual_seed(0)
    depth = [d * (1 + share * torch.randn(d.shape, generator=generator)) for d in scene.depth]
    return scene._replace(depth=depth)


def without_depth(scene: Geometry) -> Geometry:
    return scene._replace(depth=[torch.zeros_like(depth) for depth in scene.depth])


def points_of(scene: Geometry, noise: float, outliers: float) -> SeenPoints:
    """400 surface points of the first two views, seen with `noise` pixels; a share of sightings is wrong."""
    generator, depth = torch.Generator().manual_seed(0), torch.stack(scene.depth)  # (S, H, W)
    world = torch.cat(
        [
            unproject_depth(depth[i], scene.intrinsics[i], scene.cam_from_world[i]).flatten(0, 1)
            for i in (0, 1)
        ]
    )
    world = world[torch.randperm(len(world), generator=generator)[:400]]
    pixels, z = project_points(world, scene.cam_from_world, scene.intrinsics)
    seen = visible_by_depth(pixels[None], z[None], depth[None])[0]
    pixels += noise * torch.randn(pixels.shape, generator=generator)
    wrong = torch.rand(seen.shape, generator=generator) < outliers
    pixels[wrong] = 112 * torch.rand(pixels[wrong].shape, generator=generator)
    return SeenPoints(world, pixels, seen, scene.sizes[:, 0])


MISTAKES = {
    "focal lengths × 0.9": (FOCAL, (math.log(0.9),), r"focal lengths are × 1\.1[01]"),
    "focal lengths × 1.1": (FOCAL, (math.log(1.1),), r"focal lengths are × 0\.9[01]"),
    "translations × 0.9": (
        TRANSLATIONS,
        (math.log(0.9),),
        r"translations are × 1\.1[012] .*surfaces × 0\.[89]",
    ),
    "translations × 1.1": (TRANSLATIONS, (math.log(1.1),), r"translations are × 0\.9[01]"),
    "intrinsics of half the size": (PICTURE_SIZE, (math.log(0.5),) * 2, r"fx and cx are × (2\.0|1\.9[89])"),
    "intrinsics before squeezing": (
        PICTURE_SIZE,
        (math.log(1.25), 0.0),
        r"fx and cx are × 0\.(79|8[01]), fy",
    ),
    "principal point moved": (
        PRINCIPAL_POINT,
        (0.08, 0.0),
        r"principal points move by \(-[78]\.\d, [+-][01]\.\d\)",
    ),
}


PLACES = [(path, "focal lengths × 0.9") for path in PATHS]
PLACES += list(zip(["orbit", "walk", "forward"] * 2, list(MISTAKES)[1:], strict=True))


@pytest.mark.parametrize("path, mistake", PLACES)
def test_depth_tells_which_scale_is_wrong_and_by_how_much(path, mistake, scenes):
    family, amount, said = MISTAKES[mistake]
    result = judge(CAMERAS, family.change(noisy(scenes[path], 0.005), amount))
    (problem,) = result.problems
    assert re.search(said + ".*would explain it: ", problem)
    before, after = map(int, re.findall(r"on (\d+) %", problem))
    assert after > before and result.mistake.share == pytest.approx(after / 100, abs=0.005)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_points_of_a_sparse_model_tell_it_too(mistake, scenes):
    family, amount, said = MISTAKES[mistake]
    seen = points_of(scenes["walk"], noise=1.0, outliers=0.15)
    (problem,) = judge(CAMERAS, family.change(without_depth(scenes["walk"]), amount), seen).problems
    assert re.search(r"% of the points lie where .*% if " + said, problem)


def test_inverse_depth_is_recognised(scenes):
    wrong = scenes["orbit"]._replace(depth=[1 / depth for depth in scenes["orbit"].depth])
    assert "if depth is 1 / z" in judge(CAMERAS, wrong).problems[0]


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("path", PATHS)
def test_noise_and_holes_in_depth_are_no_wrong_scale(path, noise, scenes):
    scene = noisy(scenes[path], noise)
    for depth in scene.depth:
        depth[torch.rand(depth.shape, generator=torch.Generator().manual_seed(1)) < 0.2] = 0
        depth[:40, :30] = 0
    result = judge(CAMERAS, scene)
    assert not result.problems and "the views agree on" in result.measured[0]


@pytest.mark.parametrize("noise, outliers", [(0.5, 0.0), (2.0, 0.0), (1.0, 0.15), (2.0, 0.15)])
def test_noise_and_outliers_of_sightings_are_no_wrong_scale(noise, outliers, scenes):
    result = judge(CAMERAS, without_depth(scenes["orbit"]), points_of(scenes["orbit"], noise, outliers))
    assert not result.problems and "of the points lie where the views saw them" in result.measured[0]


def wall(step, normal, views) -> Geometry:
    """A plane 3 in front of cameras that move by `step` without turning."""
    size, normal = (84, 112), torch.tensor(normal) / torch.tensor(normal).norm()
    k = torch.tensor([[100.0, 0, 56], [0, 100, 42], [0, 0, 1]]).expand(views, 3, 3)
    cameras = torch.eye(3, 4).repeat(views, 1, 1)
    cameras[:, :, 3] = -torch.arange(views)[:, None] * torch.tensor(step)
    rays = unproject_depth(torch.ones(views, *size), k, torch.eye(3, 4).expand(views, 3, 4))  # z = 1
    off = 3 + cameras[:, :, 3] @ normal  # of each camera from the plane
    return Geometry(cameras, k, list(off[:, None, None] / (rays @ normal)))


@pytest.mark.parametrize("views", [2, 5])
@pytest.mark.parametrize("step", [(0.15, 0.0, 0.0), (0.0, 0.0, 0.25)], ids=["sideways", "forward"])
def test_a_wall_hides_focal_lengths_and_that_is_said(step, views):
    result = judge(CAMERAS, noisy(wall(step, (0.0, 0.0, 1.0), views), 0.01))
    assert not result.problems and re.search(r"focal lengths.* 10 % off would not show", result.measured[0])


def test_sideways_motion_shows_the_product_of_focal_length_and_translation_and_both_are_named():
    """x = f (X + t) / z: without turning, only f · t moves what is seen."""
    slanted = wall((0.3, 0.0, 0.0), (0.5, 0.2, 1.0), 5)
    assert not judge(CAMERAS, slanted).problems
    (problem,) = judge(CAMERAS, FOCAL.change(slanted, (math.log(0.85),))).problems
    assert "focal lengths" in problem.lower() and "translations" in problem.lower()


def test_of_two_views_a_wrong_scale_is_only_a_hint(scenes):
    """A wrong pose of one of them would explain it as well."""
    cameras, k, depth = FOCAL.change(scenes["orbit"], (math.log(0.9),))
    result = judge(CAMERAS, Geometry(cameras[:2], k[:2], depth[:2]))
    assert not result.problems and re.search("focal lengths are × 1.1.*a pose that is", result.measured[0])


@pytest.mark.parametrize("views, seed", [(6, 3_000_004), (8, 3_000_003)])
def test_poses_that_are_a_little_off_are_no_wrong_scale(views, seed):
    """By 0.3 degrees and 5 mm, as those of a telephone. Some intrinsics would always fit them better."""
    scene = scene_on("forward", views, seed)
    generator = torch.Generator().manual_seed(0)
    turn = 0.003 * torch.randn(views, 3, generator=generator)
    skew = torch.linalg.cross(turn[:, None].expand(-1, 3, 3), torch.eye(3).expand(views, 3, 3))
    cameras = torch.linalg.matrix_exp(skew) @ scene.cam_from_world
    cameras[:, :, 3] += 0.003 * torch.randn(views, 3, generator=generator)
    assert not judge(CAMERAS, scene._replace(cam_from_world=cameras)).problems


def test_large_maps_are_thinned_and_their_intrinsics_follow():
    plane = wall((0.1, 0, 0.1), (0.3, 0.2, 1.0), 3)
    size = (630, 840)
    k = plane.intrinsics * torch.tensor([[7.5], [7.5], [1]])
    rays = unproject_depth(torch.ones(3, *size), k, torch.eye(3, 4).expand(3, 3, 4))
    normal = torch.tensor([0.3, 0.2, 1.0]) / torch.tensor([0.3, 0.2, 1.0]).norm()
    off = 3 + plane.cam_from_world[:, :, 3] @ normal
    given = Geometry(plane.cam_from_world, k, list(off[:, None, None] / (rays @ normal)))
    thin = smoothed(given)
    assert max(thin.depth[0].shape) <= LONGEST
    ends = unproject_depth(torch.stack(thin.depth), thin.intrinsics, torch.eye(3, 4).expand(3, 3, 4))
    inner = (ends @ normal - off[:, None, None])[:, 1:-1, 1:-1]
    assert inner.abs().max() < 1e-4  # each thinned pixel still lies on the plane
    evidence = DepthResiduals(given)
    assert evidence.residuals(evidence.geometry).nanmedian() < 0.002


def test_sparse_depth_keeps_its_pixels():
    """Of a laser scanner, say: what is known of a neighbourhood counts, and nothing is invented."""
    (dense,) = wall((0.1, 0.0, 0.1), (0.3, 0.2, 1.0), 1).depth
    sparse = dense * (torch.rand(dense.shape, generator=torch.Generator().manual_seed(0)) < 0.05)
    (kept,) = smoothed(Geometry(torch.eye(3, 4)[None], torch.eye(3)[None], [sparse])).depth
    assert torch.equal(kept > 0, sparse > 0)
    torch.testing.assert_close(kept, sparse, rtol=0.02, atol=0)


def test_certainty_counts_neighbours_once():
    gain = torch.randn(40, 100, generator=torch.Generator().manual_seed(0)) + 0.5
    alone, same = torch.arange(4000).view(40, 100), torch.arange(40)[:, None].expand(40, 100)
    assert certainty(gain, alone) == pytest.approx(0.5 * 4000**0.5, rel=0.1)
    copies = gain[:, :1].expand(40, 100)
    assert certainty(copies, same) < certainty(copies, alone) / 5
    assert certainty(torch.full((2, 3), torch.nan), alone[:2, :3]) == 0


# --- through files and the command line ------------------------------------------------------------


def test_check_data_names_a_wrong_lens_of_a_nerfstudio_folder(tmp_path, capsys):
    folder = write_nerfstudio(tmp_path / "theirs")

    def shorter(content):
        for frame in content["frames"]:
            frame["fl_x"] *= 0.8
            frame["fl_y"] *= 0.8

    change_json(folder / "transforms.json", shorter)
    assert main(["check-data", str(folder), "--out", str(tmp_path / "check.html")]) == 1
    assert re.search(r"transforms.json: .* if focal lengths are × 1\.2\d", capsys.readouterr().out)
    page = (tmp_path / "check.html").read_text(encoding="utf-8")
    assert "If focal lengths are × 1.2" in page and "mended: " in page


def test_a_colmap_model_with_a_wrong_lens_is_named(tmp_path):
    raw = RawScene.of(write_colmap(tmp_path / "colmap", binary=True))
    assert "100 % of the points lie" in examine(raw).measured[0]
    change = torch.tensor([[0.9, 1, 1], [1, 0.9, 1], [1, 1, 1]])
    views = [replace(view, intrinsics=view.intrinsics * change) for view in raw.views.views]
    (problem,) = examine(replace(raw, views=replace(raw.views, views=views))).problems
    assert re.search(r"images.bin: .*focal lengths are × 1\.11", problem)


def test_what_was_measured_is_told_when_nothing_is_wrong(tmp_path, capsys):
    for name in ("one", "two"):
        write_scene(tmp_path / "rooms" / name, room())
    assert main(["check-data", str(tmp_path / "rooms"), "--out", str(tmp_path / "check.html")]) == 0
    first, *notes, _ = capsys.readouterr().out.splitlines()
    assert first == "nothing wrong with 2 scenes."
    for name, note in zip(("one", "two"), notes, strict=True):
        assert re.match(rf"note: {name}: the views agree on \d+ % of their surface points \(", note)
    assert "the views agree on" in (tmp_path / "check.html").read_text(encoding="utf-8")


def test_a_result_without_anything_wrong_is_empty_but_for_what_was_measured(scenes):
    result = judge(CAMERAS, scenes["walk"])
    assert result == CheckResult([], [], result.measured, None) and len(result.measured) == 1
