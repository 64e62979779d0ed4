"""``patternhub adapters``: every verb says what it did, as text and as JSON."""

from __future__ import annotations

import json
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hub import Hub
from hub.cli import main
from hub.commands.training import _push
from tests.test_pushing import REPOSITORY, server  # noqa: F401 - the fixture
from tests.training_fixtures import adapter_folder

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.fake_hub import FakeHub


@pytest.fixture
def filled(hub: Hub, tmp_path: Path) -> Hub:
    """A hub with two versions of an adapter."""
    for step in (1, 2):
        hub.adapters.take(adapter_folder(tmp_path / str(step), step=step), name="team", run="r-1")
    return hub


def adapters(hub: Hub, *arguments: str) -> Result:
    where = ["--hub", str(hub.workspace.folder), "adapters"]
    return CliRunner().invoke(main, [*where, *arguments])


def said(hub: Hub, *arguments: str) -> Any:
    result = adapters(hub, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_adapters_are_listed_and_shown(filled: Hub) -> None:
    for arguments in ((), ("list",), ("list", "team")):
        assert [a["reference"] for a in said(filled, *arguments)] == ["team@0.1.0", "team@0.1.1"]
    assert said(filled, "list", "other") == []
    text = adapters(filled).output
    assert [line.split()[0] for line in text.splitlines()] == [
        "adapter",
        "team@0.1.0",
        "team@0.1.1",
    ]
    shown = said(filled, "show", "team")
    assert (shown["reference"], shown["run"], shown["promotions"]) == ("team@0.1.1", "r-1", [])
    assert f"  digest    {shown['digest']}" in adapters(filled, "show", "team").output


def test_a_damaged_adapter_is_put_right_from_the_folder_that_a_run_left(
    filled: Hub, tmp_path: Path
) -> None:
    adapter = filled.adapters.get("team@0.1.0")
    file = filled.adapters.path(adapter) / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[::-1])
    assert adapters(filled, "verify").exit_code == 1
    refused = adapters(filled, "promote", "team@0.1.0", "--force", "--reason", "x")
    assert "`patternhub adapters take FOLDER --name team`" in refused.output.replace("\n", " ")
    taken = said(filled, "take", str(tmp_path / "1"), "--name", "team")
    assert taken["reference"] == "team@0.1.0"
    assert adapters(filled, "verify").exit_code == 0
    gone = adapters(filled, "take", str(tmp_path / "none"), "--name", "team")
    assert gone.exit_code != 0


def test_an_empty_hub_says_how_to_come_by_one(hub: Hub) -> None:
    assert adapters(hub).output == "no adapters yet: `patternhub train` makes one\n"


def test_an_unknown_adapter_is_bad_input(filled: Hub) -> None:
    result = adapters(filled, "show", "nobody")
    assert result.exit_code == 2
    assert "'nobody' is no adapter; there are: team@0.1.0, team@0.1.1" in result.output


def test_only_a_changed_adapter_fails_to_verify(filled: Hub) -> None:
    assert said(filled, "verify") == {"team@0.1.0": [], "team@0.1.1": []}
    registry = filled.adapters
    (registry.path(registry.get("team")) / "template.json").write_text("{}")
    result = adapters(filled, "verify")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "team@0.1.0: every digest is right",
        "team@0.1.1: template.json is not what was saved",
    ]
    assert adapters(filled, "verify", "team@0.1.0").exit_code == 0


def spoil(hub: Hub) -> None:
    registry = hub.adapters
    (registry.path(registry.get("team@0.1.1")) / "template.json").write_text("{}")


def way_out(hub: Hub) -> list[str]:
    """What a failed verification says to do, and that doing it succeeds."""
    result = adapters(hub, "verify")
    assert result.exit_code == 1
    (line,) = (line for line in result.output.splitlines() if "put it right with" in line)
    command = shlex.split(line.partition("patternhub adapters ")[2])
    assert adapters(hub, *command).exit_code == 0
    assert adapters(hub, "verify").exit_code == 0
    return command


