"""The training loop: batches in, a trained model out, and nothing lost when the machine goes away."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from vggt_lite.config import TrainConfig
from vggt_lite.losses.multitask import multitask_loss
from vggt_lite.losses.scene_batch import SceneBatch
from vggt_lite.model.predictions import Predictions
from vggt_lite.training.clipping import clip_by_part
from vggt_lite.training.grad_accumulation import Objective, loss_and_gradients
from vggt_lite.training.identity import run_identity
from vggt_lite.training.log import Log, mean_of
from vggt_lite.training.schedule import learning_rate
from vggt_lite.training.state import TrainState
from vggt_lite.training.workers import Alone
from vggt_lite.utils.cheaper_steps import Float32Attention, decode_views, draw_views
from vggt_lite.utils.guards import check_limit, only_run_in, stop_signals
from vggt_lite.utils.runtime import progress, seed_everything

PATIENCE = 10  # steps in a row that may be skipped before the run stops


class BatchSource(Protocol):
    """Where training scenes come from: a function of the step alone, so that resuming is exact."""

    def batch_for_step(self, step: int) -> SceneBatch: ...


@dataclass(frozen=True)
class TrainResult:
    """What `train` leaves behind. The model itself holds the averaged weights."""

    step: int  # steps done
    trained: int  # of these, in this call; 0 if the run had finished before
    finished: bool  # False: time ran out; call `train` again to go on
    checkpoint: Path
    log: Path  # JSON lines; read with `read_log`


def train(
    model: nn.Module,
    data: BatchSource,
    config: TrainConfig,
    folder: Path | str,
    *,
    objective: Objective | None = None,
    dtype: torch.dtype | None = None,
    eval_fn: Callable[[nn.Module], dict] | None = None,
    max_seconds: float | None = None,
    resume: bool = True,
    identity: dict[str, str] | None = None,
    workers: Alone | None = None,
) -> TrainResult:
    """Train a model, or go on where an interrupted run in `folder` left off.

    Killed at any moment and called again with the same arguments, it ends with the same numbers as a
    run that was never interrupted (bit by bit on the same machine).

    Args:
        model: Trained in place, on the device where it is. Afterwards it holds the averaged weights
            (`config.ema_decay`).
        data: Gives the batch of each step, normalised.
        config: Steps, optimiser, losses.
        folder: Receives checkpoints and `log.jsonl`.
        objective: What to lower: any function of (predictions, batch) that returns the loss () and a
            dictionary of terms for the log. None is `multitask_loss` with the weights of `config`.
        dtype: Of matrix products; None is float32. The heads choose float32 themselves where they need it.
        eval_fn: Called at every checkpoint with the averaged model; what it returns goes into the log.
        max_seconds: Stop after so long, with a checkpoint; call again to go on.
        resume: Continue the run found in `folder`. With False, a run found there is an error.
        identity: What else must not change between two calls. The code, and the classes and settings of
            model, data and objective are always compared (`run_identity`).
        workers: The processes that train together, from `research.distributed.init`. Each gives `data` that
            makes its own scenes; what is lowered is the mean of their losses.

    Raises:
        ValueError: The run in `folder` was started with something else, or `resume` is False, or another
            process trains there.
        FloatingPointError: Ten steps in a row gave a loss or gradient that is not finite, or weights are not.
        OSError: A file could not be written; with room for it, the same call goes on.
        KeyboardInterrupt: After a checkpoint, on Ctrl-C or SIGTERM; a second one does not wait for it.
    """
    check_limit(max_seconds)
    started, workers = time.monotonic(), workers or Alone()
    identity = run_identity(model, data, objective or multitask_loss, **(identity or {}))
    objective = objective or default_objective(model, config)
    seed_everything(config.seed + workers.rank)  # before the state, which puts back a checkpoint's
    writes = workers.rank == 0  # of several processes only the first
    with only_run_in(folder) if writes else nullcontext(), stop_signals() as stop:
        state = TrainState(model, config, folder, resume, identity, workers)
        log = Log(state.folder / "log.jsonl", state.step, writes)
        step, first = TrainStep(state, objective, dtype), state.step
        if first == config.steps and writes:
            print(f"{state.folder} holds this run, finished before: nothing was trained.")
        bar = progress(total=config.steps, initial=state.step, desc="train", unit="step")
        while state.step < config.steps:
            skipped = step(data.batch_for_step(state.step))
            state.step += 1
            bar.update()
            last = state.step == config.steps
            seconds = time.monotonic() - started
            over = workers.any_rank(bool(stop) or (max_seconds is not None and seconds > max_seconds))
            if skipped:
                report_skip(state, log, skipped)
            if state.step % config.log_every == 0 or last:
                line = mean_of(workers.gather(state.meter.read()))
                log.write(state.step, {**line, "seconds": round(seconds, 1)})
                bar.set_postfix({k: f"{v:.3f}" for k, v in line.items() if "/" not in k and k != "rate"})
            if (state.step % config.checkpoint_every == 0 and not state.skipped_in_row) or last or over:
                if eval_fn is not None:
                    log.write(state.step, {"eval": state.with_average(eval_fn)})
                state.save()
            if over:
                break
        bar.close()
    done = state.step == config.steps
    if stop and not done:
        raise KeyboardInterrupt(
            f"stopped at step {state.step}; the same call goes on from {state.checkpoint}"
        )
    state.average.copy_to(model)
    return TrainResult(state.step, state.step - first, done, state.checkpoint, log.path)


def default_objective(model: nn.Module, config: TrainConfig) -> Objective:
    """`multitask_loss` with the weights and the form that `config` names."""
    settings = {"form": config.loss_form, "patch_size": model.config.patch_size}
    return partial(multitask_loss, weights=config.loss_weights, **settings)


class TrainStep:
    """One step: forward, loss, backward, clipping, optimiser, average.

    Called with a batch, it returns the names of what was not finite; if there are any, the step left
    the model as it was.
    """

    def __init__(self, state: TrainState, objective: Objective, dtype: torch.dtype | None = None) -> None:
        self.state, self.objective, self.dtype = state, objective, dtype or torch.float32
        self.model, self.config, self.workers = state.model, state.config, state.workers
        self.device = next(self.model.parameters()).device
        self.model.train()
        self.model.gradient_checkpointing = self.config.gradient_checkpointing

    def __call__(self, batch: SceneBatch) -> list[str]:
        state, config = self.state, self.config
        rate = learning_rate(state.step / config.steps, config.learning_rate, config.warmup)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.zero_grad(set_to_none=True)
        batch = batch.to(self.device)
        total, terms, finite = loss_and_gradients(
            self.forward, self.objective, batch, config.accumulation, self.workers
        )
        if not finite:
            terms = {"loss": total, **terms}
            found = self.workers.gather([k for k, x in terms.items() if not torch.isfinite(x).all()])
            return sorted({name for names in found for name in names})
        norms = clip_by_part(state.parts, config.clip_norm)
        norms = {part: self.workers.full_tensor(norm) for part, norm in norms.items()}
        if not torch.isfinite(torch.stack(list(norms.values()))).all():
            return [f"gradient of {part}" for part, norm in norms.items() if not torch.isfinite(norm)]
        state.optimizer.step()
        state.average.update(self.model, state.step)
        norms = {f"norm/{part}": norm for part, norm in norms.items()}
        state.meter.add({"loss": total, **terms, **norms, "rate": rate})
        state.skipped_in_row = 0
        return []

    def forward(self, batch: SceneBatch) -> Predictions:
        """Predictions; points are tracked where the batch has tracks and the model a head for them."""
        tracked = batch.tracks is not None and getattr(self.model, "track_head", True) is not None
        rounded = self.dtype != torch.float32
        autocast = torch.autocast(self.device.type, self.dtype, enabled=rounded)
        attention = Float32Attention() if rounded and self.device.type == "cpu" else nullcontext()
        views = draw_views(batch.images, self.config.dense_views)
        with autocast, attention, decode_views(self.model, views):
            pred = self.state.network(batch.images, batch.tracks[:, 0] if tracked else None)
        pred.dense_views = views
        return pred


def report_skip(state: TrainState, log: Log, names: list[str]) -> None:
    """Record a skipped step; give up after ten in a row."""
    log.write(state.step, {"skipped": names})
    state.skipped_in_row += 1
    if state.skipped_in_row >= PATIENCE:
        raise FloatingPointError(
            f"{PATIENCE} steps in a row were skipped, the last one (step {state.step}) because of "
            f"{', '.join(names)}: not finite. Stopped; {state.last_good()}. Try a lower learning_rate than "
            f"{state.config.learning_rate:g}, or look for NaN in the data."
        )
