"""A run elsewhere ends with its adapter here, whatever happened on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from hub import Hub
from hub.cli import main
from tests.remote_fixtures import ADAPTERS, REPO, live_cloud, settings, tiny
from training.adapter import base_of
from training.checkpoints import problems
from training.remote import fetch, follow, launch, load, status
from training.runlog import read_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fake_cloud import FakeCloud

BUCKET = f"{REPO}-runs"
pytestmark = pytest.mark.slow  # each trains in a program of its own


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    with live_cloud(tmp_path / "cloud", monkeypatch) as state:
        yield state


def test_a_job_trains_and_its_adapter_comes_here(cloud: FakeCloud, tmp_path: Path) -> None:
    config = tiny(tmp_path)
    run = launch(config, "job", settings(push_to=ADAPTERS))
    printed = cloud.wait(run.job)
    assert status(run).stage == "done", printed
    assert follow(run).stage == "done"
    adapter = Path(config.output) / "adapter"
    assert problems(adapter) == []
    assert Path(base_of(adapter)).parent == adapter  # it came with its base
    assert [e["step"] for e in read_log(Path(config.output)) if e["event"] == "save"] == [2, 4]
    there = cloud.names(BUCKET, "runs/run-1/checkpoints/")
    assert {name.split("/")[3] for name in there} == {"checkpoint-2", "checkpoint-4"}
    pushed = [n for n in cloud.hub.files[ADAPTERS] if n.startswith("run-1-")]
    assert {name.partition("/")[2] for name in pushed} == {
        p.relative_to(adapter).as_posix() for p in adapter.rglob("*") if p.is_file()
    }
    assert cloud.hub.token not in printed
    assert json.loads((Path(config.output) / "remote.json").read_text())["job"] == run.job


def test_a_space_trains_rests_and_is_found_by_another_process(
    cloud: FakeCloud, tmp_path: Path
) -> None:
    config = tiny(tmp_path)
    launch(config, "space", settings())
    assert cloud.spaces[REPO]["hardware"] == "t4-small"
    assert cloud.spaces[REPO]["volumes"][0]["mountPath"] == "/data"
    printed = cloud.wait(REPO)
    run = load(Path(config.output))  # the laptop was closed in between
    assert run is not None
    assert status(run).stage == "done", printed
    assert cloud.spaces[REPO]["hardware"] == "cpu-basic"  # by itself
    adapter = fetch(run)
    assert adapter is not None
    assert problems(adapter) == []


def test_the_command_trains_as_a_job_and_registers_the_adapter(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "hub"
    home.mkdir()
    section = {"space": REPO, "hardware": "t4-small", "minutes": 60}
    lines = [f"{key} = {json.dumps(value)}" for key, value in section.items()]
    (home / "hub.toml").write_text("\n".join(["[training]", *lines]))
    config = tiny(tmp_path)
    preset = tmp_path / "tiny.yaml"
    dumped = {k: v for k, v in config.model_dump().items() if k not in {"dataset", "output"}}
    preset.write_text(yaml.safe_dump(dumped))
    # What follows the run is a process of its own.
    monkeypatch.setenv("HF_ENDPOINT", cloud.hub.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    command = ["--hub", str(home), "train", config.dataset, "--where", "job"]
    result = CliRunner().invoke(main, [*command, "--preset", str(preset), "--name", "team"])
    assert result.exit_code == 0, result.output
    assert [adapter.reference for adapter in Hub.open(home).adapters.list()] == ["team@0.1.0"]
    (run,) = Hub.open(home).runs.list()
    assert run.state == "done"
