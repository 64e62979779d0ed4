"""One generation of the index as aligned numpy columns, for filters, exact vectors and BM25.

Everything here is derived from Chroma: a folder per generation, memory-mapped by readers, replaced
as a whole, never edited, and rebuilt from the collections when it is missing. Rows are ordered by
(source, path, start byte), so that a rebuild and an increment give the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hub.store.cache import atomic_folder
from hub.store.lexical import BM25, ChunkTerms, Postings, chunk_terms, name_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hub.store.chroma import PatternStore
    from hub.types import Pattern, Vectors

    Ints = npt.NDArray[np.int32]
    Mask = npt.NDArray[np.bool_]

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Labels:
    """A text column: ``names[codes[row]]``; ``names`` is sorted."""

    names: tuple[str, ...]
    codes: Ints

    @classmethod
    def of(cls, values: Sequence[str]) -> Labels:
        names = sorted(set(values))
        code = {name: i for i, name in enumerate(names)}
        return cls(tuple(names), np.array([code[v] for v in values], dtype=np.int32))

    def take(self, rows: Any) -> Labels:
        """The column of ``rows``, without the names that no row uses any more."""
        codes = self.codes[rows]
        used = np.unique(codes)
        names = tuple(self.names[i] for i in used)
        return Labels(names, np.searchsorted(used, codes).astype(np.int32))

    def cut(self, start: int, stop: int) -> Labels:
        """The column from ``start`` up to ``stop``, with all names."""
        return Labels(self.names, self.codes[start:stop])

    @classmethod
    def joined(cls, parts: Sequence[Labels]) -> Labels:
        """One column after the other."""
        names = sorted({name for part in parts for name in part.names})
        code = {name: i for i, name in enumerate(names)}
        moved = [
            np.array([code[name] for name in part.names], dtype=np.int32)[part.codes]
            for part in parts
            if part.names
        ]
        whole = np.concatenate([np.zeros(0, dtype=np.int32), *moved])
        return cls(tuple(names), whole).take(slice(None))

    def code(self, name: str) -> int:
        """The code of ``name``, -1 where no row has it."""
        return self.names.index(name) if name in self.names else -1

    def value(self, row: int) -> str:
        return self.names[int(self.codes[row])]

    def counts(self) -> dict[str, int]:
        numbers = np.bincount(self.codes, minlength=len(self.names))
        return {name: int(n) for name, n in zip(self.names, numbers, strict=True)}


@dataclass(frozen=True, slots=True)
class Rows:
    """The stored columns; the BM25 indexes are computed from ``body`` and ``name``."""

    ids: npt.NDArray[np.bytes_]
    sources: Labels
    paths: Labels
    languages: Labels
    kinds: Labels
    start_bytes: npt.NDArray[np.int64]
    names: npt.NDArray[np.uint64]  # hash of the last part of the symbol, case kept
    symbols: npt.NDArray[np.uint64]  # hash of the whole symbol
    fast: Vectors
    best: Vectors  # zeros where a vector is still missing; (n, 0) where the tier was never filled
    body: Postings
    name: Postings

    @classmethod
    def of(
        cls,
        patterns: Sequence[Pattern],
        fast: Vectors,
        best: Vectors,
        terms: Sequence[ChunkTerms] | None = None,
    ) -> Rows:
        terms = terms if terms is not None else [chunk_terms(p) for p in patterns]
        return cls(
            ids=np.array([p.id.encode() for p in patterns], dtype="S32"),
            sources=Labels.of([p.source for p in patterns]),
            paths=Labels.of([p.path for p in patterns]),
            languages=Labels.of([p.language for p in patterns]),
            kinds=Labels.of([p.kind for p in patterns]),
            start_bytes=np.array([p.start_byte for p in patterns], dtype=np.int64),
            names=np.array([name_hash(_last(p)) for p in patterns], dtype=np.uint64),
            symbols=np.array([name_hash(p.symbol) for p in patterns], dtype=np.uint64),
            fast=fast,
            best=best,
            body=Postings.of([t.body for t in terms]),
            name=Postings.of([t.name for t in terms]),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[np.int64]) -> Rows:
        parts: dict[str, Any] = {}
        for field in fields(self):
            column = getattr(self, field.name)
            take = isinstance(column, (Labels, Postings))
            parts[field.name] = column.take(rows) if take else column[rows]
        return Rows(**parts)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of every part, in order."""
        width = max(part.best.shape[1] for part in parts)
        parts = [replace(part, best=_widened(part.best, width)) for part in parts]
        columns: dict[str, Any] = {}
        for field in fields(cls):
            values = [getattr(part, field.name) for part in parts]
            own = isinstance(values[0], (Labels, Postings))
            columns[field.name] = type(values[0]).joined(values) if own else np.concatenate(values)
        return cls(**columns)

    def cut(self, start: int, stop: int) -> Rows:
        """The rows from ``start`` up to ``stop``, as views."""
        columns: dict[str, Any] = {}
        for field in fields(self):
            column = getattr(self, field.name)
            own = isinstance(column, (Labels, Postings))
            columns[field.name] = column.cut(start, stop) if own else column[start:stop]
        return Rows(**columns)

    def merged(self, keep: npt.NDArray[np.int64], added: Rows) -> Rows:
        """The rows in ``keep`` and all of ``added``, in order; both are in order themselves.

        Pasted together from whole stretches, so that one changed file costs one copy.
        """
        sources = Labels.joined([self.sources, added.sources]).codes
        paths = Labels.joined([self.paths, added.paths]).codes
        starts = np.concatenate([self.start_bytes, added.start_bytes])
        rows = np.concatenate([keep, np.arange(len(self), len(self) + len(added))])
        order = rows[np.lexsort((starts[rows], paths[rows], sources[rows]))]
        breaks = np.flatnonzero((np.diff(order) != 1) | (order[1:] == len(self))) + 1
        parts = [
            self.cut(run[0], run[-1] + 1)
            if run[0] < len(self)
            else added.cut(run[0] - len(self), run[-1] + 1 - len(self))
            for run in np.split(order, breaks)
            if len(run)
        ]
        return Rows.joined([self.cut(0, 0), *parts])

    def ordered(self) -> Rows:
        """The same rows by (source, path, start byte)."""
        order = np.lexsort((self.start_bytes, self.paths.codes, self.sources.codes))
        if np.array_equal(order, np.arange(len(order))):
            return self
        return self.take(order)

    def has_best(self) -> Mask:
        """Which rows have their best vector."""
        return np.asarray(np.any(self.best != 0, axis=1))


