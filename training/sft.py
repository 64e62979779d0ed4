"""Fine-tune an adapter: rows to tokens, TRL's SFTTrainer, checkpoints, and a folder at the end.

    train(load_config("scratch-tiny", {"dataset": "OUT", "output": "RUN"}))

The run's folder holds ``config.yaml``, ``run.jsonl`` (its log), ``checkpoints`` and, when and only
when it has succeeded, ``adapter``: the best checkpoint's weights with the tokenizer, the template,
what it was made from, and the digest of each file.
"""

from __future__ import annotations

import gc
import json
import math
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from training import hardware
from training.checkpoints import (
    MANIFEST,
    PREFIX,
    digest,
    newest,
    problems,
    publish,
    state_of,
    step_of,
)
from training.errors import TrainingError
from training.hugging_face import is_at_hand
from training.loop import exhausted, trainer_class, watch
from training.output import (
    ADAPTER,
    BASE,
    CHECKPOINTS,
    INTERRUPTED,
    ORIGIN,
    alone,
    begin,
    signals,
)
from training.prepare import precision_of, prepare
from training.processes import count, first, is_first
from training.runlog import FAILED, RunLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.config import Config
    from training.data import Sequence
    from training.output import Stop
    from training.prepare import Prepared
    from training.runlog import Event

STATE_FILES = (
    "optimizer.pt",
    "scheduler.pt",
    "scaler.pt",
    "rng_state*",
    "trainer_state.json",
    "training_args.bin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a run ended; ``adapter`` is None where it was told to stop, to go on with later."""

    adapter: Path | None
    steps: int
    metrics: dict[str, float]
    stopped: str = ""


def train(
    config: Config,
    *,
    resume: bool = False,
    listener: Callable[[Event], None] | None = None,
    seconds: float = 0,
) -> Result:
    """Run ``config`` to its end; with ``resume``, from where an earlier process left it.

    Args:
        config: What to train, on what, and where to.
        resume: Go on from the newest whole checkpoint; the outcome is that of a run that was
            never stopped.
        listener: Called with each event of the run's log.
        seconds: Stop after the step in which they are over, as if interrupted; 0: no limit.

    Raises:
        TrainingError: the run cannot start or go on; says why, and what to change. Checkpoints
            stay.
    """
    output = Path(config.output)
    with alone(output), signals() as stop:
        stop.until = time.monotonic() + seconds if seconds else math.inf
        with first():
            if is_first():
                begin(config, output, resume)
        log = RunLog(output, listener)
        try:
            with first():
                prepared = prepare(config, log)
            (output / CHECKPOINTS).mkdir(exist_ok=True)
            settings = config
            while (ended := _attempt(settings, prepared, log, stop)) is None:
                settings = _halved(settings, log)
            if stop.reason == INTERRUPTED:
                log("stop", reason=stop.reason)
                return Result(adapter=None, steps=ended, metrics={}, stopped=stop.reason)
            if not is_first():
                return Result(adapter=output / ADAPTER, steps=ended, metrics={})
            return _finish(config, prepared, log, stop, ended)
        except KeyboardInterrupt:
            log("stop", reason=INTERRUPTED)
            raise
        except TrainingError as error:
            log(FAILED, reason=str(error))
            raise
        except Exception as error:
            log(FAILED, reason=f"{type(error).__name__}: {error}")
            raise


def _attempt(config: Config, prepared: Prepared, log: RunLog, stop: Stop) -> int | None:
    """Train from the newest whole checkpoint; the steps done, or None to try a smaller batch.

    Raises:
        TrainingError: why the run cannot go on.
    """
    folder = Path(config.output) / CHECKPOINTS
    with first():
        start, damaged = newest(folder)
    for name, wrong in damaged.items():
        log("damaged", checkpoint=name, problems=wrong)
    if start:
        log("resume", step=step_of(start))
        state = state_of(start)
        if (before := len(list(start.glob("rng_state*")))) != count():
            raise TrainingError(
                f"{start} was saved by {before} processes, and this run has {count()}: it would "
                "not go on with the same rows; start as many as before"
            )
        if state["global_step"] >= state["max_steps"] or exhausted(
            state["log_history"], config.train.patience
        ):
            return step_of(start)
    try:
        trainer = trainer_of(config, prepared, log, stop)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"the base {prepared.base} cannot be trained so: {error}") from error
    stop.stepping = True
    try:
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        if config.train.out_of_memory == "halve" and config.train.batch_size > 1 and count() == 1:
            return None
        raise TrainingError(_memory_advice(config)) from error
    finally:
        stop.stepping = False
    return int(trainer.state.global_step)


