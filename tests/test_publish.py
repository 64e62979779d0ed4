"""Publishing: the real client, and a stand-in for the Hub that refuses, breaks and hangs up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hub import HubError
from hub.cli import main
from hub.dataset.publish import publish
from tests.fake_hub import FakeHub, fake_hub
from tests.test_dataset import write_code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub import Hub

REPOSITORY = "team/patterns"


@pytest.fixture
def built(hub: Hub, tmp_path: Path) -> Path:
    hub.index([write_code(tmp_path / "code", files=6)])
    hub.build_dataset(tmp_path / "out", formats=["messages", "alpaca"])
    return tmp_path / "out"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    import huggingface_hub.constants as constants

    with fake_hub() as state:
        monkeypatch.setattr(constants, "ENDPOINT", state.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", state.token)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        yield state


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_dataset_arrives_whole_private_and_tagged(built: Path, server: FakeHub) -> None:
    report = publish(built, REPOSITORY)
    assert server.files[REPOSITORY] == contents(built)
    assert server.private == {REPOSITORY: True}
    assert server.tags == {report.tag: f"{'0' * 39}1"}
    assert report.files == {name: len(data) for name, data in contents(built).items()}
    assert report.url.endswith(f"/commit/{'0' * 39}1")


def test_a_dry_run_lists_what_would_leave_and_sends_nothing(built: Path, server: FakeHub) -> None:
    arguments = ["dataset", "publish", str(built), "--repo", REPOSITORY, "--dry-run", "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert set(json.loads(result.output)["files"]) == set(contents(built))
    assert server.files == {}


@pytest.mark.parametrize("failures", [[500], [503, 429], [0]])
def test_what_passes_is_tried_again(built: Path, server: FakeHub, failures: list[int]) -> None:
    server.failures = list(failures)
    publish(built, REPOSITORY)
    assert server.files[REPOSITORY] == contents(built)


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        ([403], r"403: the token may not do that"),
        ([500] * 9, r"500: try again"),
        ([0] * 9, "cannot be reached, or hung up"),
    ],
)
def test_a_hub_that_refuses_is_named_with_the_way_out(
    built: Path, server: FakeHub, failures: list[int], message: str
) -> None:
    server.failures = list(failures)
    with pytest.raises(HubError, match=message):
        publish(built, REPOSITORY)
    assert server.commits == 0


def test_a_wrong_token_and_a_wrong_name_are_named(
    built: Path, server: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HubError, match="a/b/c: Repo id must be in the form"):
        publish(built, "a/b/c")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubError, match=r"401: the token is missing or wrong: set HF_TOKEN"):
        publish(built, REPOSITORY)


def test_what_the_build_no_longer_has_is_deleted_there(built: Path, server: FakeHub) -> None:
    publish(built, REPOSITORY)
    server.files[REPOSITORY]["alpaca/old.jsonl"] = b"{}\n"
    publish(built, REPOSITORY)
    assert server.files[REPOSITORY] == contents(built)


@pytest.mark.parametrize("harm", ["changed", "gone", "no manifest"])
def test_a_folder_that_is_not_as_it_was_built_stays_here(
    built: Path, server: FakeHub, harm: str
) -> None:
    path = built / ("manifest.json" if harm == "no manifest" else "train.jsonl")
    if harm == "changed":
        path.write_text(path.read_text() + "{}\n")
    else:
        path.unlink()
    with pytest.raises(HubError, match=r"is not as it was built|is no dataset"):
        publish(built, REPOSITORY)
    assert server.files == {}


def test_the_command_says_what_left(built: Path, server: FakeHub) -> None:
    arguments: list[Any] = ["dataset", "publish", str(built), "--repo", REPOSITORY, "--public"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert result.output.startswith(f"uploaded {len(contents(built))} files")
    assert "(public)" in result.output
    assert server.private == {REPOSITORY: False}
