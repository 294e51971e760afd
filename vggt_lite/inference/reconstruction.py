"""`Reconstruction`: what a user holds after photographs went through the network."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vggt_lite.data.images import ImageBatch
from vggt_lite.data.pictures import Photo
from vggt_lite.data.pixel_map import PixelMap
from vggt_lite.export import write_colmap, write_glb, write_nerfstudio, write_ply, write_tum
from vggt_lite.geometry import Similarity, unproject_depth
from vggt_lite.inference.edges import facing_normals, without_edges
from vggt_lite.inference.known import moved, scaled, with_intrinsics, with_poses
from vggt_lite.inference.masks import with_masks
from vggt_lite.inference.positions import aligned_to
from vggt_lite.inference.refine import Refinement, refine
from vggt_lite.inference.saving import load_parts, save_reconstruction
from vggt_lite.inference.summary import as_html, as_text
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.model.predictions import Predictions

PREDICTED = (
    "cam_from_world", "intrinsics", "depth", "depth_conf", "point_map", "point_conf", "tracks",
    "track_visibility", "track_conf",
)  # fmt: skip
TRUE = ("cam_from_world", "intrinsics", "depth", "point_map", "tracks", "track_visibility")


@dataclass
class Reconstruction:
    """S views of one scene: cameras, depth, points and tracks. All tensors live on the CPU.

    Cameras and tracks are in pixels of the *original*, upright photographs, whose sizes may differ from
    view to view. Dense maps stay on the network's pixels, where they are exact; `pixel_maps` leads from
    one to the other, and `depth_at_original` resamples. Pixel (0, 0) covers [0, 1)². Of a prediction the
    world is the first camera's frame and the unit the network's own; after `with_poses` or `aligned_to` both
    are those of what is known. A part that is None was not predicted.
    """

    names: list[str]
    pixel_maps: list[PixelMap]
    images: list[Tensor]  # each (H, W, 3) uint8, the photograph to be drawn, as `ImageBatch.pictures`
    colors: Tensor  # (S, h, w, 3) uint8: the network's input
    valid: Tensor  # (S, h, w) bool: shows the photograph (not padding, not masked), and has a depth
    cam_from_world: Tensor | None = None  # (S, 3, 4)
    intrinsics: Tensor | None = None  # (S, 3, 3) original pixels; NaN where none was found
    depth: Tensor | None = None  # (S, h, w) z
    depth_conf: Tensor | None = None  # (S, h, w), ≥ 1
    point_map: Tensor | None = None  # (S, h, w, 3) world
    point_conf: Tensor | None = None  # (S, h, w), ≥ 1
    tracks: Tensor | None = None  # (S, N, 2) original pixels (x, y)
    track_visibility: Tensor | None = None  # (S, N) probability
    track_conf: Tensor | None = None  # (S, N) probability
    refinement: Refinement | None = None  # the report of `refine`
    photos: list[Photo] | None = None  # where the photographs came from; not saved
    masks: list[Tensor] | None = None  # each (H, W) bool, of the photograph: what counts; see `with_masks`
    extras: dict[str, Tensor] = field(default_factory=dict)  # each (S, …), from `VGGT.extra_heads`
    made: dict[str, str] = field(default_factory=dict)  # how: number format, weights …, as far as it is known

    @classmethod
    def from_predictions(
        cls, pred: Predictions, batch: ImageBatch | None = None, index: int = 0, pixel_center: float = 0.5
    ) -> "Reconstruction":
        """Scene `index` of a forward pass, in original pixels and in the frame of its first camera.

        The network's own first camera is turned and shifted a little against the world it answers in; here
        cameras and point map are expressed in that camera's frame.

        Args:
            pred: the network's output.
            batch: the photographs it saw. None: the network's input counts as the original.
            index: which scene of the batch.
            pixel_center: where the network counts the centre of pixel (0, 0), as in `ModelConfig`.
        """
        parts = {name: _take(getattr(pred, name), index) for name in PREDICTED}
        parts["extras"] = {name: _take(value, index) for name, value in pred.extras.items()}
        scene = cls(**described(_take(pred.images, index), batch), **parts)
        if scene.tracks is not None:
            scene.tracks = scene._each(PixelMap.to_original, scene.tracks + (0.5 - pixel_center))
        if scene.intrinsics is not None:
            scene.intrinsics = scene._each(PixelMap.intrinsics_to_original, scene.intrinsics)
        scene._set_aside_unusable()
        return scene.in_first_camera()

    @classmethod
    def from_batch(
        cls, scene: SceneBatch, index: int = 0, names: list[str] | None = None
    ) -> "Reconstruction":
        """Scene `index` of the truth, so that it can be drawn and saved like a prediction."""
        parts = {name: _take(getattr(scene, name), index) for name in TRUE}
        result = cls(**described(_take(scene.images, index), None), **parts)
        result.valid = scene.valid[index].cpu()
        result.names = names or result.names
        return result.in_first_camera()

    @property
    def original_sizes(self) -> list[tuple[int, int]]:
        """(H, W) of each original photograph."""
        return [pixel_map.original_size for pixel_map in self.pixel_maps]

    def photograph(self, view: int) -> Tensor:
        """(H, W, 3) uint8: the upright photograph, as large as it is at hand.

        That is its own size where its source can be opened; else, or after `load`, that of `images`.
        """
        if self.photos is not None:
            try:
                picture = torch.from_numpy(np.array(self.photos[view].open()))
            except (OSError, ValueError):
                return self.images[view]
            if picture.shape[:2] == self.original_sizes[view]:  # else it is another picture by now
                return picture
        return self.images[view]

    @property
    def network_intrinsics(self) -> Tensor | None:
        """(S, 3, 3) for the pixels of `depth`, `point_map` and `colors`."""
        if self.intrinsics is None:
            return None
        return self._each(PixelMap.intrinsics_to_network, self.intrinsics)

    @property
    def camera_ok(self) -> Tensor:
        """(S,) bool: the view has a finite camera with positive focal lengths."""
        if self.cam_from_world is None or self.intrinsics is None:
            return torch.zeros(len(self), dtype=torch.bool)
        finite = self.cam_from_world.isfinite().all((1, 2)) & self.intrinsics.isfinite().all((1, 2))
        return finite & (self.intrinsics[:, 0, 0] > 0) & (self.intrinsics[:, 1, 1] > 0)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where `points` can come from: "depth" (unprojected by the cameras), "point_map", or both.

        Depth comes first: its points are the more accurate ones, in the paper and for the bundled models.
        """
        needed = {"depth": (self.depth, self.cam_from_world, self.intrinsics), "point_map": (self.point_map,)}
        return tuple(name for name, parts in needed.items() if all(part is not None for part in parts))

    def points(
        self, source: str | None = None, confidence_percentile: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The scene as a coloured cloud; padding, missing depth and non-finite points are left out.

        Args:
            source: one of `sources`; None takes the first.
            confidence_percentile: hide this percentage of the points, the least trusted first.

        Returns:
            xyz (M, 3) world, rgb (M, 3) uint8, confidence (M,) and view (M,), the view's index.
        """
        xyz, confidence, keep = self._chosen(source, confidence_percentile)
        view = torch.arange(len(self))[:, None, None].expand(keep.shape)
        return xyz[keep], self.colors[keep], confidence[keep], view[keep]

    def depth_at_original(self, view: int) -> Tensor:
        """(H, W) depth on the pixels of the original photograph; 0 where there is none."""
        if self.depth is None:
            raise ValueError("no depth was predicted: the model needs its depth head.")
        return self.pixel_maps[view].resample(self.depth[view] * self.valid[view])

    def to_ply(self, path: str | Path, confidence_percentile: float = 0.0) -> None:
        """All points but the least trusted in a PLY file, with colours, confidence and normals.

        Confidence is 1 where none was predicted. Normals point to the camera; without cameras there are none.
        """
        xyz, confidence, keep = self._chosen(None, confidence_percentile)
        normals = (
            None if self.cam_from_world is None else facing_normals(xyz, keep, self.cam_from_world)[keep]
        )
        write_ply(path, xyz[keep], self.colors[keep], confidence[keep], normals)

    def in_first_camera(self) -> "Reconstruction":
        """The same in the first camera's frame, where figures draw it; as it is if that is not finite."""
        first = None if self.cam_from_world is None else self.cam_from_world[0]
        if first is None or not first.isfinite().all() or torch.equal(first, torch.eye(3, 4)):
            return self
        result = moved(self, Similarity(torch.ones(()), first[:, :3], first[:, 3]))
        result.cam_from_world[0] = torch.eye(3, 4)  # exactly
        return result

    def show(self):
        """The scene as a figure to turn around, in a notebook."""
        from vggt_lite.viz import show_reconstruction

        return show_reconstruction(self)

    @staticmethod
    def load(folder: str | Path) -> "Reconstruction":
        """What `save` wrote; raises as `load_parts`."""
        return Reconstruction(**load_parts(folder))

    def __len__(self) -> int:
        return len(self.names)

    refine = refine
    scaled, with_intrinsics, with_poses = scaled, with_intrinsics, with_poses
    with_masks, aligned_to = with_masks, aligned_to
    save = save_reconstruction
    without_edges = without_edges
    to_colmap, to_nerfstudio, to_glb, to_tum = write_colmap, write_nerfstudio, write_glb, write_tum
    __repr__ = as_text
    _repr_html_ = as_html

    def _each(self, carry, values: Tensor) -> Tensor:
        """`carry(pixel_map, values of the view)` for every view, stacked."""
        return torch.stack([carry(m, v) for m, v in zip(self.pixel_maps, values, strict=True)])

    def _chosen(self, source: str | None, confidence_percentile: float) -> tuple[Tensor, Tensor, Tensor]:
        """World points (S, h, w, 3), their confidence (S, h, w), and which of them `points` gives."""
        source = source or (self.sources or ("point_map",))[0]
        if source not in self.sources:
            raise ValueError(f"no points from source={source!r}; this reconstruction has {self.sources}.")
        if not 0 <= confidence_percentile <= 100:
            raise ValueError(f"confidence_percentile={confidence_percentile} must lie in 0 … 100.")
        xyz, confidence, keep = self._dense(source)
        keep = keep & xyz.isfinite().all(-1) & confidence.isfinite()  # (S, h, w)
        if confidence_percentile and keep.any():
            kept = confidence[keep]
            hidden = min(int(len(kept) * confidence_percentile / 100), len(kept) - 1)
            keep &= confidence >= kept.kthvalue(hidden + 1).values
        return xyz, confidence, keep

    def _dense(self, source: str) -> tuple[Tensor, Tensor, Tensor]:
        """World points (S, h, w, 3), their confidence (S, h, w) and which of them exist."""
        if source == "point_map":
            xyz, confidence, keep = self.point_map, self.point_conf, self.valid
        else:
            xyz = unproject_depth(self.depth, self.network_intrinsics, self.cam_from_world)
            keep = self.valid & (self.depth > 0) & self.camera_ok[:, None, None]
            confidence = self.depth_conf
        return xyz, torch.ones(keep.shape) if confidence is None else confidence, keep

    def _set_aside_unusable(self) -> None:
        """Turn what cannot be drawn into NaN (cameras) or 0 (depth), and say so."""
        if self.cam_from_world is not None and self.intrinsics is not None and not self.camera_ok.all():
            bad = ~self.camera_ok
            self.intrinsics[bad] = torch.nan
            listed = ", ".join(str(view + 1) for view in bad.nonzero()[:, 0].tolist())
            warnings.warn(
                f"no usable camera was predicted (field of view 0, or numbers that are not finite) for view "
                f"{listed}: no frustum and no points from depth there.",
                stacklevel=3,
            )
        for name in ("depth", "depth_conf", "point_map", "point_conf", "tracks"):
            value = getattr(self, name)
            if value is not None and not value.isfinite().all():
                share = 100 * (~value.isfinite()).float().mean().item()
                said = f"{share:.3g} % of the predicted {name} is not finite and is left out."
                warnings.warn(said, stacklevel=3)
        if self.depth is not None:
            self.depth = self.depth.nan_to_num(0.0, 0.0, 0.0)


def _take(value: Tensor | None, index: int) -> Tensor | None:
    return None if value is None else value[index].detach().float().cpu()


def described(images: Tensor, batch: ImageBatch | None) -> dict:
    """The fields of a `Reconstruction` that describe its S views, from the network's input (S, 3, h, w)."""
    colors = (images.permute(0, 2, 3, 1) * 255).round().clamp(0, 255).byte().contiguous()  # (S, h, w, 3)
    if batch is not None:
        names, pixel_maps, pictures, valid = batch.names, batch.pixel_maps, batch.pictures, batch.valid_mask()
        photos = batch.photos
    else:
        size, photos = tuple(colors.shape[1:3]), None
        names, pictures = [f"view_{view:03d}" for view in range(len(colors))], list(colors)
        pixel_maps = [PixelMap(size, size)] * len(colors)
        valid = torch.ones(colors.shape[:3], dtype=torch.bool)
    views = {"names": names, "pixel_maps": pixel_maps, "images": pictures, "photos": photos}
    return {**views, "colors": colors, "valid": valid}
