"""Verbs that answer questions: in words or quotes, arm by arm, and as tools for agents."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from hub.commands.common import json_option, open_hub, print_json
from hub.errors import HubError

if TYPE_CHECKING:
    from hub.answering.arms import ArmName
    from hub.answering.records import Answer

model_option = click.option(
    "--model", default="", help="At the endpoint, or a base on this machine; else hub.toml's."
)
adapter_option = click.option(
    "--adapter", help="Of the registry, such as team@1.2.0, or the folder of one; else hub.toml's."
)


@click.command()
@click.argument("question")
@click.option(
    "--arm",
    type=click.Choice(["base", "rag", "adapter", "rag+adapter"]),
    default="rag",
    show_default=True,
    help="What answers.",
)
@model_option
@adapter_option
@json_option
@click.pass_obj
def ask(
    folder: Path | None, question: str, arm: str, model: str, adapter: str | None, as_json: bool
) -> None:
    """Answer a question from the team's patterns, with sources."""
    from hub.terminal.answering import print_answer

    arms = open_hub(folder).arms(model=model, adapter=adapter)
    parts = (part for _, part in arms.answers(question, [cast("ArmName", arm)]))
    if as_json:
        answer = next(part for part in parts if not isinstance(part, str))
        print_json(answer.to_json())
    else:
        answer = print_answer(parts, live=sys.stdout.isatty())
    if answer.error:
        raise HubError(f"the answer is incomplete: {answer.error}")


@click.command()
@click.argument("question")
@model_option
@adapter_option
@json_option
@click.pass_obj
def compare(
    folder: Path | None, question: str, model: str, adapter: str | None, as_json: bool
) -> None:
    """Ask every arm there is the same question, and show the answers side by side."""
    from hub.terminal.answering import print_comparison

    arms = open_hub(folder).arms(model=model, adapter=adapter)
    parts = arms.answers(question, arms.names)
    if as_json:
        found: dict[str, Answer] = {arm: part for arm, part in parts if not isinstance(part, str)}
        print_json({"question": question, "answers": [found[a].to_json() for a in arms.names]})
    else:
        found = print_comparison(arms.names, parts)
    broken = [f"{arm}: {found[arm].error}" for arm in arms.names if found[arm].error]
    if broken:
        raise HubError("incomplete:\n" + "\n".join(broken))


@click.command()
@click.option("--http", is_flag=True, help="Listen on this machine instead of standard input.")
@click.option("--port", type=click.IntRange(1, 65535), default=8765, show_default=True)
@click.pass_obj
def mcp(folder: Path | None, http: bool, port: int) -> None:
    """Serve search, show, ask and gaps to coding agents by MCP, read-only."""
    from hub.answering.tools import serve

    serve(open_hub(folder), http=http, port=port)
