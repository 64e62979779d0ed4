"""Verbs that measure: arms on held-out rows, and whether an adapter may ship."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hub.commands.answering import model_option
from hub.commands.common import json_option, listed, open_hub, print_json
from hub.errors import FailedCheckError


@click.command("eval")
@click.option("--arms", default="base,rag", show_default=True, help="And adapter, rag+adapter.")
@click.option("--adapter", default="", help="Of the registry, such as team@1.2.0, or a folder.")
@click.option(
    "--dataset",
    type=click.Path(path_type=Path),
    help="Held-out rows: a file, or a folder with test.jsonl; default: what was built last.",
)
@click.option("--n", type=click.IntRange(0), default=0, help="Rows to draw; default: all.")
@model_option
@json_option
@click.pass_obj
def evaluate(
    folder: Path | None,
    arms: str,
    adapter: str,
    dataset: Path | None,
    n: int,
    model: str,
    as_json: bool,
) -> None:
    """Ask the arms what held-out rows ask, and score the answers.

    A run that was stopped goes on where it was: no answer is asked for twice. Exit status 1 if an
    arm gave no whole answer at all.
    """
    from hub.terminal.evaluation import evaluation_text
    from hub.terminal.progress import index_progress

    with index_progress() as progress:
        done = open_hub(folder).evaluate(
            dataset, arms=listed(arms), adapter=adapter, model=model, n=n, progress=progress
        )
    if as_json:
        print_json(done.to_json())
    else:
        click.echo(evaluation_text(done))
    if silent := [arm.name for arm in done.evaluation.arms if arm.incomplete == len(arm.rows)]:
        raise FailedCheckError(f"no whole answer came from {', '.join(silent)}")


@click.command()
@click.argument("adapter")
@json_option
@click.pass_obj
def gate(folder: Path | None, adapter: str, as_json: bool) -> None:
    """Judge an adapter by its newest evaluation; the registry keeps the verdict.

    Exit status 1, with the reasons, if it does not pass or there is no verdict.
    """
    from hub.terminal.evaluation import verdict_text

    verdict = open_hub(folder).gate(adapter)
    if as_json:
        print_json(verdict.to_json())
    else:
        click.echo(verdict_text(verdict))
    if not verdict.passed:
        sys.exit(1)
