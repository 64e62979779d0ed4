"""One run of training, as its folder tells of it."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hub.errors import HubError
from training.process import FILE, noted

if TYPE_CHECKING:
    from pathlib import Path

    from training.runlog import Event

RECORD, CONSOLE, ASKED = "run.json", "console.txt", "stop.json"
STAMP = "%Y%m%d-%H%M%S"  # of an id: when the run began

State = Literal["running", "done", "stopped", "failed", "killed", "damaged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a run's own files do not say.

    ``name`` is that of its adapter, ``adapter`` its reference in the registry once it is taken, and
    ``refused`` why it could not be.
    """

    name: str
    preset: str
    created: float
    adapter: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a run stands: ``step`` of ``steps`` are done, of the base or of the adapter.

    ``reason`` says why it ended early, or what is damaged.
    """

    id: str
    folder: Path
    name: str
    preset: str
    created: float
    state: State
    phase: Literal["starting", "base", "adapter"]
    step: int
    steps: int
    loss: float | None
    evaluation: float | None
    adapter: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"folder": str(self.folder)}


def read_run(folder: Path) -> Run:
    """How the run in ``folder`` stands.

    Raises:
        HubError: the hub's own record of it cannot be read.
    """
    from training.runlog import read_log

    record, running = record_of(folder), is_running(folder)  # first: then its log is complete
    last: dict[str, Event] = {}
    for event in read_log(folder):
        last[event["event"]] = last["newest"] = event
    step = last.get("step") or last.get("base") or {}
    ended = None if running else _ending(folder, record, last.get("newest", {}))
    state, reason = ended or ("running", "")
    return Run(
        id=folder.name,
        folder=folder,
        name=record.name,
        preset=record.preset,
        created=record.created,
        state=state,
        phase="adapter" if "step" in last else "base" if "base" in last else "starting",
        step=step.get("step", 0),
        steps=step.get("steps", 0),
        loss=step.get("loss"),
        evaluation=last.get("evaluation", {}).get("loss"),
        adapter=record.adapter,
        reason=reason,
    )


def damaged_run(folder: Path, reason: str) -> Run:
    """A run whose record cannot be read: it has its place in the list, and hides no other."""
    return Run(
        id=folder.name,
        folder=folder,
        name="",
        preset="",
        created=began(folder.name),
        state="damaged",
        phase="starting",
        step=0,
        steps=0,
        loss=None,
        evaluation=None,
        adapter="",
        reason=reason,
    )


def began(id: str) -> float:
    """When a run of this id began, in seconds of the epoch; 0: its id does not say."""
    with suppress(ValueError):
        return time.mktime(time.strptime("-".join(id.split("-")[:2]), STAMP))
    return 0.0


def _ending(folder: Path, record: Record, newest: Event) -> tuple[State, str]:
    """How a run has ended, and why where not well."""
    if (folder / "adapter").is_dir():
        return ("failed", record.refused) if record.refused else ("done", "")
    if newest.get("event") == "failed":
        return "failed", newest["reason"]
    if newest.get("event") == "stop" or was_asked(folder):
        return "stopped", newest.get("reason", "before its first step")
    return "killed", _last_line(folder / CONSOLE) or "it ended without a word"


def was_asked(folder: Path) -> bool:
    """Whether the run's last process was told to stop."""
    try:
        return (folder / ASKED).read_bytes() == (folder / FILE).read_bytes()
    except OSError:
        return False


def is_running(folder: Path) -> bool:
    """Whether the run's process lives, or another one holds its folder."""
    from training.output import is_locked

    process = noted(folder)
    return (process is not None and process.is_alive) or is_locked(folder)


def record_of(folder: Path) -> Record:
    """What the hub noted of a run.

    Raises:
        HubError: it cannot be read.
    """
    try:
        record = Record(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
        return replace(record, created=float(record.created))
    except (OSError, ValueError, TypeError) as error:
        form = json.dumps(asdict(Record(name="team", preset="", created=0.0)))
        raise HubError(
            f"{folder / RECORD} cannot be read: {error}; write there what its adapter is called, "
            f"as {form}"
        ) from error


def write_record(folder: Path, record: Record) -> None:
    """Note it, whole or not at all."""
    partial = folder / f".{RECORD}.{os.getpid()}"
    with partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(asdict(record)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / RECORD)


def _last_line(path: Path) -> str:
    """What a program printed last."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
