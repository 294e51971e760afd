"""What a user holds: everything in original pixels, saved whole, and never a crash over a bad number."""

import warnings
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import vggt_lite.viz
from vggt_lite.config import NANO
from vggt_lite.data import load_images
from vggt_lite.geometry import project_points, unproject_depth
from vggt_lite.inference import Reconstruction, memory_check, pipeline, reconstruct
from vggt_lite.inference.memory_estimate import estimate_memory
from vggt_lite.losses import SceneBatch
from vggt_lite.model import VGGT, Predictions

S, FOCAL, DEPTH = 3, 60.0, 2.0


class Oracle(torch.nn.Module):
    """Stands in for the network: cameras side by side in front of a wall, query points that stay put."""

    def __init__(self, pixel_center: float = 0.5, **changes) -> None:
        super().__init__()
        self.config = NANO.with_(pixel_center=pixel_center)
        self.changes = changes

    def forward(self, images, query_points=None):
        count, _, height, width = images.shape
        k = torch.tensor([[FOCAL, 0, width / 2], [0, FOCAL, height / 2], [0, 0, 1]])
        cameras = torch.eye(4)[:3].repeat(count, 1, 1)
        cameras[:, 0, 3] = -0.1 * torch.arange(count)
        depth = torch.full((count, height, width), DEPTH)
        values = {
            "cam_from_world": cameras,
            "intrinsics": k.repeat(count, 1, 1),
            "depth": depth,
            "depth_conf": 1 + torch.rand(count, height, width, generator=torch.Generator().manual_seed(0)),
            "point_map": unproject_depth(depth, k.repeat(count, 1, 1), cameras),
            "point_conf": torch.ones(count, height, width),
        } | self.changes
        values = {name: None if value is None else value[None] for name, value in values.items()}
        if query_points is not None:
            still = query_points.expand(count, -1, 2)
            values |= {"tracks_list": [still[None]], "track_visibility": torch.ones(1, *still.shape[:2])}
        return Predictions(images=images[None], **values)


def pictures():
    rng = np.random.default_rng(0)
    sizes = [(60, 90), (120, 80), (50, 50)]
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.fixture
def scene() -> Reconstruction:
    return reconstruct(Oracle(), pictures(), query_points=[[10.0, 20.0], [45.0, 30.0]])


@pytest.fixture(autouse=True)
def page(monkeypatch):
    """The figure is tested where it is drawn."""
    monkeypatch.setattr(
        vggt_lite.viz, "write_html", lambda scene, path: path.write_text("<html>"), raising=False
    )


def test_projecting_a_point_lands_on_its_original_pixel(scene):
    """The chain photograph → network → world → photograph closes, in every view and size."""
    xyz, rgb, _, view = scene.points("depth")
    for index, image in enumerate(scene.images):
        height, width = scene.original_sizes[index]
        seen = view == index
        pixels, z = project_points(xyz[seen], scene.cam_from_world[index], scene.intrinsics[index])
        torch.testing.assert_close(z, torch.full_like(z, DEPTH))
        assert (pixels > 0).all() and (pixels < torch.tensor([width, height])).all()
        network = scene.pixel_maps[index].to_network(pixels)
        torch.testing.assert_close(network % 1, torch.full_like(network, 0.5), atol=1e-3, rtol=0)
        column, row = network.long().unbind(-1)
        assert torch.equal(rgb[seen], scene.colors[index, row, column])
        assert image.shape == (height, width, 3)


def test_padding_gives_no_points(scene):
    for source in ("depth", "point_map"):
        xyz, rgb, confidence, view = scene.points(source)
        assert len(xyz) == len(rgb) == len(confidence) == len(view) == scene.valid.sum() < scene.valid.numel()
    assert not (scene.colors[~scene.valid] < 255).any()


def test_the_percentile_hides_the_least_trusted_points(scene):
    everything = scene.points("depth")[2]
    kept = scene.points("depth", confidence_percentile=75)[2]
    assert abs(len(kept) / len(everything) - 0.25) < 0.01
    assert kept.min() >= everything.quantile(0.75)
    assert len(scene.points("point_map", confidence_percentile=75)[0]) == len(
        everything
    )  # all equally trusted
    assert len(scene.points("depth", confidence_percentile=100)[0]) >= 1
    with pytest.raises(ValueError, match="must lie in 0"):
        scene.points("depth", confidence_percentile=150)


@pytest.mark.parametrize("pixel_center", [0.5, 0.0])
def test_tracks_are_in_original_pixels_whatever_the_network_counts_from(pixel_center):
    query = torch.tensor([[10.0, 20.0], [45.0, 30.0]])
    scene = reconstruct(Oracle(pixel_center), pictures(), query_points=query)
    torch.testing.assert_close(scene.tracks[0], query)
    network = scene.pixel_maps[0].to_network(query)
    torch.testing.assert_close(scene.tracks[1], scene.pixel_maps[1].to_original(network))


