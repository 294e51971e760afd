"""Where results may go, and that no path, thread, kill or full disk loses what is there."""

import os
import random
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vggt_lite.utils import files
from vggt_lite.utils.files import (
    SUMS,
    atomic_folder,
    atomic_write,
    file_target,
    folder_target,
    foreign_file,
    kept,
)

KIND = "test.result"
posix = pytest.mark.skipif(os.name != "posix", reason="links, permissions and pipes of POSIX")


def save(folder: Path, text: str = "x", overwrite: bool = False) -> None:
    with atomic_folder(folder, KIND, overwrite) as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "data.txt").write_text(text)
        (temporary / "scene.json").write_text(f'{{"format": "{KIND}"}}')


def write(path: Path, text: str = "x") -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text)


# --- where a result may go --------------------------------------------------------------------------


def hostile(tmp_path: Path) -> dict[str, object]:
    """Names under which neither a file nor a folder can be written."""
    (tmp_path / "file").write_text("mine")
    os.symlink(tmp_path / "two", tmp_path / "one")
    os.symlink(tmp_path / "one", tmp_path / "two")
    return {
        "no name": "", "NUL": "a\0b", "a name too long": tmp_path / ("ü" * 200), "nobody": "~no.such.user/x",
        "a path too long": f"{tmp_path}{'/a' * 5000}", "links in a circle": tmp_path / "one",
        "below a file": tmp_path / "file" / "x", "below a device": "/dev/null/x",
    }  # fmt: skip


@posix
@pytest.mark.parametrize("which", [
    "no name", "NUL", "a name too long", "nobody", "a path too long", "links in a circle", "below a file",
    "below a device",
])  # fmt: skip
def test_a_place_where_nothing_can_be_written_is_refused_in_words(tmp_path, which):
    path = hostile(tmp_path)[which]
    before = sorted(tmp_path.iterdir())
    for attempt in (file_target, lambda path: folder_target(path, KIND), write, save):
        with pytest.raises((ValueError, OSError), match=r"name|Not a directory"):
            attempt(path)
    assert sorted(tmp_path.iterdir()) == before


@posix
def test_what_is_there_and_no_file_of_ours_to_replace_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "protected").write_text("mine")
    (tmp_path / "protected").chmod(0o444)
    for path in (tmp_path / "folder", tmp_path / "pipe", tmp_path / "protected", Path("/dev/null")):
        for attempt in (file_target, write):
            with pytest.raises(OSError, match="is a folder|is no file|is write-protected"):
                attempt(path)
    assert (tmp_path / "protected").read_text() == "mine" and not Path("/dev/null").is_file()
    with pytest.raises(ValueError, match=r"does not end in \.html"):
        file_target(tmp_path / "page.txt", ".html")