def test_a_damaged_adapter_that_its_run_still_has_is_put_right_as_verify_says(
    filled: Hub, tmp_path: Path
) -> None:
    left = filled.workspace.store_folder / "runs/r-1/adapter"
    shutil.copytree(tmp_path / "2", left)
    spoil(filled)
    assert way_out(filled) == ["take", str(left), "--name", "team"]


def test_a_damaged_adapter_that_the_hub_has_is_put_right_as_verify_says(
    filled: Hub,
    server: FakeHub,  # noqa: F811
) -> None:
    assert adapters(filled, "push", "--repo", REPOSITORY).exit_code == 0
    spoil(filled)
    assert way_out(filled) == ["pull", REPOSITORY]


def test_a_file_that_was_added_is_damage_too(filled: Hub, tmp_path: Path) -> None:
    registry = filled.adapters
    evil = registry.path(registry.get("team@0.1.1")) / "base/evil.py"
    evil.parent.mkdir()
    evil.touch()
    assert "team@0.1.1: base/evil.py was added: delete it" in adapters(filled, "verify").output
    assert adapters(filled, "take", str(tmp_path / "2"), "--name", "team").exit_code == 0
    assert not evil.exists()
    assert adapters(filled, "verify").exit_code == 0


def test_promoting_needs_the_gate_or_a_reason_and_can_be_rolled_back(filled: Hub) -> None:
    refused = adapters(filled, "promote", "team")
    assert refused.exit_code == 1
    assert "team@0.1.1 was not judged by the gate" in refused.output
    filled.adapters.set_verdict(filled.adapters.get("team@0.1.0"), {"passed": True})
    assert said(filled, "promote", "team@0.1.0")["aliases"] == ["production"]
    forced = adapters(filled, "promote", "team", "--force", "--reason", "agreed on Monday")
    assert forced.output == "team@0.1.1 is in production\n"
    assert "agreed on Monday" in adapters(filled, "show", "team@production").output
    assert adapters(filled, "rollback", "team").output == "team@0.1.0 is in production\n"


def test_pushing_needs_a_repository_and_pulling_brings_everything_back(
    filled: Hub,
    server: FakeHub,  # noqa: F811
    tmp_path: Path,
) -> None:
    unnamed = adapters(filled, "push")
    assert unnamed.exit_code == 2
    assert "give --repo ORG/NAME, or set repo under [training]" in unnamed.output
    sent = adapters(filled, "push", "--repo", REPOSITORY)
    assert sent.output.splitlines() == [
        f"sent team@0.1.0 to {REPOSITORY}",
        f"sent team@0.1.1 to {REPOSITORY}",
    ]
    assert adapters(filled, "push", "--repo", REPOSITORY).output.startswith(REPOSITORY)
    assert adapters(filled, "verify", "--remote", "--repo", REPOSITORY).exit_code == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "hub.toml").write_text(f'[training]\nrepo = "{REPOSITORY}"\n')
    pulled = CliRunner().invoke(main, ["--hub", str(other), "adapters", "pull", REPOSITORY])
    assert pulled.exit_code == 0, pulled.output
    assert pulled.stdout.count("took in team@") == 2
    checked = ["--hub", str(other), "adapters", "verify", "--remote", "--json"]
    assert json.loads(CliRunner().invoke(main, checked).stdout) == said(filled, "verify")


def test_a_run_that_has_ended_is_pushed_or_waits(
    filled: Hub,
    server: FakeHub,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where hub.toml names a repository; what the Hub refuses is no failure of the run."""
    (filled.workspace.folder / "hub.toml").write_text(f'[training]\nrepo = "{REPOSITORY}"\n')
    configured = Hub.open(filled.workspace.folder)
    server.faults = [("repos/create", 403)]
    _push(configured)
    assert "2 of 2 adapters are not there yet" in capsys.readouterr().err
    assert f"2 wait for `patternhub adapters push` to {REPOSITORY}" in adapters(filled).stderr
    _push(configured)
    assert capsys.readouterr().err.count("sent team@") == 2
    assert adapters(filled).stderr == ""


def test_an_export_that_cannot_be_made_leaves_nothing(filled: Hub, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = adapters(filled, "export", "team", "--to", "ollama", str(out))
    assert result.exit_code == 2
    assert "Ollama cannot fetch the base team/base: give --base" in result.output
    assert not out.exists()