def trainer_of(config: Config, prepared: Prepared, log: RunLog, stop: Stop) -> Any:
    """TRL's trainer with the settings of ``config``."""
    import torch
    from transformers import BitsAndBytesConfig
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTConfig

    run, precision = config.train, precision_of(config)
    dtype = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}[precision]
    quantization = None
    if config.quantization:
        four = config.quantization.bits == 4
        quantization = BitsAndBytesConfig(
            load_in_4bit=four,
            load_in_8bit=not four,
            bnb_4bit_quant_type=config.quantization.type,
            bnb_4bit_use_double_quant=config.quantization.double,
            bnb_4bit_compute_dtype=getattr(torch, dtype),
        )
    folder = Path(config.output) / CHECKPOINTS
    model_options = {"dtype": dtype, "local_files_only": is_at_hand(prepared.base)}
    if config.revision:
        model_options["revision"] = config.revision
    arguments = SFTConfig(
        output_dir=str(folder),
        model_init_kwargs=model_options,
        max_length=config.data.max_length,
        packing=config.data.packing,
        eval_packing=False,
        pad_to_multiple_of=prepared.multiple,
        num_train_epochs=run.epochs,
        max_steps=run.max_steps or -1,
        learning_rate=run.learning_rate,
        per_device_train_batch_size=run.batch_size,
        per_device_eval_batch_size=run.batch_size,
        gradient_accumulation_steps=run.accumulation,
        optim=run.optimizer,
        lr_scheduler_type=run.scheduler,
        warmup_steps=run.warmup,
        weight_decay=run.weight_decay,
        max_grad_norm=run.max_grad_norm,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=run.gradient_checkpointing,
        seed=run.seed,
        save_strategy=run.strategy,
        save_steps=run.save_steps,
        eval_strategy=run.strategy if prepared.evaluation else "no",
        eval_steps=run.eval_steps,
        metric_for_best_model="eval_loss" if prepared.evaluation else None,
        greater_is_better=False,
        logging_steps=run.log_steps,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
    )
    trainer = trainer_class()(
        model=prepared.base,
        args=arguments,
        train_dataset=_dataset(prepared.train),
        eval_dataset=_dataset(prepared.evaluation) if prepared.evaluation else None,
        processing_class=prepared.tokenizer,
        quantization_config=quantization,
        peft_config=lora_of(config),
        callbacks=[watch(run, log, stop)],
    )
    _keep_weights(trainer.model)
    if precision != "bf16":  # TRL makes a quantised base's adapter bf16, which fp16 cannot scale
        for weight in trainer.model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
    if run.max_steps > _steps_of_epochs(config, len(trainer.train_dataset)):
        trainer.args.max_steps = -1  # transformers would take it for how long the run is
    trainer.remove_callback(PrinterCallback)
    trainer.log_event, trainer.checkpoints, trainer.keep = log, folder, run.keep
    return trainer


