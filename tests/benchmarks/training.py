"""A run of ours against bare TRL with the same settings, and what packing leaves unused.

    python -m tests.benchmarks.training [--steps 20] [--turns 4]

Both train the same tokens from the same seed, turn by turn. Throughput is tokens per second of
processor time of the loop, from its first step to its end with the save there, so that other work
on the machine does not count.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.training_fixtures import rows, write_rows
from training.config import Config, make_config
from training.hardware import length_multiple
from training.output import Stop
from training.prepare import precision_of, prepare
from training.runlog import RunLog
from training.scratch import build_base
from training.sft import _dataset, trainer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.data import Sequence

PLAIN = {
    "lora": {"dropout": 0.0, "target_modules": "all-linear"},
    "quantization": None,
    "train": {
        "accumulation": 1,
        "precision": "fp32",
        "optimizer": "adamw_torch",
        "gradient_checkpointing": False,
    },
}
REFERENCE: dict[str, Any] = {"train": {}}  # the defaults are the reference preset's values
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "padded": (PLAIN, {"max_length": 512, "packing": False}, 4),
    "packed": (PLAIN, {"max_length": 512}, 1),
    "reference": (REFERENCE, {"max_length": 256}, 2),
}


class Loop(NamedTuple):
    """Processor seconds, tokens trained, and the loss of each step."""

    seconds: float
    tokens: float
    losses: list[float]


def settings(folder: Path, name: str, steps: int) -> Config:
    values, data, batch = RUNS[name]
    given = {"base": str(folder / "base"), "dataset": str(folder), "output": str(folder / name)}
    train = {**values["train"], "max_steps": steps, "batch_size": batch, "epochs": 1000}
    train |= {"strategy": "steps", "save_steps": 10_000, "eval_steps": 10_000}
    return make_config({**values, **given, "data": data, "train": train})


def timed(trainer: Any) -> Loop:
    """Run a trainer's loop."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        began = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.process_time()

    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    seconds = time.process_time() - clock.began
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    return Loop(seconds, logged[-1]["num_tokens"], [entry["loss"] for entry in logged])


def ours(config: Config) -> Any:
    folder = Path(config.output)
    folder.mkdir(exist_ok=True)
    log = RunLog(folder)
    return trainer_of(config, prepare(config, log), log, Stop())


def bare(config: Config, given: list[Sequence]) -> Any:
    """What a user of TRL writes for the same run."""
    import torch
    from peft import LoraConfig
    from transformers import BitsAndBytesConfig
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    run, quantized = config.train, config.quantization is not None
    dtype = "bfloat16" if precision_of(config) == "bf16" else "float32"
    trainer = SFTTrainer(
        model=config.base,
        args=SFTConfig(
            output_dir=f"{config.output}-bare",
            model_init_kwargs={"dtype": dtype},
            max_steps=run.max_steps,
            per_device_train_batch_size=run.batch_size,
            gradient_accumulation_steps=run.accumulation,
            learning_rate=run.learning_rate,
            lr_scheduler_type=run.scheduler,
            warmup_steps=run.warmup,
            optim=run.optimizer,
            max_length=config.data.max_length,
            packing=config.data.packing,
            pad_to_multiple_of=length_multiple(precision_of(config), "cpu"),
            bf16=dtype == "bfloat16",
            use_cpu=True,
            gradient_checkpointing=run.gradient_checkpointing,
            seed=run.seed,
            save_strategy="steps",
            save_steps=10_000,
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=_dataset(given),
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, dtype),
        )
        if quantized
        else None,
        peft_config=LoraConfig(
            task_type="CAUSAL_LM",
            r=config.lora.r,
            lora_alpha=config.lora.alpha,
            lora_dropout=config.lora.dropout,
            target_modules=config.lora.target_modules,
        ),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def steps_to(losses: list[float], wanted: float) -> int:
    """Steps until the mean of three losses is as low as wanted."""
    means = [statistics.mean(losses[at - 2 : at + 1]) for at in range(2, len(losses))]
    return next((at + 3 for at, mean in enumerate(means) if mean <= wanted), len(losses))


def compare(folder: Path, name: str, steps: int, turns: int) -> str:
    config = settings(folder, name, steps)
    Path(config.output).mkdir()
    given = prepare(config, RunLog(Path(config.output))).train
    timed(ours(config)), timed(bare(config, given))  # what is done once is done
    pairs = [(timed(ours(config)), timed(bare(config, given))) for _ in range(turns)]
    mine, theirs = pairs[0]
    assert mine.tokens == theirs.tokens
    ratios = [other.seconds / one.seconds for one, other in pairs]
    apart = max(abs(one - other) for one, other in zip(mine.losses, theirs.losses, strict=True))
    wanted = theirs.losses[0] * 0.9
    return (
        f"| {name} | {mine.tokens:.0f} | {statistics.median(p[1].seconds for p in pairs):.1f} | "
        f"{statistics.median(p[0].seconds for p in pairs):.1f} | {statistics.median(ratios):.3f}x "
        f"({min(ratios):.3f} to {max(ratios):.3f}) | {apart:.2g} | "
        f"{steps_to(theirs.losses, wanted)}, {steps_to(mine.losses, wanted)} |"
    )


def lines() -> Iterator[str]:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--run", choices=RUNS, action="append")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "train.jsonl", rows(400))
        scratch = {"vocabulary": 1000, "hidden": 256, "layers": 4, "steps": 60}
        made = {"scratch": scratch, "dataset": name, "output": "unused"}
        build_base(make_config(made), folder / "base")
        yield "| | tokens | bare TRL, s | ours, s | throughput | largest difference of a loss "
        yield "| steps to .9 of the first loss, TRL and ours |\n|---|---|---|---|---|---|---|\n"
        for run in asked.run or RUNS:
            yield compare(folder, run, asked.steps, asked.turns) + "\n"


def main() -> None:
    for line in lines():
        print(line, end="", flush=True)


if __name__ == "__main__":
    main()
