"""Verbs of the registry: which adapters there are, which one is in production, where copies lie."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub.commands.common import json_option, open_hub, print_json

if TYPE_CHECKING:
    from hub.types import Adapter

repo_option = click.option(
    "--repo", "repository", default="", metavar="ORG/NAME", help="Default: hub.toml's."
)


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def adapters(ctx: click.Context, as_json: bool) -> None:
    """Adapters that were trained: versions, copies, exports, what is in production.

    REF is a name (its newest version), name@1.2.0, name@production or the beginning of a digest.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_, as_json=as_json)


@adapters.command("list")
@click.argument("name", default="")
@json_option
@click.pass_obj
def list_(folder: Path | None, name: str, as_json: bool) -> None:
    """Every adapter, the oldest version first."""
    from hub.serving.pushing import to_push
    from hub.terminal.adapters import adapters_table

    hub = open_hub(folder)
    found = hub.adapters.list(name)
    if as_json:
        print_json([adapter.to_json() for adapter in found])
    else:
        click.echo(adapters_table(found))
    repository = hub.workspace.config.training.repo
    if repository and (waiting := to_push(hub.adapters, repository)):
        click.echo(f"{len(waiting)} wait for `patternhub adapters push` to {repository}", err=True)


@adapters.command()
@click.argument("adapter", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What to call it.")
@json_option
@click.pass_obj
def take(folder: Path | None, adapter: Path, name: str, as_json: bool) -> None:
    """Keep an adapter's folder, as `python -m training` leaves it or a run has it still.

    A copy in the registry that was damaged since is put right.
    """
    from hub.terminal.adapters import adapters_table

    taken = open_hub(folder).adapters.take(adapter, name=name)
    if as_json:
        print_json(taken.to_json())
    else:
        click.echo(adapters_table([taken]))


@adapters.command()
@click.argument("reference", metavar="REF")
@json_option
@click.pass_obj
def show(folder: Path | None, reference: str, as_json: bool) -> None:
    """One adapter: what it was made from, its metrics, verdict and promotions."""
    from hub.terminal.adapters import adapter_text

    registry = open_hub(folder).adapters
    adapter = registry.get(reference)
    path, promotions = registry.path(adapter), registry.promotions(adapter.name)
    own = [p for p in promotions if p["digest"] == adapter.digest]
    if as_json:
        print_json(adapter.to_json() | {"path": str(path), "promotions": own})
    else:
        click.echo(adapter_text(adapter, path, own))


@adapters.command()
@click.argument("reference", metavar="[REF]", default="")
@click.option("--remote", is_flag=True, help="Compare with the copies on the Hub.")
@repo_option
@json_option
@click.pass_obj
def verify(
    folder: Path | None, reference: str, remote: bool, repository: str, as_json: bool
) -> None:
    """Compare every file with its digest; exit status 1 where one differs."""
    from hub.terminal.adapters import verified_text

    hub = open_hub(folder)
    found = hub.verify_adapters(reference, remote=remote, repository=repository)
    if as_json:
        print_json(found)
    else:
        click.echo(verified_text(found, {} if remote else hub.ways_to_mend(found)))
    sys.exit(1 if any(found.values()) else 0)


@adapters.command()
@click.argument("reference", metavar="[REF]", default="")
@repo_option
@click.option("--private/--public", default=True, show_default=True, help="Of a new repository.")
@json_option
@click.pass_obj
def push(
    folder: Path | None, reference: str, repository: str, private: bool, as_json: bool
) -> None:
    """Send what waits, or one adapter, to the Hub; exit status 1 where one is damaged."""
    from hub.terminal.adapters import push_summary

    hub = open_hub(folder)
    report = hub.push_adapters(reference, repository=repository, private=private)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(push_summary(report))
    sys.exit(1 if report.damaged else 0)


@adapters.command()
@click.argument("repository", metavar="REPO")
@json_option
@click.pass_obj
def pull(folder: Path | None, repository: str, as_json: bool) -> None:
    """Take in the adapters of a repository on the Hub, verified by their digests."""
    from hub.serving.pushing import pull as take
    from hub.terminal.adapters import pulled_text

    taken = take(open_hub(folder).adapters, repository)
    if as_json:
        print_json([adapter.to_json() for adapter in taken])
    else:
        click.echo(pulled_text(taken))


@adapters.command()
@click.argument("reference", metavar="REF")
@click.option("--force", is_flag=True, help="Even if the gate did not let it pass.")
@click.option("--reason", default="", help="Why; kept.")
@json_option
@click.pass_obj
def promote(folder: Path | None, reference: str, force: bool, reason: str, as_json: bool) -> None:
    """Put an adapter that passed the gate into production; exit status 1 if it did not."""
    _tell(open_hub(folder).adapters.promote(reference, force=force, reason=reason), as_json)


@adapters.command()
@click.argument("name")
@json_option
@click.pass_obj
def rollback(folder: Path | None, name: str, as_json: bool) -> None:
    """Put back what was in production before."""
    _tell(open_hub(folder).adapters.rollback(name), as_json)


@adapters.command()
@click.argument("reference", metavar="REF")
@click.option("--to", "form", type=click.Choice(["merged", "ollama", "unsloth"]), required=True)
@click.option("--base", default="", metavar="ID_OR_PATH", help="Where the base model lies now.")
@click.argument("out", type=click.Path(path_type=Path))
@json_option
@click.pass_obj
def export(
    folder: Path | None, reference: str, form: str, base: str, out: Path, as_json: bool
) -> None:
    """Write an adapter for other programs: a whole model, Ollama, or Unsloth's data and config."""
    from hub.terminal.adapters import exported_text

    report = open_hub(folder).export_adapter(reference, out, form=form, base=base)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(exported_text(report))


def _tell(adapter: Adapter, as_json: bool) -> None:
    if as_json:
        print_json(adapter.to_json())
    else:
        click.echo(f"{adapter.reference} is in production")
