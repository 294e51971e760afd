"""Photographs through the network: options, memory, number formats, and what is said about them."""

import inspect
import re
import warnings
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from tests.inference.oracle import Oracle, S, pictures
from vggt_lite.config import DEFAULT_MODE, NANO
from vggt_lite.data import load_images
from vggt_lite.evaluation.datasets import Options
from vggt_lite.evaluation.examples import motorcycle
from vggt_lite.inference import Reconstruction, memory_estimate, pipeline, reconstruct
from vggt_lite.inference.memory_estimate import estimate_memory
from vggt_lite.model import VGGT
from vggt_lite.pretrained.loading import TrainedOn
from vggt_lite.utils import runtime

pytestmark = pytest.mark.filterwarnings("ignore:the views differ in size")


def test_query_points_are_checked():
    with pytest.raises(ValueError, match=r"query_points \[1\] lie outside.*90×60 pixels"):
        reconstruct(Oracle(), pictures(), query_points=[[10.0, 20.0], [200.0, 30.0]])
    with pytest.raises(ValueError, match=r"query_points \[0\]"):
        reconstruct(Oracle(), pictures(), query_points=[[float("nan"), 20.0]])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        reconstruct(Oracle(), pictures(), query_points=[1.0, 2.0, 3.0])


def test_a_model_in_training_stays_in_training():
    model = Oracle().train()
    scene = reconstruct(model, pictures()[:1])
    assert model.training and scene.tracks is None and len(scene) == 1


def test_results_are_ordinary_tensors_even_when_called_in_inference_mode():
    with torch.inference_mode():
        scene = reconstruct(Oracle(), pictures())
    shift = torch.zeros(3, requires_grad=True)
    (scene.point_map + shift).sum().backward()
    scene.depth *= 2
    assert not scene.depth.is_inference() and not scene.depth.requires_grad


def test_a_photograph_that_changes_while_the_network_looks_changes_nothing(tmp_path):
    file = tmp_path / "a.png"
    Image.new("RGB", (90, 60), "red").save(file)

    class Careless(Oracle):
        def forward(self, images, query_points=None):
            Image.new("RGB", (30, 90), "blue").save(file)
            return super().forward(images, query_points)

    scene = reconstruct(Careless(), file)
    assert scene.images[0].shape == (60, 90, 3) and scene.images[0][0, 0].tolist() == [255, 0, 0]


def test_a_size_of_zero_and_a_device_nobody_has_are_refused():
    with pytest.raises(ValueError, match="size=0"):
        reconstruct(Oracle(), pictures(), size=0)
    with pytest.raises(ValueError, match="device='banana' cannot compute here"):
        reconstruct(Oracle(), pictures(), device="banana")


