"""Adapters reach a repository on the Hub whole or not at all, and what waits is never forgotten."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hub import Hub, HubError
from hub.run import RECORD
from hub.serving.pushing import pull, push, to_push, verify_remote
from hub.serving.registry import Registry
from tests.fake_hub import FakeHub, fake_hub
from tests.training_fixtures import adapter_folder
from training.checkpoints import publish
from training.remote.pushing import Pusher, to_send
from training.runlog import RunLog, read_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPOSITORY = "team/adapters"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    import huggingface_hub.constants as constants

    with fake_hub() as state:
        monkeypatch.setattr(constants, "ENDPOINT", state.url)
        resolve = f"{state.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", resolve)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", state.token)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        yield state


@pytest.fixture
def kept(tmp_path: Path) -> Registry:
    registry = Registry.open(tmp_path / "adapters")
    for step in (1, 2, 3):
        registry.take(adapter_folder(tmp_path / str(step), step=step), name="team", run="run-1")
    return registry


def there(server: FakeHub) -> dict[str, set[str]]:
    """The names of files on the stand-in, by folder."""
    found: dict[str, set[str]] = {}
    for path in server.files.get(REPOSITORY, {}):
        folder, _, name = path.rpartition("/")
        found.setdefault(folder, set()).add(name)
    return found


def test_every_adapter_arrives_in_one_private_commit_and_differs_in_no_digest(
    kept: Registry, server: FakeHub
) -> None:
    report = push(kept, REPOSITORY)
    assert report.pushed == ["team@0.1.0", "team@0.1.1", "team@0.1.2"]
    assert (server.private, server.commits) == ({REPOSITORY: True}, 3)
    folders = [f"team/{a.version}-{a.digest[:12]}" for a in kept.list()]
    assert sorted(there(server)) == folders
    assert not any(verify_remote(kept, REPOSITORY).values())
    assert push(kept, REPOSITORY).pushed == []


def test_what_is_there_already_is_noted_and_not_sent_again(kept: Registry, server: FakeHub) -> None:
    push(kept, REPOSITORY, reference="team@0.1.1")
    (kept.folder / "index.db").unlink()
    again = Registry.open(kept.folder)
    report = push(again, REPOSITORY)
    assert (report.there, server.commits) == (["team@0.1.1"], 3)


@pytest.mark.parametrize("failures", [[500], [503, 429], [0]])
def test_what_passes_is_tried_again(kept: Registry, server: FakeHub, failures: list[int]) -> None:
    server.failures = list(failures)
    assert len(push(kept, REPOSITORY).pushed) == 3


FAULTS: dict[str, tuple[list[tuple[str, int]], str]] = {
    "token": ([("repos/create", 401)], r"401: the token is missing or wrong"),
    "right": ([("repos/create", 403)], r"403: the token may not do that"),
    "busy": ([("POST .*/commit/", 429)] * 9, r"429: too many requests"),
    "broken": ([("POST .*/commit/", 500)] * 9, r"500: try again"),
    "down": ([("POST .*/commit/", 503)] * 9, r"503: try again"),
    "hangs up": ([("POST .*/commit/", 0)] * 9, "cannot be reached, or hung up"),
    "hangs up listing": ([("tree", 0)] * 9, "cannot be reached, or hung up"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hub_that_refuses_is_named_and_everything_waits(
    kept: Registry, server: FakeHub, fault: str
) -> None:
    faults, message = FAULTS[fault]
    server.faults = list(faults)
    with pytest.raises(HubError, match=rf"{message}(.|\n)*3 of 3 adapters are not there yet"):
        push(kept, REPOSITORY)
    assert len(to_push(kept, REPOSITORY)) == 3
    server.faults.clear()
    assert len(push(kept, REPOSITORY).pushed) == 3


def test_a_failure_at_the_last_push_loses_nothing_of_the_others(
    kept: Registry, server: FakeHub
) -> None:
    push(kept, REPOSITORY, reference="team@0.1.0")
    push(kept, REPOSITORY, reference="team@0.1.1")
    server.faults = [("POST .*/commit/", 403)]
    with pytest.raises(HubError, match="1 of 1 adapters are not there yet"):
        push(kept, REPOSITORY)
    assert [a.reference for a in to_push(kept, REPOSITORY)] == ["team@0.1.2"]
    assert push(Registry.open(kept.folder), REPOSITORY).pushed == ["team@0.1.2"]


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_a_process_that_is_killed_while_pushing_is_gone_on_with(
    kept: Registry, server: FakeHub, moment: str
) -> None:
    import hub.serving.pushing as pushing

    def killed(*_given: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        if moment == "before the commit":
            pushing._send = killed
        else:
            Registry.note_pushed = killed  # type: ignore[method-assign]
        try:
            push(kept, REPOSITORY)
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    report = push(Registry.open(kept.folder), REPOSITORY)
    assert report.there == (["team@0.1.0"] if moment == "after the commit" else [])
    assert server.commits == 3
    assert not any(verify_remote(kept, REPOSITORY).values())


def test_a_damaged_adapter_stays_here_and_holds_up_no_other(
    kept: Registry, server: FakeHub
) -> None:
    first, *_ = kept.list()
    (kept.path(first) / "template.json").write_text("{}")
    report = push(kept, REPOSITORY)
    assert report.damaged == {"team@0.1.0": ["template.json is not what was saved"]}
    assert report.pushed == ["team@0.1.1", "team@0.1.2"]
    assert [a.reference for a in to_push(kept, REPOSITORY)] == ["team@0.1.0"]


def test_what_differs_on_the_hub_is_found_by_digest(kept: Registry, server: FakeHub) -> None:
    push(kept, REPOSITORY, reference="team@0.1.0")
    push(kept, REPOSITORY, reference="team@0.1.1")
    files = server.files[REPOSITORY]
    changed = next(p for p in files if p.startswith("team/0.1.0") and p.endswith(".safetensors"))
    gone = next(p for p in files if p.startswith("team/0.1.1") and p.endswith("template.json"))
    files[changed] = files[changed][:-1] + b"\x07"
    del files[gone]
    assert verify_remote(kept, REPOSITORY) == {
        "team@0.1.0": ["adapter_model.safetensors is another one on the Hub"],
        "team@0.1.1": ["template.json is not on the Hub"],
        "team@0.1.2": ["it is not on the Hub: `patternhub adapters push` sends it"],
    }
    push(kept, REPOSITORY, reference="team@0.1.0")
    assert verify_remote(kept, REPOSITORY, reference="team@0.1.0") == {"team@0.1.0": []}


def test_another_registry_pulls_the_same_adapters_under_the_same_names(
    kept: Registry, server: FakeHub, tmp_path: Path
) -> None:
    push(kept, REPOSITORY)
    other = Registry.open(tmp_path / "other")
    server.faults = [("resolve/.*0.1.1.*safetensors", 503)] * 9
    with pytest.raises(HubError, match="cannot be reached, or hung up"):
        pull(other, REPOSITORY)
    server.faults.clear()
    pull(other, REPOSITORY)
    assert [(a.reference, a.digest, a.run) for a in other.list()] == [
        (a.reference, a.digest, a.run) for a in kept.list()
    ]
    assert not any(other.verify().values())
    assert not any(verify_remote(other, REPOSITORY).values())
    assert (pull(other, REPOSITORY), to_push(other, REPOSITORY)) == ([], [])
    assert not list(other.folder.glob(".pulling-*"))


def test_an_adapter_in_the_root_of_a_repository_is_pulled_too(
    server: FakeHub, tmp_path: Path
) -> None:
    made = adapter_folder(tmp_path / "made")
    server.files[REPOSITORY] = {p.name: p.read_bytes() for p in made.iterdir()}
    server.files[REPOSITORY]["last-checkpoint/optimizer.pt"] = b"x"
    registry = Registry.open(tmp_path / "adapters")
    (adapter,) = pull(registry, REPOSITORY)
    assert adapter.reference == "adapters@0.1.0"
    assert not any(registry.verify().values())


@pytest.mark.parametrize("harm", ["changed", "named", "none", "no repository"])
def test_what_comes_from_the_hub_is_not_trusted(
    kept: Registry, server: FakeHub, tmp_path: Path, harm: str
) -> None:
    push(kept, REPOSITORY, reference="team@0.1.0")
    files = server.files[REPOSITORY]
    mended = dict(files)
    place = next(iter(files)).rpartition("/")[0]
    message = "is not as it was saved"
    if harm == "changed":
        files[f"{place}/adapter_config.json"] = b"{}"
    elif harm == "named":
        files[f"{place}/taken.json"] = json.dumps(
            {"name": "../x", "version": "", "run": ""}
        ).encode()
        message = "cannot name an adapter"
    elif harm == "none":
        del files[f"{place}/MANIFEST.json"]
        message = "team/adapters has no adapter"
    else:
        del server.files[REPOSITORY]
        message = r"404: it is not there"
    other = Registry.open(tmp_path / "other")
    with pytest.raises(HubError, match=message):
        pull(other, REPOSITORY)
    assert other.list() == []
    assert not list(other.folder.glob(".pulling-*"))
    server.files[REPOSITORY] = mended
    assert [adapter.reference for adapter in pull(other, REPOSITORY)] == ["team@0.1.0"]


RUN = "20261129-101500-scratch-tiny"


def checkpoint(run: Path, step: int) -> Path:
    folder = run / "checkpoints" / f"checkpoint-{step}"
    partial = folder.with_name(".partial")
    partial.mkdir(parents=True)
    (partial / "adapter_model.safetensors").write_bytes(b"weights %d" % step)
    (partial / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    publish(partial, folder)
    return folder


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run of a hub that has saved once, and whose process is gone."""
    folder = tmp_path / "team/.patternhub/runs" / RUN
    folder.mkdir(parents=True)
    (folder / RECORD).write_text(json.dumps({"name": "team", "preset": "", "created": 1.0}))
    checkpoint(folder, 2)
    return folder


