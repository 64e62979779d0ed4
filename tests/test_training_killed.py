"""A run that is killed, again and again, ends with the weights of one that never was."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.training_fixtures import rows, write_rows
from training.checkpoints import problems
from training.config import make_config
from training.runlog import read_log
from training.sft import train

KILLS = 20
SAVE_STEPS = 3
pytestmark = pytest.mark.slow


def run(settings: dict[str, Any], resume: bool) -> None:
    train(make_config(settings), resume=resume)


def went_on(events: list[dict[str, Any]]) -> bool:
    """Whether a resumed process has come past the choice of its checkpoint."""
    return any(event["event"] in {"step", "done"} for event in events)


def test_after_kills_at_random_moments_no_weight_differs_and_no_adapter_is_lost(
    tmp_path: Path,
) -> None:
    write_rows(tmp_path / "data/train.jsonl", rows(30))
    write_rows(tmp_path / "data/validation.jsonl", rows(4))
    settings: dict[str, Any] = {
        "dataset": str(tmp_path / "data"),
        "output": str(tmp_path / "whole"),
        "scratch": {"vocabulary": 400, "hidden": 64, "layers": 2, "heads": 2, "steps": 5},
        "data": {"max_length": 128, "packing": False},
        "lora": {"r": 4, "dropout": 0.1, "target_modules": "all-linear"},
        "train": {
            "epochs": 3,
            "learning_rate": 2e-3,
            "batch_size": 2,
            "accumulation": 2,
            "strategy": "steps",
            "save_steps": SAVE_STEPS,
            "eval_steps": 6,
        },
    }
    # Children of a process that has imported everything, so that most of their life is training.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["trl", "peft", "bitsandbytes", "training.sft"])

    def start(output: Path, resume: bool) -> Any:
        child = context.Process(target=run, args=(settings | {"output": str(output)}, resume))
        child.start()
        return child

    start(tmp_path / "whole", False).join()
    expected = load_file(tmp_path / "whole/adapter/adapter_model.safetensors")
    draw, kills, runs, recomputed = random.Random(0), 0, 0, []
    while kills < KILLS:
        runs += 1
        output = tmp_path / f"run{runs}"
        child = start(output, False)
        while True:
            events = len(read_log(output))
            goal = events + draw.randint(1, 20)
            while child.is_alive() and len(read_log(output)) < goal:
                time.sleep(0.01)
            time.sleep(draw.random() * 0.3)
            if not child.is_alive():
                break
            child.kill()
            child.join()
            kills += 1
            if (output / "adapter").is_dir():  # on its way out: there is nothing to go on with
                break
            before = max((e["step"] for e in read_log(output) if e["event"] == "step"), default=0)
            seen = len(read_log(output))
            child = start(output, True)
            while child.is_alive() and not went_on(read_log(output)[seen:]):
                time.sleep(0.01)
            goes_on = [e["step"] for e in read_log(output)[seen:] if e["event"] == "resume"]
            recomputed.append(before - (goes_on[0] if goes_on else 0))
        child.join()
        assert child.exitcode in {0, -signal.SIGKILL}
        assert problems(output / "adapter") == []
        found = load_file(output / "adapter/adapter_model.safetensors")
        assert found.keys() == expected.keys()
        assert all((found[name] == expected[name]).all() for name in found)
    assert max(recomputed) <= SAVE_STEPS
    print(f"{kills} kills in {runs} runs; steps computed again: {sorted(recomputed)}")  # noqa: T201
