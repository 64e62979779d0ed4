"""A run's folder: only what a run has made is replaced, and what was damaged there is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training_fixtures import rows, write_rows
from training.checkpoints import MANIFEST, newest, publish
from training.config import Config, make_config
from training.errors import TrainingError
from training.output import alone, begin, check_output, check_place
from training.runlog import FILE, RunLog, read_log

SCRATCH = {"vocabulary": 400, "hidden": 64, "layers": 2, "heads": 2, "steps": 3}


def settings(folder: Path, **changed: Any) -> Config:
    data = write_rows(folder / "data/train.jsonl", rows(4)).parent
    places = {"dataset": str(data), "output": str(folder / "run")}
    return make_config({**places, "scratch": SCRATCH, **changed})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_base_that_lies_where_a_run_is_to_go_stays_as_it_is(run: Path) -> None:
    (run / "base").mkdir()
    (run / "base/NOTES.txt").write_text("mine")
    config = settings(run.parent, scratch=None, base=str(run / "base"))
    check_place(config)
    begin(config, run, resume=False)
    assert (run / "base/NOTES.txt").read_text() == "mine"
    (run / "config.yaml").unlink()
    building = settings(run.parent)
    for resume in (False, True):  # a base is built there
        with pytest.raises(TrainingError, match="run/base is not what a run has made"):
            begin(building, run, resume=resume)
    assert (run / "base/NOTES.txt").read_text() == "mine"


def test_the_base_of_a_run_that_came_to_nothing_is_built_anew(run: Path) -> None:
    config = settings(run.parent)
    begin(config, run, resume=False)
    (run / ".base").mkdir()
    (run / ".base/model").write_text("half trained")
    publish(run / ".base", run / "base")
    begin(config, run, resume=False)
    assert not (run / "base").exists()


def test_settings_that_somebody_wrote_there_are_not_replaced(run: Path) -> None:
    (run / "config.yaml").write_text("# mine\nlora: {r: 8}\n")
    for config in (settings(run.parent), settings(run.parent, lora={"r": 8})):
        with pytest.raises(TrainingError, match=r"config\.yaml is not what a run has made"):
            begin(config, run, resume=False)
    assert (run / "config.yaml").read_text().startswith("# mine")


def test_settings_that_the_hub_noted_there_are_those_of_the_run(run: Path) -> None:
    config = settings(run.parent)
    begin(config, run, resume=False)
    begin(config, run, resume=False)
    RunLog(run)("failed", reason="the base is not there")
    begin(settings(run.parent, lora={"r": 8}), run, resume=False)


@pytest.mark.parametrize("content", [b"", b"[]", b"a: [", b"\xff\xfe\x00"])
def test_damaged_settings_end_a_resume_with_a_sentence(content: bytes, run: Path) -> None:
    config = settings(run.parent)
    begin(config, run, resume=False)
    RunLog(run)("start")
    (run / "config.yaml").write_bytes(content)
    with pytest.raises(TrainingError, match=r"config\.yaml .*name another output"):
        check_output(config, run, resume=True)


@pytest.mark.parametrize("name", ["MANIFEST.json", "adapter_model.safetensors"])
def test_an_adapter_of_another_program_stays_and_a_damaged_one_of_a_run_is_made_again(
    name: str, run: Path
) -> None:
    (run / "adapter").mkdir()
    (run / "adapter" / name).write_text("damaged, or of another program")
    config = settings(run.parent)
    if name == "MANIFEST.json":
        check_place(config)
    else:
        with pytest.raises(TrainingError, match="run/adapter is not what a run has made"):
            check_place(config)


def test_a_file_in_place_of_the_checkpoints_is_named(run: Path) -> None:
    (run / "checkpoints").write_text("x")
    with pytest.raises(TrainingError, match="run/checkpoints is not what a run has made"):
        check_place(settings(run.parent))


def test_a_place_where_another_process_trains_is_said_to_be_taken(run: Path) -> None:
    config = settings(run.parent)
    with alone(run), pytest.raises(TrainingError, match="another process is training into"):
        check_place(config)
    check_place(config)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "3",
        "null",
        '{"step": 1}',
        "{",
        "[" * 100_000,
        '{"event": 5}',
        '{"event": "failed"}',
        '{"event": "data", "name": "train.jsonl"}',
        '{"event": "step", "step": "a", "steps": null, "loss": []}',
    ],
)
def test_a_line_of_the_log_that_is_no_event_is_passed_over(line: str, run: Path) -> None:
    RunLog(run)("start")
    with (run / FILE).open("a") as file:
        file.write(f"{line}\n")
    RunLog(run)("stop", reason="x")
    assert [event["event"] for event in read_log(run)] == ["start", "stop"]


@pytest.mark.parametrize(
    ("manifest", "state"),
    [({"files": {}}, ""), (None, ""), (None, "[]"), (None, "{}"), (None, "\x00")],
)
def test_a_checkpoint_without_a_state_is_set_aside_however_right_its_digests_are(
    manifest: dict[str, Any] | None, state: str, run: Path
) -> None:
    for step, text in ((1, json.dumps({"global_step": 1})), (2, state)):
        (run / ".partial").mkdir()
        (run / ".partial/trainer_state.json").write_text(text)
        publish(run / ".partial", run / f"checkpoint-{step}")
    if manifest is not None:
        (run / "checkpoint-2" / MANIFEST).write_text(json.dumps(manifest))
    found, damaged = newest(run)
    assert found == run / "checkpoint-1"
    assert list(damaged) == ["checkpoint-2"]
    assert (run / "damaged-checkpoint-2").is_dir()
