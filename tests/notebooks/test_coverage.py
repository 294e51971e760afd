"""Every module of the package is derived in exactly one lesson; the table is a map of the course, too."""

import ast
import importlib
import pkgutil
from collections import Counter

import pytest

import vggt_lite
from tests.notebooks.lesson import Lesson, lessons

# Lesson → the modules whose ideas it builds.
DERIVED = {
    "01": """geometry.camera geometry.rotations geometry.pose_encoding geometry.epipolar
        geometry.bundle_adjustment""",
    "02": "scenes.images scenes.pixel_map model.patch_embed",
    "03": "layers.attention layers.rope layers.mlp layers.block layers.lean",
    "04": "model.aggregator",
    "05": "model.camera_head",
    "06": "model.dense_head model.dense_pyramid model.activations",
    "07": "model.track_head model.track_positions model.track_sampling model.track_transformer",
    "08": """training.losses.camera training.losses.dense training.losses.surface training.losses.track
        training.losses.matching training.losses.multitask training.losses.masked
        scenes.trouble evaluation.consistency""",
    "09": """scenes.generate scenes.layout scenes.shapes scenes.relief scenes.materials scenes.textures
        scenes.raycaster scenes.render scenes.cameras scenes.tracks scenes.track_truth scenes.depth_tracks
        scenes.batch scenes.normalize scenes.augment scenes.batches scenes.folder scenes.check
        scenes.agreement training.accumulate training.average training.clipping training.loop
        training.schedule""",
    "10": """model.vggt weights names memory
        parity.rule parity.stages parity.checks parity.golden parity.table""",
    "11": """geometry.alignment evaluation.poses evaluation.depths evaluation.points evaluation.tracks
        evaluation.trajectories evaluation.icp evaluation.neighbors evaluation.intervals
        evaluation.scores evaluation.rows
        evaluation.constant evaluation.components evaluation.metrics evaluation.protocols
        evaluation.report""",
    "12": "geometry.conventions reconstruction.run reconstruction.scene export.ply",
    "13": """switches model.exchange model.merging model.equivariance
        training.experiment training.comparison training.adapters""",
}
# Lessons not written yet. A lesson leaves this list when its notebook appears; a test insists on it.
PENDING = {"12"}
# Files one needs to run the package, not to understand VGGT.
PLUMBING = set(
    """cli demo files runtime config choices hub releases weight_files model.checks model.predictions
    scenes.ahead scenes.decode scenes.dice scenes.scene_files scenes.sources
    scenes.readers.co3d scenes.readers.colmap scenes.readers.colmap_files scenes.readers.formats
    scenes.readers.importing scenes.readers.nerfstudio scenes.readers.parse scenes.readers.views
    scenes.readers.vkitti2 scenes.readers.scene_folder scenes.command scenes.own scenes.overlap scenes.photo
    scenes.triangulate
    training.checkpoint training.log training.presets training.state training.command training.processes
    training.pieces training.grow training.memory training.fine_tune
    training.fine_tune_command
    evaluation.command evaluation.figures evaluation.own evaluation.photographs
    evaluation.datasets.benchmark evaluation.datasets.co3d
    evaluation.datasets.dtu evaluation.datasets.eth3d evaluation.datasets.sample
    evaluation.datasets.tapvid
    evaluation.examples reconstruction.fit reconstruction.saving reconstruction.summary
    parity.command parity.official parity.sides""".split()
)
APART = ("viz.", "checks.")  # what lessons are made with

MODULES = {
    info.name.removeprefix("vggt_lite."): info.ispkg
    for info in pkgutil.walk_packages(vggt_lite.__path__, "vggt_lite.")
}
TAUGHT = {lesson: modules.split() for lesson, modules in DERIVED.items()}
LESSONS = {lesson.number: lesson for lesson in lessons()}


def test_every_module_is_derived_once():
    files = {name for name, is_package in MODULES.items() if not is_package and not name.startswith(APART)}
    listed = Counter(module for modules in TAUGHT.values() for module in modules)
    listed.update(PLUMBING)
    assert not [module for module, times in listed.items() if times > 1], "derived twice"
    forgotten, gone = files - listed.keys(), listed.keys() - files
    assert not forgotten, "no lesson derives them; add them to DERIVED, or to PLUMBING"
    assert not gone, "there are no such modules"


def test_the_list_of_lessons_to_come_shrinks():
    written, lost = PENDING & LESSONS.keys(), DERIVED.keys() - PENDING - LESSONS.keys()
    assert not written, "take them out of PENDING"
    assert not lost, "neither written nor pending"


def offered() -> dict[str, set[str]]:
    """Module → its names that some package exports."""
    found = {}
    packages = [f"vggt_lite.{name}" for name, is_package in MODULES.items() if is_package]
    for module in map(importlib.import_module, ["vggt_lite", *packages]):
        for name in getattr(module, "__all__", []):
            home = getattr(getattr(module, name), "__module__", "") or ""
            found.setdefault(home.removeprefix("vggt_lite."), set()).add(name)
    return found


def mentioned(lesson: Lesson) -> set[str]:
    """Every name that the code of a lesson uses."""
    nodes = [node for tree in lesson.trees for node in ast.walk(tree)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return names | {alias.name for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names}


@pytest.mark.parametrize("number", sorted(LESSONS.keys() & DERIVED.keys()))
def test_a_lesson_uses_something_of_every_module_it_derives(number):
    names, exports = mentioned(LESSONS[number]), offered()
    unused = [module for module in TAUGHT[number] if exports.get(module) and not exports[module] & names]
    assert not unused
