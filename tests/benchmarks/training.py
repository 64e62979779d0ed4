"""A run of ours against bare TRL with the same settings, and what packing leaves unused.

    python -m tests.benchmarks.training [--steps 30] [--rows 400]

Throughput is tokens per second of processor time, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.training_fixtures import rows, write_rows
from training.config import Config, make_config
from training.output import Stop
from training.prepare import prepare
from training.runlog import RunLog, read_log
from training.scratch import build_base
from training.sft import _dataset, _trainer, train

if TYPE_CHECKING:
    from training.data import Sequence


def settings(folder: Path, output: str, steps: int, packing: bool) -> Config:
    return make_config(
        {
            "base": str(folder / "base"),
            "dataset": str(folder),
            "output": str(folder / output),
            "data": {"max_length": 512, "packing": packing},
            "quantization": None,
            "lora": {"dropout": 0.0, "target_modules": "all-linear"},
            "train": {
                "max_steps": steps,
                "batch_size": 1 if packing else 4,
                "accumulation": 1,
                "precision": "fp32",
                "optimizer": "adamw_torch",
                "strategy": "steps",
                "save_steps": 10_000,
                "eval_steps": 10_000,
                "gradient_checkpointing": False,
            },
        }
    )


def bare(config: Config, folder: Path, given: list[Sequence]) -> tuple[float, list[float]]:
    """Processor seconds of TRL's own loop on the same tokens, and the losses of its steps."""
    from peft import LoraConfig
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    run = config.train
    trainer = SFTTrainer(
        model=config.base,
        args=SFTConfig(
            output_dir=str(folder / "bare"),
            max_steps=run.max_steps,
            per_device_train_batch_size=run.batch_size,
            gradient_accumulation_steps=1,
            learning_rate=run.learning_rate,
            lr_scheduler_type=run.scheduler,
            warmup_steps=run.warmup,
            optim=run.optimizer,
            max_length=config.data.max_length,
            packing=config.data.packing,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            seed=run.seed,
            save_strategy="no",
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=_dataset(given),
        peft_config=LoraConfig(
            task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules="all-linear"
        ),
    )
    trainer.remove_callback(PrinterCallback)
    began = time.process_time()
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return time.process_time() - began, losses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rows", type=int, default=400)
    asked = parser.parse_args()
    given = rows(asked.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "train.jsonl", given)
        scratch = {"vocabulary": 1000, "hidden": 256, "layers": 4, "steps": 2}
        made = {"scratch": scratch, "dataset": name, "output": "unused"}
        build_base(make_config(made), folder / "base")
        print("| | bare TRL, s | ours, s | throughput | largest difference of a loss |")
        print("|---|---|---|---|---|")
        for packing in (False, True):
            config = settings(folder, f"ours{packing}", asked.steps, packing)
            Path(config.output).mkdir()
            prepared = prepare(config, RunLog(folder))
            seconds, losses = bare(config, folder, prepared.train)
            times: list[float] = []
            train(
                config,
                listener=lambda event, times=times: times.append(time.process_time()),
            )
            events = read_log(folder / f"ours{packing}")
            marks = dict(zip((e["event"] for e in events), times, strict=True))
            mine = [e["loss"] for e in events if e["event"] == "step"]
            spent = marks["step"] - marks["start"]
            apart = max(abs(one - other) for one, other in zip(losses, mine, strict=True))
            name = "packed" if packing else "padded"
            print(
                f"| {name} | {seconds:.1f} | {spent:.1f} | {seconds / spent:.3f}x | {apart:.2g} |"
            )
        config = settings(folder, "packing", 1, True)
        (folder / "packing").mkdir()
        log = RunLog(folder / "packing")
        trainer = _trainer(config, prepare(config, log), log, Stop())
        packed = [len(ids) for ids in trainer.train_dataset["input_ids"]]
        batches = [batch["input_ids"].shape for batch in trainer.get_train_dataloader()]
        held = sum(height * width for height, width in batches)
        print(
            f"\nPacked: {sum(packed)} tokens of rows in batches of {held} tokens "
            f"({sum(packed) / held:.1%} carry attention); sequences are "
            f"{sum(packed) / len(packed) / 512:.1%} full."
        )


if __name__ == "__main__":
    main()
