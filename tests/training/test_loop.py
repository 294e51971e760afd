"""Training goes on exactly where it stopped, skips what is not finite, and says what it did."""

import json
import multiprocessing
import random
import time
from pathlib import Path

import pytest
import torch

from tests.training.toy import CONFIG, ToyModel, ToyScenes
from vggt_lite.losses import multitask_loss
from vggt_lite.training import schedule, train
from vggt_lite.training.checkpoint import list_checkpoints, load_checkpoint
from vggt_lite.training.log import read_log

# Forked children need not import torch again; Windows has no fork and takes the slow way.
PROCESSES = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else None)
LONG = CONFIG.with_(steps=100_000)
SHORT = CONFIG.with_(steps=2)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def timeless(folder) -> list[dict]:
    """The log without what the clock says."""
    return [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(folder / "log.jsonl")]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("unbroken"), ToyModel()
    return model, folder, train(model, ToyScenes(), CONFIG, folder)


def test_a_run_learns_and_leaves_a_log_and_two_checkpoints(unbroken):
    model, folder, result = unbroken
    assert result.finished and result.step == CONFIG.steps
    assert [p.name for p in list_checkpoints(folder)] == ["checkpoint_00000020.pt", "checkpoint_00000024.pt"]
    lines = read_log(result.log)
    assert [line["step"] for line in lines] == list(range(3, 25, 3))
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert {"norm/aggregator", "norm/camera_head", "norm/depth_head", "rate"} <= set(lines[0])
    assert not list(folder.glob(".*.tmp"))


def test_a_run_cut_into_slices_gives_the_same_numbers(unbroken, tmp_path):
    model, folder, _ = unbroken
    for _ in range(CONFIG.steps):
        sliced = ToyModel()
        result = train(sliced, ToyScenes(), CONFIG, tmp_path, max_seconds=0)
        torch.rand(7)  # what happens between two slices must not matter
    assert result.finished
    assert torch.equal(weights(sliced), weights(model))
    assert timeless(tmp_path) == timeless(folder)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_run_killed_at_random_moments_gives_the_same_numbers(tmp_path):
    killed, moments, before = tmp_path / "killed", [], 0
    for _ in range(6):
        process = PROCESSES.Process(target=train, args=(ToyModel(), ToyScenes(), LONG, killed))
        process.start()
        while newest(killed) <= before:
            assert process.is_alive(), "the run ended before it could be killed"
            time.sleep(0.001)
        time.sleep(random.SystemRandom().uniform(0, 0.1))
        process.kill()
        process.join()
        before = newest(killed)
        moments.append(before)

    resumed, whole, stop = ToyModel(), ToyModel(), LimitedScenes(before + 30)
    for model, folder in ((resumed, killed), (whole, tmp_path / "whole")):
        with pytest.raises(StopTraining):
            train(model, stop, LONG, folder)
    assert torch.equal(weights(resumed), weights(whole)), f"killed after {moments}"
    assert timeless(killed) == timeless(tmp_path / "whole"), f"killed after {moments}"
    assert not list(killed.glob(".*.tmp")), "temporary files of killed runs pile up"


def newest(folder: Path) -> int:
    """The step of the last checkpoint; 0 if there is none."""
    found = list_checkpoints(folder)
    return int(found[-1].stem[-8:]) if found else 0


class StopTraining(Exception):
    pass


