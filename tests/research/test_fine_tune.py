"""Fine-tuning moves what it should and nothing else, goes on where it stopped, leaves an ordinary model."""

import pytest
import torch

from vggt_lite import NANO, VGGT
from vggt_lite.cli.main import main
from vggt_lite.data import write_scene
from vggt_lite.evaluation import Report
from vggt_lite.evaluation.metric_table import ROWS
from vggt_lite.inference.memory_estimate import count_weights
from vggt_lite.model import Aggregator
from vggt_lite.pretrained import save_weights
from vggt_lite.pretrained.int8 import to_int8
from vggt_lite.research.adapters import adapted_maps
from vggt_lite.research.fine_tune import FINE_TUNING, FineTuneOptions, batches, changes, fine_tune, prepare
from vggt_lite.research.training_memory import estimate_training, live_in_training
from vggt_lite.synthetic import generate_scenes

SMALL = NANO.with_(
    vit_depth=1, depth=4, dim=32, dense_dims=(8, 8, 8, 8), dense_dim=8, track_depth=1, image_size=32
)
DENSE = SMALL.with_(heads=("camera", "depth"))
CONFIG = FINE_TUNING.with_(steps=3, views=(2, 2), max_images=4, num_tracks=4, checkpoint_every=2, log_every=2)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    for name, seed in (("new", 3), ("old", 4)):
        write_scene(root / name / "scene", generate_scenes(seed, 1, 3, 32, 32))
    return root


def small(heads=SMALL.heads) -> VGGT:
    torch.manual_seed(0)
    return VGGT(SMALL.with_(heads=heads))


def moved(model: VGGT) -> set[str]:
    """The parts whose weights are not those of `small()`."""
    before = small(model.config.heads).state_dict()
    return {
        name.split(".")[0]
        for name, value in model.state_dict().items()
        if not torch.equal(value, before[name])
    }


@pytest.mark.parametrize(
    "options, parts",
    [
        (FineTuneOptions(), {"aggregator", "camera_head", "depth_head", "point_head", "track_head"}),
        (FineTuneOptions(freeze=("aggregator", "track_head")), {"camera_head", "depth_head", "point_head"}),
        (FineTuneOptions(adapters=2, freeze=("heads",)), {"aggregator"}),
    ],
    ids=["everything", "some heads", "adapters"],
)
def test_only_what_is_not_frozen_moves(options, parts, folders, tmp_path):
    model = small()
    assert fine_tune(model, [folders / "new"], tmp_path, options, CONFIG).finished
    assert moved(model) == parts
    saved = VGGT.from_pretrained(tmp_path)
    assert saved.config == SMALL and not adapted_maps(saved)
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved.state_dict()[name]), name


