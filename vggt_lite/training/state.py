"""Everything about a run that changes from step to step, and how it is saved and taken up again."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from vggt_lite.config import TrainConfig
from vggt_lite.training import checkpoint as files
from vggt_lite.training.average import WeightAverage
from vggt_lite.training.clipping import parameter_parts
from vggt_lite.training.log import Meter

MAY_CHANGE = ("checkpoint_every",)  # settings that leave the numbers of a run alone


class TrainState:
    """Step, weights, optimiser, average, random generators, and the half-filled line of the log.

    The schedule needs no entry: it is a function of the step. Built on a folder that holds a
    checkpoint, it starts from there.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, folder: Path | str, resume: bool) -> None:
        self.model, self.config, self.folder = model, config, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.parts = parameter_parts(model)
        self.optimizer = torch.optim.AdamW(
            [p for part in self.parts.values() for p in part],
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.average = WeightAverage(model, config.ema_decay)
        self.meter = Meter()
        self.step = 0
        self.skipped_in_row = 0
        self.checkpoint: Path | None = None
        if found := files.list_checkpoints(self.folder):
            if not resume:
                raise ValueError(
                    f"{self.folder} already holds a run ({found[-1].name}). Give another folder, or "
                    "resume=True to continue it."
                )
            self.load(found[-1])

    def save(self) -> None:
        self.checkpoint = files.save_checkpoint(
            self.folder,
            self.step,
            {
                "model": self.model.state_dict(),
                "average": self.average.weights,
                "optimizer": self.optimizer.state_dict(),
                "random": files.random_state(),
                "meter": self.meter.state_dict(),
                "config": self.config.to_dict(),
            },
        )

    def load(self, path: Path) -> None:
        saved = files.load_checkpoint(path, next(self.model.parameters()).device)
        now = self.config.to_dict()
        differ = [k for k in now if k not in MAY_CHANGE and saved["config"].get(k) != now[k]]
        if differ:
            told = "; ".join(f"{k} was {saved['config'].get(k)}, now {now[k]}" for k in differ)
            raise ValueError(
                f"{path} belongs to a run with another configuration: {told}. Give another folder, or "
                "the configuration that the run was started with."
            )
        self.model.load_state_dict(saved["model"])
        self.average.weights = saved["average"]
        self.optimizer.load_state_dict(saved["optimizer"])
        files.set_random_state(saved["random"])
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
