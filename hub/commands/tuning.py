"""Verbs that tune a hub's retriever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub.commands.common import json_option, open_hub, print_json

if TYPE_CHECKING:
    from hub.config import Tier


@click.group(invoke_without_command=True)
@click.option("--tier", type=click.Choice(["fast", "best"]), help="Only this tier; default: both.")
@click.option(
    "--pairs", default="docs,sections", show_default=True, help="Kinds of pairs, comma-separated."
)
@click.option("--epochs", type=float, default=1, show_default=True, help="Of the best tier.")
@click.option("--lora/--full", default=True, show_default=True, help="An adapter, or all weights.")
@click.option("--hold-out", multiple=True, metavar="SOURCE", help="Learn nothing from a source.")
@click.option("--dry-run", is_flag=True, help="Count the pairs and train nothing.")
@json_option
@click.pass_context
def tune(
    ctx: click.Context,
    /,
    tier: Tier | None,
    pairs: str,
    lora: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Tune the retriever on this hub's own patterns; kept only if it finds more."""
    if ctx.invoked_subcommand:
        return
    from hub.terminal.progress import index_progress
    from hub.terminal.tuning import tune_summary

    with index_progress() as progress:
        report = open_hub(ctx.obj).tune(
            tiers=[tier] if tier else ["best", "fast"],
            kinds=[kind.strip() for kind in pairs.split(",")],
            method="lora" if lora else "full",
            progress=progress,
            **options,
        )
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(tune_summary(report))


@tune.command()
@json_option
@click.pass_obj
def compare(folder: Path | None, as_json: bool) -> None:
    """Base against tuned, on files and repositories that were held out."""
    from hub.terminal.progress import index_progress
    from hub.terminal.tuning import compare_text

    with index_progress() as progress:
        report = open_hub(folder).compare_tuned(progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(compare_text(report))
