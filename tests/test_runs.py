"""A run is where its folder says it is, whoever watches; no other process is taken for it."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.config import Training
from hub.errors import HubError
from hub.run import ASKED, RECORD
from hub.runs import Runs
from hub.serving.pushing import to_push
from hub.serving.registry import Registry
from hub.terminal.training import Curve, plot, screen
from tests.training_fixtures import adapter_folder, rows, write_rows
from training.errors import TrainingError
from training.output import alone, is_locked
from training.process import FILE, Process, noted
from training.remote import RemoteRun
from training.runlog import RunLog, read_log

RUN = "20261129-101500-scratch-tiny"


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "team/.patternhub/runs", Training(preset="scratch-tiny"))


@pytest.fixture
def folder(runs: Runs) -> Path:
    """A run that has begun, and whose process is gone."""
    folder = runs.folder / RUN
    folder.mkdir(parents=True)
    record = {"name": "team", "preset": "scratch-tiny", "created": 1.0}
    (folder / RECORD).write_text(json.dumps(record))
    log = RunLog(folder)
    for step in (1, 2, 3):
        log("step", **figures(step))
    return folder


def figures(step: int) -> dict[str, Any]:
    return {
        "step": step, "steps": 9, "loss": 5.0 - step, "learning_rate": 1e-3,
        "tokens_per_second": 812.5, "eta_seconds": 90, "peak_bytes": 700_000_000,
    }  # fmt: skip


def hold(folder: Path) -> None:
    """Train, as far as others can see; SIGTERM is heard."""

    def stop(*_: object) -> None:
        RunLog(folder)("stop", reason="interrupted")
        os._exit(130)

    signal.signal(signal.SIGTERM, stop)
    with alone(folder):
        RunLog(folder)("step", **figures(4))
        while True:
            signal.pause()


@pytest.fixture
def process(folder: Path) -> Iterator[multiprocessing.Process]:
    """A process that holds the run's folder."""
    # A fork of a process with threads may crash.
    child = multiprocessing.get_context("spawn").Process(target=hold, args=(folder,))
    child.start()
    while len(read_log(folder)) < 4:
        assert child.is_alive()
        time.sleep(0.01)
    yield child
    child.kill()
    child.join()


def test_a_run_whose_process_is_gone_was_killed_and_says_what_it_printed_last(
    runs: Runs, folder: Path
) -> None:
    assert runs.get(RUN).state == "killed"
    (folder / "console.txt").write_text("step 3\nMemoryError: too much\n\n")
    (run,) = runs.list()
    assert (run.state, run.reason, run.step, run.steps) == ("killed", "MemoryError: too much", 3, 9)
    with pytest.raises(HubError, match="is not running: it is killed"):
        runs.stop(RUN)


@pytest.mark.parametrize(
    ("event", "state"), [("stop", "stopped"), ("failed", "failed"), ("save", "killed")]
)
def test_how_a_run_ended_is_what_its_log_says_last(
    event: str, state: str, runs: Runs, folder: Path
) -> None:
    RunLog(folder)("failed", reason="an earlier end")
    RunLog(folder)("resume", step=2)
    RunLog(folder)(event, reason="the reason")
    assert runs.get(RUN).state == state


def test_a_running_run_is_found_by_anyone_and_stops_when_it_is_told_to(
    runs: Runs, folder: Path, process: multiprocessing.Process
) -> None:
    assert runs.get(RUN[:9]).state == "running"
    assert is_locked(folder)
    assert runs.stop(RUN).id == RUN
    process.join()
    assert runs.get(RUN).state == "stopped"
    assert [event["event"] for event in runs.follow(RUN)] == ["step"] * 4 + ["stop"]


def test_a_run_that_was_told_to_stop_before_is_ended_at_once(
    runs: Runs, folder: Path, process: multiprocessing.Process
) -> None:
    begun = noted(folder)
    assert begun is not None
    (folder / ASKED).write_text((folder / FILE).read_text())
    runs.stop(RUN)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert runs.get(RUN).state == "stopped"


def test_a_process_that_got_the_number_of_an_ended_one_is_never_signalled(
    runs: Runs, folder: Path
) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        stale = Process(pid=other.pid, started="12345", host=Process.of(other.pid).host)
        stale.note(folder)
        assert runs.get(RUN).state == "killed"
        with pytest.raises(HubError, match="is not running"):
            runs.stop(RUN)
        with alone(folder):  # held by a process that is not the noted one
            stale.note(folder)
            with pytest.raises(HubError, match="runs on"):
                runs.stop(RUN)
        assert other.poll() is None
    finally:
        other.communicate(b"\n")


