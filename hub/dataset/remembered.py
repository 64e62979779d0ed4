"""What a build need not do again: checks that examples passed, and the history that was read.

Both are files in a folder of the hub's store, named by a digest of all that decides them, this
program's own rules among it. Deleting the folder costs time, and nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from hub.store.cache import atomic_path
from hub.types import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hub.dataset.checks import Check
    from hub.types import Example

FOLDER = "remembered"
_SIZE = 16  # bytes of a digest


def digest(*parts: object) -> bytes:
    """A digest of values that are told apart by what they show."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=_SIZE).digest()


@functools.cache
def rules_digest() -> str:
    """A digest of the code and the lists that make and check examples."""
    hub = Path(__file__).parent.parent
    files = [*hub.glob("*.py"), *hub.glob("curate/**/*"), *hub.glob("dataset/*")]
    found = sorted(path for path in files if path.suffix in {".py", ".toml"})
    return digest(*(path.read_bytes() for path in found)).hex()


class Remembered:
    """What the last build left in ``folder`` of a hub's store, and what this one will leave.

    ``key`` is what the checks depend on beside an example and this program.
    """

    def __init__(self, folder: Path, key: str) -> None:
        """Read which examples passed as they are."""
        self.folder = folder
        self.path = self._path("passed", key)
        self.used = {self.path}
        data = self.path.read_bytes() if self.path.is_file() else b""
        self.passed = {data[at : at + _SIZE] for at in range(0, len(data), _SIZE)}
        self.now: set[bytes] = set()
        self.secrets: tuple[str, ...] = ()  # with others, what passed may pass no longer

    def knows(self, value: object) -> bool:
        """Whether a value passed before; it is remembered further."""
        key = digest(value, self.secrets)
        if key in self.passed:
            self.now.add(key)
        return key in self.passed

    def add(self, value: object) -> None:
        """Remember that a value passed."""
        self.now.add(digest(value, self.secrets))

    def checked(self, check: Check) -> Check:
        """The check, but an example that passed it before passes."""

        def once(example: Example) -> Example | str:
            if self.knows(example):
                return example
            found = check(example)
            if found == example:  # what was mended is mended, and told, each time
                self.add(example)
            return found

        return once

    def changes(self, key: str, read: Callable[[], Iterable[Change]]) -> list[Change]:
        """What ``read`` finds, or found in the last build under the same ``key``."""
        path = self._path("history", key)
        self.used.add(path)
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            return [Change(**json.loads(line)) for line in lines]
        found = list(read())
        rows = [json.dumps(dataclasses.asdict(change)) + "\n" for change in found]
        self._write(path, "".join(rows).encode())
        return found

    def save(self) -> None:
        """Leave what this build used, and nothing else."""
        self._write(self.path, b"".join(sorted(self.now)))
        for path in self.folder.iterdir():
            if path not in self.used:
                path.unlink()

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / f"{kind}-{digest(key, rules_digest()).hex()}"

    def _write(self, path: Path, data: bytes) -> None:
        self.folder.mkdir(exist_ok=True)
        with atomic_path(path) as target:
            target.write_bytes(data)
