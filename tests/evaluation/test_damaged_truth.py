"""Published data sets whose truth is damaged: refused before any work, by name, never scored."""

import gzip
import json
import os
import shutil
import struct
import warnings
import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from tests.evaluation.layouts import write_co3d_set, write_dtu, write_eth3d
from vggt_lite.evaluation.datasets import Options, co3d, dtu, eth3d, evaluate_data
from vggt_lite.evaluation.datasets.matlab import read_mat

PAD = Options(mode="pad")
DATA = {"co3d": (co3d, write_co3d_set), "dtu": (dtu, write_dtu), "eth3d": (eth3d, write_eth3d)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The data sets as they should be, and what knows their truth."""
    root = tmp_path_factory.mktemp("whole")
    for name in DATA:
        (root / name).mkdir()
    return root, {name: write(root / name) for name, (_, write) in DATA.items()}


@pytest.fixture
def folder(whole, tmp_path, monkeypatch):
    """A copy of one data set, to be damaged."""
    monkeypatch.setattr(co3d, "MIN_FRAMES", 3)
    return lambda data: shutil.copytree(whole[0] / data, tmp_path / data)


def refused(root, data, said):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=said) as error:
        warnings.simplefilter("ignore")
        list(DATA[data][0].samples(root, PAD))
    assert str(root) in str(error.value) and "\n" not in str(error.value)


def frames(root, change):
    """Change the first frame of the sequence that is judged."""
    file = root / "apple" / "frame_annotations.jgz"
    content = json.loads(gzip.decompress(file.read_bytes()))
    change([frame for frame in content if frame["sequence_name"] == "10_20_30"])
    file.write_bytes(gzip.compress(json.dumps(content).encode()))


def camera(**changed):
    return lambda frames: frames[0]["viewpoint"].update(changed)


NAN = float("nan")
CO3D = {
    "viewpoint a list": (lambda f: f[0].update(viewpoint=[1]), "viewpoint"),
    "T texts": (camera(T=["a", "b", "c"]), r"viewpoint.T\[0\]"),
    "T infinite in float32": (camera(T=[1e300, -1e300, 0]), "not finite"),
    "path a list": (lambda f: f[0]["image"].update(path=["a"]), "image.path"),
    "R singular": (camera(R=[[0, 0, 0]] * 3), "no rotation"),
    "R a row twice": (camera(R=[[1, 0, 0], [1, 0, 0], [0, 0, 1]]), "no rotation"),
    "R twice as large": (camera(R=[[2, 0, 0], [0, 2, 0], [0, 0, 2]]), "no rotation"),
    "R mirrored": (camera(R=[[-1, 0, 0], [0, 1, 0], [0, 0, 1]]), "no rotation"),
    "R NaN": (camera(R=[[NAN] * 3] * 3), "R: numbers are missing"),
    "focal length 0": (camera(focal_length=[0, 0]), "focal lengths"),
    "focal length below 0": (camera(focal_length=[-1, -1]), "focal lengths"),
    "focal length infinite in float32": (camera(focal_length=[1e300, 1e300]), "not finite"),
    "size of another picture": (lambda f: f[0]["image"].update(size=[40, 30]), "not of the size"),
    "a picture twice": (lambda f: f[1]["image"].update(path=f[0]["image"]["path"]), "names a picture twice"),
    "one place for all": (
        lambda f: [x["viewpoint"].update(T=[0, 0, 1], R=[[1, 0, 0], [0, 1, 0], [0, 0, 1]]) for x in f[:-1]],
        "at one place",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CO3D)
def test_a_frame_of_co3d_that_cannot_be_compared_is_refused(folder, case):
    change, said = CO3D[case]
    root = folder("co3d")
    frames(root, change)
    refused(root, "co3d", said)


SEQUENCES, LISTS = "sequence_annotations.jgz", "set_lists/set_lists_fewview_dev.json"
GOOD = {"sequence_name": "10_20_30", "viewpoint_quality_score": 0.9}
CO3D_FILES = {
    "sequences are numbers": (SEQUENCES, [1, 2], "object"),
    "a sequence twice": (
        SEQUENCES,
        [GOOD, GOOD | {"viewpoint_quality_score": 0.1}],
        "names a sequence twice",
    ),
    "no sequence": (SEQUENCES, [], "no sequence that is"),
    "quality NaN": (SEQUENCES, [GOOD | {"viewpoint_quality_score": NAN}], "no sequence that is"),
    "lists are numbers": (LISTS, {"test": [1]}, "array"),
    "path a list": (LISTS, {"test": [["10_20_30", 1, ["a"]]]}, "str"),
    "no test list": (LISTS, {"train": []}, "test"),
    "empty test list": (LISTS, {"test": []}, "no sequence that is"),
}


@pytest.mark.parametrize("case", CO3D_FILES)
def test_lists_of_co3d_that_leave_nothing_are_refused(folder, case):
    name, content, said = CO3D_FILES[case]
    root = folder("co3d")
    content = json.dumps(content).encode()
    (root / "apple" / name).write_bytes(gzip.compress(content) if name == SEQUENCES else content)
    refused(root, "co3d", said)


def test_frames_of_co3d_whose_cameras_were_not_found_are_left_out_with_a_word(folder):
    root = folder("co3d")
    frames(root, camera(T=[NAN, 0, 0]))
    with pytest.warns(UserWarning, match="2 frames are left out"):  # one is lost in the layout
        (sample,) = co3d.samples(root, PAD)
    assert len(sample.views) == 3


def mat(name, **changed):
    def change(root):
        file = root / "ObsMask" / name
        content = {key: value for key, value in loadmat(file).items() if key[0] != "_"} | changed
        savemat(file, {key: value for key, value in content.items() if value is not None})

    return change


def write(name, content):
    return lambda root: (root / name).write_bytes(content)


def bomb(root):
    """A mask that says it is small, and unpacks to 140 MB."""
    head = struct.pack("<9I2i4x", 14, 2**31 - 100, 6, 8, 9, 0, 5, 12, 2, 2, 2)
    head += struct.pack("<II7sxII", 1, 7, b"ObsMask", 2, 140_000_000)
    pack = zlib.compressobj(1)
    content = pack.compress(head) + b"".join(pack.compress(bytes(10**7)) for _ in range(14)) + pack.flush()
    start = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (root / "ObsMask" / MASK).write_bytes(start + struct.pack("<II", 15, len(content)) + content)


MASK, PLANE, CLOUD, CAMERA = "ObsMask1_10.mat", "Plane1.mat", "Points/stl/stl001_total.ply", "pos_001.txt"
POS = f"Calibration/cal18/{CAMERA}"
PHOTO = "Rectified/scan1/rect_001_3_r5000.png"
XYZ = b"property float x\nproperty float y\nproperty float z\n"
PLY = b"ply\nformat ascii 1.0\nelement vertex 1\n" + XYZ + b"end_header\n"
DTU = {
    "mask text": (write(f"ObsMask/{MASK}", b"hello"), MASK),
    "mask empty": (write(f"ObsMask/{MASK}", b""), MASK),
    "mask zeros": (write(f"ObsMask/{MASK}", bytes(126) + b"IM" + bytes(1000)), "damaged"),
    "mask bomb": (bomb, "unpacks to more"),
    "mask of objects": (mat(MASK, ObsMask=np.array([["a", {"b": 1}]], object)), "real numbers"),
    "mask of two sides": (mat(MASK, ObsMask=np.ones((3, 3))), r"ObsMask is \(3, 3\)"),
    "mask without cells": (mat(MASK, ObsMask=np.zeros((0, 0, 0))), "ObsMask is"),
    "mask all false": (mat(MASK, ObsMask=np.zeros((5, 5, 5))), "no point in ObsMask1"),
    "mask NaN": (mat(MASK, ObsMask=np.full((5, 5, 5), NAN)), "no point in ObsMask1"),
    "mask missing": (mat(MASK, ObsMask=None), "ObsMask"),
    "cell 0": (mat(MASK, Res=0.0), "Res 0"),
    "cell below 0": (mat(MASK, Res=-5.0), "Res -5"),
    "cell NaN": (mat(MASK, Res=NAN), "Res: numbers are missing"),
    "cell complex": (mat(MASK, Res=1j), "real numbers"),
    "two cells": (mat(MASK, Res=np.ones(2)), "Res"),
    "box NaN": (mat(MASK, BB=np.full((2, 3), NAN)), "BB: numbers are missing"),
    "box of two": (mat(MASK, BB=np.ones((2, 2))), "BB"),
    "box far away": (mat(MASK, BB=np.full((2, 3), 1e300)), "not finite"),
    "plane text": (write(f"ObsMask/{PLANE}", b"hello"), PLANE),
    "plane NaN": (mat(PLANE, P=np.full((4, 1), NAN)), "P: numbers are missing"),
    "plane of three": (mat(PLANE, P=np.ones((3, 1))), "P"),
    "plane above all": (mat(PLANE, P=np.array([0.0, 0, 0, -1])), "above Plane1"),
    "cloud empty": (write(CLOUD, b""), "PLY"),
    "cloud NaN": (write(CLOUD, PLY + b"nan 0 0\n"), "NaN or infinite"),
    "cloud of no points": (write(CLOUD, PLY.replace(b"vertex 1", b"vertex 0")), "no point in"),
    "camera singular": (write(POS, b"0 0 0 0\n0 0 0 0\n0 0 0 0\n"), "singular"),
    "camera a row twice": (write(POS, b"1 0 0 0\n1 0 0 0\n0 0 1 0\n"), "singular"),
    "camera affine": (write(POS, b"1 0 0 0\n0 1 0 0\n0 0 0 1\n"), "singular"),
    "camera 1e300": (write(POS, b"1e300 0 0 0\n0 1 0 0\n0 0 1 0\n"), "not finite"),
    "camera NaN": (write(POS, b"nan 0 0 0\n0 1 0 0\n0 0 1 0\n"), "finite"),
    "photograph text": (write(PHOTO, b"hello"), "rect_001"),
    "only one": (lambda r: [p.unlink() for p in sorted((r / PHOTO).parent.iterdir())[1:]], "only one camera"),
    "one camera for all": (
        lambda r: [p.write_bytes((r / POS).read_bytes()) for p in (r / POS).parent.iterdir()], "one place",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DTU)
def test_a_scan_of_dtu_that_cannot_be_compared_is_refused(folder, case):
    change, said = DTU[case]
    root = folder("dtu")
    change(root)
    refused(root, "dtu", said)


def column(kind, file, index, value, only_first=False):
    """Change a column of cameras.txt (after which 4 stand the parameters) or images.txt."""

    def change(root):
        path = root / "courtyard" / f"dslr_calibration_{kind}" / f"{file}.txt"
        lines = path.read_text().splitlines()
        rows = [i for i, line in enumerate(lines) if line[0] != "#" and len(line.split()) > 4]
        for i in rows[:1] if only_first else rows:
            words = lines[i].split()
            words[index] = value
            lines[i] = " ".join(words)
        path.write_text("\n".join(lines) + "\n")

    return change


def depth(change):
    def of_all(root):
        for file in (root / "courtyard" / "ground_truth_depth" / "dslr_images").iterdir():
            change(file)

    return of_all


def every_place_the_same(root):
    for index, value in enumerate("1000000", start=1):
        column("undistorted", "images", index, value)(root)


ETH3D = {
    "camera missing": (column("jpg", "images", 8, "99", True), "DSC_0286.JPG has no camera"),
    "another lens": (column("jpg", "cameras", 1, "PINHOLE"), "no camera THIN_PRISM_FISHEYE"),
    "eleven numbers": (column("jpg", "cameras", -1, ""), "no camera THIN_PRISM_FISHEYE"),
    "focal length 0": (column("jpg", "cameras", 4, "0"), "without focal length"),
    "distortion infinite in float32": (column("jpg", "cameras", 8, "1e300"), "not finite"),
    "width of another picture": (column("jpg", "cameras", 2, "33"), "ETH3D's depth file"),
    "a name twice": (column("jpg", "images", 9, "dslr_images/DSC_0286.JPG"), "twice"),
    "depth short": (depth(lambda file: os.truncate(file, 100)), "has 100 bytes"),
    "depth of a terabyte": (depth(lambda file: os.truncate(file, 1 << 40)), "1,099,511,627,776 bytes"),
    "translation infinite in float32": (column("undistorted", "images", 5, "1e300", True), "not finite"),
    "focal length of the other 0": (column("undistorted", "cameras", 4, "0"), "focal lengths"),
    "size of another picture": (column("undistorted", "cameras", 2, "33"), "not of the size"),
    "one place": (every_place_the_same, "at one place"),
}  # fmt: skip


@pytest.mark.parametrize("case", ETH3D)
def test_a_scene_of_eth3d_that_cannot_be_compared_is_refused(folder, case):
    change, said = ETH3D[case]
    root = folder("eth3d")
    try:
        change(root)
    except OSError:
        pytest.skip("this file system has no sparse files of a terabyte")
    refused(root, "eth3d", said)


@pytest.mark.parametrize("value", [0, np.nan, np.inf, -1, 3e38])
def test_depth_that_leaves_nothing_to_score_names_the_scene(folder, whole, value):
    root = folder("eth3d")
    size = 384 * 512
    depth(lambda file: np.full(size, value, "<f4").tofile(file))(root)
    with pytest.raises(ValueError, match="eth3d, courtyard: "):
        evaluate_data(whole[1]["eth3d"], "eth3d", root, PAD)


@pytest.mark.parametrize("data", DATA)
def test_whole_data_sets_pass(whole, monkeypatch, data):
    monkeypatch.setattr(co3d, "MIN_FRAMES", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert evaluate_data(whole[1][data], data, whole[0] / data, PAD)["auc_30"] == 100


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "?", "<i2", "<u4", "<f4", "<f8"])
def test_arrays_of_matlab_come_back_as_they_were(tmp_path, packed, dtype):
    arrays = {"a": np.arange(24).reshape(2, 3, 4).astype(dtype), "one": np.ones((1, 1), dtype)}
    file = tmp_path / "x.mat"
    savemat(file, arrays | {"text": "abc", "cells": np.array(["a", 1], object)}, do_compression=packed)
    for array, again in zip(arrays.values(), read_mat(file, "a", "one"), strict=True):
        np.testing.assert_array_equal(again, array)
    for other in ("text", "cells", "nothing"):
        with pytest.raises(ValueError, match=f"{other}: no array of real numbers"):
            read_mat(file, other)


@pytest.mark.parametrize("packed", [False, True])
def test_a_matlab_file_with_changed_bytes_gives_arrays_or_a_message(tmp_path, packed):
    random, file = np.random.default_rng(0), tmp_path / "x.mat"
    savemat(file, {"a": np.ones((6, 7, 8), np.uint8), "b": np.zeros((2, 3)), "c": 5.0}, do_compression=packed)
    whole = np.frombuffer(file.read_bytes(), np.uint8)
    for _ in range(300):
        damaged = whole.copy()
        damaged[random.choice(len(whole), random.integers(1, 4))] = random.integers(0, 256)
        file.write_bytes(damaged.tobytes()[: random.integers(1, len(whole) + 200)])
        try:
            assert all(array.dtype.kind in "uif" for array in read_mat(file, "a", "b", "c"))
        except ValueError as error:
            assert "x.mat" in str(error)
