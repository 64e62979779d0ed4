"""``python -m training``: exit statuses, and a dry run that finds what would fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.training_fixtures import rows, write_rows
from training import hardware
from training.__main__ import main
from training.config import load_config, setting
from training.runlog import read_log


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "data/train.jsonl", rows(20)).parent


def command(dataset: Path, tmp_path: Path, *options: str) -> list[str]:
    places = ["--dataset", str(dataset), "--output", str(tmp_path / "run")]
    return ["scratch-tiny", *places, *options]


def test_settings_that_cannot_be_used_end_with_two_and_are_all_named(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("train.epoch=1", "train.strategy=epoch", "train.save_steps=7", "scratch.heads=5")
    options = [part for setting in given for part in ("--set", setting)]
    assert main(command(dataset, tmp_path, *options, "--base", "team/base")) == 2
    said = capsys.readouterr().err
    for part in (
        "did you mean 'epochs'?",
        "train.save_steps is given, but train.strategy is 'epoch'",
        "base = 'team/base' and scratch: a run has one base",
        "is no even multiple of scratch.heads = 5",
    ):
        assert part in said, said
    assert not (tmp_path / "run").exists()


def test_a_dry_run_checks_everything_and_writes_nothing(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(dataset, tmp_path, "--dry-run")) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].split()[1] for line in printed] == [
        "output",
        "base",
        "template",
        "rows",
        "memory",
        "disk",
        "time",
    ]
    assert "20 of 20 rows" in printed[3]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dataset", "nowhere"], "nowhere"),
        (["--set", "data.max_length=16"], "20 x longer than data.max_length = 16"),
        (["--set", "data.chat_template=gone.jinja"], "gone.jinja"),
        (["--set", "scratch=null", "--base", "no/such/base"], "no/such/base"),
        (["--set", "train.batch_size=1000000"], "FAIL memory"),
        (["--set", "train.patience=2"], "FAIL rows: .*validation.jsonl has none"),
        (["--set", "lora.target_modules=[q_proj,qproj]"], "'qproj' is no layer of the base"),
        (["--output", "{data}/train.jsonl"], "FAIL output: .* is a file: name another output"),
        (
            ["--set", "lora.target_modules=[nope]"],
            "FAIL adapter: lora.target_modules = 'nope' is no layer of the base, .* q_proj",
        ),
    ],
)
def test_a_dry_run_names_what_would_fail(
    options: list[str],
    said: str,
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    options = [option.format(data=dataset) for option in options]
    assert main(command(dataset, tmp_path, "--dry-run", *options)) == 1
    printed = capsys.readouterr().out
    assert said in printed or re.search(said, printed)
    assert "FAIL" in printed


@pytest.mark.parametrize("base", ["./no/such", "/no/such/base", "~/base", "a/b/c"])
def test_a_folder_that_is_not_there_is_called_so(
    base: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--set", "scratch=null", "--base", base, "--dry-run"]
    assert main(command(dataset, tmp_path, *options)) == 1
    assert f"the base {base!r} is no folder that is there" in capsys.readouterr().out


def test_a_run_tries_what_a_dry_run_tries_and_starts_without_that_only_when_told_to(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["scratch.hidden=64", "scratch.layers=1", "scratch.steps=1", "train.max_steps=1"]
    tiny += ["train.precision=fp32", "data.max_length=64"]
    options = [part for value in tiny for part in ("--set", value)]
    huge = ["--set", "train.batch_size=1000000"]
    assert main(command(dataset, tmp_path, *options, *huge)) == 1
    assert "FAIL memory" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    begun = tmp_path / "begun/run"  # as the hub makes it, and reads its log
    begun.mkdir(parents=True)
    assert main(command(dataset, begun.parent, *options, *huge)) == 1
    assert not list(begun.iterdir())  # any folder may be there; only a run's gets a log
    places = {"dataset": str(dataset), "output": str(begun), "train.batch_size": 1000000}
    given = places | dict(map(setting, tiny))
    noted = yaml.safe_dump(load_config("scratch-tiny", given).model_dump(), sort_keys=False)
    (begun / "config.yaml").write_text(noted)
    assert main(command(dataset, begun.parent, *options, *huge)) == 1
    (event,) = read_log(tmp_path / "begun/run")
    assert (event["event"], event["reason"].split(":")[0]) == ("failed", "memory")
    capsys.readouterr()
    assert main(command(dataset, tmp_path, *options, *huge, "--no-checks")) == 0
    assert (tmp_path / "run/adapter/adapter_model.safetensors").is_file()
    assert "memory:" not in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
@pytest.mark.parametrize("given", ["", "glibc.malloc.arena_max=2"])
def test_a_process_that_trains_starts_once_more_with_a_malloc_that_does_not_grow(
    given: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nprint('started', os.environ.get('GLIBC_TUNABLES', ''), flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "GLIBC_TUNABLES": given}
    command = [sys.executable, "-m", "training", "--help"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    first, second, *others = (x for x in ran.stdout.splitlines() if x.startswith("started"))
    assert first.removeprefix("started").strip() == given
    assert second.removeprefix("started").strip() == f"{given}:{hardware.TUNABLES}".strip(":")
    assert not others
