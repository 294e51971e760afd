"""Fine-tuning moves what it should and nothing else, goes on where it stopped, leaves an ordinary model."""

import json

import pytest
import torch

from vggt_lite import NANO, VGGT
from vggt_lite.cli.main import main
from vggt_lite.data import write_scene
from vggt_lite.inference.memory_estimate import count_weights
from vggt_lite.model import Aggregator
from vggt_lite.pretrained import save_weights
from vggt_lite.research.adapters import adapted_maps
from vggt_lite.research.fine_tune import FINE_TUNING, Recipe, batches, fine_tune, held_out, prepare, scores_of
from vggt_lite.research.training_memory import estimate_training, kept_for_backward
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
    "recipe, parts",
    [
        (Recipe(), {"aggregator", "camera_head", "depth_head", "point_head", "track_head"}),
        (Recipe(freeze=("aggregator", "track_head")), {"camera_head", "depth_head", "point_head"}),
        (Recipe(adapters=2, freeze=("heads",)), {"aggregator"}),
    ],
    ids=["everything", "some heads", "adapters"],
)
def test_only_what_is_not_frozen_moves(recipe, parts, folders, tmp_path):
    model = small()
    assert fine_tune(model, [folders / "new"], tmp_path, recipe, CONFIG).finished
    assert moved(model) == parts
    saved = VGGT.from_pretrained(tmp_path)
    assert saved.config == SMALL and not adapted_maps(saved)
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved.state_dict()[name]), name
    assert (tmp_path / "adapters.safetensors").exists() == bool(recipe.adapters)


def test_adapters_move_the_maps_of_attention_and_nothing_else(folders, tmp_path):
    model, before = small(), small().state_dict()
    fine_tune(model, [folders / "new"], tmp_path, Recipe(adapters=2, freeze=("heads",)), CONFIG)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.endswith(("attn.qkv.weight", "attn.proj.weight")) for name in changed)
    assert len(changed) == 2 * (SMALL.vit_depth + 2 * SMALL.depth)


def test_a_run_in_slices_ends_with_the_same_numbers(folders, tmp_path):
    recipe, models, start = Recipe(adapters=2), [], small(DENSE.heads).state_dict()
    for name, seconds in (("whole", None), ("sliced", 0.0)):
        for _ in range(CONFIG.steps):
            model = VGGT(DENSE)
            model.load_state_dict(start)
            if fine_tune(
                model, [folders / "new"], tmp_path / name, recipe, CONFIG, max_seconds=seconds
            ).finished:
                break
        models.append(model)
    for name, value in models[0].state_dict().items():
        assert torch.equal(value, models[1].state_dict()[name]), name
    with pytest.raises(ValueError, match="other adapters"):
        fine_tune(small(), [folders / "new"], tmp_path / "whole", Recipe(adapters=4), CONFIG)


def test_old_scenes_are_rehearsed_in_their_share_of_the_steps(folders):
    recipe = Recipe(rehearse=(str(folders / "old"),), rehearsal=0.25)
    mixed = batches([str(folders / "new")], recipe, CONFIG, 32, 8)
    share = sum(mixed.source_for_step(step) for step in range(400)) / 400
    assert 0.18 < share < 0.32
    assert mixed.sources[1].folders[0].parent.name == "old"


def test_a_part_that_does_not_exist_and_a_model_without_anything_to_train_are_refused():
    with pytest.raises(ValueError, match=r"freeze='depth' fits no part .*depth_head"):
        prepare(small(), Recipe(freeze=("depth",)))
    with pytest.raises(ValueError, match="nothing to train"):
        prepare(small(), Recipe(freeze=("heads", "aggregator")))
    with pytest.raises(ValueError, match="rehearsal=1"):
        Recipe(rehearsal=1)


def test_held_out_scenes_are_the_same_each_time_and_can_be_scored(folders):
    (first,), (second,) = held_out([folders / "new"], 32, 8, 3), held_out([folders / "new"], 32, 8, 3)
    assert torch.equal(first.images, second.images) and first.images.shape == (1, 3, 3, 32, 32)
    assert {"auc_30", "depth_abs_rel"} <= scores_of(small(), [first]).keys()


@pytest.mark.parametrize(
    "recipe, checkpointing",
    [
        (Recipe(), False),
        (Recipe(), True),
        (Recipe(freeze=("aggregator",)), False),
        (Recipe(adapters=2), True),
    ],
    ids=["all", "all, recomputed", "heads", "adapters, recomputed"],
)
def test_the_memory_estimate_is_what_autograd_really_keeps(recipe, checkpointing):
    config = SMALL if recipe == Recipe() and not checkpointing else DENSE
    estimate = estimate_training(config, 3, 32, 24, scenes=2, recipe=recipe, checkpointing=checkpointing)
    model = VGGT(config)
    prepare(model, recipe)
    model.train()
    model.gradient_checkpointing = checkpointing
    images, points = torch.rand(2, 3, 3, 32, 24), torch.rand(2, 16, 2) * 20
    real = kept_for_backward(model, lambda: model(images, points if model.track_head else None))
    assert estimate.activations == real
    assert estimate.weights == sum(4 * p.numel() for p in model.parameters())
    trained = sum(4 * p.numel() for p in model.parameters() if p.requires_grad)
    assert (estimate.gradients, estimate.optimizer, estimate.average) == (trained, 2 * trained, trained)
    assert (estimate.recomputed > 0) == checkpointing


def test_adapters_keep_fewer_gradients_and_rounding_halves_the_matrices():
    sizes = {"views": 2, "height": 32, "width": 32, "query_points": 0}
    whole = estimate_training(DENSE, **sizes)
    thin = Recipe(adapters=2, freeze=("heads",))
    half = estimate_training(DENSE, **sizes, recipe=thin, stored=torch.bfloat16)
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
    assert "memory, about" in printed and "depth AbsRel" in printed and "after" in printed
    assert VGGT.from_pretrained(out).config == SMALL
    assert json.loads((out / "fine_tuning.json").read_text())["adapters"] == 2
    assert (
        main([*command[:-1], "--steps", "2", "--freeze", "aggregator"]) == 2
    )  # another run in the same folder
    assert "give another folder" in capsys.readouterr().err
    bad = ["fine-tune", str(folders / "new"), "--out", str(tmp_path / "x"), "--half"]
    assert main(bad) == 2 and "--adapters 8" in capsys.readouterr().err
