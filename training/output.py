"""The folder of a run: who may write to it, whether a run may begin or go on there, and signals."""

from __future__ import annotations

import math
import os
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from training.checkpoints import MANIFEST, problems, saved
from training.errors import TrainingError
from training.process import Process
from training.processes import is_first
from training.runlog import FILE, read_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.config import Config

ADAPTER, CHECKPOINTS, BASE, CONFIG = "adapter", "checkpoints", "base", "config.yaml"
ORIGIN = "training.json"  # in an adapter: what it was made from
INTERRUPTED = "interrupted"
# What a resumed run may set otherwise: its weights do not depend on it.
FREE = frozenset({"output", "dataset", "train.keep", "train.log_steps", "train.out_of_memory"})
LOCK = ".lock"
INSTANT = 1.0  # seconds to wait for the lock: who only looks whether a run is alive has it for less


class Stop:
    """Why a run should end at its next step; empty: it should not.

    A signal is only kept in mind while the run is ``stepping``; before, it ends the process.
    ``until`` is when it is interrupted anyway, by ``time.monotonic``.
    """

    reason = ""
    stepping = False
    until = math.inf

    def check_time(self) -> None:
        if not self.reason and time.monotonic() > self.until:
            self.reason = INTERRUPTED


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """Make the folder, hold its lock, and note there who does; the first process does it for all.

    Raises:
        TrainingError: another process has it, or the folder cannot be made.
    """
    from filelock import FileLock, Timeout

    if not is_first():
        yield
        return
    lock = FileLock(output / LOCK, timeout=INSTANT)
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        Process.of(os.getpid()).note(output)
    except Timeout as error:
        raise TrainingError(_busy(output)) from error
    except OSError as error:
        raise TrainingError(f"{output} cannot be the folder of a run: {error}") from error
    try:
        yield
    finally:
        lock.release()


def is_locked(output: Path) -> bool:
    """Whether a process trains into the folder."""
    from filelock import FileLock, Timeout

    if not (output / LOCK).exists():
        return False
    try:
        with FileLock(output / LOCK, timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def signals() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM end a run after its step, with a checkpoint; the same again, at once.

    A launcher of several processes passes a Ctrl-C on that they had from the terminal already.
    """
    stop, seen = Stop(), set[int]()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: Any) -> None:
        if not stop.stepping or number in seen:
            raise KeyboardInterrupt
        seen.add(number)
        stop.reason = INTERRUPTED

    for number in kept:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def begin(config: Config, output: Path, resume: bool) -> None:
    """Note the settings of a new run, and forget the base of one that came to nothing here.

    Raises:
        TrainingError: as :func:`check_output`.
    """
    check_output(config, output, resume)
    if resume:
        return
    if config.scratch:
        shutil.rmtree(output / BASE, ignore_errors=True)
    settings = yaml.safe_dump(config.model_dump(), sort_keys=False)
    (output / CONFIG).write_text(settings, encoding="utf-8")


def check_output(config: Config, output: Path, resume: bool) -> None:
    """Refuse to mix two runs, or a run with what is no part of one; nothing is written.

    Raises:
        TrainingError: the folder holds a run already, or has none to go on with, or one with
            other settings.
    """
    adapter, noted = output / ADAPTER, output / CONFIG
    if adapter.exists() and not problems(adapter):
        raise TrainingError(f"{adapter} is there already: this run is done; name another output")
    _refuse_what_is_not_ours(config, output)
    settings = config.model_dump()
    if not resume:
        if saved(output / CHECKPOINTS):
            raise TrainingError(
                f"{output} holds a run that was stopped: go on with --resume, or name another "
                "output"
            )
        return
    if not noted.is_file():
        raise TrainingError(f"{output} holds no run to go on with: start it without --resume")
    old, new = dict(_flat(_noted(noted))), dict(_flat(settings))
    changed = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k) and k not in FREE]
    if changed:
        listed = "; ".join(f"{k} was {old.get(k)!r}, is {new.get(k)!r}" for k in changed)
        raise TrainingError(f"{output} was begun with other settings: {listed}")


def check_place(config: Config) -> None:
    """Whether a new run could begin in its output, as far as can be seen without writing there.

    Raises:
        TrainingError: it could not; says why.
    """
    output = Path(config.output)
    there = nearest(output)
    if not there.is_dir():
        raise TrainingError(f"{there} is a file: name another output than {output}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise TrainingError(f"{there} may not be written to: name another output than {output}")
    if is_locked(output):
        raise TrainingError(_busy(output))
    check_output(config, output, resume=False)


def nearest(folder: Path) -> Path:
    """The folder, or the first above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _refuse_what_is_not_ours(config: Config, output: Path) -> None:
    """A run replaces only what a run has written.

    Raises:
        TrainingError: something else has one of the names that a run's files have.
    """
    base, noted, adapter = output / BASE, output / CONFIG, output / ADAPTER
    ours = not noted.exists() or (output / FILE).exists() or _noted(noted) == config.model_dump()
    wrong = [] if ours else [noted]
    if config.scratch and base.exists() and not (base / MANIFEST).is_file():
        wrong.append(base)
    if adapter.exists() and not any((adapter / name).is_file() for name in (MANIFEST, ORIGIN)):
        wrong.append(adapter)
    wrong += [p for p in [output / CHECKPOINTS] if p.exists() and not p.is_dir()]
    if wrong:
        raise TrainingError(f"{wrong[0]} is not what a run has made: name another output")


def _noted(path: Path) -> dict[str, Any]:
    """The settings that a run began with.

    Raises:
        TrainingError: the file is damaged.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise TrainingError(f"{path} cannot be read: {why}; name another output") from error
    if not isinstance(settings, dict):
        raise TrainingError(f"{path} holds no settings: name another output")
    return settings


def _busy(output: Path) -> str:
    return f"another process is training into {output}: wait for it, or name another output"


def check_data(output: Path, name: str, sha256: str) -> None:
    """A run that goes on must learn from what it began with.

    Raises:
        TrainingError: the file was another one then.
    """
    begun = [e for e in read_log(output) if e["event"] == "data" and e["name"] == name]
    if begun and saved(output / CHECKPOINTS) and begun[-1]["sha256"] != sha256:
        raise TrainingError(
            f"{name} of the dataset is not what {output} was begun with: name another output, or "
            "restore the file"
        )


def _flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