def _last(pattern: Pattern) -> str:
    """The name that a pattern defines; the later parts of a long function define none."""
    return "" if pattern.part > 1 else pattern.symbol.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a search reads: rows, and BM25 over their texts and their names."""

    generation: int
    rows: Rows
    body: BM25
    name: BM25

    @classmethod
    def build(cls, generation: int, rows: Rows) -> Snapshot:
        rows = rows.ordered()
        return cls(generation, rows, BM25.build(rows.body), BM25.build(rows.name))

    @classmethod
    def from_store(cls, generation: int, store: PatternStore) -> Snapshot:
        """Rebuild everything from the collections."""
        best_of: dict[str, npt.NDArray[np.float32]] = {}
        for ids, vectors in store.best_pages():
            best_of.update(zip(ids, vectors, strict=True))
        width = len(next(iter(best_of.values()), ()))
        nothing = np.zeros(width, dtype=np.float32)
        pages = []
        for patterns, fast in store.pages():
            best = np.array([best_of.pop(p.id, nothing) for p in patterns], dtype=np.float32)
            pages.append(Rows.of(patterns, fast, best))
        return cls.build(generation, Rows.joined([empty_rows(store.fast_dimension), *pages]))

    def save(self, folder: Path) -> None:
        """Write the generation below ``folder``, all at once."""
        with atomic_folder(folder / str(self.generation)) as target:
            names: dict[str, Any] = {"format": FORMAT, "generation": self.generation}
            for key, column in _flatten(self):
                if isinstance(column, tuple):
                    names[key] = column
                else:
                    _save(target / f"{key}.npy", column)
            (target / "names.json").write_text(json.dumps(names))

    @classmethod
    def load(cls, folder: Path, generation: int) -> Snapshot | None:
        """The saved generation, memory-mapped, or None where it is missing or of another format."""
        source = folder / str(generation)
        try:
            names = json.loads((source / "names.json").read_text())
            if names["format"] != FORMAT:
                return None
            return _unflatten(source, names)
        except (OSError, EOFError, KeyError, TypeError, ValueError):
            return None

    def prune(self, folder: Path) -> None:
        """Delete every other generation, and those of other stores beside ``folder``.

        Readers keep what they have mapped.
        """
        for parent, kept in ((folder, str(self.generation)), (folder.parent, folder.name)):
            for other in parent.iterdir():
                if other.name != kept:
                    shutil.rmtree(other, ignore_errors=True)

    def replaced(self, generation: int, files: Iterable[tuple[str, str]], added: Rows) -> Snapshot:
        """The next generation: every row of ``files`` (source, path) makes way for ``added``."""
        keep = np.flatnonzero(~self.in_files(files))
        return Snapshot.build(generation, self.rows.merged(keep, added.ordered()))

    def with_best(self, generation: int, best: Vectors) -> Snapshot:
        """The next generation: the same rows with these vectors in the best tier."""
        return replace(self, generation=generation, rows=replace(self.rows, best=best))

    def rows_by_path(self, source: str) -> dict[str, int]:
        """How many rows each path of a source has."""
        rows = self.rows
        codes = rows.paths.codes[rows.sources.codes == rows.sources.code(source)]
        paths, counts = np.unique(codes, return_counts=True)
        return {rows.paths.names[i]: int(n) for i, n in zip(paths, counts, strict=True)}

    def in_files(self, files: Iterable[tuple[str, str]]) -> Mask:
        """Which rows lie in one of ``files``, given as (source, path)."""
        rows = self.rows
        source_code = {name: i for i, name in enumerate(rows.sources.names)}
        path_code = {name: i for i, name in enumerate(rows.paths.names)}
        width = len(path_code) + 1
        wanted = [
            source_code[source] * width + path_code[path]
            for source, path in files
            if source in source_code and path in path_code
        ]
        keys = rows.sources.codes.astype(np.int64) * width + rows.paths.codes
        return np.isin(keys, np.array(wanted, dtype=np.int64))


def _save(path: Path, column: Any) -> None:
    """Write a column; one that is a generation's whole file already becomes a link to it."""
    if isinstance(column, np.memmap) and column.filename:
        with contextlib.suppress(OSError):  # gone by now, or a file system without links
            if Path(column.filename).stat().st_size == column.offset + column.nbytes:
                path.hardlink_to(column.filename)
                return
    np.save(path, column)