def test_query_points_are_checked():
    with pytest.raises(ValueError, match=r"query_points \[1\] lie outside.*90×60 pixels"):
        reconstruct(Oracle(), pictures(), query_points=[[10.0, 20.0], [200.0, 30.0]])
    with pytest.raises(ValueError, match=r"query_points \[0\]"):
        reconstruct(Oracle(), pictures(), query_points=[[float("nan"), 20.0]])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        reconstruct(Oracle(), pictures(), query_points=[1.0, 2.0, 3.0])


def test_depth_comes_to_original_pixels_and_stops_at_the_crop():
    tall = [np.zeros((300, 100, 3), np.uint8)]
    scene = reconstruct(Oracle(), tall, mode="crop")
    depth = scene.depth_at_original(0)
    assert depth.shape == (300, 100)
    assert (depth[105:195] == DEPTH).all() and not depth[:95].any() and not depth[205:].any()


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


def test_truth_takes_the_same_form_as_a_prediction():
    pred = Oracle()(torch.rand(S, 3, 32, 48))
    valid = torch.rand(2, S, 32, 48) > 0.5
    batch = SceneBatch(
        images=torch.cat([pred.images] * 2),
        depth=torch.cat([pred.depth] * 2),
        cam_from_world=torch.cat([pred.cam_from_world] * 2),
        intrinsics=torch.cat([pred.intrinsics] * 2),
        point_map=torch.cat([pred.point_map] * 2),
        valid=valid,
    )
    scene = Reconstruction.from_batch(batch, index=1)
    assert scene.sources == ("point_map", "depth") and len(scene.points()[0]) == valid[1].sum()
    torch.testing.assert_close(scene.points("depth")[0], scene.points("point_map")[0])
    assert torch.equal(scene.intrinsics, pred.intrinsics[0])


# --- predictions that cannot be used ------------------------------------------------------------


def broken_lens(value: float) -> torch.Tensor:
    k = torch.tensor([[FOCAL, 0, 32], [0, FOCAL, 32], [0, 0, 1]]).repeat(S, 1, 1)
    k[1, 0, 0] = value
    return k


@pytest.mark.parametrize("focal", [float("inf"), float("nan"), 0.0, -3.0])
def test_a_field_of_view_of_zero_warns_and_takes_one_camera_out(focal, tmp_path):
    with pytest.warns(UserWarning, match="no usable camera was predicted.*for view 2:"):
        scene = reconstruct(Oracle(intrinsics=broken_lens(focal)), pictures())
    assert scene.camera_ok.tolist() == [True, False, True]
    xyz, _, _, view = scene.points("depth")
    assert xyz.isfinite().all() and set(view.tolist()) == {0, 2}
    assert set(scene.points("point_map")[3].tolist()) == {0, 1, 2}
    assert "–" in repr(scene)
    scene.save(tmp_path / "out")


def test_values_that_are_not_finite_warn_and_are_left_out(tmp_path):
    depth = torch.full((S, 64, 64), torch.nan)
    points = torch.full((S, 64, 64, 3), torch.inf)
    with pytest.warns(UserWarning, match="100 % of the predicted (depth|point_map) is not finite"):
        scene = reconstruct(Oracle(depth=depth, point_map=points), pictures())
    for source in scene.sources:
        assert len(scene.points(source, confidence_percentile=50)[0]) == 0
    assert not scene.depth_at_original(0).any()
    scene.save(tmp_path / "out")
    assert not (tmp_path / "out" / "index.html").exists()  # nothing to show


