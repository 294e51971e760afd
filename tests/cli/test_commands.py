"""The command line: what it writes, and that wrong use ends in one clear line."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vggt_lite
from tests.data.foreign import write_nerfstudio
from vggt_lite import NANO, VGGT
from vggt_lite.cli.main import main
from vggt_lite.config import DEFAULT_WEIGHTS, SceneConfig, TrainConfig
from vggt_lite.data import read_scene
from vggt_lite.export.ply import read_ply
from vggt_lite.inference import Reconstruction
from vggt_lite.pretrained import save_weights
from vggt_lite.pretrained.loading import TrainedOn
from vggt_lite.research import presets

ROOT = Path(__file__).parents[2]
SMALL = NANO.with_(vit_depth=1, depth=4, dim=32, dense_dims=(8, 8, 8, 8), dense_dim=8, track_depth=1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights of a small model whose cameras are at least usable."""
    torch.manual_seed(0)
    model = VGGT(SMALL)
    with torch.no_grad():
        model.camera_head.pose_branch.fc2.bias[6:] = 0.25  # four corrections: quaternion (…, 1), fields 1 rad
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(model, path)
    return str(path)


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("view2.png", "view10.png"):
        Image.fromarray(rng.integers(0, 256, (60, 90, 3)).astype(np.uint8)).save(folder / name)
    return folder


