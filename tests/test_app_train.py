"""Training from the app elsewhere: what is offered can work, one run at a time, found again on a
disk that knows nothing. The Hub is a stand-in; its Jobs really run where a test waits for one."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from hub.errors import HubError
from hub.run import is_running
from space_app.app import create_app
from space_app.context import Context
from space_app.places import NO_BUCKET, NO_TOKEN, place_of, places
from space_app.train import start_run
from space_app.worker import Worker
from tests.browser import chromium, served
from tests.remote_fixtures import REPO, live_cloud
from tests.training_fixtures import rows, write_rows

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = [
    "scratch.vocabulary=400", "scratch.hidden=64", "scratch.layers=2", "scratch.heads=2",
    "scratch.steps=3", "data.max_length=128", "data.packing=false", "lora.r=4",
    "train.max_steps=4", "train.batch_size=2", "train.accumulation=1", "train.strategy=steps",
    "train.save_steps=2", "train.eval_steps=2",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "team"
    folder.mkdir()
    write_rows(folder / "dataset/train.jsonl", rows(16))
    return folder


def missing(context: Context) -> dict[str, str]:
    return {place.label: place.missing for place in places(context)}


def test_what_cannot_work_is_not_offered_and_says_what_it_lacks(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = Context(folder)
    away = {"a Space on Hugging Face", "a Job on Hugging Face"}
    with live_cloud(tmp_path / "cloud", monkeypatch, run=False):
        assert set(missing(context).values()) == {""}
        monkeypatch.setenv("SPACE_ID", REPO)
        here = {"this Space", "a Job on Hugging Face"}
        assert missing(context) == dict.fromkeys(here, NO_BUCKET)
        worker = Worker(f"{REPO}-runs", repo=REPO)
        assert missing(Context(folder, worker)) == dict.fromkeys(here, "")
        monkeypatch.delenv("SPACE_ID")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    assert missing(context) == {"this machine": ""} | dict.fromkeys(away, NO_TOKEN)
    with pytest.raises(HubError, match="no Hugging Face token"):
        start_run(context, "team", "job", REPO, "t4-small", 60, "dataset", "scratch-tiny", "", "")


@pytest.mark.slow
def test_of_two_people_who_press_train_one_is_told_what_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, said = Context(folder), []
    form = (str(folder / "dataset"), "scratch-tiny", "", "\n".join(SETTINGS))

    def press() -> None:
        try:
            said.append(start_run(context, "team", "job", REPO, "t4-small", 60, *form).id)
        except HubError as error:
            said.append(str(error))

    with live_cloud(tmp_path / "cloud", monkeypatch, run=False) as cloud:
        monkeypatch.setenv("HF_ENDPOINT", cloud.hub.url)  # of what follows the run
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        people = [threading.Thread(target=press) for _ in range(2)]
        for person in people:
            person.start()
        for person in people:
            person.join()
        (run,) = context.hub.runs.list()
        assert sorted(said) == [run.id, f"{run.id} is running: wait until it has ended, or stop it"]
        assert len(cloud.jobs) == 1
        context.hub.runs.stop(run.id)  # what follows it hardly lives yet, and cannot hear it
        while not cloud.programs["job0"].canceled or is_running(run.folder):
            assert context.hub.runs.get(run.id).state in ("running", "stopped")
            time.sleep(0.2)
        assert context.hub.runs.get(run.id).state == "stopped"


@pytest.mark.slow
def test_a_job_is_checked_started_and_found_again_on_a_disk_that_knows_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live_cloud(tmp_path / "cloud", monkeypatch) as cloud:
        monkeypatch.setenv("HF_ENDPOINT", cloud.hub.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        with served(create_app(Context(folder))) as url, chromium() as browser:
            page = browser.new_page()
            page.goto(url)
            page.get_by_role("tab", name="Train").click()
            page.get_by_text("no run yet").wait_for()
            assert not page.locator("#hardware").is_visible()
            page.get_by_label("a Job on Hugging Face").check()
            given = {
                "#train-dataset": str(folder / "dataset"), "#name": "fromjob", "#space": REPO,
                "#hardware": "t4-smal", "#settings": "\n".join(SETTINGS),
            }  # fmt: skip
            for field, text in given.items():
                page.locator(f"{field} textarea, {field} input").fill(text)
            page.locator("#check").click()
            page.locator("#checks", has_text="did you mean 't4-small'?").wait_for(timeout=60_000)
            assert page.locator("#start").is_disabled()
            page.locator("#hardware textarea, #hardware input").fill("t4-small")
            page.locator("#check").click()
            page.locator("#checks td", has_text="at most $").wait_for(timeout=60_000)
            page.locator("#start:not([disabled])").click()
            page.get_by_text("has begun").wait_for(timeout=60_000)
            page.reload()
            page.get_by_role("tab", name="Train").click()
            page.locator("#curve", has_text="as a Job").wait_for()
            page.locator("#curve", has_text="in the registry as fromjob@0.1.0").wait_for(
                timeout=240_000
            )
        monkeypatch.setenv("SPACE_ID", REPO)  # a Space whose disk was emptied
        (tmp_path / "new").mkdir()
        context = Context(tmp_path / "new", Worker(f"{REPO}-runs", repo=REPO))
        context.recall()
        while not context.hub.runs.list():
            assert context.notes == []
            time.sleep(0.2)
        while not (run := context.hub.runs.list()[0]).adapter:
            time.sleep(0.2)
        assert run.adapter == "fromjob@0.1.0"
        assert context.hub.adapters.verify("fromjob")
        assert place_of(run) == "job"