@pytest.mark.parametrize(
    ("count", "size", "said"),
    [(3, 64, None), (2, 64, "2 views of 64×64 .*3 to 3 views"), (3, 128, "3 views of 128×128.*56 to 64")],
)
def test_more_than_the_weights_were_trained_on_is_said(count, size, said):
    model = Oracle()
    model.trained_on = TrainedOn(sizes=(56, 64), views=(3, 3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reconstruct(model, pictures()[:count], mode="pad", size=size)
    texts = [str(warning.message) for warning in caught]
    assert not texts if said is None else re.search(said, *texts)


def test_one_mode_is_the_default_everywhere():
    def default(function):
        return inspect.signature(function).parameters["mode"].default

    assert {default(reconstruct), default(load_images), default(motorcycle), Options().mode} == {DEFAULT_MODE}


# --- memory and number formats --------------------------------------------------------------------


def enough_for(monkeypatch, views: int) -> None:
    """Let as much memory be free as `views` of the pictures above need, and a little more."""
    needed = estimate_memory(NANO, views, 64, 64).working
    monkeypatch.setattr(memory_estimate, "available_memory", lambda device: needed + 1000)


def test_a_scene_that_fits_passes_without_a_word(monkeypatch):
    enough_for(monkeypatch, S)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reconstruct(Oracle(), pictures(), mode="pad")


def test_a_scene_that_will_not_fit_is_announced_with_what_would(monkeypatch):
    enough_for(monkeypatch, 2)
    with pytest.warns(UserWarning, match=r"3 views of 64×64 pixels need about .* free on cpu. 2 would fit"):
        assert len(reconstruct(Oracle(), pictures())) == S  # a warning: it is tried all the same
    monkeypatch.setattr(memory_estimate, "available_memory", lambda device: 1000)
    with pytest.warns(UserWarning, match="1 view of .* Not even one would fit: give a smaller size="):
        reconstruct(Oracle(), pictures()[:1])


def test_what_has_to_be_brought_to_the_device_counts(monkeypatch):
    enough_for(monkeypatch, S)
    model = Oracle()
    model.far = torch.nn.Parameter(torch.empty(10**6, device="meta"))
    images = load_images(pictures(), "pad", 64, 8).images
    assert memory_estimate.memory_advice(model, images, torch.device("cpu"), torch.float32, 0)
    model.far = torch.nn.Parameter(torch.empty(10**6))
    assert not memory_estimate.memory_advice(model, images, torch.device("cpu"), torch.float32, 0)


ALLOCATORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("could not create a memory object: could not allocate"),
    RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
]


class Full(Oracle):
    """A network that fills the memory, then finds none."""

    filling: weakref.ref

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, images, query_points=None):
        large = torch.zeros(100)
        self.filling = weakref.ref(large)
        raise self.error


@pytest.mark.parametrize("error", ALLOCATORS, ids=lambda error: type(error).__name__)
def test_memory_that_runs_out_becomes_advice(error, monkeypatch):
    enough_for(monkeypatch, 2)
    model = Full(error).train()
    with (
        pytest.warns(UserWarning, match="2 would fit"),
        pytest.raises(MemoryError, match="memory ran out. 3 views of 64×64.*2 would fit") as caught,
    ):
        reconstruct(model, pictures())
    assert caught.value.__cause__ is error and model.training
    assert model.filling() is None  # the error in hand does not keep what filled the memory


def test_memory_that_runs_out_although_it_should_do_says_so(monkeypatch):
    enough_for(monkeypatch, 5)
    with pytest.raises(MemoryError, match="something else must have taken it"):
        reconstruct(Full(MemoryError()), pictures())


def test_the_processors_own_allocator_is_understood():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert memory_estimate.ran_out_of_memory(caught.value)


def test_other_errors_stay_what_they_are():
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1") as caught:
        reconstruct(Full(error), pictures())
    assert caught.value is error and not isinstance(caught.value, MemoryError)


class Formats(Oracle):
    """Notes in which type a product would run."""

    def forward(self, images, query_points=None):
        self.product = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        self.caches = torch.is_autocast_cache_enabled()
        return super().forward(images, query_points)


def test_products_run_in_the_wanted_type(monkeypatch):
    model = Formats()
    reconstruct(model, pictures())
    assert model.product == torch.float32
    reconstruct(model, pictures(), dtype=torch.bfloat16)
    assert model.product == torch.bfloat16 and not model.caches
    with torch.autocast("cpu", torch.bfloat16):
        reconstruct(model, pictures())
        assert model.product == torch.bfloat16  # what surrounds the call counts
        reconstruct(model, pictures(), dtype=torch.float32)
        assert model.product == torch.float32  # unless told otherwise
    monkeypatch.setattr(pipeline, "pick_dtype", lambda device, precision: torch.bfloat16)
    reconstruct(model, pictures())
    assert model.product == torch.bfloat16
    for wrong in (torch.float64, "bfloat16"):
        with pytest.raises(ValueError, match="dtype=.*torch.bfloat16"):
            reconstruct(model, pictures(), dtype=wrong)