@posix
def test_links_tilde_and_the_current_folder_mean_what_they_say(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write("~/sheet.png")
    assert file_target("~/sheet.png") == tmp_path / "sheet.png" and (tmp_path / "sheet.png").is_file()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for text in ("first", "second"):
        save(tmp_path / "link", text, overwrite=text == "second")
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real" / "inner" / "data.txt").read_text() == text
    (tmp_path / "to a file").symlink_to(tmp_path / "sheet.png")
    write(tmp_path / "to a file", "new")
    assert (tmp_path / "to a file").is_symlink() and (tmp_path / "sheet.png").read_text() == "new"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    save(".")
    assert (Path.cwd() / "inner" / "data.txt").is_file() and foreign_file(Path.cwd()) is None
    with pytest.raises(FileExistsError, match="folder inside it"):
        save(".", overwrite=True)


@posix
def test_permissions_stay_and_the_longest_name_works(tmp_path):
    write(tmp_path / ("r" * 255))
    save(tmp_path / ("ü" * 127))
    for name, mode in (("r" * 255, 0o600), ("ü" * 127, 0o750)):
        (tmp_path / name).chmod(mode)
    write(tmp_path / ("r" * 255), "new")
    save(tmp_path / ("ü" * 127), overwrite=True)
    for name, mode in (("r" * 255, 0o600), ("ü" * 127, 0o750)):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode
    assert len(list(tmp_path.iterdir())) == 2


# --- nothing is deleted that was not written here ---------------------------------------------------


def put_beside(folder: Path) -> None:
    (folder / "thesis.txt").write_text("mine")


def put_deep(folder: Path) -> None:
    (folder / "inner" / "mine.txt").write_text("mine")


def change(folder: Path) -> None:
    (folder / "inner" / "data.txt").write_text("mine")


def link(folder: Path) -> None:
    (folder / "inner" / "link").symlink_to(folder)


def forget(folder: Path) -> None:
    (folder / SUMS).unlink()


@posix
@pytest.mark.parametrize("act", [put_beside, put_deep, change, link, forget])
@pytest.mark.parametrize("meanwhile", [False, True])
def test_overwriting_deletes_no_file_that_it_did_not_write(tmp_path, act, meanwhile):
    save(tmp_path / "out")
    if not meanwhile:
        act(tmp_path / "out")
    with pytest.raises(FileExistsError, match="was put there or changed"):
        with atomic_folder(tmp_path / "out", KIND, overwrite=True) as temporary:
            (temporary / "scene.json").write_text("new")
            act(tmp_path / "out")
    assert foreign_file(tmp_path / "out") and (tmp_path / "out" / "inner" / "data.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@posix
def test_a_file_put_there_at_the_last_moment_is_put_back(tmp_path, monkeypatch):
    swap, acts = files._swap, iter([put_beside, lambda folder: None])

    def late(one: Path, other: Path) -> bool:
        next(acts)(other)
        return swap(one, other)

    save(tmp_path / "out", "old")
    monkeypatch.setattr(files, "_swap", late)
    with pytest.raises(FileExistsError, match="thesis.txt"):
        save(tmp_path / "out", "new", overwrite=True)
    assert (tmp_path / "out" / "thesis.txt").exists()
    assert (tmp_path / "out" / "inner" / "data.txt").read_text() == "old"


@pytest.mark.parametrize("swap", [True, False])
def test_an_overwrite_leaves_the_new_one_whole_and_nothing_else(tmp_path, monkeypatch, swap):
    if not swap:
        monkeypatch.setattr(files, "_swap", lambda one, other: False)  # as where the system cannot
    for text in ("first", "second", "third"):
        save(tmp_path / "out", text, overwrite=True)
        assert (tmp_path / "out" / "inner" / "data.txt").read_text() == text
        assert foreign_file(tmp_path / "out") is None and len(list(tmp_path.iterdir())) == 1


# --- threads, processes, kills, full disks ----------------------------------------------------------


def test_threads_that_save_to_one_path_all_succeed(tmp_path):
    faults = []

    def work(number: int) -> None:
        try:
            for _ in range(10):
                write(tmp_path / "file", str(number) * 5000)
                save(tmp_path / "out", str(number), overwrite=True)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults and sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]
    assert len(set((tmp_path / "file").read_text())) == 1 and foreign_file(tmp_path / "out") is None


JOB = """
import sys
from pathlib import Path
from tests.utils.test_files import save, write
for number in range(int(sys.argv[2])):
    save(Path(sys.argv[1], "out"), str(number) * 100_000, overwrite=True)
    write(Path(sys.argv[1], "file"), str(number % 10) * 100_000)
"""


def job(folder: Path, times: int) -> subprocess.Popen:
    root = str(Path(__file__).parents[2])
    return subprocess.Popen([sys.executable, "-c", JOB, str(folder), str(times)], cwd=root)


@posix
def test_processes_and_kills_leave_the_old_or_the_new_and_the_next_one_tidies_up(tmp_path):
    assert [process.wait() for process in [job(tmp_path, 20), job(tmp_path, 20)]] == [0, 0]
    rng, left = random.Random(0), 0
    for _ in range(4):
        before = (tmp_path / "file").stat().st_mtime_ns
        process = job(tmp_path, 100_000)
        while (tmp_path / "file").stat().st_mtime_ns == before:
            time.sleep(0.002)
        time.sleep(0.1 * rng.random())
        process.kill()
        process.wait()
        assert foreign_file(tmp_path / "out") is None and (tmp_path / "out" / "scene.json").is_file()
        text = (tmp_path / "file").read_text()
        assert len(text) == 100_000 and len(set(text)) == 1
        left = max(left, len(list(tmp_path.iterdir())))
    write(tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"], left


@pytest.fixture
def small_disk(tmp_path):
    """A folder that is a mount point with 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        done = False
    if not done:
        pytest.skip("no tmpfs may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_before_the_work_and_after_it_the_result_is_kept(small_disk):
    save(small_disk / "out", "old")
    (small_disk / "filler").write_bytes(bytes(5_500_000))  # two and a half are free

    def result(path: Path) -> None:
        save(path, "new" * 10**6, overwrite=True)

    folder_target(small_disk / "out", KIND, overwrite=True)
    with pytest.raises(OSError, match=r"No space left.*the result is in (.*)\.") as fault:
        kept(result, small_disk / "out")
    elsewhere = Path(str(fault.value).split("the result is in ")[1].rstrip("."))
    assert (elsewhere / "inner" / "data.txt").read_text() == "new" * 10**6
    assert (small_disk / "out" / "inner" / "data.txt").read_text() == "old"
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "out"]
    with open(small_disk / "filler", "ab") as file, pytest.raises(OSError):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    for attempt in (file_target, lambda path: folder_target(path, KIND)):
        with pytest.raises(OSError, match="new cannot be written .No space left.*make room"):
            attempt(small_disk / "new")


def test_a_mount_point_is_filled_from_within_and_a_read_only_one_is_refused(small_disk):
    save(small_disk)
    assert foreign_file(small_disk) is None and not list(small_disk.glob(".*"))
    with pytest.raises(FileExistsError, match="folder inside it"):
        save(small_disk, overwrite=True)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for attempt in (file_target, lambda path: folder_target(path, KIND)):
        with pytest.raises(OSError, match="Read-only file system"):
            attempt(small_disk / "new")
