"""A remote run of a hub that was stopped goes on, and is stopped only when it is asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from huggingface_hub import HfApi

from hub.config import Training
from hub.errors import HubError
from hub.run import was_asked
from hub.runs import Runs
from hub.serving.registry import Registry
from tests.remote_fixtures import REPO, live_cloud, tiny
from training.process import noted
from training.remote import load
from training.remote.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fake_cloud import FakeCloud


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    """What is launched never begins; what follows it is a process of its own."""
    with live_cloud(tmp_path / "cloud", monkeypatch, run=False) as state:
        monkeypatch.setenv("HF_ENDPOINT", state.hub.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        yield state


def stopped(runs: Runs, id: str) -> str:
    """How the run ended; what its follower was told too early to hear, the next one does."""
    folder, registry = runs.stop(id).folder, Registry.open(runs.folder.parent / "adapters")
    while (run := load(folder)) and not run.ended:
        list(runs.follow(id))
        runs.collect(registry)
    assert run is not None
    return run.ended


@pytest.mark.parametrize("where", ["job", "space"])
def test_a_stopped_run_that_is_resumed_is_not_stopped_again(
    where: Literal["job", "space"], cloud: FakeCloud, tmp_path: Path
) -> None:
    Bucket(HfApi(), f"{REPO}-runs").create(private=True)
    settings = Training(space=REPO, hardware="t4-small")
    runs = Runs(tmp_path / "team/.patternhub/runs", settings)
    run = runs.start(tiny(tmp_path), where=where, checked=True)
    assert stopped(runs, run.id) == "stopped"
    assert runs.get(run.id).state == "stopped"
    cloud.hub.faults = [("whoami", 403)]
    with pytest.raises(HubError, match="the Hub answers 403"):
        runs.resume(run.id)
    assert runs.get(run.id).state == "stopped"
    again = runs.resume(run.id)
    assert again.state == "running"
    assert not was_asked(run.folder)
    follower = noted(run.folder)
    assert follower is not None
    assert follower.is_alive
    assert not [job for job in list(cloud.programs)[1:] if cloud.programs[job].canceled]
    assert stopped(runs, run.id) == "stopped"
