"""The Space starts whatever it was given, and says what is missing: no hub, one from a dataset
repository, a repository that cannot be read, ZeroGPU with and without its package."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import gradio
import httpx
import pytest
from huggingface_hub import CommitScheduler

from hub import Hub
from hub.dataset.reviewing import reject, rejected
from space_app import on_space
from space_app.context import Context
from space_app.on_space import hub_folder, keep
from tests.conftest import write_tree
from tests.fake_provider import CLIENT, SECRET, fake_provider
from tests.remote_fixtures import REPO, live_cloud
from training.remote.space import HUB_VARIABLE, app_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "of-the-page"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("team")
    Hub.open(folder).index([write_tree(folder / "code")], tier="fast")
    return folder


def test_a_hub_comes_from_a_dataset_repository_and_what_is_missing_is_said(
    team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATTERNHUB_HUB", str(tmp_path / "disk"))
    assert "No hub yet: a hub comes from a dataset repository" in hub_folder()[1]
    with live_cloud(tmp_path / "cloud", monkeypatch, run=False) as cloud:
        monkeypatch.setenv(HUB_VARIABLE, "team/hub")
        assert "404: it is not there, or the token may not see it. a hub" in hub_folder()[1]
        cloud.hub.files["team/hub"] = {"README.md": b"nothing"}
        assert "team/hub holds no hub" in hub_folder()[1]
        cloud.hub.commits += 1  # the client asks no revision twice
        files = (path for path in team.rglob("*") if path.is_file())
        cloud.hub.files["team/hub"] = {
            path.relative_to(team).as_posix(): path.read_bytes() for path in files
        }
        folder, missing = hub_folder()
    assert not missing
    hits = Hub.open(folder).search("call again with growing pauses")
    assert hits[0].pattern.symbol == "retry_with_backoff"


def test_votes_and_examples_outlive_the_disk_of_a_space(
    team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not keep(team)  # nowhere to bring them
    made: list[CommitScheduler] = []

    class Seen(CommitScheduler):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            made.append(self)

    monkeypatch.setattr("huggingface_hub.CommitScheduler", Seen)
    monkeypatch.setattr(on_space, "MINUTES", 0.5 / 60)
    monkeypatch.setenv(HUB_VARIABLE, "team/hub")
    with live_cloud(tmp_path / "cloud", monkeypatch, run=False) as cloud:
        cloud.hub.role = "read"
        assert "not to team/hub: the token may only read" in keep(team)
        cloud.hub.role = "write"
        shutil.copytree(team, tmp_path / "disk")
        hub = Hub.open(tmp_path / "disk")
        assert not keep(tmp_path / "disk")
        answers = {name: {"complete": True, "text": name} for name in ("base", "rag")}
        hub.votes.add(
            question="why?", answers=answers, winner="rag", shown_as=["rag", "base"], blind=True,
            model="tiny", adapter="",
        )  # fmt: skip
        reject(tmp_path / "disk", "an-id", "too thin")
        kept = cloud.hub.files.setdefault("team/hub", {})
        while len(kept) < 2:
            time.sleep(0.1)
        made[0].stop()
        assert set(kept) == {".patternhub/votes.jsonl", "examples/rejected.jsonl"}
        cloud.hub.commits += 1
        monkeypatch.setenv("PATTERNHUB_HUB", str(tmp_path / "next"))
        folder, _ = hub_folder()
    assert [vote["winner"] for vote in Hub.open(folder).votes.all()] == ["rag"]
    assert rejected(folder) == {"an-id": "too thin"}


def test_on_zerogpu_a_local_model_answers_where_a_gpu_is_lent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert "through the package spaces, which is missing" in Context(tmp_path).notes[0]
    lent: list[str] = []

    def gpu(duration: int) -> Any:
        def decorate(answer: Any) -> Any:
            def decorated(*arguments: Any) -> Iterator[Any]:
                lent.append(f"{duration} s")
                yield from answer(*arguments)

            return decorated

        return decorate

    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=gpu))
    context = Context(tmp_path)
    assert not context.notes
    said = SimpleNamespace(
        model="tiny", is_local=True, answers=lambda question, names: iter([(names[0], question)])
    )
    context._arms = ("", said)  # type: ignore[assignment]
    assert list(context.answers(said, "why?", ["base"])) == [("base", "why?")]  # type: ignore[arg-type]
    assert lent == ["60 s"]
    said.is_local = False  # an endpoint needs no GPU
    assert list(context.answers(said, "why?", ["base"])) == [("base", "why?")]  # type: ignore[arg-type]
    assert lent == ["60 s"]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def started(program: subprocess.Popen[str], url: str, log: Path) -> str:
    """The page, once it is there."""
    while program.poll() is None:
        try:
            return httpx.get(url, headers={"accept": "text/html"}, timeout=5).text
        except httpx.TransportError:
            time.sleep(0.3)
    raise AssertionError(log.read_text())


@pytest.mark.slow
def test_the_tree_of_a_deployment_starts_in_an_environment_that_has_only_what_it_lists(
    tmp_path: Path,
) -> None:
    """The libraries are those of this environment; the program is only what was uploaded."""
    (tmp_path / "app").mkdir()
    tree = app_tree(tmp_path / "app")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env/bin/python"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    libraries = tmp_path / f"env/lib/{version}/site-packages/libraries.pth"
    libraries.write_text(f"{Path(gradio.__file__).parents[1]}\n")  # no hook of an editable one
    port, log = free_port(), tmp_path / "log.txt"
    with fake_provider() as provider, log.open("w") as output:
        given = {
            "SPACE_ID": REPO, "OAUTH_CLIENT_ID": CLIENT, "OAUTH_CLIENT_SECRET": SECRET,
            "OPENID_PROVIDER_URL": provider.url, "GRADIO_SERVER_PORT": str(port),
            "PATTERNHUB_HUB": str(tmp_path / "disk"), "HF_HOME": str(tmp_path / "hf"),
        }  # fmt: skip
        kept = {name: os.environ[name] for name in ("PATH", "HOME")}
        program = subprocess.Popen(
            [str(python), "app.py"], cwd=tree, env=kept | given, stdout=output,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}/"
            assert "Sign in with Hugging Face" in started(program, url, log)
            provider.is_now("team")
            with httpx.Client(base_url=url, follow_redirects=True) as person:
                assert person.get("login/huggingface").status_code == 200
                config = person.get("config").text
        finally:
            program.terminate()
            program.wait()
    assert "No hub yet: a hub comes from a dataset repository" in config
    assert "no Hugging Face token: set HF_TOKEN" in config
    assert (tmp_path / f"env/lib/{version}/site-packages/space_app/app.py").is_file()
    assert SECRET not in log.read_text()
