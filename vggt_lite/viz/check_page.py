"""What `check-data` found, as a page: problems in words, and below them the scene that shows them."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from vggt_lite.data.consistency_check import CheckResult, Mistake
from vggt_lite.data.residuals import Geometry, places
from vggt_lite.data.scene_check import RawScene
from vggt_lite.geometry import compose, invert_rigid, project_points, transform_points, unproject_depth
from vggt_lite.viz.cloud import Cameras, Cloud
from vggt_lite.viz.html import figure_block, figures_block, maps_table, write_page
from vggt_lite.viz.reprojection import draw_residuals
from vggt_lite.viz.scene import draw_scene
from vggt_lite.viz.style import small_png
from vggt_lite.viz.warp import Thinned, repainted, thinned

MOST_SCENES = 12  # on one page
MOST_VIEWS = 8  # of a scene whose pictures and points are drawn
MOST_SIGHTINGS = 60  # points of a sparse model or tracks drawn in a picture
MOST_FAR = 20  # times the median distance: points beyond it would make all others a dot
GRAY = 128


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
    path, count = check_name(path), count or len(checked)
    bad = sum(bool(one.result.problems) for one in checked)
    text = f"{count} checked, {bad or 'none'} of those drawn here with something wrong."
    parts = [f"<p>{text}{f' {len(checked)} are drawn.' if len(checked) < count else ''}</p>"]
    return write_page(path, "Scenes, checked", parts + [check_section(one) for one in checked])


def check_name(path: str | Path) -> Path:
    """The path of a page, or a ValueError that names one."""
    path = Path(path).expanduser()
    if path.suffix.lower() != ".html":
        raise ValueError(f"{path} is no name for a page: give one that ends in .html, such as check.html.")
    return path


def check_section(checked: Checked) -> str:
    """One scene: its name, its problems, and as much of it as can be drawn."""
    parts = [f"<h2>{html.escape(str(checked.folder))}</h2>", _findings(checked)]
    raw, mistake = checked.raw, checked.result.mistake
    which = drawable_views(raw)
    if which:
        scene = thinned(raw, which)
        versions = {"as it is": scene.geometry}
        if mistake is not None:
            versions["mended"] = mistake.mend(scene.geometry)
        parts += [_world(raw, scene, which, versions, mistake), _pairs(scene, which, versions)]
        parts += [_sightings(scene, which, versions), _maps(raw, scene, which)]
    else:
        parts.append('<p class="note">Without a picture and a camera for it there is nothing to draw.</p>')
    return "\n".join(parts)


def drawable_views(raw: RawScene) -> list[int]:
    """Up to `MOST_VIEWS` views with a picture and a finite camera: neighbours, for they see the same."""
    if raw.cam_from_world is None:
        return []
    finite = raw.cam_from_world.isfinite().all((1, 2)) & raw.intrinsics.isfinite().all((1, 2))
    finite &= (raw.intrinsics[:, 0, 0] > 0) & (raw.intrinsics[:, 1, 1] > 0)
    found = [view for view, path in enumerate(raw.pictures) if path is not None and finite[view]]
    return found[:MOST_VIEWS]


def _findings(checked: Checked) -> str:
    problems, notes, measured, _ = checked.result
    said = "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes + measured)
    if not problems:
        how_far = ", as far as it could be told:" if notes else "."
        return f"<p><b>Nothing wrong{how_far}</b></p>{said}"
    items = "".join(f"<li>{html.escape(problem)}</li>" for problem in problems)
    return f"<p><b>Wrong:</b></p><ul>{items}</ul>{said}"


Versions = dict[str, Geometry]  # the scene as it is and, if a mistake was named, without it


def _world(
    raw: RawScene, scene: Thinned, which: list[int], versions: Versions, mistake: Mistake | None
) -> str:
    """Cloud and cameras of each version."""
    names = {"as it is": "As it is", "mended": f"If {mistake.text}"} if mistake else {"as it is": "The scene"}
    figures, numbers = [], [view + 1 for view in which]
    for kind, geometry in versions.items():
        cloud, what = _cloud(scene, geometry)
        cameras = _in_first_camera(geometry)
        k = geometry.intrinsics.numpy()
        frusta = Cameras(cameras.numpy(), k, scene.sizes, numbers)
        text = f"{what}, {len(numbers)} of {len(raw.names)} cameras, in the frame of view {numbers[0]}."
        figures.append(
            (names[kind], text, {"points": cloud}, draw_scene(cloud, frusta, unit="units of the cameras"))
        )
    return figures_block(figures, numbers, trust=False)


def _in_first_camera(geometry: Geometry) -> torch.Tensor:
    """(V, 3, 4) the cameras, the world being the first of them."""
    return compose(geometry.cam_from_world, invert_rigid(geometry.cam_from_world[:1]))


def _cloud(scene: Thinned, geometry: Geometry) -> tuple[Cloud, str]:
    """What is known of surfaces, and what it was made from; camera centres if nothing is."""
    cameras = _in_first_camera(geometry)
    points, colors, views = [], [], []
    for view, (depth, k) in enumerate(zip(geometry.depth, geometry.intrinsics, strict=True)):
        there = depth > 0
        points.append(unproject_depth(depth, k, cameras[view])[there])
        colors.append(scene.pictures[view][there.numpy()])
        views.append(np.full(len(points[-1]), view))
    what = "Depth of each view, unprojected by its camera"
    if not any(map(len, points)) and scene.seen is not None:
        world = places(geometry, scene.seen)
        if scene.seen.world is None:
            world = world[scene.seen.visibility.sum(0) > 1]  # one view says nothing of how far away it is
        points = [transform_points(geometry.cam_from_world[0], world)]
        distance = points[0].norm(dim=-1)
        points = [points[0][distance <= MOST_FAR * distance.median()]]
        colors, views = [np.full((len(points[0]), 3), GRAY, np.uint8)], [np.zeros(len(points[0]), int)]
        what = "Points of the sparse model" if scene.seen.world is not None else "Tracks, triangulated"
    elif not any(map(len, points)):
        points = [invert_rigid(cameras)[:, :3, 3]]
        colors, views = [np.full((len(cameras), 3), GRAY, np.uint8)], [np.arange(len(cameras))]
        what = "There is no depth and there are no points: the dots are the cameras themselves"
    xyz = torch.cat(points).numpy().astype(np.float32)
    return Cloud(xyz, np.concatenate(colors), np.ones(len(xyz), np.float32), np.concatenate(views)), what


def _pairs(scene: Thinned, which: list[int], versions: Versions) -> str:
    """A view, and what its neighbour sees of it: as it is, and without the mistake."""
    if len(which) < 2 or not any((depth > 0).any() for depth in scene.geometry.depth):
        return ""
    middle = len(which) // 2
    rows = []
    for target, source in dict.fromkeys([(1, 0), (middle, middle - 1)]):
        names = [f"view {which[target] + 1}"]
        images = [scene.pictures[target]]
        for kind, geometry in versions.items():
            painted, share = repainted(scene, geometry, source, target)
            names.append(f"by view {which[source] + 1}, {kind}: {100 * share:.0f} % agree")
            images.append(painted)
        rows += [_row("th", names), _row("td", [_image(i, n) for i, n in zip(images, names, strict=True)])]
    note = (
        "Each surface takes the colour with which the other view sees it. Orange: the other view has another "
        "depth there (something hides it, or something is wrong). Clear: it does not look there."
    )
    title = "<h3>One view painted with the colours of another</h3>"
    return f'{title}<div class="maps pairs"><table>{"".join(rows)}</table></div><p class="note">{note}</p>'


def _row(cell: str, contents: list[str]) -> str:
    return "<tr>" + "".join(f"<{cell}>{content}</{cell}>" for content in contents) + "</tr>"


def _image(picture: np.ndarray, alt: str) -> str:
    data = base64.b64encode(small_png(Image.fromarray(picture))).decode()
    return f'<img style="width:300px" alt="{html.escape(alt)}" src="data:image/png;base64,{data}">'


def _sightings(scene: Thinned, which: list[int], versions: Versions) -> str:
    """Where views saw the points of a sparse model, or of tracks, and where their cameras put them."""
    if scene.seen is None:
        return ""
    times = scene.seen.visibility.sum(0)
    few = times.argsort(descending=True, stable=True)[:MOST_SIGHTINGS]
    few = few[times[few] > 1]
    four = slice(0, 4)
    seen = scene.seen.visibility[four, few]
    if not seen.any():
        return ""
    what = "tracks" if scene.seen.world is None else "points of the sparse model"
    parts = [f"<h3>Where {what} were seen, and where the cameras put them</h3>"]
    for kind, geometry in versions.items():
        world = places(geometry, scene.seen)[few]
        pixels, _ = project_points(world, geometry.cam_from_world, geometry.intrinsics)
        drawn = (scene.pictures[four], scene.seen.tracks[four, few], pixels[four], seen)
        fig = draw_residuals(*drawn, title=kind, numbers=[view + 1 for view in which[four]])
        parts.append(figure_block(fig, f"{what}, {kind}"))
    parts.append('<p class="note">Ring: where a view saw a point. Line: from there to its projection.</p>')
    return "".join(parts)


def _maps(raw: RawScene, scene: Thinned, which: list[int]) -> str:
    """Pictures and depth of every drawn view."""
    depth = [d.numpy() for d in scene.geometry.depth]
    shown = SimpleNamespace(
        images=scene.pictures, depth=depth if any(d.any() for d in depth) else None, depth_conf=None,
        valid=[d > 0 for d in depth], names=[raw.names[view] for view in which],
    )  # fmt: skip
    return maps_table(shown)
