"""`convert`: weights in a smaller file, for a disk that many read from.

    convert("facebook/VGGT-1B", "vggt_1b_int8.safetensors", "int8")
    model = VGGT.from_pretrained("vggt_1b_int8.safetensors")

Tensors are read, rounded and written one at a time. Linear maps and convolutions are rounded; vectors, tokens
and, beside int8, small matrices stay float32: they take next to no room.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from vggt_lite.config import HEADS
from vggt_lite.model.vggt import VGGT
from vggt_lite.pretrained.int8 import INT8, is_int8, rounded, scales, to_int8
from vggt_lite.pretrained.loading import load_pretrained, locate
from vggt_lite.pretrained.weight_files import read_state_dict, skip_init
from vggt_lite.utils.files import file_sha256, file_target
from vggt_lite.utils.tensor_files import stream_tensors

FORMS = ("bfloat16", INT8)
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
OWN_LICENCE = "Apache-2.0, as vggt_lite"  # of the bundled weights


def convert(
    name: str | Path,
    out: str | Path,
    form: str,
    heads: Iterable[str] | None = None,
    revision: str | None = None,
    cache: str | Path | None = None,
) -> dict[str, str]:
    """Write weights to one `.safetensors` file that `VGGT.from_pretrained` opens.

    Args:
        name, heads, revision, cache: as for `load_pretrained`.
        out: where; a file that is there is not replaced.
        form: "bfloat16": half the size of float32; loaded as float32, or as asked with dtype=. "int8": a
            quarter; large matrices stay integers in memory, see `int8.py`, and convolutions are bfloat16.

    Returns:
        What the file says about itself: configuration, source and its SHA-256, heads that were left out,
        licence, and all notes of the source.

    Raises:
        FileExistsError: `out` is there. ValueError: the source holds integers already, or numbers that are
            not finite. And all that `load_pretrained` raises.
    """
    if form not in FORMS:
        raise ValueError(f"dtype={form!r}: choose among {', '.join(FORMS)}.")
    if (out := file_target(out, ".safetensors")).exists():
        raise FileExistsError(f"{out} exists already: choose another name, or delete it.")
    source, release = locate(name, revision, cache)
    _, notes = read_state_dict(source, only=())
    model = load_pretrained(name, revision=revision, cache=cache, heads=heads)
    if is_int8(model):
        raise ValueError(f"{source} holds int8 matrices already: convert the file that it was made from.")
    had = json.loads(notes["config"])["heads"] if "config" in notes else HEADS
    notes |= {
        "config": json.dumps(model.config.to_dict()),
        "source": str(name) if release else source.name,
        "source_sha256": file_sha256(source),
        "heads_left_out": ", ".join(head for head in had if head not in model.config.heads),
        "stored_as": form,
    }
    if "licence" not in notes:
        bundled = source.parent == Path(__file__).parent / "bundled"
        stated = OWN_LICENCE if bundled else notes.get("license", "not stated in the source")
        notes["licence"] = release.licence if release else stated
    if Path(name).is_dir():
        for path in sorted(source.parent.glob("LICEN[CS]E*")):
            notes[f"text of {path.name}"] = path.read_text(encoding="utf-8", errors="replace")
    if trained_on := getattr(model, "trained_on", None):
        notes["trained_on"] = json.dumps(asdict(trained_on))
    state, kinds = model.state_dict(), _kinds(model, form)

    def made(key: str) -> Tensor:
        """A tensor of the file."""
        matrix = state.get(f"{key.removesuffix('.scale')}.weight") if key not in state else None
        value = state[key] if matrix is None else scales(matrix)
        if not torch.isfinite(value).all():
            raise ValueError(f"{out} was not written: {key} of {source} is not finite. Take another file.")
        if kinds[key][0] == torch.int8:
            return rounded(value, scales(value))
        return value.to(kinds[key][0])

    stream_tensors(out, kinds, notes, made)
    return notes


def _kinds(model: VGGT, form: str) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of every tensor of the file."""
    with torch.device("meta"), skip_init():
        stored = type(model)(model.config)
    stored = to_int8(stored) if form == INT8 else stored
    kinds = CONVOLUTIONS if form == INT8 else (nn.Linear, *CONVOLUTIONS)
    weights = {f"{name}.weight" for name, module in stored.named_modules() if isinstance(module, kinds)}
    return {
        key: (torch.bfloat16 if key in weights else value.dtype, tuple(value.shape))
        for key, value in stored.state_dict().items()
    }
