"""Files of JSON lines that people's decisions are appended to: a line is there whole, or not."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def append_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Add ``entry`` to the file, on the disk when this returns.

    Raises:
        HubError: it cannot be written, as where the disk is full; the file is as it was.
    """
    line = (json.dumps(entry, ensure_ascii=False) + "\n").encode(errors="replace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")), path.open("ab", 0) as file:
            before = file.seek(0, os.SEEK_END)
            if before and not _ends_line(path):  # a kill, long ago, left half a line
                line = b"\n" + line
            try:
                left = memoryview(line)
                while left:  # a disk that fills up takes a part first
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), before)
                raise
    except OSError as error:
        raise HubError(f"{path} cannot be written: {error}") from error


def _ends_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
