"""TRL's SFTTrainer with checkpoints that cannot be half, and a run that stops in good time.

A factory, for the class derives from one whose import takes seconds.
"""

from __future__ import annotations

import math
import shutil
import time
from typing import TYPE_CHECKING, Any

from training.checkpoints import PREFIX, STATE, prune, publish
from training.errors import TrainingError
from training.hardware import peak_memory
from training.output import INTERRUPTED
from training.processes import any_of, first, is_first, wait

if TYPE_CHECKING:
    from pathlib import Path

    from training.config import Train
    from training.output import Stop
    from training.runlog import RunLog

SMOOTHING = 0.8  # weight of the past in the smoothed loss


def trainer_class() -> Any:
    """SFTTrainer whose checkpoints are published, verified folders."""
    import torch
    from trl import SFTTrainer

    class Trainer(SFTTrainer):  # type: ignore[misc]
        """``log``, ``checkpoints`` and ``keep`` are set by who builds it."""

        log_event: RunLog
        checkpoints: Path
        keep: int
        _partial: Path | None = None

        def _get_output_dir(self, trial: Any) -> str:
            return str(self._partial) if self._partial else super()._get_output_dir(trial)

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            step = self.state.global_step
            for name, weight in model.named_parameters():
                if weight.requires_grad and not torch.isfinite(weight).all():
                    raise TrainingError(
                        f"{name} is not finite at step {step}; {_advice(self.args.learning_rate)}"
                    )
            self._partial = self.checkpoints / ".partial"
            with first():
                if is_first():
                    shutil.rmtree(self._partial, ignore_errors=True)
            folder = self._partial / f"{PREFIX}{step}"
            try:
                # Past SFTTrainer's own, which writes a model card each time.
                super(SFTTrainer, self)._save_checkpoint(model, trial)
                wait()
                if is_first():
                    # It names the folder's present place, and would be called lost on a resume.
                    self.state.best_model_checkpoint = None
                    self.state.save_to_json(str(folder / STATE))
                    publish(folder, self.checkpoints / folder.name)
                    prune(self.checkpoints, self.keep, self.state.best_global_step)
                wait()
            except TrainingError:
                raise
            except Exception as error:  # tokenizers raise nothing narrower when a disk is full
                shutil.rmtree(self._partial, ignore_errors=True)
                free = shutil.disk_usage(self.checkpoints).free
                raise TrainingError(
                    f"the checkpoint of step {step} cannot be saved in {self.checkpoints}, where "
                    f"{free / 1e6:.0f} MB are free: {error}; make room and go on with --resume"
                ) from error
            finally:
                self._partial = None
            self.log_event("save", step=step)

        def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
            """PEFT brings an adapter back in fp32, whatever it was trained and saved in."""
            kinds = {n: p.dtype for n, p in self.model.named_parameters() if p.requires_grad}
            super()._load_from_checkpoint(checkpoint, model)
            for name, weight in self.model.named_parameters():
                if name in kinds:
                    weight.data = weight.data.to(kinds[name])

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss is {float(loss)} in step {self.state.global_step + 1}; "
                    f"{_advice(self.args.learning_rate)}"
                )
            return loss

    return Trainer


def watch(train: Train, log: RunLog, stop: Stop) -> Any:
    """A callback that logs each step, and ends a run that diverges, stands still or is told to."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):  # type: ignore[misc]
        """Keeps the time and the smoothed loss of this process alone."""

        def __init__(self) -> None:
            self.began, self.began_at = time.monotonic(), 0
            self.last, self.tokens = self.began, 0.0
            self.smooth = math.nan
            self.ends = False  # decided once a step, by all processes

        def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            self.began = self.last = time.monotonic()
            self.began_at = state.global_step

        def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
            stop.check_time()
            ends_epoch = train.strategy == "epoch" and float(state.epoch).is_integer()
            self.ends = any_of(bool(stop.reason))
            if self.ends:
                stop.reason = stop.reason or INTERRUPTED
            if self.ends and not ends_epoch:  # else it is evaluated and saved first
                control.should_save = control.should_training_stop = True

        def on_epoch_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
            if self.ends and not float(state.epoch).is_integer():
                control.should_save = control.should_evaluate = False
            control.should_training_stop |= self.ends

        def on_log(
            self, args: Any, state: Any, _control: Any, logs: dict[str, float], **_: Any
        ) -> None:
            if "loss" not in logs:
                return
            now, done = time.monotonic(), state.global_step - self.began_at
            tokens = float(logs.get("num_tokens", 0))
            log(
                "step",
                step=state.global_step,
                steps=state.max_steps,
                epoch=round(state.epoch, 4),
                loss=logs["loss"],
                accuracy=round(logs.get("mean_token_accuracy", 0.0), 4),
                learning_rate=logs["learning_rate"],
                grad_norm=logs.get("grad_norm"),
                tokens_per_second=round((tokens - self.tokens) / max(now - self.last, 1e-9), 1),
                eta_seconds=round(
                    (now - self.began) / done * (state.max_steps - state.global_step)
                ),
                peak_bytes=peak_memory(),
            )
            self.last, self.tokens = now, tokens
            # With fp16, gradients that are no numbers are left out and the scale is lowered.
            if not args.fp16 and not math.isfinite(logs.get("grad_norm") or 0.0):
                raise TrainingError(
                    f"the gradient is {logs['grad_norm']} in step {state.global_step}; "
                    f"{_advice(train.learning_rate)}"
                )
            first = next(entry["loss"] for entry in state.log_history if "loss" in entry)
            self._check(logs["loss"], first, state.global_step)

        def _check(self, loss: float, first: float, step: int) -> None:
            past = loss if math.isnan(self.smooth) else self.smooth
            self.smooth = SMOOTHING * past + (1 - SMOOTHING) * loss
            if self.smooth > train.divergence * first:
                raise TrainingError(
                    f"the loss has risen from {first:.3f} to {self.smooth:.3f} at step {step}, "
                    f"more than {train.divergence:g} times (train.divergence); "
                    f"{_advice(train.learning_rate)}"
                )

        def on_evaluate(
            self, _args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any
        ) -> None:
            loss = metrics["eval_loss"]
            log("evaluation", step=state.global_step, loss=loss)
            if exhausted(state.log_history, train.patience):
                stop.reason = f"no better evaluation in {train.patience}"
                control.should_save = control.should_training_stop = True

    return Watch()


def exhausted(history: list[dict[str, Any]], patience: int) -> bool:
    """Whether the last ``patience`` evaluations are no better than the best before them."""
    losses = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    return 0 < patience < len(losses) and min(losses[-patience:]) >= min(losses[:-patience])


def _advice(learning_rate: float) -> str:
    return (
        f"train.learning_rate = {learning_rate:g} may be too high: lower it, or start again from "
        "the last checkpoint with other data"
    )