def fails_in_one_line(capsys, *arguments) -> str:
    """Run a command that must end with exit code 2 and a single line; that line."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stopped:  # the parser's own refusal
        code = stopped.code
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in lines[0]
    return lines[0]


def test_reconstruct_writes_a_page_a_cloud_and_arrays(photographs, weights, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["reconstruct", str(photographs), "--out", str(out), "--weights", weights]) == 0
    assert {"index.html", "points.ply", "arrays.npz", "scene.json"} <= {p.name for p in out.iterdir()}
    printed = capsys.readouterr().out
    assert "2 views" in printed and printed.index("view2.png") < printed.index("view10.png")


def test_an_earlier_result_is_only_replaced_when_asked(photographs, weights, tmp_path, capsys):
    arguments = ["reconstruct", str(photographs), "--out", str(tmp_path / "out"), "--weights", weights]
    assert main(arguments) == 0
    capsys.readouterr()
    assert "earlier result" in fails_in_one_line(capsys, *arguments)
    assert main([*arguments, "--overwrite"]) == 0


def test_a_missing_folder_and_missing_weights_are_one_clear_line(photographs, weights, tmp_path, capsys):
    missing, out = tmp_path / "nowhere", tmp_path / "out"
    assert "nowhere" in fails_in_one_line(capsys, "reconstruct", missing, "--out", out, "--weights", weights)
    line = fails_in_one_line(capsys, "reconstruct", photographs, "--out", out, "--weights", tmp_path / "x.pt")
    assert "x.pt" in line
    assert not out.exists()


def test_a_result_that_cannot_be_written_is_refused_before_the_network_runs(photographs, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    arguments = ["reconstruct", photographs, "--out", tmp_path / "mine", "--weights", "no such weights"]
    assert "mine holds other files" in fails_in_one_line(capsys, *arguments)


def test_the_options_of_reconstruct_reach_the_result(photographs, weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VGGT_LITE_MAX_POINTS", "20000")
    out = tmp_path / "out"
    arguments = ["reconstruct", photographs, "--out", out, "--weights", weights, "--mode", "square"]
    arguments += ["--size", "48", "--query", "10,20", "45.5,30", "--device", "cpu", "--dtype", "bfloat16"]
    arguments += ["--points-from", "point_map", "--confidence", "40"]
    assert main([str(argument) for argument in arguments]) == 0
    assert "2 tracked points), 48×48 network pixels" in capsys.readouterr().out
    scene = Reconstruction.load(out)
    torch.testing.assert_close(scene.tracks[0], torch.tensor([[10.0, 20.0], [45.5, 30.0]]))
    assert not scene.valid.all()  # black bars
    page = (out / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'<option value="(\w+)"', page) == ["point_map", "depth"] and 'value="40"' in page
    count = int(scene.points("point_map", 40)[0].shape[0])
    assert abs(len(read_ply(out / "points.ply")) - count) <= 1


def test_a_known_lens_and_masks_reach_the_result_and_the_lens_is_kept(
    photographs, weights, tmp_path, capsys, monkeypatch
):
    refined = []
    monkeypatch.setattr(Reconstruction, "refine", lambda scene, lens: refined.append(lens) or scene)
    (tmp_path / "masks").mkdir()
    for name in ("view2.png.png", "view10.png"):
        Image.fromarray(np.repeat(np.uint8([[0, 255]]), 45, axis=1).repeat(60, axis=0)).save(
            tmp_path / "masks" / name
        )
    arguments = ["reconstruct", photographs, "--out", tmp_path / "out", "--weights", weights, "--refine"]
    arguments += ["--intrinsics", "80,81,45,30", "--masks", tmp_path / "masks"]
    assert main([str(argument) for argument in arguments]) == 0
    scene = Reconstruction.load(tmp_path / "out")
    assert scene.intrinsics.tolist() == [[[80, 0, 45], [0, 81, 30], [0, 0, 1]]] * 2
    assert not scene.masks[0][:, :45].any() and scene.masks[0][:, 45:].all()
    assert not scene.valid[..., :28].any() and scene.valid[..., 36:].any()  # of 64 columns
    assert main([str(argument) for argument in (*arguments, "--overwrite", "--lens", "shared")]) == 0
    assert refined == ["kept", "shared"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--size", "50", "size=50"), ("--device", "banana", "device='banana'"), ("--query", "5", "--query"),
     ("--query", "900,5", "query_points [0]"), ("--mode", "stretch", "--mode"), ("--dtype", "int8", "--dt"),
     ("--intrinsics", "60,60,45", "--intrinsics"), ("--intrinsics", "60,60,45,30,1", "--intrinsics"),
     ("--intrinsics", "1,1,45,30", "pixels of the original photograph"),
     ("--masks", "nowhere", "nowhere has no mask for view2.png"),
     ("--intrinsics", "exif", "no focal length in the EXIF data of view2.png, view10.png"),
     ("--confidence", "96", "--confidence"), ("--points-from", "lidar", "--points-from")],
)  # fmt: skip
def test_an_option_that_cannot_be_is_named(photographs, weights, tmp_path, capsys, option, value, said):
    arguments = ["reconstruct", str(photographs), "--out", str(tmp_path / "out"), "--weights", weights]
    try:
        code = main([*arguments, option, value])
    except SystemExit as stopped:  # the parser's own refusal
        code = stopped.code
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2 and said in last and not (tmp_path / "out").exists()


def test_a_terminal_that_lacks_our_signs_gets_question_marks(photographs, weights, tmp_path):
    """And the result all the same: Windows prints in cp1252, a bare container in ASCII."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "vggt_lite.cli", "reconstruct", str(photographs), "--out", str(out)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "--weights", weights], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "90?60" in done.stdout and (out / "index.html").is_file()


