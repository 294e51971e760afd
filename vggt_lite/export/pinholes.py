"""The cameras of a scene as other programs know them: pinholes, perhaps with radial distortion."""

from dataclasses import dataclass

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

    @property
    def one_lens(self) -> bool:
        """Whether all photographs have the same size and the same lens."""
        same = len(set(self.sizes)) == 1 and bool((self.intrinsics == self.intrinsics[0]).all())
        return same and (self.radial is None or bool((self.radial == self.radial[0]).all()))