@pytest.mark.parametrize(
    ("options", "size", "words"),
    [
        ({"adapters": 10**9}, None, r"rank=1000000000 must lie in 1 … 32 \(dim\)"),
        ({"adapters": -1}, None, "adapters=-1 is their rank"),
        ({"rehearsal": float("nan")}, None, "rehearsal=nan is a share"),
        ({}, 0, "size=0 is not a multiple of patch_size=8; nearest that fit: 8 and 16"),
        ({}, -8, "size=-8 is not a multiple"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(folders, tmp_path, options, size, words):
    with pytest.raises(ValueError, match=words):
        fine_tune(small(), [folders / "new"], tmp_path / "out", FineTuneOptions(**options), CONFIG, size)
    assert not (tmp_path / "out").exists()


def test_weights_of_something_else_are_not_replaced(folders, tmp_path):
    save_weights(small(), tmp_path / "model.safetensors")
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(ValueError, match="model.safetensors is not of this run, which would replace it"):
        fine_tune(small(), [folders / "new"], tmp_path, FineTuneOptions(), CONFIG)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_far_more_than_the_free_memory_is_refused_before_any_work(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("vggt_lite.utils.runtime.available_memory", lambda device: 10**7)
    save_weights(small(), tmp_path / "small.safetensors")
    call = ["fine-tune", str(folders / "new"), "--out", str(tmp_path / "o"), "--size", "32"]
    assert main([*call, "--weights", str(tmp_path / "small.safetensors"), "--images", "4000"]) == 2
    assert "10 MB are free: see docs/fine_tuning.md" in capsys.readouterr().err


def test_adapters_move_the_maps_of_attention_and_nothing_else(folders, tmp_path):
    model, before = small(), small().state_dict()
    fine_tune(model, [folders / "new"], tmp_path, FineTuneOptions(adapters=2, freeze=("heads",)), CONFIG)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.endswith(("attn.qkv.weight", "attn.proj.weight")) for name in changed)
    assert len(changed) == 2 * (SMALL.vit_depth + 2 * SMALL.depth)


def test_a_run_in_slices_ends_with_the_same_numbers(folders, tmp_path):
    options, models, start = FineTuneOptions(adapters=2), [], small(DENSE.heads).state_dict()
    for name, seconds in (("whole", None), ("sliced", 0.0)):
        for _ in range(CONFIG.steps):
            model = VGGT(DENSE)
            model.load_state_dict(start)
            if fine_tune(
                model, [folders / "new"], tmp_path / name, options, CONFIG, max_seconds=seconds
            ).finished:
                break
        models.append(model)
    for name, value in models[0].state_dict().items():
        assert torch.equal(value, models[1].state_dict()[name]), name
    with pytest.raises(ValueError, match="another run: .*options.adapters was 2, now 4"):
        fine_tune(small(), [folders / "new"], tmp_path / "whole", FineTuneOptions(adapters=4), CONFIG)


def test_old_scenes_are_rehearsed_in_their_share_of_the_steps(folders):
    options = FineTuneOptions(rehearse=(str(folders / "old"),), rehearsal=0.25)
    mixed = batches([str(folders / "new")], options, CONFIG, 32, 8)
    share = sum(mixed.source_for_step(step) for step in range(400)) / 400
    assert 0.18 < share < 0.32
    assert mixed.sources[1].folders[0].parent.name == "old"


def test_a_part_that_does_not_exist_and_a_model_without_anything_to_train_are_refused():
    with pytest.raises(ValueError, match=r"freeze='depth' fits no part .*depth_head"):
        prepare(small(), FineTuneOptions(freeze=("depth",)))
    with pytest.raises(ValueError, match="nothing to train"):
        prepare(small(), FineTuneOptions(freeze=("heads", "aggregator")))
    with pytest.raises(ValueError, match="rehearsal=1"):
        FineTuneOptions(rehearsal=1)


def test_integers_are_not_trained(tmp_path):
    with pytest.raises(ValueError, match="int8 matrices cannot be trained"):
        fine_tune(to_int8(VGGT(NANO)), [], tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_changes_are_told_with_the_number_of_scenes_and_an_interval():
    def report(aucs: list[float], fov: float) -> Report:
        scenes = [{"model": {"auc_30": auc}} for auc in aucs]
        return Report({"auc_30": sum(aucs) / len(aucs), "fov_median_deg": fov}, {}, {}, scenes)

    text = changes(report([10.0, 20.0, 30.0], 5.0), report([14.0, 22.0, 36.0], 4.0))
    head, auc, fov = (line.split("  ") for line in text.splitlines())
    assert head[0] == "3 held-out scenes" and "95 % interval of it" in head[-1]
    assert [cell.strip() for cell in auc if cell.strip()] == [
        "pose AUC@30 ↑", "20.0", "24.0", "+4.0", "+2.0 … +6.0"
    ]  # fmt: skip
    assert fov[-1].strip() == "–" and "-1.00" in text  # a median over all pairs of views
    one = changes(report([10.0], 5.0), report([14.0], 4.0))
    assert one.splitlines()[1].endswith("–")


def test_a_device_that_cannot_compute_is_refused_before_anything_is_written(folders, tmp_path):
    with pytest.raises(ValueError, match="device='meta' cannot compute"):
        fine_tune(small(), [folders / "new"], tmp_path / "out", config=CONFIG, device="meta")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options, checkpointing",
    [
        (FineTuneOptions(), False),
        (FineTuneOptions(), True),
        (FineTuneOptions(freeze=("aggregator",)), False),
        (FineTuneOptions(adapters=2), True),
    ],
    ids=["all", "all, recomputed", "heads", "adapters, recomputed"],
)
def test_the_memory_estimate_is_what_is_really_alive(options, checkpointing):
    config = SMALL if options == FineTuneOptions() and not checkpointing else DENSE
    estimate = estimate_training(config, 3, 32, 24, scenes=2, options=options, checkpointing=checkpointing)
    model = VGGT(config)
    prepare(model, options)
    model.train()
    model.gradient_checkpointing = checkpointing
    images, points = torch.rand(2, 3, 3, 32, 24), torch.rand(2, 16, 2) * 20
    real = live_in_training(model, images, points if model.track_head else None)
    assert estimate.activations == real
    assert estimate.weights == sum(4 * p.numel() for p in model.parameters())
    trained = sum(4 * p.numel() for p in model.parameters() if p.requires_grad)
    assert (estimate.gradients, estimate.optimizer, estimate.average) == (trained, 2 * trained, trained)


def test_adapters_keep_fewer_gradients_and_rounding_halves_the_matrices():
    sizes = {"views": 2, "height": 32, "width": 32, "query_points": 0}
    whole = estimate_training(DENSE, **sizes)
    thin = FineTuneOptions(adapters=2, freeze=("heads",))
    half = estimate_training(DENSE, **sizes, options=thin, stored=torch.bfloat16)
    assert half.gradients < whole.gradients / 10
    matrices, _ = count_weights(DENSE)
    assert half.weights == whole.weights - 2 * matrices + half.gradients  # the adapters come on top
    assert str(whole).count("MB") == 4


def test_other_models_check_their_images_while_memory_is_estimated(monkeypatch):
    other, whole = VGGT(DENSE), Aggregator.forward

    def meanwhile(self, images):
        with pytest.raises(ValueError, match="divide by 255"):
            other(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
        return whole(self, images)

    monkeypatch.setattr(Aggregator, "forward", meanwhile)
    assert estimate_training(DENSE, 2, 32, 32, query_points=0).activations


def test_the_command_scores_before_and_after_and_its_result_reconstructs(folders, tmp_path, capsys):
    save_weights(small(), tmp_path / "small.safetensors")
    out = tmp_path / "out"
    command = ["fine-tune", str(folders / "new"), "--weights", str(tmp_path / "small.safetensors"), "--out",
               str(out), "--adapters", "2", "--freeze", "heads", "--steps", "2", "--views", "2", "2",
               "--images", "2", "--held-out", str(folders / "old"), "--checkpointing", "--half"]  # fmt: skip
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "memory, about" in printed and "1 held-out scenes" in printed
    # `evaluate` finds the very figures that fine-tuning printed
    measure = ["evaluate", "--weights", str(out), "--data", "folder", "--root", str(folders / "old")]
    assert main([*measure, "--views", "2", "--size", "32", "--out", str(tmp_path / "report.json")]) == 0
    report = Report.load(tmp_path / "report.json")
    for key in ("rotation_median_deg", "depth_abs_rel", "point_error"):
        label, better, decimals = ROWS[key]
        (line,) = [line for line in printed.splitlines() if line.startswith(f"{label} {better}")]
        assert line.removeprefix(f"{label} {better}").split()[1] == f"{report[key]:.{decimals}f}"
    assert VGGT.from_pretrained(out).config == SMALL
    assert (
        main([*command[:-1], "--steps", "2", "--freeze", "aggregator"]) == 2
    )  # another run in the same folder
    assert "Give another folder" in capsys.readouterr().err
    bad = ["fine-tune", str(folders / "new"), "--out", str(tmp_path / "x"), "--half"]
    assert main(bad) == 2 and "--adapters 8" in capsys.readouterr().err
