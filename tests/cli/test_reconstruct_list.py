"""Many scenes from one list: resumed by scene, shared by two real processes, whatever is broken or dies."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_commands import fails_in_one_line, weights  # noqa: F401  a fixture
from tests.training.test_distributed import launch
from vggt_lite.cli import reconstruct as command_file
from vggt_lite.cli.main import main
from vggt_lite.inference import Reconstruction
from vggt_lite.inference.scene_list import read_list

linux = pytest.mark.skipif(sys.platform != "linux", reason="starts its processes with fork")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture
def rooms(tmp_path):
    """A list of four scenes of two photographs each, in folders below its own."""
    rng = np.random.default_rng(0)
    names = ["a", "b", "deep/c", "d"]
    for name in names:
        (tmp_path / "rooms" / name).mkdir(parents=True)
        for view in range(2):
            picture = rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / "rooms" / name / f"{view}.png")
    (tmp_path / "rooms" / "list.txt").write_text("# rooms\n\n" + "".join(f"{name}\n" for name in names))
    return tmp_path / "rooms"


@pytest.fixture
def command(rooms, weights, tmp_path):  # noqa: F811
    arguments = ["reconstruct", "--list", rooms / "list.txt", "--out", tmp_path / "out", "--weights", weights]
    return [str(argument) for argument in (*arguments, "--size", "40", "--device", "cpu")]


def written(out: Path) -> dict[str, int]:
    """Scenes that have a result, and when it was written."""
    return {p.parent.relative_to(out).as_posix(): p.stat().st_mtime_ns for p in out.rglob("scene.json")}


def test_each_scene_has_a_result_and_the_next_call_does_what_is_missing(command, rooms, tmp_path, capsys):
    out = tmp_path / "out"
    (rooms / "b" / "1.png").write_bytes(b"")
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "4 scenes, 0 of them done before" in said and said.count("Reconstruction of 2 views") == 3
    assert re.search(r"not made: b: .*b/1\.png is empty", said.splitlines()[-1])
    first = written(out)
    assert sorted(first) == ["a", "d", "deep/c"]
    assert len(Reconstruction.load(out / "deep/c")) == 2

    Image.new("RGB", (40, 40), "red").save(rooms / "b" / "1.png")
    assert main(command) == 0
    assert "3 of them done before" in capsys.readouterr().out
    assert written(out).items() > first.items() and written(out).keys() == {*first, "b"}


def test_a_result_of_something_else_is_refused_or_made_anew_and_the_others_stay(
    command, rooms, tmp_path, capsys
):
    out = tmp_path / "out"
    assert main(command) == 0
    first = written(out)
    for more, differ in (
        (["--size", "48"], "--size was 40, now 48"),
        (["--mode", "square"], "--mode was crop, now square"),
        (["--weights", "nano"], "weights was"),
    ):
        line = fails_in_one_line(capsys, *command, *more)
        assert differ in line and "3 more" in line and "--overwrite" in line
    Image.new("RGB", (40, 40), "red").save(rooms / "a" / "1.png")
    line = fails_in_one_line(capsys, *command)
    assert "photographs was 2, SHA-256" in line and "more were" not in line
    assert written(out) == first  # nothing was touched
    assert main([*command, "--overwrite"]) == 0
    changed = {name for name, when in written(out).items() if when != first[name]}
    assert changed == {"a"}
    assert main(command) == 0


def test_what_lies_where_a_result_should_go_is_told_and_stays(command, tmp_path, capsys):
    (tmp_path / "out" / "d").mkdir(parents=True)
    (tmp_path / "out" / "d" / "thesis.txt").write_text("x")
    assert main(command) == 1
    assert "not made: d:" in (said := capsys.readouterr().out) and "holds other files" in said
    assert (tmp_path / "out" / "d" / "thesis.txt").read_text() == "x"
    assert sorted(written(tmp_path / "out")) == ["a", "b", "deep/c"]


@linux
def test_two_processes_share_the_scenes_and_one_speaks_of_the_broken_one(command, rooms, tmp_path, capfd):
    (rooms / "b" / "0.png").write_text("no picture")
    assert launch(2, lambda: sys.exit(main(command))) == [1, 1]
    said = capfd.readouterr().out
    assert said.count("0 of them done before") == 1 == said.count("not made:")
    assert said.count("Reconstruction of 2 views") == 3  # nobody did what another did
    assert sorted(written(tmp_path / "out")) == ["a", "d", "deep/c"]


@linux
def test_scenes_of_a_killed_process_are_done_by_the_next_call(command, tmp_path, capfd, monkeypatch):
    """The other process does all scenes but the one that died with its process."""
    out, real = tmp_path / "out", command_file.reconstructed

    def deadly(*what):
        if os.environ["RANK"] == "1":
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        while not (tmp_path / "killed").exists():  # else this process might have done everything by then
            time.sleep(0.05)
        return real(*what)

    monkeypatch.setattr(command_file, "reconstructed", deadly)
    codes = launch(2, lambda: sys.exit(main(command)))
    assert codes == [2, -signal.SIGKILL]
    assert "another process was killed" in capfd.readouterr().err
    first = written(out)
    assert len(first) == 3
    monkeypatch.setattr(command_file, "reconstructed", real)
    assert launch(2, lambda: sys.exit(main(command))) == [0, 0]
    assert "3 of them done before" in capfd.readouterr().out
    assert len(written(out)) == 4 and written(out).items() > first.items()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]  # no half a result


@pytest.mark.slow
def test_torchrun_starts_again_and_goes_on_with_what_is_missing(command, tmp_path):
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*start, "-m", "vggt_lite.cli", *command], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    first = written(tmp_path / "out")
    assert len(first) == 4 and done.stdout.count("0 of them done before") == 1
    done = subprocess.run(
        [*start, "-m", "vggt_lite.cli", *command], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0 and "4 of them done before" in done.stdout
    assert written(tmp_path / "out") == first


def test_options_of_one_scene_are_refused_for_a_list(command, rooms, capsys):
    for more in (["--query", "1,1"], ["--masks", str(rooms)], ["--chunk", "3", "--resume", "parts"]):
        assert "belong to one scene" in fails_in_one_line(capsys, *command, *more)
    assert "or a --list" in fails_in_one_line(capsys, *command, "--", str(rooms / "a"))
    assert "or a --list" in fails_in_one_line(capsys, "reconstruct", "--out", "x")


def test_a_list_that_cannot_be_is_told_by_its_line(tmp_path):
    path = tmp_path / "list.txt"
    for text, said in (
        ("", "names no scene"),
        ("# a\n\n", "names no scene"),
        ("a\n./a\n", "lines 1 and 2 have the same result, a"),
        ("a/b\na\n", "line 1, a/b, lies inside line 2, a"),
        (".\n", "line 1: . is the folder of the list"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=re.escape(said)):
            read_list(path)
    with pytest.raises(FileNotFoundError, match="nowhere.txt is no file"):
        read_list(tmp_path / "nowhere.txt")
    outside = tmp_path.parent / "elsewhere"
    path.write_text(f"\ufeffa b\r\n  c#1\r\n{outside}\n", encoding="utf-8")
    assert read_list(path) == {
        "a b": tmp_path / "a b",
        "c#1": tmp_path / "c#1",
        outside.relative_to(outside.anchor).as_posix(): outside,
    }
