"""Runs of training as text, and as a curve that grows."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, TextIO

from hub.terminal.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from hub.run import Run
    from training.preflight import Check
    from training.runlog import Event

BLOCKS = " ▁▂▃▄▅▆▇█"
HEIGHT = 8  # lines of a curve
WIDTH = 72  # columns of one that is printed once
MARGIN = 8  # columns of its scale


class Screen(Protocol):
    """What shows the events of a run."""

    def add(self, event: Event) -> None: ...

    def say(self, text: str) -> None:
        """Tell something else."""
        ...


class Curve:
    """What a run has told so far, drawn; the base's own training comes first where there is one."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.phase = "starting"
        self.losses: dict[int, float] = {}
        self.evaluation: float | None = None
        self.last: Event = {}
        self.said = ""

    def add(self, event: Event) -> None:
        """Take in one event; a resumed run tells some steps again."""
        kind = event["event"]
        if kind in ("base", "step"):
            phase = "the base" if kind == "base" else "the adapter"
            if phase != self.phase:
                self.phase, self.losses = phase, {}
            self.losses[event["step"]] = event["loss"]
            self.last = event
        elif kind == "evaluation":
            self.evaluation = event["loss"]
        elif kind == "start":
            self.title = f"{self.title.partition(',')[0]}, {event['device']}, {event['precision']}"

    def say(self, text: str) -> None:
        """Show ``text`` below the curve."""
        self.said = text

    def lines(self, width: int) -> list[str]:
        """The curve with its scale, and the figures of the last step below it."""
        at = self.last
        if not at:
            return [f"{self.title}: {self.phase}", *filter(None, [self.said])]
        values = [loss for _, loss in sorted(self.losses.items())]
        drawn = plot(values, width=max(width - MARGIN, 8), height=HEIGHT)
        scale = [""] * HEIGHT
        scale[0], scale[-1] = f"{max(values):.3g}", f"{min(values):.3g}"
        head = f"{self.title}: {self.phase}, step {at['step']} of {at['steps']}"
        body = [f"{mark:>{MARGIN - 2}} {line}" for mark, line in zip(scale, drawn, strict=True)]
        return [head, *body, self._figures(), *filter(None, [self.said])]

    def _figures(self) -> str:
        at = self.last
        figures = [f"loss {at['loss']:.3f}"]
        if self.evaluation is not None:
            figures.append(f"evaluation {self.evaluation:.3f}")
        if at["event"] == "step":
            left = max(0, at["eta_seconds"] - (time.time() - at["time"]))
            figures += [
                f"rate {at['learning_rate']:.1e}",
                f"{at['tokens_per_second']:.0f} tokens/s",
                f"{at['peak_bytes'] / 1e9:.1f} GB",
                f"{_duration(left)} left" if at["step"] < at["steps"] else "all steps done",
            ]
        return "   ".join(figures)


class Lines:
    """Events as plain lines, where there is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def add(self, event: Event) -> None:
        from training.runlog import line_of

        self.say(line_of(event))

    def say(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


@contextmanager
def screen(title: str, stream: TextIO) -> Iterator[Screen]:
    """A curve on a terminal that has its characters, plain lines elsewhere."""
    if not stream.isatty() or not (stream.encoding or "").lower().startswith("utf"):
        yield Lines(stream)
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    curve, console = Curve(title), Console(file=stream)

    def drawn() -> Text:
        return Text("\n".join(curve.lines(console.width)), no_wrap=True, overflow="crop")

    with Live(get_renderable=drawn, console=console, refresh_per_second=4):
        yield curve


def plot(values: Sequence[float], *, width: int, height: int) -> list[str]:
    """Values as columns of blocks, ``height`` lines of at most ``width``; many share a column."""
    columns = min(width, len(values))
    edges = [len(values) * n // columns for n in range(columns + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    steps = height * (len(BLOCKS) - 1)
    tall = [1 + round((m - low) / ((high - low) or 1) * (steps - 1)) for m in means]
    full = len(BLOCKS) - 1
    return [
        "".join(BLOCKS[min(max(each - full * line, 0), full)] for each in tall).rstrip()
        for line in reversed(range(height))
    ]


def preflight_table(checks: Iterable[Check]) -> str:
    """What was tried before a run, and what was found."""
    rows = [("ok" if c.passed else "FAIL", c.name, c.detail) for c in checks]
    return "\n".join(f"{verdict:4} {name:9} {one_line(detail)}" for verdict, name, detail in rows)


def started_text(run: Run) -> str:
    """Where a run that nobody watches can be found."""
    return (
        f"{run.id} goes on by itself\n"
        f"  watch it   patternhub runs logs {run.id} --follow\n"
        f"  stop it    patternhub runs stop {run.id}"
    )


def done_text(run: Run, adapter: Path) -> str:
    """What came of a run."""
    figures = [f"loss {run.loss:.3f}"] if run.loss is not None else []
    if run.evaluation is not None:
        figures.append(f"evaluation {run.evaluation:.3f}")
    return (
        f"{run.adapter}: {run.step} steps, {', '.join(figures)}; every file's digest is right\n"
        f"  {adapter}\n"
        f"next: patternhub adapters show {run.adapter}"
    )


def runs_table(runs: Sequence[Run]) -> str:
    """A line for each run."""
    if not runs:
        return "no runs yet: patternhub train DATASET starts one"
    return "\n".join(_row(run) for run in runs)


def run_text(run: Run, events: Sequence[Event]) -> str:
    """How a run stands, with its curve."""
    curve = Curve(run.id)
    for event in events:
        curve.add(event)
    shown = "utf" in (sys.stdout.encoding or "").lower()
    lines = [_row(run), str(run.folder)]
    return "\n".join([*lines, *(curve.lines(WIDTH)[1:] if shown and curve.last else [])])


def _row(run: Run) -> str:
    loss = f"loss {run.loss:.3f}" if run.loss is not None else ""
    told = run.adapter if run.state == "done" else run.reason
    steps = run.phase if run.phase == "starting" else f"{run.phase} {run.step}/{run.steps}"
    return one_line(f"{run.id}  {run.state:7}  {steps:<15}  {loss:10}  {run.name}  {told}")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
