"""What happens to the files of a run, or in the middle of it, loses no more than it must, and is said."""

import errno
import io
import os
import random
import signal
import threading
import warnings

import pytest
import torch

from tests.training.test_loop import PROCESSES, LimitedScenes, StopTraining, timeless, weights
from tests.training.toy import CONFIG, ToyModel, ToyScenes
from vggt_lite.training import checkpoint as files
from vggt_lite.training import train
from vggt_lite.training.ema import WeightEMA
from vggt_lite.training.log import Log, read_log

NEWEST, BEFORE = "checkpoint_00000020.pt", "checkpoint_00000016.pt"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to."""
    folder, model = tmp_path_factory.mktemp("whole"), ToyModel()
    train(model, ToyScenes(), CONFIG, folder)
    return folder, weights(model)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The files of a run that crashed after step 21, with checkpoints at 16 and 20."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(StopTraining):
        train(ToyModel(), LimitedScenes(21), CONFIG, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def put(stopped: dict[str, bytes], folder) -> None:
    for name, content in stopped.items():
        (folder / name).write_bytes(content)


def ends_like(whole, folder, scenes=None) -> None:
    model = ToyModel()
    assert train(model, scenes or ToyScenes(), CONFIG, folder).finished
    assert torch.equal(weights(model), whole[1]) and timeless(folder) == timeless(whole[0])


def saved_as_torch(value) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def flipped(content: bytes, place: int, bit: int = 0) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


class Runs:
    """A pickle of it calls something."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


