"""`reconstruct_sequence`: more photographs than one pass holds, in chunks that are joined.

Chunks of views that overlap pass the network one after the other. Each answer has a world and a unit of its
own; the views that two chunks share give the similarity between them (`joins`). Where the sequence comes back
to a place, a chunk made of both visits closes the loop (`loops`, `pose_graph`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vggt_lite.config import DEFAULT_MODE, FRAMES_PER_SECOND, LENSES, check_choice
from vggt_lite.data.images import ImageBatch, load_images
from vggt_lite.data.pictures import find_photos
from vggt_lite.geometry import Similarity, compose, invert_rigid
from vggt_lite.inference.chunk_store import ChunkStore, identity_of
from vggt_lite.inference.chunks import Chunk
from vggt_lite.inference.joins import Join, join, moved_camera
from vggt_lite.inference.loops import find_loops, view_similarity, view_tokens
from vggt_lite.inference.pose_graph import chained, optimized
from vggt_lite.inference.reconstruction import Reconstruction, described
from vggt_lite.utils.runtime import progress

# A loop whose joins disagree by more is taken for two places that look alike
MOST_ROTATION, MOST_TRANSLATION, MOST_SPREAD = 10.0, 0.1, 0.2  # degrees, of the median depth, relative
FEWEST = 30  # refined points that both places of a loop must share
VIEWS_PER_LOOP = 20  # one loop is tried for so many views


@dataclass(frozen=True)
class Loop:
    """Two views far apart in the sequence that look alike, and what came of them."""

    views: tuple[int, int]
    similarity: float  # see `view_similarity`
    joins: tuple[Join, ...]  # of the chunk made of both places, with the chunks of each
    refused: str = ""  # why the loop was not closed

    def __str__(self) -> str:
        first, second = self.views
        said = f"not closed: {self.refused}" if self.refused else "closed"
        return f"views {first + 1} and {second + 1} look alike ({self.similarity:.2f}): {said}"


@dataclass(frozen=True)
class SequenceReport:
    """What `reconstruct_sequence` did."""

    chunks: tuple[tuple[int, ...], ...]  # their views
    refined: tuple[bool, ...]  # whether each chunk was refined
    joins: tuple[Join, ...]
    loops: tuple[Loop, ...]

    def __str__(self) -> str:
        closed = sum(not loop.refused for loop in self.loops)
        head = f"{len(self.chunks)} chunks, {sum(self.refined)} refined, {closed} loops closed"
        return "\n".join([head, *(f"  {line}" for line in (*self.joins, *self.loops))])


def reconstruct_sequence(
    model,
    source,
    chunk: int = 8,
    overlap: int = 3,
    folder=None,
    loops: bool = True,
    refine: bool = False,
    lens: str = "each",
    mode: str = DEFAULT_MODE,
    size: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    frames_per_second: float = FRAMES_PER_SECOND,
    precision: str = "exact",
) -> tuple[Reconstruction, SequenceReport]:
    """One `Reconstruction` of many photographs in order, and a report of how its chunks were joined.

    The network sees `chunk` views at a time; what grows with the sequence is the result.

    Args:
        model: a `VGGT` with camera and depth heads.
        source: as for `reconstruct`, in the order of the path: a folder, a video, files, pictures.
        chunk: views in one pass.
        overlap: views that neighbours share, 2 to `chunk` − 1. The last chunk shares more if need be.
        folder: where finished chunks are kept. Called again, what is there is not computed again; a folder of
            other pictures, settings, weights or code is refused.
        loops: look for places that the sequence comes back to, and close the loops.
        refine: make each chunk precise first (`Reconstruction.refine`); one that cannot be stays as it was.
        lens: which focal lengths a refinement frees.
        mode, size, device, dtype, frames_per_second, precision: as for `reconstruct`.

    Returns:
        The reconstruction, with cameras and depth: the first camera is the world, and the unit is that of the
        first chunk. A view that two chunks hold is taken from the one in which it has more neighbours. And a
        `SequenceReport`.

    Raises:
        ValueError: a chunk or overlap that cannot be; pictures that reach the network in different sizes; a
            view without a camera. FileExistsError: `folder` belongs to something else.
    """
    check_choice("lens", lens, LENSES)
    if not 2 <= overlap < chunk:
        raise ValueError(
            f"chunk={chunk}, overlap={overlap}: overlap must be 2 to {chunk - 1}, such as 8 and 3."
        )
    size = model.config.image_size if size is None else size
    photos = find_photos(source, frames_per_second)
    batch = load_images(photos, mode, size, model.config.patch_size)
    settings = dict(chunk=chunk, overlap=overlap, mode=mode, size=size, dtype=dtype, refine=refine and lens)
    settings |= {} if precision == "exact" else {"precision": precision}  # folders of before know of none
    how: dict[str, str] = {}  # the chunks that are computed here were made
    store = ChunkStore(folder, {} if folder is None else identity_of(model, batch, **settings))

    def made(views: tuple[int, ...]) -> Chunk:
        if (found := store.load(views)) is None:
            photographs = [photos[view] for view in views]
            scene = model.reconstruct(
                photographs, mode=mode, size=size, device=device, dtype=dtype, precision=precision
            )
            check_scene(scene, batch, views)
            how.update(scene.made)
            found = Chunk.of(views, scene.refine(lens=lens) if refine else scene)
            store.save(found)
        return found

    spans = chunk_views(len(photos), chunk, overlap)
    chunks = [made(views) for views in progress(spans, desc="chunks")]
    joins = [join(chunks, second - 1, second) for second in range(1, len(chunks))]
    worlds = chained(joins, len(chunks))
    tried: list[Loop] = []
    if loops and len(chunks) > 2:
        similarity = view_similarity(view_tokens(model, batch.images))
        pairs = find_loops(similarity, 2 * chunk, max(1, len(photos) // VIEWS_PER_LOOP))
        for pair in progress(pairs, desc="loops"):
            loop, part = try_loop(chunks, made, pair, chunk, refine)
            tried.append(loop)
            if not loop.refused:
                chunks.append(part)
        worlds = with_loops(chunks, joins, worlds, tried)
    chunks = chunks[: len(spans)]
    report = SequenceReport(tuple(spans), tuple(part.refined for part in chunks), tuple(joins), tuple(tried))
    scene = assembled(batch, chunks, worlds)
    scene.made = how
    return scene, report


def chunk_views(count: int, chunk: int, overlap: int) -> list[tuple[int, ...]]:
    """The views of each chunk of a sequence of `count`; the last one is as long as the others."""
    last = max(0, count - chunk)
    starts = [*range(0, last, chunk - overlap), last]
    return [tuple(range(start, min(start + chunk, count))) for start in starts]


def check_scene(scene: Reconstruction, batch: ImageBatch, views: tuple[int, ...]) -> None:
    """Raise a ValueError if a chunk's answer cannot be joined with others."""
    names = f"{batch.names[views[0]]} … {batch.names[views[-1]]}"
    if scene.depth is None or scene.cam_from_world is None:
        raise ValueError("joining chunks needs cameras and depth: take weights with both heads.")
    if scene.depth.shape[1:] != batch.images.shape[2:]:
        sizes = (f"{w}×{h}" for h, w in (scene.depth.shape[1:], batch.images.shape[2:]))
        raise ValueError(
            f"{names} reach the network in {' pixels, others in '.join(sizes)}: some are taller than "
            'others. Take mode="pad" (--mode pad).'
        )
    if not scene.camera_ok.all():
        bad = ", ".join(batch.names[view] for view, ok in zip(views, scene.camera_ok, strict=True) if not ok)
        raise ValueError(f"no usable camera was predicted for {bad}: leave it out.")


