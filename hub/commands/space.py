"""The verb of the Space and the bucket that training away from this machine uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.commands.common import json_option, open_hub, print_json
from hub.errors import HubError

if TYPE_CHECKING:
    from hub.remote import Space

repo_option = click.option("--repo", default="", metavar="ORG/NAME", help="Default: hub.toml's.")
bucket_option = click.option(
    "--bucket", default="", help="Default: hub.toml's, or the Space's name with -runs."
)


@click.group()
def space() -> None:
    """The Hugging Face Space that trains, and what lies in its bucket."""


@space.command()
@click.option("--repo", required=True, metavar="ORG/NAME", help="The Space.")
@click.option("--bucket", default="", help="Default: the Space's name with -runs.")
@click.option("--public", is_flag=True, help="What is new is private otherwise.")
@click.option("--hub-repo", default="", metavar="ORG/NAME", help="A dataset with a hub to show.")
def deploy(repo: str, bucket: str, public: bool, hub_repo: str) -> None:
    """Create the Space or bring it up to date, on free hardware."""
    from hub.remote import Space

    found = Space(repo, bucket, private=not public)
    click.echo(f"{found.deploy(hub_repo=hub_repo)}\n{found.status()}")


@space.command()
@repo_option
@bucket_option
@json_option
@click.pass_obj
def status(home: Path | None, /, repo: str, bucket: str, as_json: bool) -> None:
    """Its stage and hardware, and the runs that wait there."""
    found = _space(home, repo, bucket).status()
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(str(found))


@space.command()
@repo_option
@click.option("--build", is_flag=True, help="The log of its build.")
@click.pass_obj
def logs(home: Path | None, /, repo: str, build: bool) -> None:
    """What the Space has printed."""
    for line in _space(home, repo).logs(build=build):
        click.echo(line)


@space.command()
@repo_option
@click.pass_obj
def sleep(home: Path | None, /, repo: str) -> None:
    """Pause it: it costs nothing until it is started again; what it saved stays."""
    found = _space(home, repo)
    found.sleep()
    click.echo(f"{found.remote.repo} is paused")


@space.command()
@repo_option
@bucket_option
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Bring each whole adapter here, into a folder of its own, and into the registry.",
)
@json_option
@click.pass_obj
def files(home: Path | None, /, repo: str, bucket: str, folder: Path | None, as_json: bool) -> None:
    """Adapters in its bucket and its repository; exit status 1 where one is not whole."""
    asked = _space(home, repo, bucket)
    found = asked.adapters(folder)
    if any(adapter.folder for adapter in found):
        hub = open_hub(home)
        found = [adapter.registered(hub.adapters, hub.runs.adapter_name) for adapter in found]
    if as_json:
        print_json([adapter.to_json() for adapter in found])
    else:
        for adapter in found:
            click.echo(str(adapter))
        if not found:
            click.echo(f"no adapter lies in {asked.remote.repo} or its bucket")
    if any(adapter.problems for adapter in found):
        raise SystemExit(1)


def _space(home: Path | None, repo: str, bucket: str = "") -> Space:
    """The Space that is named, else hub.toml's with the bucket that it names there."""
    from hub.remote import Space

    if not repo:
        settings = open_hub(home).workspace.config.training
        repo, bucket = settings.space, bucket or settings.bucket
    if not repo:
        raise HubError(
            "no Space is named: give --repo ORG/NAME, or set space under [training] in hub.toml"
        )
    return Space(repo, bucket)
