"""Pickles of TAP-Vid: plain arrays come back, everything else is refused by name, and nothing runs."""

import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from tests.evaluation.layouts import write_tapvid
from vggt_lite.cli.main import main
from vggt_lite.evaluation.datasets import Options, evaluate_data, tapvid
from vggt_lite.evaluation.datasets.array_pickle import StoredArray, read_arrays

VIDEO = np.arange(6 * 8 * 8 * 3, dtype=np.uint8).reshape(6, 8, 8, 3)
POINTS = np.full((4, 6, 2), 0.5, np.float32)
SEEN = np.zeros((4, 6), bool)


def entry(**changed):
    return {"video": VIDEO, "points": POINTS, "occluded": SEEN} | changed


def samples(folder, content: bytes | dict):
    """What the reader makes of a file's bytes, or of videos pickled as TAP-Vid's are."""
    content = content if isinstance(content, bytes) else pickle.dumps(content, protocol=4)
    (folder / tapvid.FILE).write_bytes(content)
    return list(tapvid.samples(folder, Options()))


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("change", [np.asarray, np.asfortranarray, lambda x: x[::2]])
def test_arrays_come_back_as_they_were(tmp_path, protocol, change):
    arrays = [change(x) for x in (VIDEO, POINTS, POINTS.astype(np.float64), SEEN | (POINTS[..., 0] < 1))]
    file = tmp_path / "arrays.pkl"
    file.write_bytes(pickle.dumps(dict(zip("abcd", arrays, strict=True)), protocol))
    for stored, array in zip(read_arrays(file, dict[str, StoredArray]).values(), arrays, strict=True):
        again = stored.read(file)
        assert again.dtype == array.dtype
        np.testing.assert_array_equal(again, array)


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Claim:
    """An array, or a type, that says of itself what `state` says."""

    def __init__(self, state, made=None):
        self.state, self.made = state, made or (np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"))

    def __reduce__(self):
        return *self.made, self.state


OBJECTS = Claim((3, "|", None, None, None, 8, 8, 63), (np.dtype, ("O8", False, True)))
FLOATS = np.dtype("f4")
PLAIN = (FLOATS, False, bytes(16))
REFUSED = {  # name: (bytes, or what is pickled; what the message says)
    "calls os.system": (Call(os.system, "echo harm"), r"asks for \w+.system"),
    "calls eval": (Call(eval, "1"), "asks for builtins.eval"),
    "loads another file": (Call(np.load, "x.npy", None, True), "asks for numpy"),
    "makes a type of the array's class": (Call(np.ndarray, (3,)), "makes something other"),
    "array of objects": (np.array([{}]), "makes something other"),
    "objects by a forged type": (Claim((1, (2,), OBJECTS, False, bytes(16))), "makes something other"),
    "a type whose state turns it into objects": (
        Claim((3, "|", None, None, None, 8, 8, 63), (np.dtype, ("f8", False, True))), "state",
    ),
    "a type that is a structure": (np.zeros(2, "f4,f4"), "makes something other"),
    "texts": (np.array(["a"]), "makes something other"),
    "big-endian": (np.zeros(2, ">f4"), "state"),
    "shape too large": (Claim((1, (5,), *PLAIN)), "16 bytes"),
    "shape negative": (Claim((1, (-4,), *PLAIN)), "whole numbers"),
    "shape of truth values": (Claim((1, (True, 4), *PLAIN)), "whole numbers"),
    "shape of 30 sides": (Claim((1, (1,) * 30, *PLAIN)), "whole numbers"),
    "shape that is a list": (Claim((1, [4], *PLAIN)), "EMPTY_LIST"),
    "protocol 5": (pickle.dumps({"a": VIDEO}, 5), "_frombuffer; only what pickle.dump"),
    "protocol 0": (pickle.dumps({"a": 1}, 0), "protocol=4"),
    "a memo of 2³¹": (b"\x80\x04Nr\xff\xff\xff\x7f.", "Expected `object`"),
    "a text of 4 GB": (b"\x80\x04X\xff\xff\xff\xff", "ends early"),
    "a long text": (b"\x80\x04X" + struct.pack("<I", 10_000) + bytes(10_000), "10,000 bytes"),
    "bytes beyond the end": (b"\x80\x04\x8e" + struct.pack("<Q", 2**62), "ends early"),
    "too many opcodes": (b"\x80\x04" + b"N" * 200_000, "opcodes"),
    "a key twice": (b"\x80\x04}\x8c\x01a}s\x8c\x01a}s.", "there twice"),
    "a key that is a tuple of tuples of tuples": (b"\x80\x04})" + b"2\x86" * 60 + b"Ns.", "DUP"),
    "the same, by memo": (b"\x80\x04})" + b"q\x00h\x00\x86" * 60 + b"Ns.", "no text"),
    "names that are such a tuple": (b"\x80\x04)" + b"q\x00h\x00\x86" * 60 + b"N\x93.", "no text"),
    "itself": (b"\x80\x04}q\x00\x8c\x01ah\x00s.", "missing required field"),
    "empty": (b"", "ends early"),
    "no pickle": (b"\xff\xd8\xff\xe0", "no pickle"),
    "only STOP": (b".", "pop from empty list"),
    "cut short": (pickle.dumps({"a": entry()}, 4)[:-9], "ends early"),
    "persistent": (b"\x80\x04\x8c\x01aQ.", "BINPERSID"),
    "extension": (b"\x80\x04\x82\x01.", "EXT1"),
    "bytes for a video": ({"a": entry(video=b"12")}, "Expected `StoredArray`, got `Stretch`"),
    "a number for points": ({"a": entry(points=3)}, r"Expected `StoredArray`, got `int` .*points"),
    "a dictionary that looks like an array": ({"a": entry(video={"start": 0, "order": "C"})}, "got `dict`"),
    "a list of frames": ({"a": entry(video=list(VIDEO))}, "EMPTY_LIST"),
    "no occlusions": ({"a": {"video": VIDEO, "points": POINTS}}, "occluded"),
    "a video that is a number": ({"a": 3}, "Expected `object`"),
    "no videos": ({}, "length"),
    "a name that is a number": ({3: entry()}, "no text"),
    "points of one number": ({"a": entry(points=np.float32(3))}, "scalar"),
    "points of no side": ({"a": entry(points=np.array(3.0))}, r"a has video.*points float64 \(\)"),
    "occluded as bytes": ({"a": entry(occluded=SEEN.astype(np.uint8))}, "bool"),
    "points of bytes": ({"a": entry(points=POINTS.astype(np.uint8))}, "float"),
    "video of floats": ({"a": entry(video=VIDEO.astype(np.float32))}, "uint8"),
    "other frames": ({"a": entry(points=POINTS[:, :5])}, r"\(N, T, 2\)"),
    "other points": ({"a": entry(occluded=SEEN[:3])}, r"\(N, T\)"),
    "one frame": ({"a": entry(video=VIDEO[:1], points=POINTS[:, :1], occluded=SEEN[:, :1])}, "T ≥ 2"),
    "no points": ({"a": entry(points=POINTS[:0], occluded=SEEN[:0])}, "no visible point"),
    "all occluded": ({"a": entry(occluded=~SEEN)}, "no visible point"),
    "seen at the end only": ({"a": entry(occluded=np.arange(6) < np.full((4, 1), 5))}, "no visible point"),
    "inf": ({"a": entry(points=POINTS * np.float32(np.inf))}, "not in the picture"),
    "NaN": ({"a": entry(points=POINTS * np.float32(np.nan))}, "not in the picture"),
    "in pixels": ({"a": entry(points=POINTS * 300)}, "not in the picture"),
    "the second of two": ({"a": entry(), "b": entry(occluded=~SEEN)}, "b has no visible point"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_is_refused_by_name(tmp_path, capfd, case):
    content, said = REFUSED[case]
    if not isinstance(content, (bytes, dict)):
        content = pickle.dumps({"a": {"video": content}}, protocol=4)
    with pytest.raises(ValueError, match=said) as error:
        samples(tmp_path, content)
    assert tapvid.FILE in str(error.value) and "\n" not in str(error.value)
    assert "harm" not in capfd.readouterr().out


def test_what_is_refused_takes_no_memory(tmp_path):
    wanted = [content for content, _ in REFUSED.values() if isinstance(content, bytes)]
    tracemalloc.start()
    for content in wanted:
        with pytest.raises(ValueError):
            samples(tmp_path, content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_an_array_of_a_terabyte_in_a_sparse_file_is_refused(tmp_path):
    shape = (1 << 20, 1 << 10, 1 << 8)
    array = Claim((1, shape, FLOATS, False, b"0123456789abcdef"))
    head, tail = pickle.dumps({"a": entry(video=array)}, 4).split(b"C\x100123456789abcdef")
    with (tmp_path / tapvid.FILE).open("wb") as file:
        file.write(head + b"\x8e" + struct.pack("<Q", 1 << 40))
        try:
            file.seek(1 << 40, 1)
            file.write(tail)
        except OSError:
            pytest.skip("this file system has no sparse files of a terabyte")
    with pytest.raises(ValueError, match="1,099,511,627,776 bytes"):
        list(tapvid.samples(tmp_path, Options()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / tapvid.FILE)
    with pytest.raises(ValueError, match="no file"):
        list(tapvid.samples(tmp_path, Options()))


def test_a_file_with_changed_bytes_gives_arrays_or_a_message(tmp_path):
    random = np.random.default_rng(0)
    for protocol in (3, 4):
        whole = np.frombuffer(pickle.dumps({"a": entry()}, protocol), np.uint8)
        structure = np.r_[:200, len(whole) - 400 : len(whole)]  # not the pixels
        for _ in range(250):
            damaged = whole.copy()
            damaged[random.choice(structure, random.integers(1, 4))] = random.integers(0, 256)
            try:
                (sample,) = samples(tmp_path, damaged.tobytes())
            except ValueError as error:
                assert tapvid.FILE in str(error)
            else:
                assert sample.truth.video.dtype == np.uint8 and sample.truth.tracks.isfinite().all()


def test_hidden_points_may_lie_anywhere_and_do_not_count(tmp_path):
    model = write_tapvid(tmp_path)
    with (tmp_path / tapvid.FILE).open("rb") as file:
        (name, content), *_ = pickle.load(file).items()  # our own
    content["points"][content["occluded"]] = np.nan
    samples(tmp_path, {name: content})
    assert evaluate_data(model, "tapvid-davis", tmp_path, Options(mode="pad"))["track_delta"] == 100


def test_a_video_that_leaves_nothing_to_score_is_an_error(tmp_path):
    model = write_tapvid(tmp_path)
    occluded = np.ones((12, 7), bool)
    occluded[:, 1] = False  # "strided" asks in frames 0 and 5
    with (tmp_path / tapvid.FILE).open("rb") as file:
        content = pickle.load(file)  # our own
    content["walk"]["occluded"] = occluded[: len(content["walk"]["points"])]
    samples(tmp_path, content)
    with pytest.raises(ValueError, match="nothing of walk can be scored"):
        evaluate_data(model, "tapvid-davis", tmp_path, Options(mode="pad", query_mode="strided"))


def test_the_command_says_in_one_line_that_nothing_can_be_scored(tmp_path, capsys):
    (tmp_path / tapvid.FILE).write_bytes(pickle.dumps({"a": entry(occluded=~SEEN)}, 4))
    wanted = ["evaluate", "--weights", "nano", "--data", "tapvid-davis", "--root", str(tmp_path)]
    assert main([*wanted, "--out", str(tmp_path / "report.json")]) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.count("\n") == 1 and "no visible point" in said.err
    assert not (tmp_path / "report.json").exists()
