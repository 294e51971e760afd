"""Everything about a run that changes from step to step, and how it is saved and taken up again."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from vggt_lite.config import TrainConfig
from vggt_lite.training import checkpoint as files
from vggt_lite.training.clipping import parameter_parts
from vggt_lite.training.ema import WeightEMA
from vggt_lite.training.identity import differ_from
from vggt_lite.training.log import Meter
from vggt_lite.training.workers import Alone


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
        if newest := self.newest_checkpoint():
            if not resume:
                raise ValueError(
                    f"{self.folder} already holds a run ({newest.name}). Give another folder, or "
                    "resume=True to continue it."
                )
            self.load(newest)

    def newest_checkpoint(self) -> Path | None:
        """The checkpoint from which all processes go on: the last one that process 0 sees."""
        found = files.list_checkpoints(self.folder)
        newest = self.workers.gather(found[-1].name if found else None)[0]
        if newest and not (self.folder / newest).exists():
            raise FileNotFoundError(
                f"process {self.workers.rank} does not see {self.folder / newest}, from which process 0 goes "
                "on: the folder must lie on a disk that all machines share."
            )
        return self.folder / newest if newest else None

    def save(self) -> None:
        full_state = self.workers.full_state
        state = {
            "model": full_state(self.model.state_dict()),
            "average": full_state(self.average.weights),
            "optimizer": full_state(self.optimizer.state_dict()),
            "ranks": self.workers.gather({"random": files.random_state(), "meter": self.meter.state_dict()}),
            "config": self.config.to_dict(),
            "identity": self.identity,
        }
        self.checkpoint = files.checkpoint_path(self.folder, self.step)
        if self.workers.rank == 0:
            files.save_checkpoint(self.folder, self.step, state)
        self.workers.gather(None)  # no process goes on before it is written

    def load(self, path: Path) -> None:
        saved = files.load_checkpoint(path)
        if differ := differ_from(saved, self.config, self.identity):
            raise ValueError(
                f"{path} belongs to another run: {'; '.join(differ)}. Give another folder, or what the run "
                "was started with."
            )
        here, shard_like = self.model.state_dict(), self.workers.shard_like
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
