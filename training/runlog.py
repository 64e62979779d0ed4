"""The log of a run: one JSON object a line, only ever appended to.

Whoever wants to know how a run goes reads this file: the command line, a page, a process that
was started again. Each line has ``time`` (seconds since 1970) and ``event``: start, base, resume,
data, step, evaluation, save, damaged, memory, stop, done or failed.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from training.errors import TrainingError
from training.processes import is_first

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    Event = dict[str, Any]

FILE = "run.jsonl"
FAILED = "failed"
TEXTS = frozenset({"reason", "name", "sha256"})
FIELDS = {
    "base": ("step", "steps", "loss"),
    "step": ("step", "steps", "loss"),
    "evaluation": ("step", "loss"),
    "resume": ("step",),
    "save": ("step",),
    "data": ("name", "sha256"),
    "stop": ("reason",),
    FAILED: ("reason",),
}


class RunLog:
    """Appends events to a run's log, and hands each to ``listener`` too."""

    def __init__(self, folder: Path, listener: Callable[[Event], None] | None = None) -> None:
        self._path = folder / FILE
        self._listener = listener
        self._written = False

    def __call__(self, event: str, **fields: Any) -> None:
        if not is_first() and event != FAILED:
            return
        entry = {"time": round(time.time(), 3), "event": event, **fields}
        try:
            with self._path.open("a+b") as file:
                if not self._written and _is_cut(file):
                    file.write(b"\n")
                file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
                self._written = True
        except OSError as error:
            if event != FAILED:  # why it failed is what its user has to hear
                raise TrainingError(
                    f"{self._path} cannot be written: {error}; make room and go on with --resume"
                ) from error
        if self._listener:
            self._listener(entry)


def line_of(event: Event) -> str:
    """An event as one line for a person."""
    kind = event["event"]
    if kind == "step":
        return (
            f"step {event['step']}/{event['steps']}  loss {event['loss']:.4f}  "
            f"rate {event['learning_rate']:.2e}  {event['tokens_per_second']:.0f} tokens/s  "
            f"{event['peak_bytes'] / 1e9:.1f} GB  {event['eta_seconds']} s left"
        )
    if kind == "base":
        return f"base: step {event['step']}/{event['steps']}  loss {event['loss']:.4f}"
    if kind == "data":
        return (
            f"{event['name']}: {event['kept']} of {event['rows']} rows, {event['tokens']} tokens; "
            f"{left_out(event)}"
        )
    fields = {key: value for key, value in event.items() if key not in {"time", "event"}}
    return f"{kind}: " + "  ".join(f"{key} {value}" for key, value in fields.items() if value)


def left_out(report: Event) -> str:
    """What became of rows that were not learned as they are, with their first lines."""
    parts = [
        f"{n} x {why} (line{'s' * (n > 1)} {', '.join(map(str, report['lines'].get(why, ())))}"
        f"{', ...' if n > len(report['lines'].get(why, ())) else ''})"
        for why, n in report["dropped"].items()
    ] or ["none left out"]
    return "; ".join([*parts, *(f"{n} x {what}" for what, n in report["noted"].items())])


def _is_cut(file: BinaryIO) -> bool:
    """Whether a killed process left its last line unfinished; the next one would be lost in it."""
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read() != b"\n"


def read_log(folder: Path) -> list[Event]:
    """The events of a run; a line that a killed process left unfinished is none."""
    events = []
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if _is_whole(event):
            events.append(event)
    return events


def _is_whole(event: Any) -> bool:
    """Whether it is an event, with the fields that its readers ask for."""
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return False
    return all(
        isinstance(event.get(name), str if name in TEXTS else int | float)
        for name in FIELDS.get(event["event"], ())
    )
