"""Answers that were given, kept so that none is paid for twice: JSON lines, only appended to.

An answer is known by everything that decides it: who answers, with which settings, and what was
asked. What a killed process left unfinished at the end of the file is no answer, and goes.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from training.errors import TrainingError
from training.metrics import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "answers.jsonl"


def key_of(*parts: Any) -> str:
    """The SHA-256 of JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Answers:
    """The answers in a folder, by their keys; :func:`alone` must hold it."""

    def __init__(self, folder: Path) -> None:
        """Find where each answer stands.

        Raises:
            TrainingError: the file cannot be read or written.
        """
        self._path = folder / FILE
        self._at: dict[str, int] = {}
        try:
            with self._path.open("ab+") as file:
                file.seek(0)
                at = 0
                while (line := file.readline()).endswith(b"\n"):
                    if key := _parsed(line).get("key"):
                        self._at[key] = at
                    at += len(line)
                file.truncate(at)
        except OSError as error:
            raise self._unusable(error) from error

    def __contains__(self, key: str) -> bool:
        return key in self._at

    def get(self, key: str) -> Reply | None:
        """The answer under ``key``; None where there is none."""
        if key not in self._at:
            return None
        with self._path.open("rb") as file:
            file.seek(self._at[key])
            found = _parsed(file.readline())["reply"]
        return Reply(**{**found, "context": tuple(found["context"])})

    def add(self, key: str, reply: Reply) -> None:
        """Keep an answer.

        Raises:
            TrainingError: it cannot be written, as on a full disk.
        """
        line = json.dumps({"key": key, "reply": asdict(reply)}).encode() + b"\n"
        try:
            with self._path.open("ab") as file:
                self._at[key] = file.tell()
                file.write(line)
        except OSError as error:
            del self._at[key]
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> TrainingError:
        return TrainingError(
            f"{self._path}: {error.strerror or error}; the answers before are kept: make room, and "
            "run the same again"
        )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the folder and hold its lock.

    Raises:
        TrainingError: another process has it, or it cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise TrainingError(f"another evaluation is writing to {folder}: wait for it") from error
    except OSError as error:
        raise TrainingError(f"{folder} cannot keep answers: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