class LimitedScenes(ToyScenes):
    """Ends a long run early, as a crash would."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def batch_for_step(self, step):
        if step >= self.last:
            raise StopTraining
        return super().batch_for_step(step)


def test_the_log_forgets_lines_after_the_checkpoint(tmp_path):
    with pytest.raises(StopTraining):
        train(ToyModel(), LimitedScenes(15), CONFIG, tmp_path)  # checkpoint at 12, log line at 15
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 15, "lo')  # the kill came while this line was written
    train(ToyModel(), ToyScenes(), CONFIG, tmp_path)
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == list(range(3, 25, 3))


def test_a_batch_that_is_not_finite_is_skipped_and_named(tmp_path):
    model = ToyModel()
    train(model, ToyScenes(spoil={5, 6}), CONFIG, tmp_path)
    skipped = [line for line in read_log(tmp_path / "log.jsonl") if "skipped" in line]
    assert [line["step"] for line in skipped] == [6, 7]
    assert any("camera" in name or "depth" in name for name in skipped[0]["skipped"])
    assert torch.isfinite(weights(model)).all()


def test_ten_skipped_steps_in_a_row_stop_the_run_and_name_the_checkpoint(tmp_path):
    with pytest.raises(FloatingPointError, match=r"10 steps in a row.*checkpoint_00000008\.pt"):
        train(ToyModel(), ToyScenes(spoil=set(range(9, 24))), CONFIG, tmp_path)
    assert list_checkpoints(tmp_path)[-1].name == "checkpoint_00000008.pt"


def test_accumulated_gradients_train_like_the_whole_batch(tmp_path):
    whole, parts = ToyModel(), ToyModel()
    for model in (whole, parts):
        model.dropout.p = 0.0  # drawn anew in each pass
    train(whole, ToyScenes(), CONFIG, tmp_path / "whole")
    train(parts, ToyScenes(), CONFIG.with_(accumulation=3), tmp_path / "parts")
    torch.testing.assert_close(weights(parts), weights(whole), atol=2e-6, rtol=1e-5)


def test_another_configuration_is_refused_with_the_field_named(unbroken):
    _, folder, _ = unbroken
    with pytest.raises(ValueError, match="learning_rate was 0.0005, now 0.001"):
        train(ToyModel(), ToyScenes(), CONFIG.with_(learning_rate=1e-3), folder)
    with pytest.raises(ValueError, match="already holds a run"):
        train(ToyModel(), ToyScenes(), CONFIG, folder, resume=False)


def test_a_checkpoint_older_than_a_setting_goes_on_with_its_default(unbroken, tmp_path):
    _, _, result = unbroken
    saved = load_checkpoint(result.checkpoint)
    del saved["config"]["gradient_checkpointing"]
    torch.save(saved, tmp_path / result.checkpoint.name)
    assert train(ToyModel(), ToyScenes(), CONFIG, tmp_path).finished
    with pytest.raises(ValueError, match="gradient_checkpointing was False, now True"):
        train(ToyModel(), ToyScenes(), CONFIG.with_(gradient_checkpointing=True), tmp_path)
    saved["config"]["dropout"] = 0.1
    torch.save(saved, tmp_path / result.checkpoint.name)
    with pytest.raises(ValueError, match="dropout was 0.1, now none"):
        train(ToyModel(), ToyScenes(), CONFIG, tmp_path)


def test_evaluation_sees_averaged_weights_and_changes_nothing(unbroken, tmp_path):
    model, folder, _ = unbroken
    seen = []

    def scores(averaged):
        seen.append(weights(averaged))
        return {"random": torch.rand(1).item(), "training": averaged.training}

    observed = ToyModel()
    train(observed, ToyScenes(), CONFIG, tmp_path, eval_fn=scores)
    assert torch.equal(weights(observed), weights(model))
    assert torch.equal(seen[-1], weights(model))
    lines = [line for line in timeless(tmp_path) if "eval" in line]
    assert len(lines) == 6 and lines[0]["eval"]["training"] is False
    assert json.dumps(lines)


def test_another_model_data_loss_or_code_in_a_folder_is_refused_with_what_differs(tmp_path):
    def run(model=ToyModel, data=ToyScenes, objective=None, base="nano"):
        return train(model(), data(), SHORT, tmp_path, objective=objective, identity={"base": base})

    class Wider(ToyModel):
        pass

    class Further(ToyScenes):
        def description(self):
            return super().description() | {"size": 32}

    def mine(pred, batch):
        return pred.depth.mean(), {}

    assert run().finished and run().finished
    for change, words in (
        ({"model": Wider}, r"model\.class was tests.*ToyModel, now .*Wider"),
        ({"data": Further}, r"data\.size was none, now 32\."),
        ({"objective": mine}, r"objective\.function was vggt_lite.*multitask_loss, now .*mine"),
        ({"base": "tiny"}, "base was nano, now tiny"),
    ):
        with pytest.raises(ValueError, match=words):
            run(**change)
    assert run().finished


def test_changed_code_of_the_package_or_of_ones_own_is_refused(tmp_path, monkeypatch):
    def run(factor: float, model=ToyModel):
        def objective(pred, batch):
            return factor * pred.depth.mean(), {}

        return train(model(), ToyScenes(), SHORT, tmp_path, objective=objective)

    run(1.0)
    with pytest.raises(ValueError, match=r"objective\.code was \w+, now \w+"):
        run(2.0)
    with monkeypatch.context() as patch:
        patch.setattr(ToyModel, "forward", lambda self, images, query_points=None: None)
        with pytest.raises(ValueError, match=r"model\.code was \w+, now \w+\."):
            run(1.0)
    with monkeypatch.context() as patch:
        patch.setattr(schedule, "learning_rate", lambda *args: 1e-3)
        with pytest.raises(ValueError, match=r"another run: code\.vggt_lite\.training was \w+, now \w+\."):
            run(1.0)
    run(1.0)


def test_a_run_that_had_finished_says_that_nothing_was_trained(tmp_path, capsys):
    assert train(ToyModel(), ToyScenes(), SHORT, tmp_path).trained == SHORT.steps
    assert "nothing was trained" not in capsys.readouterr().out
    again = train(ToyModel(), ToyScenes(), SHORT, tmp_path)
    assert (again.trained, again.step, again.finished) == (0, SHORT.steps, True)
    assert f"{tmp_path} holds this run, finished before: nothing was trained" in capsys.readouterr().out


def test_a_loss_of_ones_own_is_lowered_accumulated_and_logged_by_name(tmp_path):
    def objective(pred, batch):
        sharpness = (pred.depth - 2 * batch.depth).abs()[batch.valid].mean()
        total, terms = multitask_loss(pred, batch, {"camera": 5.0})
        return total + sharpness, {**terms, "sharpness": sharpness, "constant": 3.0}

    for parts in (1, 2):
        config, folder = CONFIG.with_(accumulation=parts), tmp_path / str(parts)
        run = train(ToyModel(), ToyScenes(), config, folder, objective=objective)
        lines = read_log(run.log)
        assert lines[-1]["sharpness"] < lines[0]["sharpness"] and lines[0]["constant"] == 3
        assert "camera/rotation" in lines[0] and "depth" not in lines[0]


def test_matrix_products_are_float32_unless_another_format_is_asked_for(tmp_path):
    def formats(dtype):
        model, seen = ToyModel(), set()
        model.aggregator.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
        train(model, ToyScenes(), SHORT, tmp_path / str(dtype), dtype=dtype)
        return seen

    assert formats(None) == {torch.float32}
    assert formats(torch.bfloat16) == {torch.bfloat16}


def test_the_model_returned_holds_the_average_and_the_checkpoint_both(unbroken):
    model, folder, result = unbroken
    saved = load_checkpoint(result.checkpoint)
    for name, parameter in model.named_parameters():
        assert torch.equal(saved["average"][name], parameter)
    assert any(not torch.equal(saved["average"][n], saved["model"][n]) for n, _ in model.named_parameters())
