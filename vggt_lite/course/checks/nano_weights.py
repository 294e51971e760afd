"""NANO's weights in a learner's class: loaded, or refused with the cause."""

import functools

from torch import Tensor, nn

from vggt_lite.course.checks.watching import Refused, leaving_arguments
from vggt_lite.pretrained import load_pretrained

QUIET = 1e-3
WHY = {  # part of a weight's name → what a learner should know about it
    "trunk.0.attn.q_norm": "the camera head's trunk has no QK-norm",
    "trunk.0.attn.k_norm": "the camera head's trunk has no QK-norm",
    "attn.q_norm": "queries and keys of d channels are normalised, each by a norm of its own",
    "attn.k_norm": "queries and keys of d channels are normalised, each by a norm of its own",
    "trunk_norm": "a norm stands between the trunk and `pose_branch`",
    "mlp.fc": "a block's MLP is 4 C wide in the middle",
    "pose_branch.fc": "`pose_branch` is half as wide in the middle as a token: 2C → C → 9",
    "modulation": "shift, scale and gate are three times as many numbers as a token has",
    "adaptive_norm": "the norm of the modulation has no weights",
    "mean": "ImageNet's mean is no weight: `register_buffer(…, persistent=False)` keeps it out",
    "std": "ImageNet's standard deviation is no weight: `register_buffer(…, persistent=False)` keeps it out",
    "camera_token": "an `nn.Parameter` holds two slots, the first view's and all others': (1, 2, 1, C)",
    "register_tokens": "an `nn.Parameter` holds two slots, the first view's and all others': (1, 2, R, C)",
    "_blocks.0.norm1": "an `nn.ModuleList` holds blocks; what a plain list holds is hidden from PyTorch",
    "_blocks.3.norm1": "there are `config.depth` pairs",
    "mask_token": "VGGT never uses DINOv2's mask token",
}


@functools.cache
def nano() -> nn.Module:
    return load_pretrained("nano").requires_grad_(False)


def weights_of(part: str, *quiet: str) -> dict[str, Tensor]:
    """NANO's weights of a part; those whose names hold one of the words `quiet` are made small."""
    weights = nano().get_submodule(part).state_dict()
    weights = {
        name: w for name, w in weights.items() if name != "mask_token" and "patch_embed.mask" not in name
    }
    return {
        name: w * QUIET if any(word in name for word in quiet) else w.clone() for name, w in weights.items()
    }


def loaded(module: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    """The module with these weights in it.

    Raises:
        Refused: its parts have other names or sizes; the text names the first of them and what it is about.
    """
    own = {name: w for name, w in module.state_dict().items() if "mask_token" not in name}
    wrong = {
        name: f"has no `{name}`, of shape {tuple(w.shape)}" for name, w in weights.items() if name not in own
    }
    wrong |= {name: f"has `{name}`, which NANO has not" for name in own if name not in weights}
    for name in own.keys() & weights.keys():
        if own[name].shape != weights[name].shape:
            sizes = tuple(own[name].shape), tuple(weights[name].shape)
            wrong[name] = "has `{}` of shape {}; NANO's is {}".format(name, *sizes)
    if wrong:
        first = min(wrong, key=[*weights, *own].index)
        why = next((f": {text}" for part, text in WHY.items() if part in first), "")
        raise Refused(f"your class {wrong[first]}{why}.")
    module.load_state_dict(weights, strict=False)
    module.forward = leaving_arguments(module.forward)
    return module.eval()