def test_a_process_of_another_machine_is_named_and_left_alone(runs: Runs, folder: Path) -> None:
    with alone(folder):
        Process(pid=os.getpid(), started="1", host="gpu-box").note(folder)
        with pytest.raises(HubError, match="runs on gpu-box: stop it there"):
            runs.stop(RUN)


def test_a_zombie_is_no_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not Process.of(child.pid).is_alive
    child.wait()


def test_a_line_that_a_killed_process_left_unfinished_takes_no_other_with_it(folder: Path) -> None:
    with (folder / "run.jsonl").open("a") as file:
        file.write('{"time": 1, "event": "st')
    RunLog(folder)("resume", step=2)
    assert [event["event"] for event in read_log(folder)] == ["step", "step", "step", "resume"]


def test_a_full_disk_ends_a_run_with_a_sentence_and_hides_no_other_reason(folder: Path) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (folder / "run.jsonl").stat().st_size
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
        with pytest.raises(TrainingError, match=r"run\.jsonl cannot be written: .*--resume"):
            RunLog(folder)("save", step=3)
        RunLog(folder)("failed", reason="the checkpoint cannot be saved")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert (folder / "run.jsonl").stat().st_size == size


def test_a_finished_adapter_is_taken_once_whoever_watched(runs: Runs, folder: Path) -> None:
    registry = Registry.open(runs.folder.parent / "adapters")
    assert runs.collect(registry) == []
    adapter_folder(folder / "adapter")
    (taken,) = runs.collect(registry)
    assert (taken.reference, taken.run) == ("team@0.1.0", RUN)
    assert runs.collect(registry) == []
    assert (runs.get(RUN).state, runs.get(RUN).adapter) == ("done", "team@0.1.0")


@pytest.mark.parametrize(("ended", "waiting"), [("done", 0), ("stopped", 1)])
def test_what_a_remote_run_pushed_itself_does_not_wait_to_be_pushed(
    ended: str, waiting: int, runs: Runs, folder: Path
) -> None:
    registry = Registry.open(runs.folder.parent / "adapters")
    adapter_folder(folder / "adapter")
    RemoteRun(
        run=RUN, folder=str(folder), where="job", repo="team/space", bucket="team/space-runs",
        hardware="t4-small", push_to="team/adapters", ended=ended,
    ).save()  # fmt: skip
    assert len(runs.collect(registry)) == 1
    assert len(to_push(registry, "team/adapters")) == waiting
    assert len(to_push(registry, "team/others")) == 1


def test_a_damaged_adapter_is_not_taken_and_its_run_says_why(runs: Runs, folder: Path) -> None:
    registry = Registry.open(runs.folder.parent / "adapters")
    weights = adapter_folder(folder / "adapter") / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(b"damage")
    assert runs.collect(registry) == []
    assert runs.get(RUN).state == "failed"
    assert "is not what was saved" in runs.get(RUN).reason
    weights.write_bytes(whole)
    assert [a.reference for a in runs.collect(registry)] == ["team@0.1.0"]
    assert runs.get(RUN).state == "done"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "\x00garbage",
        '{"name": "team"}',
        '{"name": "team", "preset": "", "created": "once"}',
    ],
)
def test_a_run_whose_record_is_damaged_is_listed_so_and_hides_no_other(
    text: str, runs: Runs, folder: Path
) -> None:
    later = runs.folder / "20261130-101500-scratch-tiny"
    later.mkdir()
    (later / RECORD).write_text(text)
    damaged, whole = runs.list()
    assert (damaged.id, damaged.state) == (later.name, "damaged")
    assert "run.json cannot be read" in damaged.reason
    assert (whole.id, whole.state) == (RUN, "killed")
    adapter_folder(folder / "adapter")
    registry = Registry.open(runs.folder.parent / "adapters")
    assert [adapter.run for adapter in runs.collect(registry)] == [RUN]
    for command in (runs.get, runs.log, runs.stop, runs.resume):
        with pytest.raises(HubError, match="write there what its adapter is called"):
            command(later.name)
    with pytest.raises(HubError, match="no run is left unfinished here"):
        runs.resume()


def test_a_damaged_note_of_where_a_run_went_holds_up_no_other(runs: Runs, folder: Path) -> None:
    registry = Registry.open(runs.folder.parent / "adapters")
    (folder / "remote.json").write_text("")
    assert runs.collect(registry) == []
    adapter_folder(folder / "adapter")
    assert [adapter.run for adapter in runs.collect(registry)] == [RUN]
    assert [run.state for run in runs.list()] == ["done"]