DAMAGE = {
    "cut in half": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "zeroed": lambda content: bytes(len(content)),
    "its end zeroed": lambda content: content[:-512] + bytes(512),
    "another archive": lambda content: saved_as_torch({"weights": torch.ones(3)}),
    "the right names, other things": lambda content: saved_as_torch(
        dict.fromkeys(("model", "average", "optimizer", "ranks", "config", "step"), 3)
    ),
    "with code": lambda content: saved_as_torch({"step": Runs()}),
    "a bit in the weights": lambda content: flipped(content, content.find(b"data/3") + 200),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_set_aside_with_a_word_and_the_one_before_goes_on(
    whole, stopped, tmp_path, damage, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    put(stopped, tmp_path)
    (tmp_path / NEWEST).write_bytes(damage(stopped[NEWEST]))
    with pytest.warns(UserWarning, match=f"{NEWEST} is damaged, or no checkpoint.*goes on from {BEFORE}"):
        ends_like(whole, tmp_path)
    assert (tmp_path / NEWEST).with_suffix(".damaged").read_bytes() == damage(stopped[NEWEST])
    assert not (tmp_path / "ran").exists()


def test_any_flipped_bit_of_a_checkpoint_is_noticed_or_changes_nothing(stopped, tmp_path):
    content, draw, noticed = stopped[NEWEST], random.Random(0), 0
    (tmp_path / "good.pt").write_bytes(content)
    good = saved_as_torch(files.load_checkpoint(tmp_path / "good.pt"))
    directory = content.find(b"PK\x01\x02")
    places = draw.choices(range(len(content)), k=60) + draw.choices(range(directory, len(content)), k=60)
    for place in places:
        (tmp_path / "bad.pt").write_bytes(flipped(content, place, draw.randrange(8)))
        try:
            assert saved_as_torch(files.load_checkpoint(tmp_path / "bad.pt")) == good, place
        except files.DamagedCheckpoint:
            noticed += 1
    assert noticed > 40


def test_where_no_checkpoint_is_whole_nothing_begins_anew_in_silence(stopped, tmp_path):
    put(stopped, tmp_path)
    for path in files.list_checkpoints(tmp_path):
        path.write_bytes(b"")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="No other is whole: copy one back, or delete them to begin anew"):
        train(ToyModel(), ToyScenes(), CONFIG, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_files_with_a_name_like_a_checkpoints_are_left_alone(whole, stopped, tmp_path):
    put(stopped, tmp_path)
    (tmp_path / "checkpoint_best.pt").write_bytes(b"mine")
    (tmp_path / "checkpoint_00000099.pt").mkdir()
    ends_like(whole, tmp_path)
    assert (tmp_path / "checkpoint_best.pt").read_bytes() == b"mine"


def test_a_model_of_another_size_is_refused_by_the_name_of_what_differs(stopped, tmp_path):
    put(stopped, tmp_path)
    model = ToyModel()
    model.depth_head.register_parameter("ballast", torch.nn.Parameter(torch.zeros(3)))
    model.camera_head = torch.nn.Linear(8, 9, bias=False)
    with pytest.raises(ValueError, match=r"another run: model.camera_head.bias was \(9,\), now none; "):
        train(model, ToyScenes(), CONFIG, tmp_path)


# --- the log ----------------------------------------------------------------------------------------

WRONG_LINES = {
    "other bytes": b"\xff\xfe\x00",
    "half a line": b'{"step": 6, "lo',
    "a number": b"7",
    "without a step": b'{"loss": 1}',
    "a step in words": b'{"step": "six"}',
    "a list": b"[1, 2]",
    "brackets": b"[" * 100_000,
    "nothing": b"",
}


@pytest.mark.parametrize("line", WRONG_LINES.values(), ids=WRONG_LINES)
@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_damaged_line_of_the_log_takes_no_good_one_with_it(tmp_path, line, place):
    path, good = tmp_path / "log.jsonl", [b'{"step": %d, "loss": NaN}' % step for step in range(1, 6)]
    path.write_bytes(b"\n".join([*good[:place], line, *good[place:]]) + b"\n")
    assert [read["step"] for read in read_log(path)] == [1, 2, 3, 4, 5]
    with pytest.warns(UserWarning, match=f"log.jsonl: line {place + 1} cannot be read and is left out"):
        Log(path, 4)
    assert [read["step"] for read in read_log(path)] == [1, 2, 3, 4]


def test_a_last_line_cut_by_a_kill_needs_no_word(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(b'{"step": 1}\n{"step": 2, "lo')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Log(tmp_path / "log.jsonl", 2)
    assert (tmp_path / "log.jsonl").read_bytes() == b'{"step": 1}\n'


# --- no room on the disk ----------------------------------------------------------------------------


class FullDisk:
    """Stands in for `open`: what is written to files with this in their name fails after `room` bytes."""

    def __init__(self, name: str, room: int) -> None:
        self.name, self.room = name, room

    def __call__(self, path, *args, **options):
        file = io.open(path, *args, **options)  # noqa: UP020
        if self.name in str(path):
            write = file.write

            def limited(data):
                self.room -= len(data)
                if self.room < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return write(data)

            file = Limited(file, limited)
        return file


class Limited:
    def __init__(self, file, write) -> None:
        self.file, self.write = file, write

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


@pytest.mark.parametrize("name", ["checkpoint_", "log.jsonl"])
@pytest.mark.parametrize("share", [0.0, 0.999, 2.2])
def test_a_full_disk_is_one_line_and_with_room_the_run_ends_like_an_unbroken_one(
    whole, tmp_path, monkeypatch, name, share
):
    size = len((whole[0] / "log.jsonl").read_bytes()) / 4
    if name == "checkpoint_":
        size = files.list_checkpoints(whole[0])[0].stat().st_size
    disk = FullDisk(name, int(share * size))
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", disk)
        with pytest.raises(OSError, match=r"could not be written \(.*No space left.*make room") as caught:
            train(ToyModel(), ToyScenes(), CONFIG, tmp_path)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    before = files.list_checkpoints(tmp_path)
    assert len(before) == (min(int(share), 2) if name == "checkpoint_" else len(before))
    assert all(files.load_checkpoint(path) for path in before)
    assert not list(tmp_path.glob(".*.tmp"))
    ends_like(whole, tmp_path)


# --- signals, and two at once -----------------------------------------------------------------------


class Signals(ToyScenes):
    """Sends signals to its own process when a step's batch is made."""

    def __init__(self, *signals: int, step: int = 7) -> None:
        super().__init__()
        self.signals, self.step = signals, step

    def batch_for_step(self, step):
        if step == self.step:
            for number in self.signals:
                os.kill(os.getpid(), number)
        return super().batch_for_step(step)


@pytest.fixture
def listening():
    """Ctrl-C is heard, though the tests may run in the background, where it is ignored."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.skipif(os.name == "nt", reason="os.kill is another thing there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_write_a_checkpoint_and_the_run_goes_on_from_there(
    whole, tmp_path, number, listening
):
    usual = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match=r"stopped at step 8; .* goes on from .*00000008\.pt"):
        train(ToyModel(), Signals(number), CONFIG, tmp_path)
    assert signal.getsignal(number) is usual
    ends_like(whole, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="os.kill is another thing there")
def test_a_second_ctrl_c_stops_at_once(whole, tmp_path, listening):
    with pytest.raises(KeyboardInterrupt, match="^$"):
        train(ToyModel(), Signals(signal.SIGINT, signal.SIGINT, step=9), CONFIG, tmp_path)
    assert files.list_checkpoints(tmp_path)[-1].name == "checkpoint_00000008.pt"
    ends_like(whole, tmp_path)


def test_a_run_in_a_thread_hears_no_signals_and_trains(whole, tmp_path):
    results = []
    thread = threading.Thread(target=lambda: results.append(train(ToyModel(), ToyScenes(), CONFIG, tmp_path)))
    thread.start()
    thread.join()
    assert results[0].finished and timeless(tmp_path) == timeless(whole[0])


class Waiting(ToyScenes):
    """Says that the run is under way, and waits."""

    def __init__(self, begun, go_on) -> None:
        super().__init__()
        self.begun, self.go_on = begun, go_on

    def batch_for_step(self, step):
        if step == 10:
            self.begun.set()
            self.go_on.wait(60)
        return super().batch_for_step(step)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("killed", [False, True])
def test_a_second_run_in_the_folder_is_refused_until_the_first_ends_or_dies(whole, tmp_path, killed):
    begun, go_on = PROCESSES.Event(), PROCESSES.Event()
    first = PROCESSES.Process(target=train, args=(ToyModel(), Waiting(begun, go_on), CONFIG, tmp_path))
    first.start()
    assert begun.wait(60)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="another run is at work in .*wait until it ends, or give another"):
        train(ToyModel(), ToyScenes(), CONFIG, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    first.kill() if killed else go_on.set()
    first.join()
    ends_like(whole, tmp_path)


# --- numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [3, 5, CONFIG.steps - 1])
def test_weights_that_are_not_finite_are_never_written(tmp_path, monkeypatch, step):
    usual = WeightEMA.update

    def update(self, model, now):
        if now == step:  # as a step of the optimiser would that overflows
            with torch.no_grad():
                model.depth_head.bias[0] = torch.inf
        usual(self, model, now)

    monkeypatch.setattr(WeightEMA, "update", update)
    with pytest.raises(FloatingPointError, match="not finite"):
        train(ToyModel(), ToyScenes(), CONFIG, tmp_path)
    for path in files.list_checkpoints(tmp_path):
        saved = files.load_checkpoint(path)
        assert all(torch.isfinite(x).all() for x in (*saved["model"].values(), *saved["average"].values()))


@pytest.mark.parametrize("seconds", [-1, -300.0, float("nan")])
def test_a_limit_of_time_that_is_none_is_refused_before_work(tmp_path, seconds):
    with pytest.raises(ValueError, match=f"max_seconds={seconds} must be 0 or more"):
        train(ToyModel(), ToyScenes(), CONFIG, tmp_path / "run", max_seconds=seconds)
    assert not (tmp_path / "run").exists()
