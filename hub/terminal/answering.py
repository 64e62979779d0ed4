"""Answers as text: one as it comes, or several side by side."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from hub.terminal.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from hub.answering.records import Answer

WIDTH = 100  # columns, where there is no terminal to ask
REDRAWS = 8  # a second


def print_answer(parts: Iterable[str | Answer], *, live: bool) -> Answer:
    """Print an answer, piece by piece where ``live``, and what it rests on."""
    printed = False
    for part in parts:
        if not isinstance(part, str):
            if not printed:
                click.echo(_shown(part.text))
            click.echo("\n".join(["", *_facts(part)]))
            return part
        if live:
            click.echo(_shown(part), nl=False)
            printed = True
    raise AssertionError("a stream ends with its answer")


def print_comparison(
    names: Sequence[str], parts: Iterable[tuple[str, str | Answer]]
) -> dict[str, Answer]:
    """Print the arms as columns that fill as they answer."""
    from rich.console import Console
    from rich.live import Live

    texts = dict.fromkeys(names, "")
    answers: dict[str, Answer] = {}
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH)
    with Live(console=console, refresh_per_second=REDRAWS, transient=True) as shown:
        for arm, part in parts:
            if isinstance(part, str):
                texts[arm] += part
            else:
                answers[arm] = part
                texts[arm] = part.text
            if console.is_terminal:
                shown.update(_columns(texts, answers))
    console.print(_columns(texts, answers))
    return answers


def _columns(texts: dict[str, str], answers: dict[str, Answer]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(expand=True)
    for arm in texts:
        table.add_column(arm, overflow="fold")
    table.add_row(*(Text(_shown(text)) for text in texts.values()), end_section=True)
    facts = ("\n".join(_facts(answers[arm])) if arm in answers else "..." for arm in texts)
    table.add_row(*(Text(each) for each in facts))
    return table


def _facts(answer: Answer) -> list[str]:
    """What an answer took and rests on, a fact a line."""
    took = f"{answer.seconds:.1f} s"
    if answer.tokens:
        took += f", {answer.prompt_tokens} + {answer.tokens} tokens"
    lines = [took]
    if not answer.complete:
        lines.append(one_line(f"incomplete: {answer.error}"))
    for citation in answer.citations:
        if not citation.holds:
            why = "made up" if not citation.known else "says something else"
            lines.append(one_line(f"citation {citation.location}: {why}"))
    lines += [
        one_line(f"source {s.pattern.location}  {s.pattern.kind} {s.pattern.symbol}")
        for s in answer.sources
    ]
    lines += [
        one_line(f"warning {place} holds text that reads like orders to an assistant")
        for place in answer.marked
    ]
    return lines


def _shown(text: str) -> str:
    """Text that cannot steer a terminal."""
    return "\n".join(map(one_line, text.split("\n")))
