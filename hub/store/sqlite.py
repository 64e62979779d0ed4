"""A small SQLite file that can be made again, and is named when it is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class Database:
    """One SQLite file. A damaged one raises a HubError that says how to come by another."""

    def __init__(
        self, path: Path, schema: str, *, way_out: str = "delete it and index again"
    ) -> None:
        """Open ``path``, with the tables of ``schema`` where they are missing."""
        self._path = path
        self._way_out = way_out
        try:
            self._db = sqlite3.connect(path, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(schema)
        except sqlite3.OperationalError as error:  # a full disk, a lock: not the file's fault
            raise HubError(f"{path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Everything that ``query`` finds."""
        with self._naming():
            return self._db.execute(query, parameters).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it, or nothing."""
        with self._naming(), self._db:
            yield self._db

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise  # a full disk, a lock: not the file's fault
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error) -> HubError:
        return HubError(f"{self._path} cannot be used ({error}): {self._way_out}")
