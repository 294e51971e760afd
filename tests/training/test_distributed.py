"""Several processes lower the mean of their losses: same numbers, whatever dies, whatever number goes on."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import torch._dynamo  # noqa: F401  FSDP2 imports it; forked children need not spend the seconds again
import torch.distributed as dist
import torch.distributed.fsdp  # noqa: F401  nor on this

from tests.training.test_loop import timeless
from tests.training.toy import CONFIG, ToyModel, ToyScenes
from vggt_lite.config import NANO, SceneConfig
from vggt_lite.data.batches import GeneratedScenes
from vggt_lite.inference import VGGT
from vggt_lite.losses import multitask_loss
from vggt_lite.research import distributed
from vggt_lite.training import train
from vggt_lite.training.checkpoint import list_checkpoints, load_checkpoint
from vggt_lite.training.grad_accumulation import loss_and_gradients
from vggt_lite.training.workers import Alone

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="starts its processes with fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]
FORK = multiprocessing.get_context("fork") if sys.platform == "linux" else None
SHORT = CONFIG.with_(steps=15)


class Scenes(ToyScenes):
    """The same scenes in every process, so that any number of them goes down the curve of one.

    `spoil` names steps at which the last process gets a scene that is not finite; at step `kill` it dies.
    """

    def __init__(self, spoil=(), kill: int | None = None) -> None:
        super().__init__()
        self.spoilt, self.kill = spoil, kill

    def batch_for_step(self, step):
        last = not dist.is_initialized() or dist.get_rank() == dist.get_world_size() - 1
        if last and step == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        batch = super().batch_for_step(step)
        if last and step in self.spoilt:
            batch.images[-1] = torch.nan
        return batch


def toy() -> ToyModel:
    """Without dropout, whose draws differ from process to process."""
    model = ToyModel()
    model.dropout.p = 0.0
    return model


def launch(count: int, work) -> list[int | None]:
    """Call `work()` in so many processes, with the environment that torchrun gives; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    def started(rank: int) -> None:
        here = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} | {k: str(v) for k, v in here.items()}
        work()

    running = [FORK.Process(target=started, args=(rank,)) for rank in range(count)]
    for process in running:
        process.start()
    for process in running:
        process.join(600)  # only a hang takes so long
        process.kill()
    return [process.exitcode for process in running]


def train_together(count: int, folder, data=None, shard=False, model=toy, **options) -> None:
    assert launch(count, lambda: joined_training(folder, data, shard, model, options)) == [0] * count


def joined_training(folder, data, shard, model, options) -> None:
    with distributed.init(shard) as workers:
        train(model(), data or Scenes(), SHORT, folder, workers=workers, **options)


def assert_same_curve(folder, other) -> None:
    """Equal up to rounding: every line of the log, and the averaged weights."""
    assert_same_lines(timeless(folder), timeless(other), 1e-4)
    mine, others = (load_checkpoint(list_checkpoints(f)[-1])["average"] for f in (folder, other))
    torch.testing.assert_close(mine, others, rtol=2e-5, atol=2e-6)


def assert_same_lines(ours: list[dict], theirs: list[dict], tolerance: float) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.pop("skipped", None) == other.pop("skipped", None)
        assert mine == pytest.approx(other, rel=tolerance, abs=1e-5)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    train(toy(), Scenes(), SHORT, folder)
    return folder


EITHER = pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp"])
SMALL = NANO.with_(
    dim=32, num_heads=2, vit_depth=1, depth=1, dense_layers=(0, 0, 0, 0), dense_dims=(8, 8, 8, 8),
    dense_dim=8, camera_iterations=2, track_levels=2, track_virtual=2, track_depth=1, track_iterations=2,
)  # fmt: skip
EVERYTHING = CONFIG.with_(
    views=(2, 2), max_images=8, gradient_checkpointing=True,
    loss_weights={"camera": 5.0, "depth": 1.0, "point": 1.0, "track": 0.05, "matching": 0.1},
)  # fmt: skip


