"""What the last index run saw of every file, so that the next one reads only what changed.

Derived, like everything beside the collections: without it every file is read and cut again, and
nothing is embedded again.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Protocol

from hub.store.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RACY_NS = 2_000_000_000  # a file written this shortly before it was read may change unseen

_SCHEMA = """
CREATE TABLE IF NOT EXISTS source (
    name TEXT PRIMARY KEY, location TEXT UNIQUE NOT NULL, revision TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    source TEXT, path TEXT, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, seen_ns INTEGER,
    digest TEXT, rules TEXT, skipped TEXT, patterns INTEGER,
    PRIMARY KEY (source, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS skip (source TEXT, path TEXT, reason TEXT);
CREATE TABLE IF NOT EXISTS described (collection TEXT);
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A place that is indexed: a folder, a file or a git URL, under a short unique name."""

    name: str
    location: str
    revision: str = ""


class FileStat(Protocol):
    """The numbers of a file that change with its content."""

    @property
    def size(self) -> int: ...

    @property
    def mtime_ns(self) -> int: ...

    @property
    def ctime_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One listed file: ``skipped`` is the reason it has no patterns, or empty.

    ``rules`` names the chunker and the settings it was cut under; it is empty where the file could
    not be read, so that it is tried again. ``patterns`` is how many rows it has.
    """

    source: str
    path: str
    size: int
    mtime_ns: int
    ctime_ns: int  # tells files apart that were renamed over each other
    seen_ns: int
    digest: str
    rules: str
    skipped: str
    patterns: int

    def same_stat(self, stat: FileStat, rules: str) -> bool:
        """Whether a file of this size and these times looks like the one that was indexed."""
        mine = (self.size, self.mtime_ns, self.ctime_ns, self.rules)
        return mine == (stat.size, stat.mtime_ns, stat.ctime_ns, rules)

    def unchanged(self, stat: FileStat, rules: str) -> bool:
        """Whether it can be trusted to hold what it held, without reading it."""
        settled = self.mtime_ns < self.seen_ns - RACY_NS
        return settled and self.same_stat(stat, rules)


class Manifest:
    """Sources and files, in a small SQLite file."""

    def __init__(self, path: Path) -> None:
        self._db = Database(path, _SCHEMA)

    def sources(self) -> list[Source]:
        rows = self._db.rows("SELECT name, location, revision FROM source ORDER BY name")
        return [Source(*row) for row in rows]

    def put_source(self, source: Source) -> None:
        with self._db.writing() as db:
            db.execute(
                "INSERT INTO source VALUES (?, ?, ?) "
                "ON CONFLICT(name) DO UPDATE SET revision = excluded.revision",
                astuple(source),
            )

    def delete_source(self, name: str) -> None:
        with self._db.writing() as db:
            db.execute("DELETE FROM file WHERE source = ?", (name,))
            db.execute("DELETE FROM skip WHERE source = ?", (name,))
            db.execute("DELETE FROM source WHERE name = ?", (name,))

    def files(self, source: str) -> dict[str, FileRecord]:
        """The records of a source by path."""
        rows = self._db.rows("SELECT * FROM file WHERE source = ?", (source,))
        return {row[1]: FileRecord(*row) for row in rows}

    def put_files(self, records: Iterable[FileRecord]) -> None:
        marks = ", ".join("?" * len(fields(FileRecord)))
        with self._db.writing() as db:
            db.executemany(
                f"INSERT OR REPLACE INTO file VALUES ({marks})",
                [astuple(record) for record in records],
            )

    def delete_files(self, files: Iterable[tuple[str, str]]) -> None:
        """Forget files, given as (source, path)."""
        with self._db.writing() as db:
            db.executemany("DELETE FROM file WHERE source = ? AND path = ?", list(files))

    def put_skips(self, source: str, skips: Iterable[tuple[str, str]]) -> None:
        """Replace what a source's listing left out: (path, reason)."""
        with self._db.writing() as db:
            db.execute("DELETE FROM skip WHERE source = ?", (source,))
            rows = [(source, path, reason) for path, reason in skips]
            db.executemany("INSERT INTO skip VALUES (?, ?, ?)", rows)

    def skipped(self) -> list[tuple[str, str, str]]:
        """Every file that has no patterns: (source, path, reason)."""
        return self._db.rows(
            "SELECT source, path, reason FROM skip UNION ALL "
            "SELECT source, path, skipped FROM file WHERE skipped != '' ORDER BY 1, 3, 2"
        )

    def totals(self) -> dict[str, tuple[int, int]]:
        """(files with patterns, their bytes) by source."""
        rows = self._db.rows(
            "SELECT source, COUNT(*), SUM(size) FROM file WHERE skipped = '' GROUP BY source"
        )
        return {source: (files, size) for source, files, size in rows}

    def described(self) -> str:
        """The collection whose rows the records are of."""
        return next((name for (name,) in self._db.rows("SELECT * FROM described")), "")

    def describe(self, collection: str, *, same_rows: bool) -> None:
        """Make the records those of ``collection``; unless it has the same rows, none is trusted
        before its file was read again."""
        with self._db.writing() as db:
            db.execute("DELETE FROM described")
            db.execute("INSERT INTO described VALUES (?)", (collection,))
            if not same_rows:
                db.execute("UPDATE file SET rules = ''")

    def close(self) -> None:
        self._db.close()
