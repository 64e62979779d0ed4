"""JSON lines that appear whole or not at all."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from hub.errors import HubError
from hub.store.cache import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as JSON lines, all of them or none; a device or pipe is written to as it is.

    Raises:
        HubError: ``path`` cannot be written.
    """
    try:
        with _writable(path) as target, target.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n")
    except OSError as error:
        raise HubError(f"{path} cannot be written: {error}") from error


def _writable(path: Path) -> AbstractContextManager[Path]:
    """What to write to: a file that replaces ``path`` at the end, but a device or pipe itself."""
    if path.is_dir():
        raise HubError(f"{path} is a folder; name a file in it")
    in_dev = path.is_absolute() and path.parts[1:2] == ("dev",)
    if in_dev or (path.exists() and not path.is_file()):
        return nullcontext(path)
    return atomic_path(path.resolve())