def try_loop(
    chunks: list[Chunk], made, pair: tuple[int, int, float], size: int, refine: bool
) -> tuple[Loop, Chunk]:
    """A chunk of two places that look alike, and whether it fits the chunks of each.

    Args:
        chunks: to which the new one would be appended.
        made: views → `Chunk`.
        pair: two views and their similarity.
        size: views of the new chunk.
        refine: the new chunk must be refined to count.
    """
    first, second, similarity = pair
    end, half = max(part.views[-1] for part in chunks) + 1, size // 2
    places = around(first, half, end), around(second, size - half, end)
    part = made((*places[0], *places[1]))
    if refine and (count := points_of_both(part, half)) < FEWEST:
        return Loop((first, second), similarity, (), f"only {count} points are seen from both places"), part
    homes = [home_of(chunks, set(place)) for place in places]
    joins = tuple(join([*chunks, part], home, len(chunks)) for home in homes)
    wrong = [str(found) for found in joins if disagrees(found)]
    return Loop((first, second), similarity, joins, "; ".join(wrong)), part


def points_of_both(part: Chunk, half: int) -> int:
    """Refined points that are seen in the first `half` views and in the others."""
    places = (set(part.point[kept].tolist()) for kept in (part.point_view < half, part.point_view >= half))
    return len(set.intersection(*places))


