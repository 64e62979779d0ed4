"""How long work shows that it goes on."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.reporting import Progress

PLAIN_EVERY = 10.0  # seconds between two lines where there is no terminal
UNITS = {
    "patterns": "B of source",
    "validated": "B",
    "vectors": "vectors",
    "measuring": "tiers",
    "comparing": "levels",
    "commits": "commits",
    "answers": "answers",
    "scored": "arms",
}
STEPS = "steps"  # the unit of every other stage


@contextmanager
def index_progress() -> Iterator[Progress]:
    """A bar with rate and ETA on a terminal, a plain line every few seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _plain_progress()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    bars = Progress(
        TextColumn("{task.description:>9}"),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}

    def show(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total, unit=UNITS.get(stage, STEPS))
        bars.update(tasks[stage], completed=done, total=total)

    with bars:
        yield show


def _plain_progress() -> Progress:
    said: dict[str, float] = {}
    started: dict[str, float] = {}
    finished: set[str] = set()

    def show(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        begin = started.setdefault(stage, now)
        if (done < total and now - said.get(stage, begin) < PLAIN_EVERY) or stage in finished:
            return
        if done == total:
            finished.add(stage)
        said[stage] = now
        rate = done / (now - begin) if now > begin else 0
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        print(
            f"{stage}: {done}/{total} {UNITS.get(stage, STEPS)}{left}", file=sys.stderr, flush=True
        )

    return show
