"""Several processes of one run: as `accelerate launch` starts one for each GPU, here on CPUs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.training_fixtures import rows, write_rows
from training.checkpoints import problems, saved
from training.process import noted
from training.runlog import read_log

LAUNCH = ["accelerate.commands.accelerate_cli", "launch", "--multi_gpu", "--num_processes", "2"]
OPTIONS = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
TINY = {
    "scratch.vocabulary": 400,
    "scratch.hidden": 64,
    "scratch.layers": 2,
    "scratch.heads": 2,
    "scratch.steps": 5,
    "data.max_length": 128,
    "lora.dropout": 0.1,
    "train.epochs": 4,
    "train.accumulation": 1,
    "train.save_steps": 2,
    "train.eval_steps": 4,
    "train.gradient_checkpointing": "true",
}
pytestmark = pytest.mark.slow


def start(dataset: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    places = ["--dataset", str(dataset), "--output", str(output)]
    run = ["-m", "training", "scratch-tiny", *places, *settings, *options]
    return subprocess.Popen(
        [sys.executable, "-m", *LAUNCH, *OPTIONS, *run],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_processes_train_one_adapter_and_go_on_to_the_very_same_weights(tmp_path: Path) -> None:
    dataset = write_rows(tmp_path / "data/train.jsonl", rows(24)).parent
    write_rows(dataset / "validation.jsonl", rows(4))
    whole = start(dataset, tmp_path / "whole")
    told, _ = whole.communicate()
    assert whole.returncode == 0, told
    assert problems(tmp_path / "whole/adapter") == []
    events = read_log(tmp_path / "whole")
    assert [e["step"] for e in events if e["event"] == "step"] == list(range(1, 13))
    (began,) = [e for e in events if e["event"] == "start"]
    assert began["processes"] == 2

    output = tmp_path / "run"
    stopped = start(dataset, output)
    assert stopped.stdout is not None
    for line in stopped.stdout:
        if line.startswith("step 5/"):  # the first process alone is told; the other ends with it
            process = noted(output)
            assert process is not None
            os.kill(process.pid, signal.SIGTERM)
    assert stopped.wait() != 0
    last = saved(output / "checkpoints")[-1]
    assert problems(last) == []
    assert len(list(last.glob("rng_state_*"))) == 2
    assert read_log(output)[-1]["event"] == "stop"

    settings = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    places = ["--dataset", str(dataset), "--output", str(output), "--resume"]
    alone = subprocess.run(
        [sys.executable, "-m", "training", "scratch-tiny", *places, *settings],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "was saved by 2 processes, and this run has 1" in alone.stderr
    resumed = start(dataset, output, "--resume")
    told, _ = resumed.communicate()
    assert resumed.returncode == 0, told
    expected = load_file(tmp_path / "whole/adapter/adapter_model.safetensors")
    found = load_file(output / "adapter/adapter_model.safetensors")
    assert all((found[name] == expected[name]).all() for name in expected)
