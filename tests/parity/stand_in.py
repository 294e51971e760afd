"""A stand-in for the official package: our own network behind the official names of modules and outputs.

The real package is not needed to test how it would be found, filled, watched and compared.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from vggt_lite import VGGT, ModelConfig
from vggt_lite.parity.stages import official_module, stages
from vggt_lite.pretrained.names import official_name

MODULE = """
from tests.parity.stand_in import StandIn


class VGGT(StandIn):
    def __init__(self, img_size=518, patch_size=14, embed_dim=1024, **heads):
        super().__init__(img_size, patch_size, embed_dim, heads, wrong={wrong!r})
"""


class Node(nn.Module):
    """A module of the official tree: holds parameters, and passes on what ours computed, so hooks fire."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class StandIn(Node):
    """Behaves as the official network is documented to; `wrong` names a stage to be spoiled a little."""

    config: ModelConfig  # set by `install`: what the size in the constructor stands for

    def __init__(self, img_size: int, patch_size: int, embed_dim: int, heads: dict, wrong: str) -> None:
        super().__init__()
        off = {name.removeprefix("enable_") for name, on in heads.items() if not on}
        config = self.config.with_(heads=tuple(head for head in self.config.heads if head not in off))
        assert (img_size, patch_size, embed_dim) == (config.image_size, config.patch_size, config.dim)
        object.__setattr__(self, "inner", VGGT(config))  # not a submodule: its names are ours
        self.links = []
        for ours in self.inner.state_dict():
            path, _, leaf = official_name(ours).rpartition(".")
            node = self.node(path)
            node.register_parameter(leaf, self.inner.get_parameter(ours))
            self.links.append((ours, node, leaf))
        for name, (module, call) in stages(config).items():
            if not call:  # one relay per module, whichever of its calls the stage is
                self.relay(name, self.node(official_module(module)), self.inner.get_submodule(module), wrong)

    def node(self, path: str) -> nn.Module:
        here = self
        for step in path.split("."):
            if step not in here._modules:
                here.add_module(step, Node())
            here = here._modules[step]
        return here

    def relay(self, stage: str, node: nn.Module, ours: nn.Module, wrong: str) -> None:
        by_track = stage.startswith(("track.corr_mlp", "track.feat_update"))

        def pass_on(_module, _inputs, out: Tensor) -> Tensor:
            out = 1.001 * out if stage == wrong else out
            node(out.transpose(1, 2) if by_track else out)
            return out

        ours.register_forward_hook(pass_on)

    def forward(self, images: Tensor, query_points: Tensor | None = None) -> dict:
        with torch.no_grad():
            for ours, node, leaf in self.links:  # whatever was loaded or assigned under the official names
                path, _, own = ours.rpartition(".")
                self.inner.get_submodule(path)._parameters[own] = node._parameters[leaf]
        self.inner.to(images.device).train(self.training)
        pred = self.inner(images, query_points)
        found = {"images": images, "pose_enc": pred.pose_encoding, "pose_enc_list": pred.pose_encodings}
        found |= {"depth": pred.depth[..., None], "depth_conf": pred.depth_conf}
        found |= {"world_points": pred.point_map, "world_points_conf": pred.point_conf}
        if query_points is not None:
            found |= {"track": pred.tracks, "vis": pred.track_visibility, "conf": pred.track_conf}
        return found


def install(monkeypatch, folder: Path, config: ModelConfig, wrong: str = "") -> None:
    """Put a package `vggt` on the path, for one test."""
    forget(monkeypatch)
    (folder / "vggt" / "models").mkdir(parents=True)
    (folder / "vggt" / "__init__.py").write_text("")
    (folder / "vggt" / "models" / "__init__.py").write_text("")
    (folder / "vggt" / "models" / "vggt.py").write_text(MODULE.format(wrong=wrong))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(StandIn, "config", config, raising=False)


def forget(monkeypatch) -> None:
    """As if no package `vggt` had ever been imported."""
    for name in [name for name in sys.modules if name.split(".")[0] == "vggt"]:
        monkeypatch.delitem(sys.modules, name)
