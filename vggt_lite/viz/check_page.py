"""What `check-data` found, as a page: problems in words, and below them the scene that shows them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from markupsafe import Markup

from vggt_lite.data.consistency_check import CheckResult, Mistake
from vggt_lite.data.residuals import Geometry, places
from vggt_lite.data.scene_check import RawScene
from vggt_lite.geometry import compose, invert_rigid, project_points, transform_points, unproject_depth
from vggt_lite.utils.files import file_target
from vggt_lite.utils.table import html_table
from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.html import SceneFigure, figure_block, figures_block, maps_table, write_page
from vggt_lite.viz.maps import map_rows
from vggt_lite.viz.reprojection import draw_residuals
from vggt_lite.viz.scene import draw_scene
from vggt_lite.viz.style import png_uri
from vggt_lite.viz.warp import Thinned, repainted, thinned

MOST_SCENES = 12  # on one page
MOST_VIEWS = 8  # of a scene whose pictures and points are drawn
MOST_SIGHTINGS = 60  # points of a sparse model or tracks drawn in a picture
MOST_FAR = 20  # times the median distance: points beyond it would make all others a dot
GRAY = 128
NOTE = Markup('<p class="note">{}</p>')
PAIRS_NOTE = (
    "Each surface takes the colour with which the other view sees it. Orange: the other view has another "
    "depth there (something hides it, or something is wrong). Clear: it does not look there."
)

Versions = dict[str, Geometry]  # the scene as it is and, if a mistake was named, without it


class Checked(NamedTuple):
    """A scene, what was read of it, and what was found."""

    folder: Path
    raw: RawScene
    result: CheckResult


def write_check_page(path: str | Path, checked: Sequence[Checked], count: int | None = None) -> Path:
    """Write one page about scenes that were checked; whole or not at all.

    Args:
        path: The file to write, for example "check.html".
        checked: The scenes to draw, in order.
        count: How many were checked, if not all are drawn.

    Raises:
        ValueError: the name does not end in .html.
    """
    path, count = file_target(path, ".html"), count or len(checked)
    bad = sum(bool(one.result.problems) for one in checked)
    text = f"{count} checked, {bad or 'none'} of those drawn here with something wrong."
    text += f" {len(checked)} are drawn." if len(checked) < count else ""
    parts = [Markup("<p>{}</p>").format(text), *map(check_section, checked)]
    return write_page(path, "Scenes, checked", parts)


def check_section(checked: Checked) -> Markup:
    """One scene: its name, its problems, and as much of it as can be drawn."""
    parts = [Markup("<h2>{}</h2>").format(checked.folder), _findings(checked)]
    raw, mistake = checked.raw, checked.result.mistake
    which = drawable_views(raw)
    if which:
        scene = thinned(raw, which)
        versions = {"as it is": scene.geometry}
        if mistake is not None:
            versions["mended"] = mistake.mend(scene.geometry)
        parts += [_world(scene, versions, mistake, len(raw.views)), _pairs(scene, versions)]
        maps = map_rows([depth.numpy() for depth in scene.geometry.depth]) if scene.has_depth else []
        names = [raw.views.names[view] for view in which]
        parts += [_sightings(scene, versions), maps_table(scene.pictures, names, maps)]
    else:
        parts.append(NOTE.format("Without a picture and a camera for it there is nothing to draw."))
    return Markup("\n").join(parts)


def drawable_views(raw: RawScene) -> list[int]:
    """Up to `MOST_VIEWS` views with a picture and a finite camera: neighbours, for they see the same."""
    if raw.views is None:
        return []
    cameras, k = raw.views.cam_from_world, raw.views.intrinsics
    finite = cameras.isfinite().all((1, 2)) & k.isfinite().all((1, 2)) & (k[:, [0, 1], [0, 1]] > 0).all(1)
    found = [view for view, path in enumerate(raw.pictures) if path is not None and finite[view]]
    return found[:MOST_VIEWS]


def _findings(checked: Checked) -> Markup:
    problems, notes, measured, _ = checked.result
    said = Markup().join(map(NOTE.format, notes + measured))
    if not problems:
        how_far = ", as far as it could be told:" if notes else "."
        return Markup("<p><b>Nothing wrong{}</b></p>{}").format(how_far, said)
    items = Markup().join(map(Markup("<li>{}</li>").format, problems))
    return Markup("<p><b>Wrong:</b></p><ul>{}</ul>{}").format(items, said)


def _world(scene: Thinned, versions: Versions, mistake: Mistake | None, count: int) -> Markup:
    """Cloud and cameras of each version, in the frame of the first camera; `count` views has the scene."""
    names = {"as it is": "As it is", "mended": f"If {mistake.text}"} if mistake else {"as it is": "The scene"}
    figures, numbers = [], scene.numbers
    for kind, geometry in versions.items():
        cameras = compose(geometry.cam_from_world, invert_rigid(geometry.cam_from_world[:1]))  # (V, 3, 4)
        if scene.has_depth:
            cloud = _depth_cloud(scene, geometry, cameras)
            what = "Depth of each view, unprojected by its camera"
        elif scene.seen is not None:
            cloud = _plain_cloud(_seen_points(scene, geometry))
            what = "Tracks, triangulated" if scene.seen.world is None else "Points of the sparse model"
        else:
            cloud = _plain_cloud(invert_rigid(cameras)[:, :3, 3], np.arange(len(cameras)))
            what = "There is no depth and there are no points: the dots are the cameras themselves"
        frusta = Cameras(cameras.numpy(), geometry.intrinsics.numpy(), scene.sizes, numbers)
        figure = draw_scene(cloud, frusta, unit="units of the cameras")
        text = f"{what}, {len(numbers)} of {count} cameras, in the frame of view {numbers[0]}."
        figures.append(SceneFigure(names[kind], text, {"points": cloud}, figure))
    return figures_block(figures, numbers, trust=False)


def _depth_cloud(scene: Thinned, geometry: Geometry, cameras: torch.Tensor) -> Cloud:
    """The surfaces that depth maps show, in the colours of the pictures."""
    points, colors, views = [], [], []
    for view, (depth, k) in enumerate(zip(geometry.depth, geometry.intrinsics, strict=True)):
        there = depth > 0
        points.append(unproject_depth(depth, k, cameras[view])[there].numpy())
        colors.append(scene.pictures[view][there.numpy()])
        views.append(np.full(len(points[-1]), view))
    xyz = np.concatenate(points).astype(np.float32)
    return Cloud(xyz, np.concatenate(colors), np.ones(len(xyz), np.float32), np.concatenate(views))


def _seen_points(scene: Thinned, geometry: Geometry) -> torch.Tensor:
    """(N, 3) points of the sparse model, or of tracks, in the first camera's frame; none that is very far."""
    world = places(geometry, scene.seen)
    if scene.seen.world is None:
        world = world[scene.seen.visibility.sum(0) > 1]  # one view says nothing of how far away it is
    points = transform_points(geometry.cam_from_world[0], world)
    distance = points.norm(dim=-1)
    return points[distance <= MOST_FAR * distance.median()]


