"""The verb of the Space and the bucket that training away from this machine uses."""

from __future__ import annotations

from pathlib import Path

import click

from hub.commands.common import json_option, open_hub, print_json

repo_option = click.option("--repo", required=True, metavar="ORG/NAME", help="The Space.")
bucket_option = click.option("--bucket", default="", help="Default: the Space's name with -runs.")


@click.group()
def space() -> None:
    """The Hugging Face Space that trains, and what lies in its bucket."""


@space.command()
@repo_option
@bucket_option
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
def status(repo: str, bucket: str, as_json: bool) -> None:
    """Its stage and hardware, and the runs that wait there."""
    from hub.remote import Space

    found = Space(repo, bucket).status()
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(str(found))


@space.command()
@repo_option
@click.option("--build", is_flag=True, help="The log of its build.")
def logs(repo: str, build: bool) -> None:
    """What the Space has printed."""
    from hub.remote import Space

    for line in Space(repo).logs(build=build):
        click.echo(line)


@space.command()
@repo_option
def sleep(repo: str) -> None:
    """Pause it: it costs nothing until it is started again; what it saved stays."""
    from hub.remote import Space

    Space(repo).sleep()
    click.echo(f"{repo} is paused")


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
    from hub.remote import Space

    found = Space(repo, bucket).adapters(folder)
    if any(adapter.folder for adapter in found):
        hub = open_hub(home)
        found = [adapter.registered(hub.adapters, hub.runs.adapter_name) for adapter in found]
    if as_json:
        print_json([adapter.to_json() for adapter in found])
    else:
        for adapter in found:
            click.echo(str(adapter))
        if not found:
            click.echo(f"no adapter lies in {repo} or its bucket")
    if any(adapter.problems for adapter in found):
        raise SystemExit(1)