def on_branch(server: FakeHub) -> set[bytes]:
    return set(server.files.get(f"{REPOSITORY}@checkpoints-{RUN}", {}).values())


def test_each_save_of_a_run_is_on_a_branch_of_its_own_while_the_run_goes_on(
    begun: Path, server: FakeHub
) -> None:
    heard: list[str] = []
    pusher = Pusher(begun, REPOSITORY, lambda event: heard.append(event["event"]))
    log = RunLog(begun, pusher)
    log("save", step=2)
    newest = checkpoint(begun, 4)
    log("save", step=4)
    log("stop", reason="interrupted")
    pusher.close()
    assert on_branch(server) == {path.read_bytes() for path in newest.iterdir()}
    assert heard == ["save", "save", "stop"]
    assert server.private[REPOSITORY]
    assert to_send(begun, REPOSITORY) is None


def test_a_hub_that_is_away_holds_up_no_run_and_adapters_push_sends_the_rest(
    begun: Path, server: FakeHub, tmp_path: Path
) -> None:
    hub = Hub.open(tmp_path / "team")
    server.faults = [("POST .*/branch/", 403)] * 2  # at the save, and once more at the end
    logged = threading.Event()
    pusher = Pusher(begun, REPOSITORY, lambda event: event["event"] == "save" or logged.set())
    RunLog(begun, pusher)("save", step=2)
    assert logged.wait(30)
    pusher.close()
    told = [event for event in read_log(begun) if event["event"] == "not pushed"]
    assert ["403" in event["reason"] for event in told] == [True]
    report = hub.push_adapters(repository=REPOSITORY)
    assert report.checkpoints == [RUN]
    assert b"weights 2" in on_branch(server)
    assert hub.push_adapters(repository=REPOSITORY).checkpoints == []
