"""Weights in and out: safetensors files, folders, the hub, and the official names.

A loaded model's parameters are the file, mapped into memory: see `weight_files.py`.
"""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from vggt_lite.config import HEADS, NANO, TINY, VGGT_1B, ModelConfig
from vggt_lite.model.vggt import VGGT
from vggt_lite.pretrained.int8 import INT8, is_int8, to_int8
from vggt_lite.pretrained.names import official_name, our_name
from vggt_lite.pretrained.releases import WEIGHT_FILES, Release, release_of
from vggt_lite.pretrained.weight_files import UnreadableFile, read_as, read_state_dict, skip_init
from vggt_lite.utils.files import file_sha256
from vggt_lite.utils.tensor_files import write_tensors

BUNDLED = Path(__file__).parent / "bundled"
CONFIGS = {"nano": NANO, "tiny": TINY}
BUNDLED_SHA256 = {
    "nano": "ed7f806e0da40031429636cc8e509ed2d44727fb06cb617041807842347df2ad",
    "tiny": "12937696e7639daab7976acfdcf051e552464099f8e239fcf2cbe3291da8b482",
}
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class TrainedOn:
    """What pictures weights were trained on; beyond it results get worse. `model.trained_on` where known."""

    sizes: tuple[int, int]  # smallest and largest longer side, pixels
    views: tuple[int, int]  # fewest and most

    def note(self, images: Tensor) -> str:
        """What of images (S, 3, H, W) lies outside, in a sentence; "" if nothing does."""
        count, _, height, width = images.shape
        (small, large), (few, many) = self.sizes, self.views
        if few <= count <= many and small <= max(height, width) <= large:
            return ""
        return (
            f"{count} view{'s' * (count != 1)} of {width}×{height} pixels: these weights were trained on "
            f"{few} to {many} views whose longer side has {small} to {large} pixels. Expect worse results."
        )


# The two files were written before files could say it; research/presets.py has the stages.
BUNDLED_TRAINED_ON = {"nano": TrainedOn((48, 64), (1, 4)), "tiny": TrainedOn((84, 112), (1, 6))}


def from_official(state_dict: Mapping[str, Tensor], source: str = "the state dict") -> dict[str, Tensor]:
    """Rename a state dict of the release (`facebook/VGGT-1B`) to our names. Tensors are not copied.

    Raises:
        ValueError: naming `source` and two of its names that mean the same parameter.
    """
    renamed = {our_name(name): value for name, value in state_dict.items()}
    if len(renamed) < len(state_dict):
        counts = Counter(map(our_name, state_dict))
        twice = [name for name in state_dict if counts[our_name(name)] > 1]
        raise ValueError(f"{source} has two names for one parameter, {twice[:2]}: not the release's names.")
    return renamed


