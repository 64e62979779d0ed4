"""The log of a run: one JSON object a line, only ever appended to.

Whoever wants to know how a run goes reads this file: the command line, a page, a process that
was started again. Each line has ``time`` (seconds since 1970) and ``event``: start, base, resume,
step, evaluation, save, memory, stop, done or failed.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Event = dict[str, Any]

FILE = "run.jsonl"


class RunLog:
    """Appends events to a run's log, and hands each to ``listener`` too."""

    def __init__(self, folder: Path, listener: Callable[[Event], None] | None = None) -> None:
        self._path = folder / FILE
        self._listener = listener

    def __call__(self, event: str, **fields: Any) -> None:
        entry = {"time": round(time.time(), 3), "event": event, **fields}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        if self._listener:
            self._listener(entry)


def read_log(folder: Path) -> list[Event]:
    """The events of a run; a last line that a killed process left unfinished is no event."""
    events = []
    try:
        lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events
