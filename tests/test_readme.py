"""The README says only what is there."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hub.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_first_command_stands_in_the_first_15_lines() -> None:
    assert any(line.startswith("$ patternhub") for line in README.splitlines()[:15])


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="shown for Python 3.11")
def test_the_first_output_is_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the score, which depends on what else is indexed."""
    shown = README.split("```console\n")[1].split("```")[0]
    command, _, output = shown.partition("\n")
    arguments = shlex.split(command)[2:]
    assert arguments[:2] == ["--hub", "demo"]
    demo = tmp_path / "demo"
    demo.mkdir()
    package = tmp_path / "asyncio"  # some of it: all of it is embedded for a minute
    package.mkdir()
    for name in ("tasks.py", "futures.py", "queues.py", "taskgroups.py"):
        shutil.copy(Path(sysconfig.get_path("stdlib")) / "asyncio" / name, package)
    for each in (["index", str(package)], arguments[2:]):
        result = CliRunner().invoke(main, ["--hub", str(demo), *each])
        assert result.exit_code == 0, result.output
    assert _without_score(result.output) == _without_score(output)


def _without_score(text: str) -> str:
    return re.sub(r"score [\d.]+|\d+-\d+", "", text)


def test_every_verb_of_the_command_is_in_the_readme_and_no_other() -> None:
    shown = set(re.findall(r"^    patternhub (\w+)", README, flags=re.MULTILINE))
    assert shown == set(main.commands)


@pytest.mark.parametrize(
    "line", re.findall(r"^    patternhub (\w[^#\n]*)", README, flags=re.MULTILINE)
)
def test_every_option_shown_exists(line: str) -> None:
    command: click.Command = main
    for word in line.split():
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
    known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    assert set(re.findall(r"--[a-z-]+", line)) <= known


def test_every_make_target_shown_exists() -> None:
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    shown = re.findall(r"make ([\w-]+)", README + (ROOT / "CONTRIBUTING.md").read_text())
    assert set(shown) <= set(targets)


def test_every_folder_of_the_tree_exists() -> None:
    tree = README.split("## Where things are")[1]
    folders = re.findall(r"^    ([\w/]+/) ", tree, flags=re.MULTILINE)
    assert len(folders) >= 6
    assert all((ROOT / folder).is_dir() for folder in folders)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(document: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text())
    assert all((ROOT / link).exists() for link in links)
