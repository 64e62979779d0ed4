"""Who trains into a folder: noted there, so that any other process can see it and stop it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "process.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that cannot be taken for another one: a number alone is given again.

    ``started`` is when it began, in the system's own form.
    """

    pid: int
    started: str
    host: str

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid=pid, started=_started(pid), host=platform.node())

    @property
    def is_here(self) -> bool:
        """Whether it is of this machine; of another one, nothing can be said."""
        return self.host == platform.node()

    @property
    def is_alive(self) -> bool:
        return self.is_here and self.started != "" and _started(self.pid) == self.started

    def note(self, folder: Path) -> None:
        """Write it into ``folder``, whole or not at all."""
        partial = folder / f".{FILE}.{os.getpid()}"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.replace(folder / FILE)


def noted(folder: Path) -> Process | None:
    """The process that was noted last in ``folder``; it may be gone."""
    try:
        return Process(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _started(pid: int) -> str:
    """When a process began; empty: there is none, or it has ended and only waits to be reaped."""
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    asked = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    state, _, when = told.partition(" ")
    return "" if state.startswith("Z") else when.strip()
