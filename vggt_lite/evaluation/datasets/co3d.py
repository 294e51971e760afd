"""CO3Dv2 by the protocol of VGGT's table 1: ten random frames a sequence, all 45 pairs, mean over categories.

    ROOT/CATEGORY/frame_annotations.jgz
    ROOT/CATEGORY/sequence_annotations.jgz             optional: quality of the cameras
    ROOT/CATEGORY/set_lists/set_lists_fewview_dev.json  optional: the test sequences
    ROOT/CATEGORY/SEQUENCE/images/…

The 41 categories in which all such methods were trained are judged; of these, the sequences of the list
"test", with camera quality above 0.5, and at least 50 frames whose cameras stand at a finite place. Where the
lists are missing (as in the single-sequence subset of 9 GB), all sequences of the folder are.

Source: README of facebookresearch/co3d; PoseDiffusion (arXiv:2306.15667), section 4; VGGT, section 4.1.
"""

import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from vggt_lite.data.readers.co3d import FILE, Frame, Frames, views_of
from vggt_lite.evaluation.datasets.sample import Options, Sample, Scored, random_frames, score_poses
from vggt_lite.utils.reading import read_json

UNSEEN = frozenset(
    "ball book couch frisbee hotdog kite remote sandwich skateboard suitcase".split()
)  # RelPose's split, used by all who came after
NUM_VIEWS = 10
MIN_FRAMES = 50
MIN_QUALITY = 0.5
FAR = 1e5  # a camera whose translation sums to more was not found
TEXT = (
    "CO3Dv2, {num_scenes} sequences of {num_groups} categories, {num_views} random frames each (seed {seed} "
    "for every sequence), in the order drawn; photographs fitted by {mode!r}. Poses: all pairs of frames, "
    "the larger of rotation and translation-direction error (folded to 90°) must stay below the threshold; "
    "AUC over whole degrees; mean over categories of the mean over sequences, which is what all pairs of a "
    "category give."
)
UNIT = "scene units"
SetLists = msgspec.defstruct("SetLists", [("test", list[tuple[str, int, str]])])  # sequence, frame, picture
QUALITY = [("sequence_name", str), ("viewpoint_quality_score", float | None, None)]
Quality = msgspec.defstruct("Quality", QUALITY)


def samples(root: Path, options: Options) -> Iterator[Sample]:
    """All sequences to be judged, category by category.

    Raises:
        ValueError: there are none; the message says what should be where.
    """
    files = sorted(file for file in root.glob(f"*/{FILE}") if file.parent.name not in UNSEEN)
    if not files:
        raise ValueError(f"{root} has no CATEGORY/{FILE}: give the folder that holds CO3Dv2's categories.")
    wanted, found = options.num_views or NUM_VIEWS, 0
    for file in files:
        for name, frames in _sequences(file).items():
            if len(frames) >= MIN_FRAMES:
                views = views_of(frames, file)
                chosen = views.choose(random_frames(len(views), wanted, options.seed))
                yield Sample(name, chosen, group=file.parent.name)
                found += 1
    if not found:
        raise ValueError(
            f"{root} has no sequence that is in the list test, has camera quality above {MIN_QUALITY} and "
            f"{MIN_FRAMES} frames with a camera: unpack more of CO3Dv2."
        )


def score(model, sample: Sample, options: Options) -> Scored:
    """Pose errors of one sequence."""
    return score_poses(model, sample, options)[1]


def _sequences(file: Path) -> dict[str, list[Frame]]:
    """The usable frames of each sequence that counts, in the order of the sequences' names."""
    folder = file.parent
    listed, trusted = _test_frames(folder), _trusted(folder)
    found, lost = defaultdict(list), 0
    for frame in read_json(file, Frames):
        name, camera = frame.sequence_name, frame.viewpoint
        if camera is None or (trusted is not None and name not in trusted):
            continue
        if listed is not None and (name, frame.image.path) not in listed:
            continue
        if abs(sum(camera.T)) < FAR:
            found[name].append(frame)
        else:
            lost += 1
    if lost:
        warnings.warn(f"{file}: {lost} frames are left out, their cameras were not found.", stacklevel=2)
    return dict(sorted(found.items()))


def _test_frames(folder: Path) -> set[tuple[str, str]] | None:
    """(sequence, image) of the list "test"; None without a list."""
    file = folder / "set_lists" / "set_lists_fewview_dev.json"
    if not file.is_file():
        return None
    return {(str(name), path) for name, _, path in read_json(file, SetLists).test}


def _trusted(folder: Path) -> set[str] | None:
    """Sequences whose cameras are good; None without annotations."""
    file = folder / "sequence_annotations.jgz"
    if not file.is_file():
        return None
    sequences = read_json(file, list[Quality])
    if len({one.sequence_name for one in sequences}) < len(sequences):
        raise ValueError(f"{file} names a sequence twice: download it again.")
    return {one.sequence_name for one in sequences if (one.viewpoint_quality_score or 0) > MIN_QUALITY}
