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
    "02": "data.images data.pixel_map model.patch_embed",
    "03": "model.layers inference.chunked",
    "04": "model.aggregator",
    "05": "model.camera_head",
    "06": "model.dense_head",
    "07": "model.track_head",
    "08": """losses.camera losses.dense losses.surface losses.track losses.matching losses.multitask
        losses.masked synthetic.corruptions synthetic.between_views
        metrics.consistency""",
    "09": """geometry.visibility synthetic.generate synthetic.layout synthetic.furniture synthetic.shapes
        synthetic.materials synthetic.textures synthetic.panoramas synthetic.raycaster synthetic.render
        synthetic.cameras
        data.tracks_from_depth losses.scene_batch data.normalize
        data.augment data.batches data.scene_io data.scene_check data.consistency_check
        training.grad_accumulation training.ema training.clipping training.loop training.schedule""",
    "10": """model.vggt pretrained.loading pretrained.names inference.memory_estimate
        parity.deterministic_weights parity.checks parity.golden parity.table""",
    "11": """geometry.alignment metrics.poses metrics.depths metrics.points metrics.tracks
        metrics.trajectories metrics.neighbors metrics.intervals
        evaluation.scores evaluation.metric_table
        evaluation.constant evaluation.motion_correlation evaluation.protocols evaluation.report""",
    "12": """geometry.conventions inference.pipeline inference.reconstruction inference.sequences
        inference.refine inference.known inference.masks inference.edges inference.joins
        evaluation.classical""",
    "13": """config model.variants.attention_scope model.variants.global_positions
        model.variants.register_attention model.variants.token_merging model.variants.reference_free
        research.experiment research.comparison research.adapters""",
}
# Lessons not written yet. A lesson leaves this list when its notebook appears; a test insists on it.
PENDING: set[str] = set()
# Floor 1 is what a learner builds: each of its files belongs to a lesson, but for these.
NOT_BUILT = {"model.predictions", "model.validation", "training.checkpoint", "training.log", "training.state"}
NOT_BUILT |= {"training.identity", "training.workers", "geometry.precision", "losses.direction"}
FLOOR_1 = ("geometry.", "model.", "losses.", "metrics.", "training.", "synthetic.")
RENDERING_AHEAD = {
    "synthetic.batch_rng",
    "synthetic.camera_effects",
    "synthetic.prerender",
    "synthetic.places",
}

MODULES = {
    info.name.removeprefix("vggt_lite."): info.ispkg
    for info in pkgutil.walk_packages(vggt_lite.__path__, "vggt_lite.")
}
TAUGHT = {lesson: modules.split() for lesson, modules in DERIVED.items()}
LESSONS = {lesson.number: lesson for lesson in lessons()}


def test_every_module_is_derived_once():
    files = {name for name, is_package in MODULES.items() if not is_package}
    listed = Counter(module for modules in TAUGHT.values() for module in modules)
    assert not [module for module, times in listed.items() if times > 1], "derived twice"
    to_build = {name for name in files if name.startswith(FLOOR_1)} - NOT_BUILT - RENDERING_AHEAD
    assert not to_build - listed.keys(), "no lesson derives them: add them to DERIVED"
    gone = listed.keys() - files
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
