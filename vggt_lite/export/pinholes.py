"""The cameras of a scene as other programs know them: pinholes, perhaps with radial distortion."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pinholes:
    """S pinhole cameras, perhaps with one number of radial distortion each. float64."""

    cam_from_world: Tensor  # (S, 3, 4)
    intrinsics: Tensor  # (S, 3, 3) pixels of the photographs
    sizes: list[tuple[int, int]]  # (H, W) of the photographs
    radial: Tensor | None = None  # (S,) COLMAP's k of SIMPLE_RADIAL

    @staticmethod
    def of(scene) -> "Pinholes":
        """The cameras of a `Reconstruction`, with the distortion that its refinement found.

        Raises:
            ValueError: a view has no camera.
        """
        if not scene.camera_ok.all():
            raise ValueError("a view has no camera: leave it out and reconstruct again.")
        report = scene.refinement
        radial = report.radial if report and report.refined else None
        return Pinholes(
            scene.cam_from_world.double(), scene.intrinsics.double(), scene.original_sizes, radial
        )

    def part(self, views: list[int]) -> "Pinholes":
        """The cameras of some views."""
        radial = None if self.radial is None else self.radial[views]
        sizes = [self.sizes[view] for view in views]
        return Pinholes(self.cam_from_world[views], self.intrinsics[views], sizes, radial)

    def with_views(self, views: list[int], cameras: "Pinholes") -> "Pinholes":
        """The same cameras, but for poses and lenses of some views."""
        poses, lenses = self.cam_from_world.clone(), self.intrinsics.clone()
        poses[views], lenses[views] = cameras.cam_from_world, cameras.intrinsics
        return replace(self, cam_from_world=poses, intrinsics=lenses)

    def scaled_to(self, pictures: list[Tensor]) -> tuple["Pinholes", Tensor]:
        """The cameras for pictures (H, W, 3) of other sizes, and the factors (S, 2), x and y."""
        sizes = [tuple(picture.shape[:2]) for picture in pictures]
        factors = torch.tensor(sizes, dtype=torch.float64) / torch.tensor(self.sizes, dtype=torch.float64)
        factors = factors.flip(1)  # (S, 2): x, y
        intrinsics = self.intrinsics.clone()
        intrinsics[:, :2] *= factors[..., None]
        return replace(self, intrinsics=intrinsics, sizes=sizes), factors

    @property
    def one_lens(self) -> bool:
        """Whether all photographs have the same size and the same lens."""
        same = len(set(self.sizes)) == 1 and bool((self.intrinsics == self.intrinsics[0]).all())
        return same and (self.radial is None or bool((self.radial == self.radial[0]).all()))