def test_demo_writes_a_page_and_its_figures(weights, tmp_path, capsys):
    pytest.importorskip("skimage")
    arguments = ["demo", "--out", str(tmp_path), "--weights", weights, "--skip-notebook", "--device", "cpu"]
    assert main(arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert "Motorcycle photographs" in capsys.readouterr().out


STARTED = """import subprocess, tasks
subprocess.call = lambda command, cwd, env: print(env["OMP_WAIT_POLICY"])
tasks.attempt("lab")
"""  # what `python tasks.py` gives to the programs it starts


def test_threads_that_wait_leave_their_core_to_others(monkeypatch):
    code = "import os, sys; from vggt_lite.cli.main import main\nassert 'torch' not in sys.modules\n"
    code += "try: main(['--version'])\nexcept SystemExit: print(os.environ['OMP_WAIT_POLICY'])"
    for given, said in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        if given:
            monkeypatch.setenv("OMP_WAIT_POLICY", given)
        for command in ([sys.executable, "-c", code], [sys.executable, "-c", STARTED]):
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            assert done.stdout.split()[-1] == said, command


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0 and capsys.readouterr().out == f"vggt-lite {vggt_lite.__version__}\n"


def test_one_name_of_weights_is_the_default_everywhere(capsys):
    for command in ("reconstruct", "demo", "evaluate", "fine-tune"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        said = " ".join(capsys.readouterr().out.split())
        assert f"facebook/VGGT-1B; default: {DEFAULT_WEIGHTS} " in said, command


def test_scenes_can_be_seen_written_checked_and_rendered_ahead(tmp_path, capsys):
    sheet, folders, ahead = tmp_path / "sheet.png", tmp_path / "folders", tmp_path / "ahead"
    few = ["--count", "2", "--views", "3", "--size", "16"]
    assert main(["scenes", "sheet", "--out", str(sheet), *few]) == 0
    assert Image.open(sheet).size[0] > 4 * 160
    assert main(["scenes", "folders", "--out", str(folders), "--seed", "7", *few]) == 0
    assert sorted(p.name for p in folders.iterdir()) == ["scene_0000007", "scene_0000008"]
    assert main(["check-data", str(folders)]) == 0
    assert main(["scenes", "ahead", "--out", str(ahead), *few]) == 0
    assert json.loads((ahead / "index.json").read_text())["num_scenes"] == 2
    more = ["scenes", "folders", "--out", folders, "--seed", "6", *few]  # the second one is there already
    assert "scene_0000007 holds an earlier result" in fails_in_one_line(capsys, *more)
    assert not (folders / "scene_0000006").exists()
    assert "evaluation" in fails_in_one_line(capsys, "scenes", "ahead", "--out", ahead, "--seed", "1000000")
    assert ".png" in fails_in_one_line(capsys, "scenes", "sheet", "--out", tmp_path / "sheet.txt", *few)


def test_check_data_names_what_is_wrong_and_its_exit_code_says_so(tmp_path, capsys):
    main(["scenes", "folders", "--out", str(tmp_path / "s"), "--count", "1", "--views", "2", "--size", "16"])
    folder = tmp_path / "s" / "scene_0000000"
    (folder / "cameras.npz").unlink()
    capsys.readouterr()
    assert main(["check-data", str(folder)]) == 1
    assert "cameras.npz" in capsys.readouterr().out
    assert "nowhere" in fails_in_one_line(capsys, "check-data", tmp_path / "nowhere")


def test_evaluate_prints_a_table_and_writes_the_report(weights, tmp_path, capsys):
    report = tmp_path / "report.json"
    few = ["--scenes", "2", "--views", "2", "--size", "32"]
    assert main(["evaluate", "--weights", weights, "--out", str(report), *few]) == 0
    assert "constant predictor" in capsys.readouterr().out
    assert json.loads(report.read_text())["protocol"]["num_scenes"] == 2


def test_train_follows_a_recipe_and_writes_a_model_that_loads(tmp_path, capsys, monkeypatch):
    steps = TrainConfig(steps=2, max_images=4, num_tracks=4, views=(2, 2), checkpoint_every=1, log_every=1)
    stage = presets.TrainStage(SceneConfig(num_objects=1), 32, steps, num_scenes=4)
    recipe = presets.Preset(model=SMALL, path_views=2, stages={"all": stage})
    monkeypatch.setitem(presets.PRESETS, "two-steps", recipe)
    file = tmp_path / "model.safetensors"
    command = ["train", "two-steps", "--out", str(tmp_path / "run"), "--weights-out", str(file)]
    assert main(command) == 0
    assert "finished" in capsys.readouterr().out
    model = VGGT.from_pretrained(file)
    assert model.config == SMALL and model.trained_on == TrainedOn(sizes=(32, 32), views=(2, 2))
    assert "two-steps" in fails_in_one_line(capsys, "train", "no-such-recipe", "--out", tmp_path / "other")


OPTIONS = {
    "reconstruct": "--overwrite", "demo": "--skip-notebook", "train": "--weights-out",
    "fine-tune": "--adapters", "evaluate": "--queries", "report": "--out", "verify": "--full",
    "scenes": "--varied", "import": "--size", "check-data": "COLMAP", "convert": "--heads",
}  # fmt: skip


def test_help_lists_all_commands_and_waits_for_no_torch():
    """Neither the package nor a command may import it before it is needed: it takes seconds."""
    code = """if True:
        import sys
        from vggt_lite.cli.main import main
        try:
            main(["--help"])
        finally:
            assert not {"torch", "numpy", "vggt_lite.scenes"} & sys.modules.keys()
        """
    python = [sys.executable, "-X", "utf8", "-c", code]
    shown = subprocess.run(python, capture_output=True, text=True, encoding="utf-8")
    assert shown.returncode == 0, shown.stderr
    assert OPTIONS.keys() <= {line.split()[0] for line in shown.stdout.splitlines() if line}


@pytest.mark.parametrize(("command", "option"), OPTIONS.items())
def test_a_command_explains_its_options(command, option, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0 and option in capsys.readouterr().out


def test_names_that_wait_for_torch_are_there_for_programs_editors_and_completion():
    tree = ast.parse(Path(vggt_lite.__file__).read_text(encoding="utf-8"))
    (editors,) = [node for node in tree.body if isinstance(node, ast.If)]
    for line in editors.body:
        home = importlib.import_module(line.module)
        assert all(getattr(vggt_lite, name.name) is getattr(home, name.name) for name in line.names)
    assert {name.name for line in editors.body for name in line.names} == vggt_lite._HOME.keys()
    assert set(vggt_lite.__all__) <= set(dir(vggt_lite))
    with pytest.raises(AttributeError, match="VGG1"):
        vggt_lite.VGG1  # noqa: B018


def test_no_command_shows_what_there_is(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_scenes_of_other_programs_are_checked_and_imported(tmp_path, capsys):
    theirs, ours = write_nerfstudio(tmp_path / "theirs"), tmp_path / "ours"
    assert main(["check-data", str(theirs)]) == 0
    assert "nothing wrong with Views(nerfstudio: 4 views, 4 with depth)" in capsys.readouterr().out
    command = ["import", str(theirs), "--out", str(ours), "--size", "24x32", "--views", "1:4"]
    assert main(command) == 0
    assert read_scene(ours).images.shape == (1, 3, 3, 24, 32)
    assert main(["check-data", str(ours)]) == 0
    assert "earlier result" in fails_in_one_line(capsys, *command)
    assert main([*command[:-4], "--size", "32", "--views", "2", "--overwrite"]) == 0
    assert read_scene(ours).images.shape == (1, 2, 3, 32, 32)
    write_nerfstudio(theirs, flip=(1, 1, 1))  # as if its axes were ours
    capsys.readouterr()
    assert main(["check-data", str(theirs)]) == 1
    assert "OpenGL" in capsys.readouterr().out
    assert "no format" in fails_in_one_line(capsys, "import", tmp_path, "--out", tmp_path / "x")


def test_many_photographs_go_through_in_chunks_and_a_stopped_run_goes_on(weights, tmp_path, capsys):
    folder, parts = tmp_path / "walk", tmp_path / "parts"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for view in range(7):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(folder / f"{view}.png")
    arguments = ["reconstruct", str(folder), "--weights", weights, "--chunk", "4", "--overlap", "2"]
    arguments += ["--resume", str(parts)]
    assert main([*arguments, "--out", str(tmp_path / "one")]) == 0
    printed = capsys.readouterr().out
    assert "3 chunks, 0 refined" in printed and "chunks 1 and 2 by views 3, 4: scale" in printed
    assert len(Reconstruction.load(tmp_path / "one")) == 7
    written = {path: path.stat().st_mtime_ns for path in parts.iterdir()}
    assert main([*arguments, "--out", str(tmp_path / "two")]) == 0
    assert {path: path.stat().st_mtime_ns for path in parts.iterdir()} == written
    capsys.readouterr()
    line = fails_in_one_line(capsys, *arguments, "--out", tmp_path / "three", "--overlap", "3")
    assert "overlap was 2, now 3" in line
    for extra, words in (
        (["--query", "1,1"], "leave out --chunk"),
        (["--points-from", "point_map"], "--chunk"),
    ):
        assert words in fails_in_one_line(capsys, *arguments, "--out", tmp_path / "three", *extra)
    bare = ["reconstruct", folder, "--weights", weights, "--out", tmp_path / "three", "--resume", parts]
    assert "give --chunk" in fails_in_one_line(capsys, *bare)
    assert not (tmp_path / "three").exists()
