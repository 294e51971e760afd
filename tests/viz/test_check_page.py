"""The page of check-data: problems in words, and pictures that show them."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.data.foreign import write_colmap, write_nerfstudio
from vggt_lite.cli.main import main
from vggt_lite.data import write_scene
from vggt_lite.data.scene_check import RawScene, examine
from vggt_lite.geometry import invert_rigid
from vggt_lite.synthetic import generate_scenes
from vggt_lite.viz.check_page import Checked, check_section, drawable_views, write_check_page
from vggt_lite.viz.warp import WRONG, repainted, thinned


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A good scene and the same with inverted cameras."""
    root, scene = tmp_path_factory.mktemp("scenes"), generate_scenes(5, 1, 3, 40, 60)
    write_scene(root / "good", scene)
    inverted = invert_rigid(scene.cam_from_world)[..., :3, :]
    write_scene(root / "inverted", replace(scene, cam_from_world=inverted))
    return root


def checked(folder) -> Checked:
    raw = RawScene.of(folder)
    return Checked(folder, raw, examine(raw))


def test_a_good_scene_is_painted_with_its_own_colours(folders):
    scene = thinned(RawScene.of(folders / "good"), [0, 1])
    painted, share = repainted(scene, scene.geometry, 0, 1)
    right = (painted[..., 3] == 255) & (painted[..., :3] != WRONG).any(-1)
    off = np.abs(painted[right][:, :3].astype(int) - scene.pictures[1][right].astype(int)).mean(-1)
    assert share > 0.75 and right.mean() > 0.5 and np.median(off) < 12
    assert checked(folders / "good").result.mistake is None
    same, all_of_it = repainted(scene, scene.geometry, 1, 1)
    assert all_of_it == 1 and np.array_equal(same[..., :3], scene.pictures[1])


def test_a_wrong_scene_shows_it_and_shows_it_mended(folders):
    scene = thinned(RawScene.of(folders / "inverted"), [0, 1, 2])
    _, share = repainted(scene, scene.geometry, 0, 1)
    mistake = checked(folders / "inverted").result.mistake
    assert "world_from_cam" in mistake.text
    _, mended = repainted(scene, mistake.mend(scene.geometry), 0, 1)
    assert share < 0.4 and mended > 0.75


def test_the_section_says_what_is_wrong_and_draws_both(folders):
    text = check_section(checked(folders / "inverted"))
    assert "<li>" in text and "world_from_cam" in text.split('class="scene"')[0]
    assert text.count('class="plot"') == 2 and "As it is" in text and "If the matrices are" in text
    shares = [int(x) for x in re.findall(r"<th>by view \d, [a-z ]+: (\d+) % agree", text)]
    assert len(shares) >= 2 and shares[1] > shares[0] + 30
    good = check_section(checked(folders / "good"))
    assert "Nothing wrong" in good and good.count('class="plot"') == 1 and "mended" not in good
    assert all("alt=" in image for image in re.findall(r"<img[^>]*>", text))


def test_a_sparse_model_shows_where_its_points_were_seen(tmp_path):
    raw = RawScene.of(write_colmap(tmp_path / "colmap", binary=True))
    text = check_section(Checked(tmp_path, raw, examine(raw)))
    assert "Points of the sparse model" in text and "points of the sparse model, as it is" in text
    inverted = [replace(v, cam_from_world=invert_rigid(v.cam_from_world)[:3]) for v in raw.views.views]
    wrong = replace(raw, views=replace(raw.views, views=inverted))
    text = check_section(Checked(tmp_path, wrong, examine(wrong)))
    assert "points of the sparse model, mended" in text and text.count('class="plot"') == 2


@pytest.mark.parametrize("spoil", ["cameras", "picture", "depth", "nan", "no depth"])
def test_whatever_is_missing_the_page_is_written_and_says_so(folders, tmp_path, spoil):
    folder = tmp_path / "scene"
    shutil.copytree(folders / "good", folder)
    if spoil == "cameras":
        (folder / "cameras.npz").unlink()
    elif spoil == "picture":
        (folder / "images" / "000.png").write_bytes(b"no picture")
    elif spoil == "depth":
        (folder / "depths" / "001.npz").unlink()
    elif spoil == "no depth":
        shutil.rmtree(folder / "depths")
    else:
        with np.load(folder / "cameras.npz") as file:
            cameras, k = file["cam_from_world"].copy(), file["intrinsics"]
        cameras[2] = np.nan
        np.savez(folder / "cameras.npz", cam_from_world=cameras, intrinsics=k)
    one = checked(folder)
    text = write_check_page(tmp_path / "check.html", [one]).read_text(encoding="utf-8")
    assert bool(one.result.problems) == (spoil != "no depth")
    drawn = drawable_views(one.raw)
    assert drawn == {"cameras": [], "picture": [1, 2], "nan": []}.get(spoil, [0, 1, 2])
    assert ("there is nothing to draw" in text) == (spoil in ("cameras", "nan"))
    assert ("the dots are the cameras themselves" in text) == (spoil == "no depth")


def test_the_command_draws_only_when_asked_and_refuses_another_name(folders, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check-data", str(folders)]) == 1
    assert not list(tmp_path.iterdir())
    page = tmp_path / "pages" / "check.html"
    assert main(["check-data", str(folders), "--out", str(page)]) == 1
    text = page.read_text(encoding="utf-8")
    assert text.index("inverted</h2>") < text.index("good</h2>")  # those with problems first
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        main(["check-data", str(folders), "--out", str(tmp_path / "page")])
    assert ".html" in capsys.readouterr().err
    theirs = write_nerfstudio(tmp_path / "theirs")
    assert main(["check-data", str(theirs), "--out", str(page)]) == 0
    assert "Nothing wrong" in page.read_text(encoding="utf-8")
