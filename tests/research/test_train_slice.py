"""A run carried away in pieces, slice by slice from machine to machine, ends as one that stayed at home."""

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest
import torch

from tests.research.test_presets import MICRO, run
from vggt_lite.research import presets
from vggt_lite.training.checkpoint import load_checkpoint

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import train_slice  # noqa: E402
from train_slice import INDEX, pack, unpack  # noqa: E402


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        run(patch, folder / "run", data_folder=folder / "data")
    return folder


def test_pieces_are_small_and_come_back_whole(finished, tmp_path):
    paths = pack(finished / "run", tmp_path / "pieces", most_bytes=100_000)
    assert len(paths) > 3 and all(p.stat().st_size <= 100_000 for p in paths)
    unpack(tmp_path / "pieces", tmp_path / "run")
    files = sorted(p.relative_to(tmp_path / "run") for p in (tmp_path / "run").rglob("*.*"))
    assert [p.as_posix() for p in files] == [
        "0_matching/checkpoint_00000002.pt", "0_matching/log.jsonl",
        "1_all/checkpoint_00000002.pt", "1_all/log.jsonl",
    ]  # fmt: skip
    for path in files:
        assert (tmp_path / "run" / path).read_bytes() == (finished / "run" / path).read_bytes()


def test_packing_again_leaves_no_old_piece_behind(finished, tmp_path):
    pack(finished / "run", tmp_path, most_bytes=100_000)
    paths = pack(finished / "run", tmp_path, most_bytes=150_000)
    assert sorted(tmp_path.glob("piece_*")) == sorted(paths)


def test_missing_and_damaged_pieces_are_named_and_nothing_is_written(finished, tmp_path):
    paths = pack(finished / "run", tmp_path / "pieces", most_bytes=100_000)
    data = paths[1].read_bytes()
    paths[1].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match=rf"{paths[1].name} is damaged"):
        unpack(tmp_path / "pieces", tmp_path / "run")
    paths[1].unlink()
    with pytest.raises(FileNotFoundError, match="lacks 1 pieces"):
        unpack(tmp_path / "pieces", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(FileNotFoundError, match=INDEX):
        unpack(tmp_path, tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="nothing to pack"):
        pack(tmp_path / "nowhere", tmp_path)


def write_pieces(folder: Path, add) -> None:
    """An index and one piece that holds what `add(tar)` puts into it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("0_all/log.jsonl"))
        add(tar)
    name = f"piece_{train_slice.digest(stream.getvalue())}.bin"
    folder.mkdir()
    (folder / name).write_bytes(stream.getvalue())
    (folder / INDEX).write_text(json.dumps([name]))


def link(kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo("0_all/link")
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize("member", [
    tarfile.TarInfo("../../escaped"), tarfile.TarInfo("0_all/../../escaped"), tarfile.TarInfo("/tmp/escaped"),
    tarfile.TarInfo("C:\\escaped"), link(tarfile.SYMTYPE), link(tarfile.LNKTYPE), link(tarfile.FIFOTYPE),
])  # fmt: skip
def test_nothing_is_unpacked_outside_the_run_or_as_anything_but_a_file(member, tmp_path):
    write_pieces(tmp_path / "pieces", lambda tar: tar.addfile(member))
    with pytest.raises(ValueError, match="pieces"):
        unpack(tmp_path / "pieces", tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["pieces"] and not Path("/tmp/escaped").exists()


@pytest.mark.parametrize("index", ['["../secret"]', '["/etc/passwd"]', "[1]", "{}", "[" * 100_000])
def test_an_index_that_leads_elsewhere_is_refused(index, tmp_path):
    (tmp_path / INDEX).write_text(index)
    with pytest.raises(ValueError, match=INDEX):
        unpack(tmp_path, tmp_path / "run")


def test_slices_on_ever_new_machines_end_with_the_same_weights(finished, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(presets.PRESETS, "micro", MICRO)
    render = presets.batch_source
    at_home = finished / "data"  # scenes rendered ahead once; a GPU would draw them anew
    monkeypatch.setattr(presets, "batch_source", lambda p, s, _, *rest: render(p, s, at_home, *rest))
    monkeypatch.setattr(train_slice, "held_out_scores", None)
    codes = []
    for machine in range(3):
        call = ["micro", "--state", str(tmp_path / "pieces"), "--minutes", "0"]
        codes.append(train_slice.main([*call, "--work", str(tmp_path / f"machine{machine}")]))
    assert codes == [3, 3, 0] and "finished: step 2 of 1_all" in capsys.readouterr().out
    name = "1_all/checkpoint_00000002.pt"
    unpack(tmp_path / "pieces", tmp_path / "home")
    ours, theirs = (
        load_checkpoint(folder / name)["average"] for folder in (tmp_path / "home", finished / "run")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