def disagrees(found: Join) -> bool:
    """Whether the shared views do not lie alike in both chunks."""
    return (
        found.rotation_deg > MOST_ROTATION
        or found.translation > MOST_TRANSLATION
        or found.scale_spread > MOST_SPREAD
    )


def around(view: int, count: int, end: int) -> range:
    """`count` neighbouring views with `view` in their middle, within 0 … end − 1."""
    start = min(max(0, view - count // 2), end - count)
    return range(start, start + count)


def home_of(chunks: list[Chunk], views: set[int]) -> int:
    """The chunk that shares most of some views."""
    return max(range(len(chunks)), key=lambda k: len(views & set(chunks[k].views)))


def with_loops(
    chunks: list[Chunk], joins: list[Join], worlds: list[Similarity], loops: list[Loop]
) -> list[Similarity]:
    """World from chunk with the loops closed; as it was if there is none."""
    kept = [loop for loop in loops if not loop.refused]
    if not kept:
        return worlds
    first = [loop.joins[0] for loop in kept]  # how each loop's chunk is reached at the start
    worlds = [*worlds, *(worlds[found.first].compose(found.first_from_second) for found in first)]
    units = [part.depth[part.depth > 0].median().item() for part in chunks]
    return optimized(worlds, [*joins, *(found for loop in kept for found in loop.joins)], units)


def assembled(batch: ImageBatch, chunks: list[Chunk], worlds: list[Similarity]) -> Reconstruction:
    """All views in the world of the first camera, each from the chunk in which it stands deepest inside."""
    rows: dict[str, list[Tensor]] = {
        name: [] for name in ("cam_from_world", "intrinsics", "depth", "depth_conf")
    }
    for view in range(len(batch)):
        holders = [k for k, part in enumerate(chunks) if view in part.views]
        k = max(holders, key=lambda k: min(view - chunks[k].views[0], chunks[k].views[-1] - view))
        part, place = chunks[k], chunks[k].views.index(view)
        rows["cam_from_world"].append(moved_camera(worlds[k], part.cam_from_world[place][None])[0])
        rows["depth"].append(part.depth[place] * worlds[k].scale.float())
        rows["intrinsics"].append(part.intrinsics[place])
        rows["depth_conf"].append(part.depth_conf[place])
    values = {name: torch.stack(row) for name, row in rows.items()}
    cameras = values["cam_from_world"]
    cameras = compose(cameras, invert_rigid(cameras[0])).float()
    cameras[0] = torch.eye(3, 4)
    values["cam_from_world"] = cameras
    return Reconstruction(**described(batch.images, batch), **values)