def lora_of(config: Config) -> Any:
    """The adapter, as PEFT takes it."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=config.lora.target_modules,
    )


def _finish(config: Config, prepared: Prepared, log: RunLog, stop: Stop, ended: int) -> Result:
    """Put the adapter into place: the weights of the best checkpoint."""
    output = Path(config.output)
    last, _ = newest(output / CHECKPOINTS)
    if last is None or step_of(last) != ended:
        raise TrainingError(f"the checkpoint of step {ended} is damaged; go on with --resume")
    state = state_of(last)
    chosen = last.with_name(f"{PREFIX}{state['best_global_step'] or ended}")
    if wrong := problems(chosen):
        log("damaged", checkpoint=chosen.name, problems=wrong)
        chosen = last
    losses = [e for e in state["log_history"] if "eval_loss" in e and e["step"] <= step_of(chosen)]
    learned = [e for e in state["log_history"] if "loss" in e and e["step"] <= step_of(chosen)]
    metrics = {"loss": float(learned[-1]["loss"])} if learned else {}
    if losses:
        metrics["eval_loss"] = float(losses[-1]["eval_loss"])
    made_from = {
        "base": prepared.base,
        "dataset": prepared.dataset,
        "processes": count(),
        "config": config.model_dump(),
        "data": [report.to_json() for report in prepared.reports],
        "step": step_of(chosen),
        "steps": step_of(last),
        "metrics": metrics,
        "stopped": stop.reason,
    }
    partial = output / f".{ADAPTER}"
    try:
        size = _place(config, prepared, chosen, partial, made_from)
    except Exception as error:  # tokenizers raise nothing narrower when a disk is full
        shutil.rmtree(partial, ignore_errors=True)
        free = shutil.disk_usage(output).free
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error  # the first of all
        raise TrainingError(
            f"the adapter cannot be put into {output / ADAPTER}, where {free / 1e6:.0f} MB are "
            f"free: {why}; make room and go on with --resume"
        ) from error
    log("done", adapter=str(output / ADAPTER), step=step_of(chosen), bytes=size, metrics=metrics)
    return Result(
        adapter=output / ADAPTER, steps=step_of(last), metrics=metrics, stopped=stop.reason
    )


def _place(
    config: Config, prepared: Prepared, chosen: Path, partial: Path, made_from: dict[str, Any]
) -> int:
    """Make the adapter's folder of a checkpoint, whole or not at all; bytes of its weights.

    Raises:
        OSError: the disk is full, or cannot be written.
    """
    output = Path(config.output)
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(chosen, partial, ignore=shutil.ignore_patterns(*STATE_FILES))
    prepared.tokenizer.chat_template = prepared.template.text
    prepared.tokenizer.save_pretrained(partial)
    prepared.template.write(partial)
    base = prepared.base
    if config.scratch:  # the adapter has to outlive the run's folder, here and elsewhere
        name = digest(Path(base) / MANIFEST)[:12]
        shutil.copytree(base, partial / BASE, ignore=shutil.ignore_patterns(MANIFEST))
        base = f"scratch-{name}"
    text = json.dumps(made_from | {"base": base}, ensure_ascii=False, indent=2) + "\n"
    (partial / ORIGIN).write_text(text, encoding="utf-8")
    publish(partial, output / ADAPTER)
    return sum(f.stat().st_size for f in (output / ADAPTER).glob("adapter_model*"))


def _steps_of_epochs(config: Config, sequences: int) -> int:
    """Steps that all epochs take, as transformers counts them."""
    run = config.train
    batches = math.ceil(sequences / (run.batch_size * count()))
    return math.ceil(run.epochs * max(math.ceil(batches / run.accumulation), 1))


def _keep_weights(model: Any) -> None:
    """On a CPU with bf16, bitsandbytes repacks 4-bit weights at the first evaluation, with rounded
    scales: a resumed run would train on other weights than one that was never stopped."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _dataset(sequences: list[Sequence]) -> Any:
    from datasets import Dataset

    columns = {name: [getattr(s, name) for s in sequences] for name in ("input_ids", "labels")}
    return Dataset.from_dict(columns)


def _out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error) or "out of memory" in str(error).lower()


def _halved(config: Config, log: RunLog) -> Config:
    """Half the batch and twice the accumulation: the same rows in each step."""
    run = config.train
    half = 1 if run.batch_size % 2 else run.batch_size // 2
    accumulation = run.accumulation * run.batch_size // half
    log("memory", batch_size=half, accumulation=accumulation)
    gc.collect()
    changed = {"batch_size": half, "accumulation": accumulation}
    return config.model_copy(update={"train": run.model_copy(update=changed)})


def _memory_advice(config: Config) -> str:
    """Which setting to change, the one that costs least first."""
    run = config.train
    ways: list[str] = []
    if run.batch_size > 1:
        half = run.batch_size // 2
        ways.append(
            f"train.batch_size = {half} with train.accumulation = "
            f"{run.accumulation * run.batch_size // half} (train.out_of_memory = 'halve' does that)"
        )
    if not run.gradient_checkpointing:
        ways.append("train.gradient_checkpointing = true")
    if config.quantization is None:
        ways.append("quantization with bits = 4")
    ways.append(f"data.max_length below {config.data.max_length}")
    return f"memory ran out on {hardware.device()}; try, in this order: {'; '.join(ways)}"
