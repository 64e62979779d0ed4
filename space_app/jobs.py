"""Work that takes longer than a request: in a thread, told on every page, found after a reload."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hub.errors import HubError
from space_app.code_view import message

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub.reporting import Progress


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work: how far it is, and at its end what came of it."""

    title: str
    state: Literal["running", "done", "failed"] = "running"
    told: str = ""
    began: float = 0.0

    def __str__(self) -> str:
        if self.state == "running":
            return f"{self.title}: {self.told or 'begins'} ({time.monotonic() - self.began:.0f} s)"
        return f"{self.title}: {self.state}. {self.told}"


class Jobs:
    """The work of this app, one piece at a time; ``last`` is what runs, or ran, and ``finished``
    counts what came to an end."""

    def __init__(self) -> None:
        self.last: Job | None = None
        self.finished = 0
        self._lock = threading.Lock()

    def start(self, title: str, work: Callable[[Progress], str]) -> Job:
        """Run ``work`` in a thread; it is given a progress to call, and returns what came of it.

        Raises:
            HubError: other work is running.
        """
        with self._lock:
            if self.last and self.last.state == "running":
                raise HubError(f"wait until this is done: {self.last}")
            self.last = job = Job(title, began=time.monotonic())
        threading.Thread(target=self._run, args=(work,), daemon=True).start()
        return job

    def _run(self, work: Callable[[Progress], str]) -> None:
        def progress(stage: str, done: int, total: int) -> None:
            self._tell(told=f"{stage} {done:,} of {total:,}" if total > 1 else stage)

        try:
            self._tell(told=work(progress), state="done")
        except HubError as error:
            self._tell(told=str(error), state="failed")
        except BaseException as error:
            self._tell(told=f"{type(error).__name__}: {error}", state="failed")
            raise

    def _tell(self, *, told: str, state: Literal["running", "done", "failed"] = "running") -> None:
        assert self.last is not None
        self.last = replace(self.last, told=told, state=state)
        self.finished += state != "running"


def job_html(jobs: Jobs) -> str:
    """What runs, or ran last."""
    job = jobs.last
    return message(str(job), alert=job.state == "failed") if job else ""


def begun_html(jobs: Jobs, title: str, work: Callable[[Progress], str]) -> str:
    """Begin ``work``; returns what to show of it, or why it has not begun."""
    try:
        jobs.start(title, work)
    except HubError as error:
        return message(str(error), alert=True)
    return job_html(jobs)
