"""Weights in and out: safetensors files, folders, the hub, and the official names.

Nothing is ever unpickled: `.safetensors` is read as such, `.pt` with `weights_only=True`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vggt_lite.config import NANO, TINY, VGGT_1B, ModelConfig
from vggt_lite.files import whole_file
from vggt_lite.model.vggt import VGGT
from vggt_lite.names import official_name, our_name

BUNDLED = Path(__file__).parent.parent / "data" / "weights"
CONFIGS = {"nano": NANO, "tiny": TINY}
HUB_CONFIGS = {"facebook/VGGT-1B": VGGT_1B, "facebook/VGGT-1B-Commercial": VGGT_1B}
HUB_FILES = ("model.safetensors", "model.pt")


def from_official(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a state dict of the release (`facebook/VGGT-1B`) to our names. Tensors are not copied."""
    return {our_name(name): value for name, value in state_dict.items()}


def to_official(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename one of our state dicts to the release's names: the exact inverse of `from_official`."""
    return {official_name(name): value for name, value in state_dict.items()}


def load_into(model: nn.Module, state_dict: Mapping[str, Tensor], source: str) -> None:
    """Load strictly: every tensor must be wanted, present, and of the right shape.

    Raises:
        ValueError: naming `source` and the first keys that do not fit.
    """
    wanted = model.state_dict()
    missing, unexpected = sorted(wanted.keys() - state_dict.keys()), sorted(state_dict.keys() - wanted.keys())
    shapes = [
        f"{key} is {tuple(state_dict[key].shape)}, expected {tuple(wanted[key].shape)}"
        for key in wanted.keys() & state_dict.keys()
        if state_dict[key].shape != wanted[key].shape
    ]
    for kind, keys in (("missing", missing), ("unexpected", unexpected), ("wrong shape", sorted(shapes))):
        if keys:
            raise ValueError(
                f"{source} does not fit this model: {len(keys)} keys {kind}, first {keys[:3]}. "
                "Is it a checkpoint for another ModelConfig?"
            )
    model.load_state_dict(state_dict)


def read_state_dict(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and text metadata of a `.safetensors` or `.pt` file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: cut off or not a weight file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found.")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True), {}
    except Exception as error:  # safetensors and torch each have several ways to say "broken"
        raise ValueError(f"{path} cannot be read as weights ({error}); fetch or write it again.") from error


def save_weights(model: VGGT, path: str | Path, dtype: torch.dtype = torch.float32, **notes: str) -> None:
    """Write a model to one `.safetensors` file, its configuration inside; never half a file.

    Args:
        model: Any `VGGT`.
        path: Where; an older file is replaced only when the new one is complete.
        dtype: How numbers are stored; float16 halves the file and rounds them to three digits. Models
            are loaded in float32 either way.
        notes: Texts kept in the file's metadata (training command, seed, licence).
    """
    tensors = {key: value.detach().to("cpu", dtype).contiguous() for key, value in model.state_dict().items()}
    with whole_file(path) as temporary:
        save_file(tensors, temporary, metadata={"config": json.dumps(model.config.to_dict()), **notes})


def load_file(path: Path, config: ModelConfig | None) -> VGGT:
    """A model from one file. Ours say their configuration; any other file has the official names."""
    state_dict, metadata = read_state_dict(path)
    if "config" in metadata:
        config = ModelConfig.from_dict(json.loads(metadata["config"]))
    else:
        state_dict, config = from_official(state_dict), config or VGGT_1B
    with torch.device("meta"):
        model = VGGT(config)
    model.to_empty(device="cpu")
    model.aggregator.register_constants()
    load_into(model, state_dict, str(path))
    return model.eval()


def fetch_from_hub(repository: str, revision: str | None, cache: str | Path | None) -> Path:
    """Download the weight file of a hub repository (or find it in the cache) and return its path.

    Raises:
        ConnectionError: no network and nothing in the cache.
        PermissionError: the repository is gated and no accepted token was found.
        FileNotFoundError: no such repository, or no weight file in it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    for name in HUB_FILES:
        try:
            return Path(hf_hub_download(repository, name, revision=revision, cache_dir=cache))
        except LocalEntryNotFoundError as error:
            raise ConnectionError(
                f"{repository} is not in the cache and the hub cannot be reached. Connect once, or pass the "
                "path of a downloaded model.safetensors."
            ) from error
        except GatedRepoError as error:
            raise PermissionError(
                f"{repository} is gated: accept its licence at https://huggingface.co/{repository}, then set "
                "HF_TOKEN to your access token."
            ) from error
        except RepositoryNotFoundError as error:
            raise FileNotFoundError(
                f"the hub has no repository {repository!r}; check the spelling."
            ) from error
        except EntryNotFoundError:
            continue
    raise FileNotFoundError(f"{repository} holds none of {HUB_FILES}.")


def load_pretrained(
    name: str | Path,
    config: ModelConfig | None = None,
    revision: str | None = None,
    cache: str | Path | None = None,
) -> VGGT:
    """A trained model, in evaluation mode, on the CPU.

    Args:
        name: "nano" (bundled), a weight file, a folder that holds `model.safetensors`, or a hub
            repository such as "facebook/VGGT-1B" (5 GB, non-commercial licence; downloaded once).
        config: Of a file with official names, when it is not the released size.
        revision: Commit or tag of the hub repository.
        cache: Folder of the hub's cache; its default when omitted.

    Raises:
        FileNotFoundError, ConnectionError, PermissionError, ValueError: each says what to do.
    """
    text, path = str(name), Path(name)
    if text in CONFIGS:
        path = BUNDLED / f"{text}.safetensors"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: clone the whole repository, or train it: vggt-lite train."
            )
        return load_file(path, config)
    if path.is_dir():
        found = [path / file for file in HUB_FILES if (path / file).is_file()]
        if not found:
            raise FileNotFoundError(f"folder {path} holds none of {HUB_FILES}.")
        return load_file(found[0], config)
    if path.suffix in (".safetensors", ".pt"):
        return load_file(path, config)
    if text.count("/") == 1:
        return load_file(fetch_from_hub(text, revision, cache), config or HUB_CONFIGS.get(text))
    raise FileNotFoundError(
        f'no model {text!r}: give "nano", a .safetensors file, a folder, or a hub repository "owner/name".'
    )