def test_a_model_without_heads_says_what_is_missing():
    nothing = dict.fromkeys(
        ("cam_from_world", "intrinsics", "depth", "depth_conf", "point_map", "point_conf")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene = reconstruct(Oracle(**nothing), pictures())
    assert scene.sources == () and "empty" in repr(scene)
    with pytest.raises(ValueError, match="no points"):
        scene.points()
    with pytest.raises(ValueError, match="depth head"):
        scene.depth_at_original(0)


# --- memory and number formats --------------------------------------------------------------------


def enough_for(monkeypatch, views: int) -> None:
    """Let as much memory be free as `views` of the pictures above need, and a little more."""
    needed = estimate_memory(NANO, views, 64, 64).working
    monkeypatch.setattr(memory_check, "available_memory", lambda device: needed + 1000)


def test_a_scene_that_fits_passes_without_a_word(monkeypatch):
    enough_for(monkeypatch, S)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reconstruct(Oracle(), pictures())


def test_a_scene_that_will_not_fit_is_announced_with_what_would(monkeypatch):
    enough_for(monkeypatch, 2)
    with pytest.warns(UserWarning, match=r"3 views of 64×64 pixels need about .* free on cpu. 2 would fit"):
        assert len(reconstruct(Oracle(), pictures())) == S  # a warning: it is tried all the same
    monkeypatch.setattr(memory_check, "available_memory", lambda device: 1000)
    with pytest.warns(UserWarning, match="1 view of .* Not even one would fit: give a smaller size="):
        reconstruct(Oracle(), pictures()[:1])


def test_what_has_to_be_brought_to_the_device_counts(monkeypatch):
    enough_for(monkeypatch, S)
    model = Oracle()
    model.far = torch.nn.Parameter(torch.empty(10**6, device="meta"))
    images = load_images(pictures(), "pad", 64, 8).images
    assert not memory_check.MemoryCheck.of(model, images, torch.device("cpu"), torch.float32, 0).ok
    model.far = torch.nn.Parameter(torch.empty(10**6))
    assert memory_check.MemoryCheck.of(model, images, torch.device("cpu"), torch.float32, 0).ok


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
    assert memory_check.ran_out_of_memory(caught.value)


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
    monkeypatch.setattr(pipeline, "pick_dtype", lambda device: torch.bfloat16)
    reconstruct(model, pictures())
    assert model.product == torch.bfloat16
    for wrong in (torch.float64, "bfloat16"):
        with pytest.raises(ValueError, match="dtype=.*torch.bfloat16"):
            reconstruct(model, pictures(), dtype=wrong)


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


# --- reading and writing ------------------------------------------------------------------------


def test_a_saved_reconstruction_comes_back_the_same(scene, tmp_path):
    assert scene.save(tmp_path / "out") == tmp_path / "out"
    back = Reconstruction.load(tmp_path / "out")
    assert back.names == scene.names and back.pixel_maps == scene.pixel_maps
    for name, value in vars(scene).items():
        got = getattr(back, name)
        if isinstance(value, torch.Tensor):
            assert torch.equal(got, value) and got.dtype == value.dtype, name
    assert all(torch.equal(a, b) for a, b in zip(back.images, scene.images, strict=True))
    assert repr(back) == repr(scene)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "arrays.npz",
        "images",
        "index.html",
        "points.ply",
        "scene.json",
    ]


def test_saving_replaces_only_on_request_and_only_its_own(scene, tmp_path, monkeypatch):
    scene.save(tmp_path / "out")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        scene.save(tmp_path / "out")
    scene.names[0] = "renamed"
    scene.save(tmp_path / "out", overwrite=True)
    assert Reconstruction.load(tmp_path / "out").names[0] == "renamed"

    def fail(scene, path):
        raise RuntimeError("disk full")

    monkeypatch.setattr(vggt_lite.viz, "write_html", fail, raising=False)
    scene.names[0] = "half"
    with pytest.raises(RuntimeError, match="disk full"):
        scene.save(tmp_path / "out", overwrite=True)
    assert Reconstruction.load(tmp_path / "out").names[0] == "renamed"  # the earlier result is whole
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"1")
    with pytest.raises(FileExistsError, match="photos holds other files"):
        scene.save(tmp_path / "photos", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "photos"]


def test_loading_something_else_says_so(scene, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        Reconstruction.load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no saved reconstruction"):
        Reconstruction.load(tmp_path)
    scene.save(tmp_path / "out")
    (tmp_path / "out" / "arrays.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="out is damaged.*save the reconstruction again"):
        Reconstruction.load(tmp_path / "out")


# --- what people read ---------------------------------------------------------------------------


def test_the_summary_is_a_table_with_escaped_names(scene):
    scene.names[0] = "<script>.jpg"
    text, page = repr(scene), scene._repr_html_()
    assert "Reconstruction of 3 views (cameras, depth, point map, 2 tracked points), 64×64" in text
    assert len(text.splitlines()) == 2 + S and "90×60" in text and "(0.10, 0.00, 0.00)" in text
    assert "&lt;script&gt;.jpg" in page and "<script>" not in page


def test_long_scenes_are_summarised():
    many = load_images([np.zeros((8, 8, 3), np.uint8)] * 20, size=8, patch_size=8)
    scene = Reconstruction.from_predictions(Predictions(images=many.images[None]), many)
    assert "and 8 more" in repr(scene)


def test_large_photographs_are_kept_small_for_drawing(tmp_path):
    Image.new("RGB", (3000, 1500), "red").save(tmp_path / "big.png")
    scene = reconstruct(Oracle(), tmp_path / "big.png")
    assert scene.images[0].shape == (512, 1024, 3) and scene.original_sizes == [(1500, 3000)]
    assert abs(scene.intrinsics[0, 0, 2].item() - 1500) < 1e-3


def test_show_hands_itself_to_the_figure(scene, monkeypatch):
    shown = SimpleNamespace(scene=None)
    monkeypatch.setattr(
        vggt_lite.viz, "show_reconstruction", lambda s: setattr(shown, "scene", s), raising=False
    )
    scene.show()
    assert shown.scene is scene
