"""``patternhub train``: from a built dataset to an adapter in the registry, stopped and gone on."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hub import Hub
from hub.cli import main
from hub.terminal import training as terminal
from tests.training_fixtures import rows, write_rows
from training.checkpoints import problems, saved
from training.config import make_config
from training.process import noted
from training.scratch import build_base

STEPS = 80
SETTINGS = {
    "data.max_length": 128,
    "data.packing": "false",
    "lora.r": 4,
    "train.epochs": STEPS / 4,
    "train.batch_size": 1,
    "train.accumulation": 1,
    "train.optimizer": "adamw_torch",
    "train.gradient_checkpointing": "false",
    "train.strategy": "steps",
    "train.save_steps": 20,
    "train.eval_steps": 40,
    "quantization": "null",
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a build writes it, with the digests of its files."""
    folder = tmp_path_factory.mktemp("out")
    rows_of = write_rows(folder / "train.jsonl", rows(4))
    listed = {"train.jsonl": hashlib.sha256(rows_of.read_bytes()).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"files": listed}))
    return folder


@pytest.fixture(scope="module")
def base(dataset: Path) -> Path:
    scratch = {"vocabulary": 400, "hidden": 64, "layers": 2, "heads": 2, "steps": 5}
    made = make_config({"scratch": scratch, "dataset": str(dataset), "output": "unused"})
    return build_base(made, dataset.with_name("base"))


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    folder = tmp_path / "team"
    folder.mkdir()
    return folder


def patternhub(hub: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["--hub", str(hub), *map(str, arguments)])


def arguments(dataset: Path, base: Path) -> list[str]:
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    return ["train", str(dataset), "--base", str(base), *settings]


def train(hub: Path, dataset: Path, base: Path, *options: str) -> Result:
    return patternhub(hub, *arguments(dataset, base), *options)


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C once the follower has shown a step."""
    shown = terminal.Lines.add

    def add(self: terminal.Lines, event: dict[str, Any]) -> None:
        shown(self, event)
        if event["event"] == "step" and event["step"] == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(terminal.Lines, "add", add)


def test_ctrl_c_leaves_a_checkpoint_and_a_resumed_run_ends_in_the_registry(
    dataset: Path, base: Path, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as interrupted:
        interrupt_at(2, interrupted)
        stopped = train(hub, dataset, base, "--name", "shop")
    assert stopped.exit_code == 130, stopped.output
    (run,) = Hub.open(hub).runs.list()
    assert f"go on with: patternhub train --resume {run.id}" in stopped.stderr
    assert "ok   rows      4 of 4 rows" in stopped.stderr
    assert (run.state, run.name) == ("stopped", "shop")
    assert 0 < run.step < STEPS
    assert problems(saved(run.folder / "checkpoints")[-1]) == []

    done = patternhub(hub, "train", "--resume", "--set", "train.keep=3")
    assert done.exit_code == 0, done.output
    registry = Hub.open(hub).adapters
    adapter = registry.get("shop@0.1.0")
    assert str(registry.path(adapter)) in done.stdout
    assert "next: patternhub adapters show shop@0.1.0" in done.stdout
    assert registry.verify() == {"shop@0.1.0": []}
    assert adapter.run == run.id
    assert adapter.dataset == hashlib.sha256((dataset / "manifest.json").read_bytes()).hexdigest()

    logged = patternhub(hub, "runs", "logs", run.id, "--follow")
    told = [line.split("  ")[0] for line in logged.stdout.splitlines() if line.startswith("step ")]
    assert told == [f"step {n}/{STEPS}" for n in range(1, STEPS + 1)]
    (found,) = json.loads(patternhub(hub, "runs", "list", "--json").stdout)
    assert (found["state"], found["adapter"], found["step"]) == ("done", "shop@0.1.0", STEPS)
    assert "shop@0.1.0" in patternhub(hub, "runs", "show", run.id).stdout
    again = patternhub(hub, "train", "--resume", run.id)
    assert again.exit_code == 2
    assert "is done; its adapter is shop@0.1.0" in again.stderr


@pytest.mark.slow
def test_a_run_outlives_its_command_and_goes_on_after_a_kill(
    dataset: Path, base: Path, hub: Path
) -> None:
    (hub / "hub.toml").write_text('[training]\nname = "ours"\n')
    command = [sys.executable, "-m", "hub.cli", "--hub", str(hub), *arguments(dataset, base)]
    watching = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert watching.stderr is not None
    for line in watching.stderr:
        if line.startswith(b"step 2/"):
            watching.kill()
    watching.wait()
    runs = Hub.open(hub).runs
    (run,) = runs.list()
    assert run.state == "running"
    for event in runs.follow(run.id):
        if event["event"] == "save":
            process = noted(run.folder)
            assert process is not None
            os.kill(process.pid, signal.SIGKILL)
    assert runs.get(run.id).state == "killed"

    detached = patternhub(hub, "train", "--resume", run.id, "--detach")
    assert f"patternhub runs logs {run.id} --follow" in detached.stdout, detached.output
    refused = patternhub(hub, "train", "--resume", run.id)
    assert "is running; see patternhub runs logs" in refused.stderr
    steps = [event["step"] for event in runs.follow(run.id) if event["event"] == "step"]
    assert set(steps) == set(range(1, STEPS + 1))
    assert [a.reference for a in Hub.open(hub).adapters.list()] == ["ours@0.1.0"]


def test_a_dry_run_starts_nothing_and_a_failed_check_is_exit_status_1(
    dataset: Path, base: Path, hub: Path, tmp_path: Path
) -> None:
    dry = train(hub, dataset, base, "--dry-run")
    assert (dry.exit_code, dry.stdout.splitlines()[1][:15]) == (0, "ok   base      ")
    assert "ok   time      about " in dry.stdout
    assert " minutes: " in dry.stdout
    empty = write_rows(tmp_path / "empty/train.jsonl", []).parent
    failed = train(hub, empty, base)
    assert failed.exit_code == 1
    assert "FAIL rows      0 of 0 rows" in failed.stderr
    assert "nothing was started" in failed.stderr
    found = json.loads(train(hub, empty, base, "--dry-run", "--json").stdout)
    assert [check["name"] for check in found if not check["passed"]] == ["rows"]
    assert patternhub(hub, "runs").stdout == "no runs yet: patternhub train DATASET starts one\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["out", "--preset", "llama-9"], "there are the presets"),
        (["--resume", "x"], "no runs are called 'x'"),
        (["out", "--resume", "x"], "--resume goes on as the run began: leave out DATASET"),
        (["--dry-run", "--resume", "x"], "leave out --dry-run"),
        (["out", "--where", "space"], "under [training] in hub.toml"),
        ([], "no dataset was built here yet"),
        (["out", "--set", "train.epoch=1", "--set", "lora.rank=2"], "did you mean 'epochs'?"),
        (["out", "--set", "train.epoch=1", "--set", "lora.rank=2"], "unknown key 'lora.rank'"),
    ],
)
def test_what_cannot_be_used_is_exit_status_2(options: list[str], said: str, hub: Path) -> None:
    refused = patternhub(hub, "train", *options)
    assert refused.exit_code == 2
    assert said in refused.stderr
