"""The folder of an adapter as training leaves it: what belongs to it, and whether it is unchanged.

Training and the hub share no code, but this form: ``MANIFEST.json`` lists the files with the sha256
of each, ``training.json`` says what the adapter was made from. The digest of an adapter is that of
its list.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from hub.errors import HubError

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST, ORIGIN = "MANIFEST.json", "training.json"
TAKEN = "taken.json"  # what the registry called it; not one of its files
WEIGHTS, SETTINGS, TEMPLATE = "adapter_model.safetensors", "adapter_config.json", "template.json"
BASE = "base"  # a folder, where the run has built the base too
NEEDED = (WEIGHTS, SETTINGS, TEMPLATE, ORIGIN)  # weights in no other form: a pickle can run code


def listed(folder: Path) -> dict[str, str]:
    """The files of an adapter: sha256 by name.

    Raises:
        HubError: ``folder`` is no adapter, lacks a file, or lists one outside of it.
    """
    try:
        entries = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        files = {str(name): str(entry["sha256"]) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HubError(
            f"{folder} is no adapter: {MANIFEST} cannot be read ({error}); a run that has ended "
            "well leaves one in its folder `adapter`"
        ) from error
    for name in files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or name in ("", MANIFEST):
            raise HubError(f"{folder}: {MANIFEST} lists {name!r}, which is no file of an adapter")
    if missing := [name for name in NEEDED if name not in files]:
        raise HubError(f"{folder} is no adapter: {MANIFEST} does not list {', '.join(missing)}")
    return files


def digest_of(files: dict[str, str]) -> str:
    """The digest of an adapter, in hexadecimal, from its files."""
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def problems(folder: Path, files: dict[str, str]) -> list[str]:
    """What is wrong with the files of an adapter; empty: all are there and unchanged."""
    found = []
    for name, expected in files.items():
        try:
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    found.append(f"{name} is not what was saved")
        except OSError as error:
            found.append(f"{name} cannot be read: {error.strerror}")
    return found


def damage(folder: Path, digest: str) -> list[str]:
    """What is wrong with the folder of the adapter that ``digest`` names; empty: it is whole."""
    if not folder.is_dir():
        return [f"its folder {folder} is gone"]
    try:
        files = listed(folder)
    except HubError as error:
        return [str(error)]
    if digest_of(files) != digest:
        return [f"{MANIFEST} is not what was saved"]
    return [*problems(folder, files), *_added(folder, files)]


def _added(folder: Path, files: dict[str, str]) -> list[str]:
    """What lies there and was never saved: whoever loads the folder might run it."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = {path.relative_to(folder).as_posix() for path in found}
    return [f"{name} was added: delete it" for name in sorted(names - {*files, MANIFEST, TAKEN})]


def origin(folder: Path) -> dict[str, Any]:
    """What ``training.json`` says of base, config, metrics and dataset.

    The dataset's digest is that of the manifest of its build.

    Raises:
        HubError: it cannot be read, or says something else.
    """
    try:
        made = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        return {
            "base": str(made["base"]),
            "dataset": str(made["dataset"]),
            "config": dict(made["config"]),
            "metrics": dict(made["metrics"]),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HubError(f"{folder / ORIGIN} does not say what it was made from: {error}") from error


def copy(folder: Path, files: dict[str, str], target: Path) -> None:
    """Copy the listed files and the manifest, and nothing else; they survive a power cut."""
    for name in (*files, MANIFEST):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, path)
        sync(path)
    for path in (*(p for p in target.rglob("*") if p.is_dir()), target):
        sync(path)


def sync(path: Path) -> None:
    """Have the disk keep what was written to a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
