"""The training loop: batches in, a trained model out, and nothing lost when the machine goes away."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from vggt_lite.config import TrainConfig
from vggt_lite.data.batches import BatchSource
from vggt_lite.losses.multitask import multitask_loss
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.research import distributed
from vggt_lite.training.clipping import clip_by_part
from vggt_lite.training.grad_accumulation import loss_and_gradients
from vggt_lite.training.log import Log
from vggt_lite.training.schedule import learning_rate
from vggt_lite.training.state import TrainState
from vggt_lite.utils.runtime import progress, seed_everything

PATIENCE = 10  # steps in a row that may be skipped before the run stops


@dataclass(frozen=True)
class TrainResult:
    """What `train` leaves behind. The model itself holds the averaged weights."""

    step: int  # steps done
    finished: bool  # False: time ran out; call `train` again to go on
    checkpoint: Path
    log: Path  # JSON lines; read with `read_log`


def train(
    model: nn.Module,
    data: BatchSource,
    config: TrainConfig,
    folder: Path | str,
    *,
    max_seconds: float | None = None,
    resume: bool = True,
    watch: Callable[[nn.Module], dict] | None = None,
) -> TrainResult:
    """Train a model, or go on where an interrupted run in `folder` left off.

    Killed at any moment and called again with the same arguments, it ends with the same numbers as a
    run that was never interrupted (bit by bit on the same machine).

    Several processes that have joined (`distributed.init`) share the scenes of every batch; what they lower
    is the loss of the whole batch, and the numbers are one process's up to rounding.

    Args:
        model: Trained in place, on the device where it is. Afterwards it holds the averaged weights
            (`config.ema_decay`), in parts if it is divided among processes; the checkpoint keeps both whole.
        data: Gives the batch of each step, normalised; the whole batch, in every process.
        config: Steps, optimiser, losses.
        folder: Receives checkpoints and `log.jsonl`.
        max_seconds: Stop after so long, with a checkpoint; call again to go on.
        resume: Continue the run found in `folder`. With False, a run found there is an error.
        watch: Called at every checkpoint with the averaged model; what it returns goes into the log.

    Raises:
        ValueError: The run in `folder` was started with another configuration, or `resume` is False; or a
            batch has fewer scenes than there are processes.
        FloatingPointError: Ten steps in a row gave a loss or gradient that is not finite.
    """
    started = time.monotonic()
    distributed.check_scenes(
        config.max_images // config.views[1], f"a batch of {config.views[1]}-view scenes"
    )
    seed_everything(config.seed + distributed.rank())  # before the state, which puts back a checkpoint's
    state = TrainState(model, config, folder, resume)
    log = Log(state.folder / "log.jsonl", state.step)
    step = TrainStep(model, state, config)
    bar = progress(total=config.steps, initial=state.step, desc="train", unit="step")
    while state.step < config.steps:
        skipped = step(distributed.shard_batch(data.batch_for_step(state.step)))
        state.step += 1
        bar.update()
        last = state.step == config.steps
        out_of_time = max_seconds is not None and distributed.any_rank(
            time.monotonic() - started > max_seconds
        )
        if skipped:
            report_skip(state, log, skipped)
        if state.step % config.log_every == 0 or last:
            line = state.meter.read()
            log.write(state.step, {**line, "seconds": round(time.monotonic() - started, 1)})
            bar.set_postfix({k: f"{v:.3f}" for k, v in line.items() if "/" not in k and k != "rate"})
        if (state.step % config.checkpoint_every == 0 or last or out_of_time) and not state.skipped_in_row:
            if watch is not None:
                log.write(state.step, {"watch": state.with_average(watch)})
            state.save()
        if out_of_time:
            break
    bar.close()
    if state.checkpoint is None:
        state.save()
    state.average.copy_to(model)
    return TrainResult(state.step, state.step == config.steps, state.checkpoint, log.path)


class TrainStep:
    """One step: forward, loss, backward, clipping, optimiser, average.

    Called with a batch, it returns the names of what was not finite; if there are any, the step left
    the model as it was.
    """

    def __init__(self, model: nn.Module, state: TrainState, config: TrainConfig) -> None:
        self.model, self.state, self.config = model, state, config
        self.device = next(model.parameters()).device
        self.patch_size = model.config.patch_size
        model.train()
        model.gradient_checkpointing = config.gradient_checkpointing

    def __call__(self, batch: SceneBatch) -> list[str]:
        state, config = self.state, self.config
        rate = learning_rate(state.step / config.steps, config.learning_rate, config.warmup)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.zero_grad(set_to_none=True)
        batch = batch.to(self.device)
        total, terms = loss_and_gradients(self.forward, self.objective, batch, config.accumulation)
        if not torch.isfinite(total):
            return [name for name, term in terms.items() if not torch.isfinite(term).all()] or ["loss"]
        norms = clip_by_part(state.parts, config.clip_norm)
        if not torch.isfinite(torch.stack(list(norms.values()))).all():
            return [f"gradient of {part}" for part, norm in norms.items() if not torch.isfinite(norm)]
        state.optimizer.step()
        state.average.update(self.model, state.step)
        norms = {f"norm/{part}": norm for part, norm in norms.items()}
        state.meter.add({"loss": total, **terms, **norms, "rate": torch.tensor(rate)})
        state.skipped_in_row = 0
        return []

    def forward(self, batch: SceneBatch):
        """Predictions, in bfloat16 where the device computes faster in it (the heads choose float32)."""
        asks_tracks = "track" in self.config.loss_weights and batch.tracks is not None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            return self.state.network(batch.images, batch.tracks[:, 0] if asks_tracks else None)

    def objective(self, predictions, batch: SceneBatch) -> tuple[Tensor, dict[str, Tensor]]:
        with distributed.whole_batch():
            return multitask_loss(
                predictions, batch, self.config.loss_weights, self.config.loss_form, self.patch_size
            )


def report_skip(state: TrainState, log: Log, names: list[str]) -> None:
    """Record a skipped step; give up after ten in a row."""
    log.write(state.step, {"skipped": names})
    state.skipped_in_row += 1
    if state.skipped_in_row >= PATIENCE:
        good = f"the last good checkpoint is {state.checkpoint}" if state.checkpoint else "none was written"
        raise FloatingPointError(
            f"{PATIENCE} steps in a row were skipped, the last one (step {state.step}) because of "
            f"{', '.join(names)}: not finite. Stopped; {good}. Try a lower learning_rate than "
            f"{state.config.learning_rate:g}, or look for NaN in the data."
        )