def empty_rows(dimension: int) -> Rows:
    """No rows, for fast vectors of that dimension."""
    fast, best = (np.zeros((0, d), dtype=np.float32) for d in (dimension, 0))
    return Rows.of([], fast, best)


def _widened(vectors: Vectors, width: int) -> Vectors:
    if vectors.shape[1] == width:
        return vectors
    return np.zeros((len(vectors), width), dtype=np.float32)


def _flatten(snapshot: Snapshot) -> Iterable[tuple[str, Any]]:
    """Every array or tuple of names of a snapshot under a dotted key."""
    for field in fields(Rows):
        column = getattr(snapshot.rows, field.name)
        if isinstance(column, (Labels, Postings)):
            for part in fields(column):
                yield f"rows.{field.name}.{part.name}", getattr(column, part.name)
        else:
            yield f"rows.{field.name}", column
    for name in ("body", "name"):
        for part in fields(BM25):
            if part.name != "size":
                yield f"{name}.{part.name}", getattr(getattr(snapshot, name), part.name)


def _unflatten(source: Path, names: dict[str, Any]) -> Snapshot:
    def read(key: str) -> Any:
        if key in names:
            return tuple(names[key])
        return np.load(source / f"{key}.npy", mmap_mode="r")

    kinds: dict[str, Any] = {"sources": Labels, "paths": Labels, "languages": Labels}
    kinds |= {"kinds": Labels, "body": Postings, "name": Postings}
    columns = {}
    for field in fields(Rows):
        key = f"rows.{field.name}"
        kind = kinds.get(field.name)
        columns[field.name] = (
            kind(**{part.name: read(f"{key}.{part.name}") for part in fields(kind)})
            if kind
            else read(key)
        )
    rows = Rows(**columns)
    indexes = [
        BM25(
            size=len(rows),
            **{p.name: read(f"{name}.{p.name}") for p in fields(BM25) if p.name != "size"},
        )
        for name in ("body", "name")
    ]
    return Snapshot(names["generation"], rows, *indexes)
