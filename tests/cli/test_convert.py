"""`vggt-lite convert`: a smaller file, what is said about it, and what is refused."""

import json

import pytest
from safetensors import safe_open

from tests.cli.test_commands import fails_in_one_line, photographs, weights  # noqa: F401  (fixtures)
from vggt_lite.cli.evaluate import weights_used
from vggt_lite.cli.main import main
from vggt_lite.utils.files import file_sha256


@pytest.mark.filterwarnings("ignore:no usable camera")  # weights are random
def test_a_converted_file_reconstructs(weights, photographs, tmp_path, capsys):  # noqa: F811
    small, out = tmp_path / "small.safetensors", tmp_path / "out"
    options = ["--dtype", "int8", "--heads", "camera,depth", "--out", str(small)]
    assert main(["convert", weights, *options]) == 0
    said = capsys.readouterr().out
    for part in (
        "left out: point, track",
        file_sha256(weights),
        "licence: not stated in the source",
        str(small),
    ):
        assert part in said
    with safe_open(small, "pt") as file:
        assert json.loads(file.metadata()["config"])["heads"] == ["camera", "depth"]
    assert weights_used(str(small))["stored_as"] == "int8" and "stored_as" not in weights_used(weights)
    assert main(["reconstruct", str(photographs), "--weights", str(small), "--out", str(out)]) == 0
    assert (out / "arrays.npz").is_file()


def test_what_is_there_is_not_replaced_and_wrong_options_are_named(weights, tmp_path, capsys):  # noqa: F811
    out = tmp_path / "small.safetensors"
    out.write_bytes(b"mine")
    arguments = ["convert", weights, "--dtype", "bfloat16", "--out", out]
    assert "exists already" in fails_in_one_line(capsys, *arguments) and out.read_bytes() == b"mine"
    out.unlink()
    assert "normals" in fails_in_one_line(capsys, *arguments, "--heads", "camera,normals")
    assert ".safetensors" in fails_in_one_line(capsys, *arguments[:-1], tmp_path / "small.pt")
    assert "--dtype" in fails_in_one_line(capsys, "convert", weights, "--dtype", "int4", "--out", out)
    assert "no model 'huge'" in fails_in_one_line(capsys, "convert", "huge", *arguments[2:])
    assert not list(tmp_path.iterdir())
