"""Everything about a run that changes from step to step, and how it is saved and taken up again."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from vggt_lite.config import TrainConfig
from vggt_lite.research import distributed
from vggt_lite.research.distributed import shard_like
from vggt_lite.training import checkpoint as files
from vggt_lite.training.clipping import parameter_parts
from vggt_lite.training.ema import WeightEMA
from vggt_lite.training.log import Meter

MAY_CHANGE = ("checkpoint_every",)  # settings that leave the numbers of a run alone


class TrainState:
    """Step, weights, optimiser, average, random generators, and the half-filled line of the log.

    The schedule needs no entry: it is a function of the step. Built on a folder that holds a
    checkpoint, it starts from there. A checkpoint is the same file whatever number of processes wrote it,
    and any number goes on from it.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, folder: Path | str, resume: bool) -> None:
        self.model, self.config, self.folder = model, config, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.network = distributed.wrap(model)  # the model, called so that several processes share the work
        self.parts = parameter_parts(model)
        self.optimizer = torch.optim.AdamW(
            [p for part in self.parts.values() for p in part],
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.average = WeightEMA(model, config.ema_decay)
        self.meter = Meter()
        self.step = 0
        self.skipped_in_row = 0
        self.checkpoint: Path | None = None
        if newest := files.newest_checkpoint(self.folder):
            if not resume:
                raise ValueError(
                    f"{self.folder} already holds a run ({newest.name}). Give another folder, or "
                    "resume=True to continue it."
                )
            self.load(newest)

    def save(self) -> None:
        random, *of_others = distributed.gather(files.random_state())
        self.checkpoint = files.save_checkpoint(
            self.folder,
            self.step,
            {
                "model": distributed.full_state(self.model.state_dict()),
                "average": distributed.full_state(self.average.weights),
                "optimizer": distributed.full_state(self.optimizer.state_dict()),
                "random": random,
                "random_of_others": of_others,
                "meter": self.meter.state_dict(),
                "config": self.config.to_dict(),
            },
        )
        distributed.gather(None)  # nobody goes on, perhaps to read it, before it is written

    def load(self, path: Path) -> None:
        saved = files.load_checkpoint(path)
        if differ := differences(saved["config"], self.config):
            raise ValueError(
                f"{path} belongs to a run with another configuration: {'; '.join(differ)}. Give another "
                "folder, or the configuration that the run was started with."
            )
        here = self.model.state_dict()
        self.model.load_state_dict({k: shard_like(x, here[k]) for k, x in saved["model"].items()})
        self.average.weights = {k: shard_like(x, here[k]) for k, x in saved["average"].items()}
        moments = saved["optimizer"]["state"]
        for i, parameter in enumerate(self.optimizer.param_groups[0]["params"]):
            if i in moments:  # a parameter that never had a gradient has none
                moments[i] = {k: shard_like(x, parameter) for k, x in moments[i].items()}
        self.optimizer.load_state_dict(saved["optimizer"])
        generators = [saved["random"], *saved.get("random_of_others", ())]
        files.set_random_state(generators[distributed.rank() % len(generators)])
        self.meter = Meter(**saved["meter"])
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


def differences(saved: dict, config: TrainConfig) -> list[str]:
    """What a checkpoint's configuration says otherwise than `config`, setting by setting.

    A setting younger than the checkpoint counts as its default: those who add one make its default mean
    "as before". One that is gone may have shaped the run, so it does not fit whatever its value.
    """
    then, now = {**TrainConfig().to_dict(), **saved}, config.to_dict()
    differ = [k for k in then if k not in MAY_CHANGE and (k not in now or then[k] != now[k])]
    return [f"{k} was {then[k]}, now {now.get(k, 'there is no such setting')}" for k in differ]
