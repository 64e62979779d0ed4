"""Folders that appear whole or not at all, and say by digests whether they still are.

What a run saves is written under another name, listed with the digest of each file, and renamed
into place: a killed run leaves no half of a checkpoint under a checkpoint's name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "MANIFEST.json"
PREFIX, STATE = "checkpoint-", "trainer_state.json"
DAMAGED = "damaged-"


def publish(partial: Path, target: Path) -> None:
    """List the files of ``partial`` with their digests and rename it; ``target`` is replaced."""
    listed = {}
    for path in sorted(p for p in partial.rglob("*") if p.is_file() and p.name != MANIFEST):
        _sync(path)
        listed[path.relative_to(partial).as_posix()] = {
            "sha256": digest(path),
            "bytes": path.stat().st_size,
        }
    manifest = partial / MANIFEST
    manifest.write_text(json.dumps({"files": listed}, indent=2) + "\n", encoding="utf-8")
    _sync(manifest)
    old = target.with_name(f".old-{target.name}")
    if target.exists():
        target.rename(old)
    partial.rename(target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def problems(folder: Path) -> list[str]:
    """What is wrong with a folder that was published; empty: it is whole and unchanged."""
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        files = {name: entry["sha256"] for name, entry in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{MANIFEST} cannot be read: {error}"]
    found = [] if files else [f"{MANIFEST} lists no files"]
    for name, expected in files.items():
        try:
            if digest(folder / name) != expected:
                found.append(f"{name} is not what was saved")
        except OSError as error:
            found.append(f"{name} cannot be read: {error.strerror}")
    return found


def digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(PREFIX))


def saved(folder: Path) -> list[Path]:
    """The checkpoints in ``folder``, oldest first."""
    found = [p for p in folder.glob(f"{PREFIX}*") if p.name.removeprefix(PREFIX).isdigit()]
    return sorted(found, key=step_of)


def newest(folder: Path) -> tuple[Path | None, dict[str, list[str]]]:
    """The newest checkpoint that is whole, and what is wrong with those after it.

    A damaged one is renamed, so that its number is free when the run comes there again.
    """
    damaged: dict[str, list[str]] = {}
    for checkpoint in reversed(saved(folder)):
        wrong = problems(checkpoint) or _unreadable(checkpoint)
        if not wrong:
            return checkpoint, damaged
        damaged[checkpoint.name] = wrong
        aside = folder / f"{DAMAGED}{checkpoint.name}"
        shutil.rmtree(aside, ignore_errors=True)
        checkpoint.rename(aside)
    return None, damaged


def state_of(checkpoint: Path) -> dict[str, Any]:
    """The trainer's state in a checkpoint."""
    state: dict[str, Any] = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    return state


def _unreadable(checkpoint: Path) -> list[str]:
    try:
        state_of(checkpoint)["global_step"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{STATE} cannot be read: {error}"]
    return []


def prune(folder: Path, keep: int, best: int | None) -> None:
    """Remove all but the newest ``keep`` checkpoints and the one of step ``best``."""
    for checkpoint in saved(folder)[:-keep]:
        if step_of(checkpoint) != best:
            shutil.rmtree(checkpoint, ignore_errors=True)


def _sync(path: Path) -> None:
    """Make sure that what was written survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
