"""The classical road to cameras, which has no network: points, matches and geometry.

A constant answer flatters a network; this does not. Where views overlap and show texture the classical road
is the more exact one, and it fails where they do not.
"""

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from vggt_lite.export.colmap_model import colmap_lenses, import_pycolmap
from vggt_lite.export.pinholes import Pinholes
from vggt_lite.inference.correspondences import Tracks
from vggt_lite.metrics.poses import relative_pose_errors


def essential_matrix_errors(tracks: Tracks, truth: Pinholes) -> tuple[Tensor, Tensor]:
    """Errors of each pair's pose by an essential matrix (RANSAC), with the *true* intrinsics.

    Args:
        tracks: from `find_tracks`.
        truth: the true cameras.

    Returns:
        Rotation and translation (pairs,) in degrees, in the order of `relative_pose_errors`; infinite where a
        pair has too few matches.
    """
    pycolmap, found = import_pycolmap(), []
    lenses = colmap_lenses(truth)
    for pair in itertools.combinations(range(len(truth.sizes)), 2):
        both = tracks.seen[pair[0]] & tracks.seen[pair[1]]
        pose = both.sum() >= 8 and pycolmap.estimate_essential_matrix(
            *(tracks.pixels[view, both].numpy() for view in pair), *(lenses[view] for view in pair),
            pycolmap.RANSACOptions(max_error=1.0, random_seed=0),
        )  # fmt: skip
        second = torch.full((3, 4), torch.nan, dtype=torch.float64)
        if pose:
            second = torch.from_numpy(pose["cam2_from_cam1"].matrix().copy())
        guess = torch.stack([torch.eye(3, 4, dtype=torch.float64), second])
        found.append(relative_pose_errors(guess, truth.cam_from_world[list(pair)]))
    rotation, translation = zip(*found, strict=True)
    return torch.cat(rotation), torch.cat(translation)


def mapped_cameras(pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Cameras by COLMAP's incremental mapper, lenses unknown, with its own settings but one.

    Args:
        pictures: S of them, (H, W, 3) uint8.

    Returns:
        cam_from_world (S, 3, 4) in a world of its own, and intrinsics (S, 3, 3); NaN for pictures that did
        not get into the largest model.
    """
    pycolmap = import_pycolmap()
    cameras = torch.full((len(pictures), 3, 4), torch.nan, dtype=torch.float64)
    intrinsics = torch.full((len(pictures), 3, 3), torch.nan, dtype=torch.float64)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        for view, picture in enumerate(pictures):
            Image.fromarray(picture.numpy()).save(folder / "images" / f"{view}.png")
        database, images = folder / "database.db", folder / "images"
        reader = pycolmap.ImageReaderOptions(camera_model="SIMPLE_PINHOLE")
        pycolmap.extract_features(
            database, images, camera_mode=pycolmap.CameraMode.PER_IMAGE, reader_options=reader,
            device=pycolmap.Device.cpu,
        )  # fmt: skip
        pycolmap.match_exhaustive(database, device=pycolmap.Device.cpu)
        options = pycolmap.IncrementalPipelineOptions(num_threads=1, random_seed=0)
        options.mapper.init_min_tri_angle = (
            4  # degrees; with COLMAP's 16 it finds no first pair in short walks
        )
        models = pycolmap.incremental_mapping(database, images, folder / "models", options)
        largest = max(models.values(), key=lambda model: model.num_reg_images(), default=None)
        for image in largest.images.values() if largest else ():
            if image.has_pose:
                view = int(Path(image.name).stem)
                cameras[view] = torch.from_numpy(image.cam_from_world().matrix().copy())
                intrinsics[view] = torch.from_numpy(image.camera.calibration_matrix().copy())
    return cameras, intrinsics