def gradients(worker: tuple[int, int], parts: int, workers: Alone) -> dict[str, torch.Tensor]:
    """What a process's share of a batch asks of a small VGGT, averaged over all that are joined."""
    torch.manual_seed(workers.rank)  # process 0 tells the others what it begins with
    model = VGGT(SMALL).train()
    model.gradient_checkpointing = True
    network = workers.wrap(model)
    scenes = GeneratedScenes(EVERYTHING, SceneConfig(num_objects=2), size=32, path_views=3, worker=worker)
    objective = partial(multitask_loss, weights=EVERYTHING.loss_weights, patch_size=8)
    batch = scenes.batch_for_step(0)
    assert len(batch) == 2
    _, terms, finite = loss_and_gradients(
        lambda b: network(b.images, b.tracks[:, 0]), objective, batch, parts, workers
    )
    assert finite and set(EVERYTHING.loss_weights) < set(terms)
    return {name: workers.full_tensor(p.grad) for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("parts", [1, 2])
@EITHER
def test_two_processes_have_the_mean_gradient_of_their_two_shares(shard, parts, tmp_path):
    def in_process() -> None:
        with distributed.init(shard) as workers:
            found = gradients((workers.rank, 2), parts, workers)
            if workers.rank == 0:
                torch.save(found, tmp_path / "gradients.pt")

    assert launch(2, in_process) == [0, 0]
    together = torch.load(tmp_path / "gradients.pt")
    shares = [gradients((rank, 2), 1, Alone()) for rank in (0, 1)]
    largest = max(x.abs().max().item() for x in together.values())
    assert largest > 0.01 and set(together) == set(shares[0])
    for name, gradient in together.items():
        mean = (shares[0][name] + shares[1][name]) / 2
        torch.testing.assert_close(gradient, mean, rtol=1e-4, atol=1e-6 * largest)
    apart = torch.stack([(shares[0][n] - shares[1][n]).abs().max() for n in together])
    assert apart.max() > 0.1 * largest  # the shares ask for different things


@EITHER
def test_a_job_whose_worker_was_killed_goes_on_as_if_unbroken(shard, tmp_path):
    """Dropout too: every process takes up its own random numbers."""
    common = {"shard": shard, "model": ToyModel}
    train_together(2, tmp_path / "whole", **common)
    killed = tmp_path / "killed"
    codes = launch(2, lambda: joined_training(killed, Scenes(kill=10), shard, ToyModel, {}))
    assert codes[1] == -signal.SIGKILL and codes[0] != 0
    assert list_checkpoints(killed)[-1].name == "checkpoint_00000008.pt"
    train_together(2, killed, **common)
    assert timeless(killed) == timeless(tmp_path / "whole")
    mine, others = (load_checkpoint(list_checkpoints(tmp_path / f)[-1]) for f in ("killed", "whole"))
    for part in ("model", "average"):
        assert all(torch.equal(mine[part][name], others[part][name]) for name in mine[part])


@pytest.mark.parametrize(
    ("before", "after", "shard"),
    [(2, 1, True), (1, 3, False), (1, 2, True)],
    ids=["2 to 1", "1 to 3", "1 to 2"],
)
def test_another_number_of_processes_goes_on(before, after, shard, alone, tmp_path):
    launch(before, lambda: joined_training(tmp_path, Scenes(kill=10), shard and before > 1, toy, {}))
    assert list_checkpoints(tmp_path)[-1].name == "checkpoint_00000008.pt"
    train_together(after, tmp_path, shard=shard and after > 1)
    assert_same_curve(tmp_path, alone)


@pytest.mark.slow
def test_torchrun_starts_it_and_starts_it_again(alone, tmp_path):
    script = Path(__file__).with_name("torchrun_job.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["--max-restarts", "1", "--monitor-interval", "0.1", str(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "SIGKILL" in done.stderr or "exitcode: -9" in done.stderr
    assert_same_curve(tmp_path, alone)


@pytest.mark.slow
def test_the_command_trains_under_torchrun_and_one_process_speaks(tmp_path):
    out, file = tmp_path / "two", tmp_path / "two.safetensors"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(Path(__file__).with_name("train_job.py")), "train", "two-steps"]
    command += ["--out", str(out), "--weights-out", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("finished") == done.stdout.count("written") == 1
    assert "deprecated" not in done.stderr
    assert VGGT.from_pretrained(file).config == SMALL
    assert [line["step"] for line in timeless(out / "0_all")] == [1, 2, 2]  # the last one of held-out scores


def test_a_scene_spoilt_in_one_process_is_skipped_by_all(tmp_path):
    train(toy(), Scenes(spoil={5, 6}), SHORT, tmp_path / "alone")
    train_together(2, tmp_path / "two", Scenes(spoil={5, 6}))
    skipped = [line for line in timeless(tmp_path / "two") if "skipped" in line]
    assert [line["step"] for line in skipped] == [6, 7]
    assert "loss" in skipped[0]["skipped"]  # known to process 1 alone, and written by process 0
    assert_same_curve(tmp_path / "two", tmp_path / "alone")


def test_a_divided_model_is_evaluated_whole_and_stops_in_time(tmp_path):
    """Each call does one step, for time is out; only process 0 writes what was seen."""

    def sees_everything(model):
        inside = model(torch.zeros(1, 2, 3, 16, 16)).depth.mean().item()
        return {"depth": inside, "parameters": sum(p.numel() for p in model.parameters())}

    for _ in range(3):
        train_together(2, tmp_path, shard=True, max_seconds=0, eval_fn=sees_everything)
    lines = [line["eval"] for line in timeless(tmp_path) if "eval" in line]
    assert [line["step"] for line in timeless(tmp_path) if "eval" in line] == [1, 2, 3]
    assert lines[0]["parameters"] == sum(p.numel() for p in toy().parameters())
    assert len({line["depth"] for line in lines}) == 3


# --- what one process can tell --------------------------------------------------------------------


def test_a_program_that_forgot_to_join_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match=r"torchrun started 2 processes.*distributed\.init"):
        train(toy(), Scenes(), CONFIG, tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_processes_than_gpus_and_nothing_to_divide_among_are_told(monkeypatch):
    with pytest.raises(ValueError, match="there is only one"), distributed.init(shard=True):
        pass
    for name, value in {"WORLD_SIZE": "4", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="process 3 .* no GPU, 2 found: give --nproc-per-node 2"):
        with distributed.init():
            pass


def test_one_process_and_several_answer_the_same_questions():
    methods = {name for name in vars(Alone) if not name.startswith("_")} - {"rank", "world_size"}
    assert methods == {name for name in vars(distributed.Workers) if not name.startswith("_")}