def to_official(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename one of our state dicts to the release's names: the exact inverse of `from_official`."""
    return {official_name(name): value for name, value in state_dict.items()}


def load_into(model: nn.Module, state_dict: Mapping[str, Tensor], source: str) -> None:
    """Copy tensors into a model, strictly: see `check_fits`.

    Raises:
        ValueError: naming `source` and the first keys that do not fit. The model is unchanged.
    """
    check_fits(model, state_dict, source)
    model.load_state_dict(state_dict)


def check_fits(
    model: nn.Module, state_dict: Mapping[str, Tensor], source: str, shown: Callable[[str], str] = str
) -> None:
    """Every tensor must be wanted, present, of the right shape, and of real numbers.

    Args:
        model: What is to be filled; it may be on the meta device.
        state_dict: By our names.
        source: What messages call the origin of the tensors.
        shown: The name by which messages call a key, such as `official_name`.

    Raises:
        ValueError: naming `source` and the first keys that do not fit.
    """
    wanted = model.state_dict()
    shared = sorted(wanted.keys() & state_dict.keys())
    faults = {
        "missing": [shown(key) for key in sorted(wanted.keys() - state_dict.keys())],
        "unexpected": [shown(key) for key in sorted(state_dict.keys() - wanted.keys())],
        "wrong shape": [
            f"{shown(key)} is {tuple(state_dict[key].shape)}, expected {tuple(wanted[key].shape)}"
            for key in shared
            if state_dict[key].shape != wanted[key].shape
        ],
        "not floating-point": [
            shown(key)
            for key in shared
            if wanted[key].is_floating_point() and not state_dict[key].is_floating_point()
        ],
        "not int8": [
            shown(key) for key in shared if wanted[key].dtype == torch.int8 != state_dict[key].dtype
        ],
    }
    for kind, keys in faults.items():
        if keys:
            raise ValueError(
                f"{source} does not fit this model: {len(keys)} keys {kind}, first {keys[:3]}. "
                "Is it a checkpoint for another ModelConfig?"
            )


def cast_linear_weights(model: VGGT, dtype: torch.dtype) -> None:
    """Store the matrices of the aggregator (weight and bias of Linear and Conv2d) in another type.

    These are what autocast rounds for every product anyway: under autocast of that type the numbers stay
    the same to the bit, and three quarters of the weights take half the memory. Everything else, which
    autocast reads in float32, is left alone.
    """
    for module in linear_modules(model):
        module.to(dtype)


def linear_modules(model: VGGT) -> list[nn.Module]:
    """The modules whose weight and bias `cast_linear_weights` stores in another type."""
    return [module for module in model.aggregator.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]


def save_weights(model: VGGT, path: str | Path, dtype: torch.dtype = torch.float32, **notes: str) -> None:
    """Write a model to one `.safetensors` file, its configuration and `trained_on` inside; never half a file.

    Args:
        model: Any `VGGT`.
        path: Where; an older file is replaced only when the new one is complete.
        dtype: How numbers are stored; float16 halves the file and rounds them to three digits. Models
            are loaded in float32 either way.
        notes: Texts kept in the file's metadata (training command, seed, licence).

    Raises:
        ValueError: a number is not finite, or the model's matrices are integers.
        OSError: the file could not be written.
    """
    if is_int8(model):
        raise ValueError(f"{path} was not written: the matrices are int8; copy the file they came from.")
    tensors = {key: value.detach().to("cpu", dtype).contiguous() for key, value in model.state_dict().items()}
    notes["config"] = json.dumps(model.config.to_dict())
    if trained_on := getattr(model, "trained_on", None):
        notes["trained_on"] = json.dumps(asdict(trained_on))
    if spoilt := [key for key, value in tensors.items() if not torch.isfinite(value).all()]:
        raise ValueError(
            f"{path} was not written: {len(spoilt)} tensors are not finite in {dtype}, first {spoilt[:3]}. "
            f"Take an earlier checkpoint, or another dtype."
        )
    write_tensors(path, tensors, notes)


def load_file(
    path: Path,
    config: ModelConfig | None = None,
    heads: Iterable[str] | None = None,
    dtype: torch.dtype | None = None,
    cls: type[VGGT] = VGGT,
) -> VGGT:
    """A model from one file. Ours say their configuration; any other file has the official names.

    Options and errors are those of `load_pretrained`.
    """
    tensors, metadata = read_state_dict(path)
    official, int8 = "config" not in metadata, metadata.get("stored_as") == INT8
    if int8 and dtype is not None:
        raise ValueError(
            f"{path} holds int8 matrices, which stay what they are: leave out dtype={dtype}, or take the "
            f"file that it was made from, {metadata.get('source')}."
        )
    theirs = {key: key for key in tensors}  # from our name to the file's
    theirs = from_official(theirs, str(path)) if official else theirs
    if config is None:
        inside = metadata.get("config")
        config = VGGT_1B if official else _stated(path, "configuration", inside, ModelConfig.from_dict)
    if heads is not None:
        heads = {heads} if isinstance(heads, str) else set(heads)
        if unknown := sorted(heads - set(config.heads)):
            raise ValueError(f"heads={unknown}: no heads of this model; choose among {config.heads}.")
        config = config.with_(heads=tuple(head for head in config.heads if head in heads))
        left_out = tuple(f"{head}_head." for head in HEADS if head not in config.heads)
        theirs = {key: name for key, name in theirs.items() if not key.startswith(left_out)}

    own = not cls.__module__.startswith("vggt_lite.")
    with torch.device("meta"), skip_init():  # a model without memory: the file's map becomes its memory
        model = (VGGT if own else cls)(config)
    model = to_int8(model) if int8 else model
    if own:  # what a class of the user's own adds to the network needs its first values
        held, asked = (sum(x.numel() for x in state.values()) for state in (tensors, model.state_dict()))
        if asked > 2 * held:
            raise ValueError(f"{path} holds {held:,} numbers, but its configuration asks for {asked:,}.")
        model = to_int8(cls(config)) if int8 else cls(config)
    else:
        model.aggregator.register_constants()
    cast_linear_weights(model, dtype or torch.float32)
    added = _added(model, theirs.keys(), str(path)) if own else {}

    def shown(key: str) -> str:
        return theirs.get(key) or (official_name(key) if official else key)

    state_dict = {key: tensors[name] for key, name in theirs.items()}
    check_fits(model, state_dict | added, str(path), shown)
    types = {key: value.dtype for key, value in model.state_dict().items()}
    others = {theirs[key]: types[key] for key, value in state_dict.items() if value.dtype != types[key]}
    converted = read_as(path, others)
    loaded = {key: converted.get(theirs[key], value) for key, value in state_dict.items()}
    model.load_state_dict(loaded | added, assign=True)
    if "trained_on" in metadata:
        model.trained_on = _stated(
            path, "range of training", metadata["trained_on"], partial(msgspec.convert, type=TrainedOn)
        )
    return model.eval()


def _added(model: VGGT, in_file: Collection[str], source: str) -> dict[str, Tensor]:
    """Parameters that a subclass adds to the network and the file lacks; a warning names them."""
    with torch.device("meta"), skip_init():
        network = VGGT(model.config).state_dict()
    state_dict = model.state_dict()
    added = {key: state_dict[key] for key in state_dict.keys() - network.keys() - set(in_file)}
    if added:
        warnings.warn(
            f"{source} lacks {len(added)} tensors that {type(model).__name__} adds to the network, first "
            f"{sorted(added)[:3]}: they keep their initial values and need training.",
            stacklevel=5,
        )
    return added


def _stated(path: Path, what: str, text: str, read: Callable):
    """What `read` makes of JSON in a file's metadata."""
    try:
        return read(json.loads(text))
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise ValueError(
            f"{path} states a {what} that this version cannot read ({error}); pass config=… or write it again"
        ) from error


def load_pretrained(
    name: str | Path,
    config: ModelConfig | None = None,
    revision: str | None = None,
    cache: str | Path | None = None,
    heads: Iterable[str] | None = None,
    dtype: torch.dtype | None = None,
    cls: type[VGGT] = VGGT,
) -> VGGT:
    """A trained model, in evaluation mode, on the CPU; it can be trained further.

    Its parameters are the file itself, mapped into memory: loading takes a moment, and the file is read
    where and when numbers are first used. Replace a file whose model is in use; do not write into it.

    Args:
        name: "tiny" or "nano" (bundled), a weight file, a folder that holds `model.safetensors` or
            `model.pt`, or a hub repository: "facebook/VGGT-1B" (5 GB, not for commercial use),
            "facebook/VGGT-1B-Commercial" (gated: accept its licence, set HF_TOKEN), or
            "facebook/VGGT_tracker_fixed" (the tracker trained again, with position embedding).
        config: If the file does not say it and it is not `VGGT_1B`. A downloaded file of the fixed tracker
            needs `VGGT_1B.with_(track_position_embedding=True)`; it has the same tensors, so nothing
            else can tell.
        revision: Branch, tag or commit of the hub repository; its newest weights when omitted.
        cache: Folder of the hub's cache; its default when omitted.
        heads: Build and read only these, for example ("camera", "depth"); all of them when omitted.
        dtype: torch.bfloat16 or torch.float16 stores the matrices of the aggregator in that type: see
            `cast_linear_weights`. Everything is float32 when omitted, whatever the file holds; but matrices
            that `convert` stored as int8 stay so.
        cls: Class of the model, built as cls(config). Where the file lacks what a class of your own adds to
            the network, that keeps its initial values.

    Warns:
        UserWarning: naming what keeps its initial values.

    Raises:
        FileNotFoundError, ConnectionError, PermissionError, OSError, ValueError: each says what to do.
    """
    if dtype not in (None, *DTYPES):
        raise ValueError(f"dtype={dtype}: choose among {', '.join(map(str, DTYPES))}.")
    path, release = locate(name, revision, cache)
    config = config or (release.config if release else None)
    try:
        model = load_file(path, config, heads, dtype, cls)
    except UnreadableFile as error:
        if release:
            from vggt_lite.pretrained import hub

            if hub.discard_if_damaged(path):
                said = f"{path} was damaged and has been deleted from the cache; try again to download it."
                raise ValueError(f"{said} ({error})") from error
        raise
    if str(name) in BUNDLED_TRAINED_ON:
        model.trained_on = BUNDLED_TRAINED_ON[str(name)]
    return model


def locate(
    name: str | Path, revision: str | None = None, cache: str | Path | None = None
) -> tuple[Path, Release | None]:
    """The file that `load_pretrained` calls `name`, fetched if need be; and the release if it is one.

    Raises:
        What `load_pretrained` does.
    """
    text, path = str(name), Path(name).expanduser()
    if text in CONFIGS:
        path = BUNDLED / f"{text}.safetensors"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: install the package again, or train it.")
        if file_sha256(path) != BUNDLED_SHA256[text]:
            raise UnreadableFile(f"{path} is damaged or was replaced: install the package again.")
    elif path.is_dir():
        found = [path / file for file in WEIGHT_FILES if (path / file).is_file()]
        if not found:
            raise FileNotFoundError(f"folder {path} holds none of {WEIGHT_FILES}.")
        path = found[0]
    elif path.suffix not in (".safetensors", ".pt"):
        if text.count("/") != 1:
            raise FileNotFoundError(
                f'no model {text!r}: give "tiny" or "nano", a .safetensors or .pt file, a folder, or a hub '
                'repository "owner/name".'
            )
        from vggt_lite.pretrained import hub  # its client takes half a second to import

        return hub.fetch(text, revision, cache), release_of(text)
    return path, None