def _plain_cloud(points: torch.Tensor, view: np.ndarray | None = None) -> Cloud:
    """Grey points (N, 3)."""
    xyz, count = points.numpy().astype(np.float32), len(points)
    view = np.zeros(count, int) if view is None else view
    return Cloud(xyz, np.full((count, 3), GRAY, np.uint8), np.ones(count, np.float32), view)


def _pairs(scene: Thinned, versions: Versions) -> Markup:
    """A view, and what its neighbour sees of it: as it is, and without the mistake."""
    if len(scene.numbers) < 2 or not scene.has_depth:
        return Markup()
    middle, tables = len(scene.numbers) // 2, []
    for target, source in dict.fromkeys([(1, 0), (middle, middle - 1)]):
        images = {f"view {scene.numbers[target]}": scene.pictures[target]}
        for kind, geometry in versions.items():
            painted, share = repainted(scene, geometry, source, target)
            images[f"by view {scene.numbers[source]}, {kind}: {100 * share:.0f} % agree"] = painted
        tag = Markup('<img style="width:300px" alt="{}" src="{}">')
        cells = [tag.format(name, png_uri(image)) for name, image in images.items()]
        tables.append(html_table(images, [cells]))
    title = Markup("<h3>One view painted with the colours of another</h3>")
    return (
        title + Markup('<div class="maps">{}</div>').format(Markup().join(tables)) + NOTE.format(PAIRS_NOTE)
    )


def _sightings(scene: Thinned, versions: Versions) -> Markup:
    """Where views saw the points of a sparse model, or of tracks, and where their cameras put them."""
    if scene.seen is None:
        return Markup()
    times = scene.seen.visibility.sum(0)
    few = times.argsort(descending=True, stable=True)[:MOST_SIGHTINGS]
    few = few[times[few] > 1]
    four = slice(0, 4)
    seen = scene.seen.visibility[four, few]
    if not seen.any():
        return Markup()
    what = "tracks" if scene.seen.world is None else "points of the sparse model"
    parts = [Markup("<h3>Where {} were seen, and where the cameras put them</h3>").format(what)]
    for kind, geometry in versions.items():
        world = places(geometry, scene.seen)[few]
        pixels, _ = project_points(world, geometry.cam_from_world, geometry.intrinsics)
        drawn = (scene.pictures[four], scene.seen.tracks[four, few], pixels[four], seen)
        fig = draw_residuals(*drawn, title=kind, numbers=scene.numbers[four])
        parts.append(figure_block(fig, f"{what}, {kind}"))
    parts.append(NOTE.format("Ring: where a view saw a point. Line: from there to its projection."))
    return Markup().join(parts)
