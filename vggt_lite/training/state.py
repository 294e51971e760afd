"""Everything about a run that changes from step to step, and how it is saved and taken up again."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from vggt_lite.config import TrainConfig
from vggt_lite.training import checkpoint as files
from vggt_lite.training.clipping import parameter_parts
from vggt_lite.training.ema import WeightEMA
from vggt_lite.training.identity import differ_from
from vggt_lite.training.log import Meter
from vggt_lite.training.workers import Alone
from vggt_lite.utils.fingerprint import differences


class TrainState:
    """Step, weights, optimiser, average, random generators, and the half-filled line of the log.

    The schedule needs no entry: it is a function of the step. Built on a folder that holds a
    checkpoint, it starts from there. A checkpoint is the same file whatever number of processes wrote it,
    and any number goes on from it.

    Args:
        identity: What must be the same when the run goes on, beside `config`, see `run_identity`.

    Raises:
        ValueError: the folder holds another run, or `resume` is False and it holds one.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        folder: Path | str,
        resume: bool = True,
        identity: dict[str, str] | None = None,
        workers: Alone | None = None,
    ) -> None:
        self.model, self.config, self.folder = model, config, Path(folder)
        self.identity, self.workers = identity or {}, workers or Alone()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.network = self.workers.wrap(model)
        self.parts = parameter_parts(model)
        parameters = [p for part in self.parts.values() for p in part]
        settings = {"lr": config.learning_rate, "betas": config.betas, "weight_decay": config.weight_decay}
        self.optimizer = torch.optim.AdamW(parameters, **settings, fused=True)
        self.average = WeightEMA(model, config.ema_decay)
        self.meter = Meter()
        self.step, self.skipped_in_row = 0, 0
        self.checkpoint: Path | None = None
        if not resume and (found := files.list_checkpoints(self.folder)):
            raise ValueError(
                f"{self.folder} already holds a run ({found[-1].name}). Give another folder, or "
                "resume=True to continue it."
            )
        if newest := self.newest_checkpoint():
            self.load(*newest)

    def newest_checkpoint(self) -> tuple[Path, dict] | None:
        """The last whole checkpoint of process 0, from which all go on, and what it holds."""
        found = files.newest_checkpoint(self.folder) if self.workers.rank == 0 else None
        newest = self.workers.gather(found and found[0].name)[0]
        if found or newest is None:
            return found
        if not (self.folder / newest).exists():
            raise FileNotFoundError(
                f"process {self.workers.rank} does not see {self.folder / newest}, from which process 0 goes "
                "on: the folder must lie on a disk that all machines share."
            )
        return self.folder / newest, files.load_checkpoint(self.folder / newest)

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            FloatingPointError: a weight is not finite; nothing was written.
            OSError: the disk is full, say.
        """
        full_state = self.workers.full_state
        state = {
            "model": full_state(self.model.state_dict()),
            "average": full_state(self.average.weights),
            "optimizer": full_state(self.optimizer.state_dict()),
            "ranks": self.workers.gather({"random": files.random_state(), "meter": self.meter.state_dict()}),
            "config": self.config.to_dict(),
            "identity": self.identity,
        }
        self.refuse_spoilt(state["average"])
        if self.workers.rank == 0:
            files.save_checkpoint(self.folder, self.step, state)
        self.checkpoint = files.checkpoint_path(self.folder, self.step)
        self.workers.gather(None)  # no process goes on before it is written

    def refuse_spoilt(self, average: dict[str, Tensor | None]) -> None:
        """Weights overflow in silence; the average shows it, since it forgets nothing that is not finite."""
        spoilt = [name for name, x in average.items() if x is not None and not torch.isfinite(x).all()]
        if self.workers.any_rank(bool(spoilt)):
            raise FloatingPointError(
                f"step {self.step} left weights that are not finite ({', '.join(spoilt[:3])}). Nothing was "
                f"written; {self.last_good()}. Try a lower learning_rate than {self.config.learning_rate:g}."
            )

    def last_good(self) -> str:
        """Which checkpoint there is, in words."""
        return (
            f"the last good checkpoint is {self.checkpoint}" if self.checkpoint else "there is no checkpoint"
        )

    def load(self, path: Path, saved: dict) -> None:
        """Take up what a checkpoint holds.

        Raises:
            ValueError: it belongs to another run, or to a model of other sizes.
        """
        here, shard_like = self.model.state_dict(), self.workers.shard_like
        sizes = {"model": here, "average": self.average.weights}
        differ = differ_from(saved, self.config, self.identity) or [
            line
            for part, now in sizes.items()
            for line in differences(shapes(saved[part]), shapes(now), part)
        ]
        if differ:
            raise ValueError(
                f"{path} belongs to another run: {'; '.join(differ)}. Give another folder, or what the run "
                "was started with."
            )
        self.model.load_state_dict({k: shard_like(x, here[k]) for k, x in saved["model"].items()})
        self.average.weights = {k: shard_like(x, here[k]) for k, x in saved["average"].items()}
        moments = saved["optimizer"]["state"]
        for i, parameter in enumerate(self.optimizer.param_groups[0]["params"]):
            if i in moments:  # a parameter that never had a gradient has none
                moments[i] = {k: shard_like(x, parameter) for k, x in moments[i].items()}
        self.optimizer.load_state_dict(saved["optimizer"])
        mine = saved["ranks"][self.workers.rank % len(saved["ranks"])]
        files.set_random_state(mine["random"])
        self.meter = Meter(**mine["meter"])
        self.step, self.checkpoint = saved["step"], path

    def with_average(self, use: Callable[[nn.Module], dict]) -> dict:
        """Call `use` on the model with its averaged weights, and leave no trace of that."""
        random = files.random_state()
        weights = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.average.copy_to(self.model)
        self.model.eval()
        result = use(self.model)
        self.model.train()
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(weights[name])
        files.set_random_state(random)
        return result


def shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
