"""Prepared files on their way into Chroma, a batch at a time.

The order of a batch is what a kill relies on: the records of its files go, then rows change, then
the new records say that they are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hub.store.manifest import FileRecord
from hub.store.snapshot import Rows, Snapshot, empty_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.preparing import Prepared
    from hub.reporting import IndexReport
    from hub.store.chroma import PatternStore
    from hub.store.manifest import Manifest
    from hub.types import Pattern, Vectors

WRITE_BATCH = 1000  # patterns a write
PASSING = ("unreadable", "changed")  # reasons to skip a file that may be gone the next time


class PatternWriter:
    """Gathers prepared files into batches and writes them.

    ``known`` says which rows of ``before``, the last generation, the same files had.
    """

    def __init__(
        self,
        *,
        store: PatternStore,
        manifest: Manifest,
        dimension: int,
        before: Snapshot,
        known: dict[tuple[str, str], dict[str, int]],
        rules: str,
        report: IndexReport,
    ) -> None:
        self._store = store
        self._manifest = manifest
        self._dimension = dimension
        self._before = before
        self._known = known
        self._rules = rules
        self._report = report
        self._files: list[Prepared] = []
        self._size = 0
        self._rows: list[Rows] = []
        self.touched: list[tuple[str, str]] = []

    def put(self, prepared: Prepared) -> None:
        """Take one file; writes when enough patterns are waiting."""
        self._files.append(prepared)
        self._size += len(prepared.patterns)
        if self._size >= WRITE_BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        files, self._files, self._size = self._files, [], 0
        patterns = [p for prepared in files for p in prepared.patterns]
        terms = [t for prepared in files for t in prepared.terms]
        fast = np.concatenate(
            [np.zeros((0, self._dimension), np.float32)]
            + [prepared.vectors for prepared in files if len(prepared.vectors)]
        )
        self._write(files, patterns, fast)
        self._rows.append(Rows.of(patterns, fast, self._best(patterns), terms))
        self.touched += [(f.source, f.entry.path) for f in files if not f.same]

    def _best(self, patterns: list[Pattern]) -> Vectors:
        """The best vectors that the last generation has of patterns; zeros where it has none."""
        best = self._before.rows.best
        found = np.zeros((len(patterns), best.shape[1]), dtype=np.float32)
        for i, p in enumerate(patterns):
            row = self._known.get((p.source, p.path), {}).get(p.id)
            if row is not None:
                found[i] = best[row]
        return found

    def rows(self) -> Rows:
        """The columns of everything that was put."""
        return Rows.joined([empty_rows(self._dimension), *self._rows])

    def _write(self, files: list[Prepared], patterns: list[Pattern], fast: Vectors) -> None:
        old: set[str] = set()
        for prepared in files:
            if not prepared.same:
                old.update(self._known.get((prepared.source, prepared.entry.path), ()))
        new = [i for i, p in enumerate(patterns) if p.id not in old]
        kept = [p for p in patterns if p.id in old]
        gone = old.difference(p.id for p in patterns)
        changed = [prepared for prepared in files if not prepared.same]
        self._manifest.delete_files([(f.source, f.entry.path) for f in changed])
        self._store.add([patterns[i] for i in new], fast[new])
        self._store.update(kept)
        self._store.delete(sorted(gone))
        self._manifest.put_files(
            [
                _record(f, self._rules, len(self._known.get((f.source, f.entry.path), ())))
                for f in files
            ]
        )
        self._report.patterns_added += len(new)
        self._report.patterns_kept += len(kept)
        self._report.patterns_removed += len(gone)


def _record(prepared: Prepared, rules: str, known: int) -> FileRecord:
    """What the manifest keeps of a prepared file, which had ``known`` rows before."""
    return FileRecord(
        source=prepared.source,
        path=prepared.entry.path,
        size=prepared.entry.size,
        mtime_ns=prepared.entry.mtime_ns,
        ctime_ns=prepared.entry.ctime_ns,
        seen_ns=prepared.seen_ns,
        digest=prepared.digest,
        rules="" if prepared.skipped in PASSING else rules,
        skipped=prepared.skipped,
        patterns=known if prepared.same else len(prepared.patterns),
    )


def rows_by_file(
    snapshot: Snapshot, files: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], dict[str, int]]:
    """The row of every id in ``files``, given as (source, path)."""
    rows = snapshot.rows
    found: dict[tuple[str, str], dict[str, int]] = {}
    for row in np.flatnonzero(snapshot.in_files(files)).tolist():
        file = (rows.sources.value(row), rows.paths.value(row))
        found.setdefault(file, {})[rows.ids[row].decode()] = row
    return found
