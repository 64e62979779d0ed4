"""How fast a run will be: a few of its steps, made before it, that leave nothing behind."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from training import hardware
from training.errors import TrainingError
from training.output import Stop
from training.prepare import prepare
from training.runlog import RunLog, read_log
from training.sft import trainer_of

if TYPE_CHECKING:
    from training.config import Config


@dataclass(frozen=True, slots=True)
class Speed:
    """Of the measured steps; ``peak_bytes`` is the most memory that they held."""

    tokens_per_second: float
    peak_bytes: int


def measure(config: Config, steps: int) -> Speed:
    """Train ``steps`` batches of the run and one before them that is not timed.

    They are made in a temporary folder. A base that the run would build is built with one step:
    how well it was trained does not change how fast it is.

    Raises:
        TrainingError: the steps cannot be made; says why.
    """
    scratch = config.scratch and config.scratch.model_copy(update={"steps": 1})
    data = config.data.model_copy(update={"evaluation": ""})
    run = config.train.model_copy(
        update={"max_steps": steps + 1, "epochs": steps + 1, "accumulation": 1, "patience": 0}
        | {"log_steps": 1, "out_of_memory": "stop"}
    )
    with tempfile.TemporaryDirectory(prefix="patternhub-measure-") as name:
        changed = {"output": name, "scratch": scratch, "data": data, "train": run}
        tried = config.model_copy(update=changed)
        log = RunLog(Path(name))
        try:
            trainer = trainer_of(tried, prepare(tried, log), log, Stop())
            trainer.args.save_strategy = "no"
            trainer.train()
        except (OSError, ValueError, KeyError, RuntimeError, MemoryError, SafetensorError) as error:
            what = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0]
            raise TrainingError(f"the base {config.base or 'to be built'}: {what}") from error
        timed = [event for event in read_log(Path(name)) if event["event"] == "step"]
    # The first step waits for what is only done once.
    speeds = [event["tokens_per_second"] for event in timed[1:] or timed]
    return Speed(statistics.harmonic_mean(speeds), hardware.peak_memory())
