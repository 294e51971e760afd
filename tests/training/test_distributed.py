"""Several processes train as one does: same numbers, whatever dies, and whatever number of them goes on."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch._dynamo  # noqa: F401  FSDP2 imports it; forked children need not spend the seconds again
import torch.distributed.fsdp  # noqa: F401  nor on this

from tests.training.test_loop import timeless
from tests.training.toy import CONFIG, ToyModel, ToyScenes
from vggt_lite.config import NANO, SceneConfig
from vggt_lite.data.batches import GeneratedScenes
from vggt_lite.model import VGGT
from vggt_lite.research import distributed
from vggt_lite.training import train
from vggt_lite.training.checkpoint import list_checkpoints, load_checkpoint

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="starts its processes with fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]
FORK = multiprocessing.get_context("fork") if sys.platform == "linux" else None
ROOM = CONFIG.with_(steps=15, max_images=12)  # the toy's four scenes, for up to three processes


class Scenes(ToyScenes):
    """The first few scenes of each toy batch, of which one knows much more than the others.

    `spoil` names steps at which the last scene is spoilt; at step `kill` the last process dies.
    """

    def __init__(self, scenes: int = 4, spoil=(), kill: int | None = None) -> None:
        super().__init__()
        self.scenes, self.spoilt, self.kill = scenes, spoil, kill

    def batch_for_step(self, step):
        if step == self.kill and distributed.rank() == distributed.world_size() - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        batch = super().batch_for_step(step).apply(lambda x: x[: self.scenes])
        batch.valid[1:, :, : 4 + step % 8] = False
        if step in self.spoilt:
            batch.images[-1] = torch.nan
        return batch


def toy() -> ToyModel:
    """Without dropout, whose draws depend on who computes what."""
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


def train_together(count: int, folder, config=ROOM, data=None, shard=False, model=toy, **options) -> None:
    assert launch(count, lambda: joined_training(folder, config, data, shard, model, options)) == [0] * count


def joined_training(folder, config, data, shard, model, options) -> None:
    with distributed.init(shard):
        train(model(), data or Scenes(), config, folder, **options)


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
    train(toy(), Scenes(), ROOM, folder)
    return folder


EITHER = pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp"])


@EITHER
def test_two_processes_go_down_the_curve_of_one(shard, alone, tmp_path):
    train_together(2, tmp_path, shard=shard)
    assert_same_curve(tmp_path, alone)


SMALL = NANO.with_(
    dim=32, num_heads=2, vit_depth=1, depth=1, dense_layers=(0, 0, 0, 0), dense_dims=(8, 8, 8, 8),
    dense_dim=8, camera_iterations=2, track_levels=2, track_virtual=2, track_depth=1, track_iterations=2,
)  # fmt: skip
EVERYTHING = CONFIG.with_(
    steps=2, views=(2, 2), max_images=6, track_weight=0.05, point_weight=1.0, matching_weight=0.1,
    log_every=1, gradient_checkpointing=True, accumulation=2,
)  # fmt: skip


def small() -> VGGT:
    torch.manual_seed(int(os.environ.get("RANK", 0)))  # process 0 tells the others what it begins with
    return VGGT(SMALL)


@EITHER
def test_every_loss_of_three_scenes_is_that_of_the_whole_batch(shard, tmp_path):
    """Two scenes here and one there, in two parts where there are two, recomputed in the backward pass."""
    scenes = GeneratedScenes(EVERYTHING, SceneConfig(num_objects=2), size=32, path_views=3)
    train(small(), scenes, EVERYTHING, tmp_path / "alone")
    train_together(2, tmp_path / "two", EVERYTHING, scenes, shard, small)
    ours, theirs = timeless(tmp_path / "two"), timeless(tmp_path / "alone")
    assert {"camera", "depth/gradient", "point/gradient", "track/coordinates", "matching"} <= set(ours[0])
    assert_same_lines(ours[:1], theirs[:1], 1e-5)
    assert_same_lines(ours[1:], theirs[1:], 1e-3)  # Adam makes a step of every rounding error near zero


@EITHER
def test_a_job_whose_worker_was_killed_goes_on_as_if_unbroken(shard, tmp_path):
    """Dropout too: every process takes up its own random numbers."""
    common = {"shard": shard, "model": ToyModel}
    train_together(2, tmp_path / "whole", **common)
    killed = tmp_path / "killed"
    codes = launch(2, lambda: joined_training(killed, ROOM, Scenes(kill=10), shard, ToyModel, {}))
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
    launch(before, lambda: joined_training(tmp_path, ROOM, Scenes(kill=10), shard and before > 1, toy, {}))
    assert list_checkpoints(tmp_path)[-1].name == "checkpoint_00000008.pt"
    train_together(after, tmp_path, ROOM, shard=shard and after > 1)
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
def test_the_command_trains_under_torchrun_as_it_does_alone(tmp_path):
    from tests.training.train_job import main  # registers the recipe, and needs this module

    out, file = tmp_path / "two", tmp_path / "two.safetensors"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(Path(__file__).with_name("train_job.py")), "train", "two-steps"]
    command += ["--out", str(out), "--weights-out", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("finished") == done.stdout.count("written") == 1  # one of them speaks
    assert "deprecated" not in done.stderr
    assert VGGT.from_pretrained(file).config == SMALL
    assert main(["train", "two-steps", "--out", str(tmp_path / "alone")]) == 0
    ours, theirs = (timeless(folder / "0_all") for folder in (out, tmp_path / "alone"))
    assert_same_lines(ours[:1], theirs[:1], 1e-5)


def test_a_scene_spoilt_in_one_process_is_skipped_by_all(tmp_path):
    train(toy(), Scenes(spoil={5, 6}), ROOM, tmp_path / "alone")
    train_together(2, tmp_path / "two", data=Scenes(spoil={5, 6}))
    assert [line["step"] for line in timeless(tmp_path / "two") if "skipped" in line] == [6, 7]
    assert_same_curve(tmp_path / "two", tmp_path / "alone")


def test_a_divided_model_is_watched_whole_and_stops_in_time(alone, tmp_path):
    """Each call does one step, for time is out; only process 0 writes what was seen."""

    def sees_everything(model):
        inside = model(torch.zeros(1, 2, 3, 16, 16)).depth.mean().item()
        return {"depth": inside, "parameters": sum(p.numel() for p in model.parameters())}

    for _ in range(3):
        train_together(2, tmp_path, shard=True, max_seconds=0, watch=sees_everything)
    lines = [line["watch"] for line in timeless(tmp_path) if "watch" in line]
    assert [line["step"] for line in timeless(tmp_path) if "watch" in line] == [1, 2, 3]
    assert lines[0]["parameters"] == sum(p.numel() for p in toy().parameters())
    assert len({line["depth"] for line in lines}) == 3


# --- what one process can tell --------------------------------------------------------------------


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    monkeypatch.setattr(distributed, "rank", lambda: 1)


def test_shares_are_disjoint_and_make_up_the_batch(three, monkeypatch):
    batch, found = Scenes().batch_for_step(0), []
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        found.append(distributed.shard_batch(batch).depth)
    assert [len(depth) for depth in found] == [1, 1, 2]
    assert torch.equal(torch.cat(found), batch.depth)


def test_a_sum_that_one_process_takes_for_itself_waits_for_nobody(three):
    assert distributed.batch_sum(torch.ones(4)) == 4
    with pytest.raises(ValueError, match="process group"), distributed.whole_batch():
        distributed.batch_sum(torch.ones(4))
    assert distributed.batch_sum(torch.ones(4)) == 4


def test_fewer_scenes_than_processes_are_an_error_before_anything_is_done(three, tmp_path):
    with pytest.raises(ValueError, match="4-view scenes has 2 scenes, fewer than the 3 processes.*at most 2"):
        train(toy(), Scenes(), CONFIG, tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="this batch has 2 scenes"):
        distributed.shard_batch(Scenes(2).batch_for_step(0))


def test_a_program_that_forgot_to_join_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="torchrun started 2 processes.*joined"):
        train(toy(), Scenes(), CONFIG, tmp_path)


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