def test_fast_takes_bfloat16_where_the_processor_multiplies_it_and_says_where_not(monkeypatch, tmp_path):
    model = Formats()
    monkeypatch.setattr(runtime, "multiplies_bfloat16", lambda: True)
    assert reconstruct(model, pictures()).made == {"precision": "exact", "products": "float32"}
    scene = reconstruct(model, pictures(), precision="fast")
    assert model.product == torch.bfloat16
    scene.save(tmp_path / "out")
    assert Reconstruction.load(tmp_path / "out").made == {"precision": "fast", "products": "bfloat16"}
    monkeypatch.setattr(runtime, "multiplies_bfloat16", lambda: False)
    with pytest.warns(UserWarning, match='precision="fast" changes nothing on this cpu.*computed exactly'):
        scene = reconstruct(model, pictures(), precision="fast")
    assert model.product == torch.float32 and scene.made["precision"] == "exact"
    for wrong, said in (({"precision": "best"}, "precision"), ({"dtype": torch.bfloat16}, "give one")):
        with pytest.raises(ValueError, match=said):
            reconstruct(model, pictures(), **({"precision": "fast"} | wrong))


@pytest.mark.filterwarnings("ignore:no usable camera")  # weights are random
def test_the_heads_work_in_float32_whatever_the_aggregator_does():
    model, seen = VGGT(NANO), []
    inside = model.aggregator.frame_blocks[0].mlp.fc1
    for part in (inside, model.camera_head.embed_pose, model.depth_head.output):
        part.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    scene = reconstruct(model, pictures(), dtype=torch.bfloat16)
    assert seen[0] == torch.bfloat16 and set(seen[1:]) == {torch.float32}
    exact = reconstruct(model, pictures())
    assert scene.depth.dtype == torch.float32 and not torch.equal(scene.depth, exact.depth)
    torch.testing.assert_close(scene.depth, exact.depth, rtol=0.05, atol=0.05)


QUERIES = {  # all of the same two points
    "list": [[10.0, 20.0], [30.0, 40.0]],
    "big-endian": np.array([[10, 20], [30, 40]], ">f8"),
    "integers": np.array([[10, 20], [30, 40]]),
    "by columns": np.asfortranarray([[10.0, 20.0], [30.0, 40.0]], np.float16),
    "with gradient": torch.tensor([[10.0, 20.0], [30.0, 40.0]], requires_grad=True),
}


@pytest.mark.parametrize("form", QUERIES)
def test_query_points_may_be_any_numbers(form):
    tracks = reconstruct(Oracle(), pictures(), query_points=QUERIES[form]).tracks
    torch.testing.assert_close(tracks[0], torch.tensor(QUERIES["list"]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "points", ["north", [["a", "b"]], [[1, 2], [3]], [[None, 1]], {"x": 1}, [[1j, 2]], object()]
)
def test_query_points_that_are_no_numbers_are_refused(points):
    with pytest.raises(ValueError, match="query_points"):
        reconstruct(Oracle(), pictures(), query_points=points)


@pytest.mark.filterwarnings("ignore:no usable camera")
def test_no_query_point_at_all_gives_no_track():
    model = VGGT(NANO.with_(depth=1, dense_layers=(0, 0, 0, 0)))
    for empty in (torch.zeros(0, 2), np.zeros((0, 2))):
        scene = reconstruct(model, pictures(), query_points=empty)
        assert scene.tracks.shape == (3, 0, 2) and scene.track_visibility.shape == (3, 0)


@pytest.mark.parametrize("happens", ["deleted", "replaced"])
def test_a_photograph_that_goes_during_the_pass_is_kept_as_it_was_seen(happens, tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (60, 80), "red").save(path)

    class Meanwhile(Oracle):
        def forward(self, images, query_points=None):
            path.unlink()
            if happens == "replaced":
                Image.new("RGB", (30, 90), "blue").save(path)
            return super().forward(images, query_points)

    scene = reconstruct(Meanwhile(), tmp_path)
    assert scene.images[0].shape == (*scene.original_sizes[0], 3) == (80, 60, 3)
    assert (scene.images[0] == torch.tensor([255, 0, 0])).all()
    scene.save(tmp_path / "out")
    assert (tmp_path / "out" / "scene.json").is_file()