def test_settings_that_cannot_be_used_are_named_all_at_once(runs: Runs, tmp_path: Path) -> None:
    wrong = ["train.epoch=1", "lora.r=0", "base=somewhere"]
    with pytest.raises(HubError) as caught:
        runs.config(tmp_path, settings=wrong)
    for part in ("did you mean 'epochs'?", "lora.r = 0", "and scratch: a run has one base"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"preset": "llama-9"}, "there are the presets .*scratch-tiny"),
        ({"settings": ["train.epochs"]}, "sets nothing"),
        ({"settings": ["train.epochs=["]}, "cannot be read as a value"),
        ({"settings": ["base=there"], "preset": "scratch-tiny"}, "a run has one base"),
        ({"settings": ["output=there"]}, "output is the hub's to give"),
    ],
)
def test_what_is_wrong_with_an_option_is_said(
    given: dict[str, Any], said: str, runs: Runs, tmp_path: Path
) -> None:
    with pytest.raises(HubError, match=said):
        runs.config(tmp_path, **given)


def test_without_a_dataset_the_last_build_is_meant_and_none_is_an_error(
    runs: Runs, tmp_path: Path
) -> None:
    with pytest.raises(HubError, match="no dataset was built here yet"):
        runs.config()
    built = write_rows(tmp_path / "out/train.jsonl", rows(1)).parent
    runs.folder.parent.mkdir(parents=True)
    (runs.folder.parent / "last-build").write_text(str(built))
    assert runs.config().dataset == str(built)


def test_a_name_that_the_registry_would_refuse_is_refused_before_the_run(
    runs: Runs, tmp_path: Path
) -> None:
    with pytest.raises(HubError, match="'our team' cannot name an adapter"):
        runs.start(runs.config(tmp_path), name="our team")
    assert runs.list() == []


def test_paths_mean_what_they_mean_where_the_command_is_given(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/base").mkdir(parents=True)
    config = runs.config(Path("out"), preset="llama-3.2-1b-qlora", base="models/base")
    assert (config.base, config.dataset) == (str(tmp_path / "models/base"), str(tmp_path / "out"))
    assert runs.config(tmp_path, preset="llama-3.2-1b-qlora").base.startswith("meta-llama/")


def test_a_run_goes_on_only_as_it_began(runs: Runs, tmp_path: Path, folder: Path) -> None:
    import yaml

    config = runs.config(tmp_path).model_copy(update={"output": str(folder)})
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump()))
    with pytest.raises(HubError, match=r"other settings: train\.epochs was 2\.0, is 7"):
        runs.resume(RUN, settings=["train.epochs=7"])
    with alone(folder), pytest.raises(HubError, match="is running"):
        runs.resume()
    with pytest.raises(HubError, match=f"no runs are called 'x'; there are {RUN}"):
        runs.resume("x")


def test_a_curve_falls_as_the_loss_does_and_shows_the_figures_of_the_last_step() -> None:
    assert plot([4, 3, 2, 1], width=4, height=1) == ["█▆▃▁"]
    assert plot([1, 1, 3, 3], width=2, height=2) == [" █", "▁█"]
    assert plot([5.0], width=9, height=2) == ["", "▁"]
    curve = Curve(RUN)
    assert curve.lines(60) == [f"{RUN}: starting"]
    curve.add({"event": "base", "step": 10, "steps": 20, "loss": 7.0, "time": 0.0})
    assert "the base, step 10 of 20" in curve.lines(60)[0]
    for step in range(1, 9):
        curve.add({"event": "step", "time": time.time(), **figures(step)})
    curve.add({"event": "evaluation", "step": 8, "loss": 4.25})
    lines = curve.lines(60)
    assert "the adapter, step 8 of 9" in lines[0]
    assert lines[1].strip().startswith("4 ")
    for part in ("evaluation 4.250", "rate 1.0e-03", "812 tokens/s", "0.7 GB", "s left"):
        assert part in lines[-1]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_curve_and_anything_else_plain_lines() -> None:
    terminal, plain = Terminal(), io.StringIO()
    for stream in (terminal, plain):
        with screen(RUN, stream) as shown:
            for step in (1, 2, 3):
                shown.add({"event": "step", "time": time.time(), **figures(step)})
    assert "█" in terminal.getvalue()
    assert [line.split("  ")[0] for line in plain.getvalue().splitlines()] == [
        "step 1/9",
        "step 2/9",
        "step 3/9",
    ]
