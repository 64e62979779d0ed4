"""One index run: what changed, patterns and fast vectors first, then the model's vectors.

The order makes a kill harmless. The store is marked as being written before the first write; a file
counts as seen only while its rows are in Chroma: its record goes before they change and comes back
after; readers switch to the new generation at the end.
A run that finds the mark rebuilds the derived columns from Chroma and goes on.
A run with another model fills collections of its own, publishes them when they are complete, and
then deletes what the model before wrote.
"""

from __future__ import annotations

import ctypes
import functools
import json
import logging
import sqlite3
import time
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout

from hub.errors import HubError
from hub.preparing import Task, prepare_all
from hub.reporting import IndexReport, silent
from hub.sources import locate, rules_digest
from hub.store.chroma import StoreError
from hub.store.embedding import pattern_vectors
from hub.store.manifest import Manifest, Source
from hub.store.snapshot import Snapshot, empty_rows
from hub.store.vectors import VectorCache
from hub.writing import PatternWriter, rows_by_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from hub.config import Config, Tier
    from hub.preparing import Prepared
    from hub.reporting import Progress
    from hub.sources import Located
    from hub.store.chroma import PatternStore
    from hub.types import Encoder, Vectors
    from hub.workspace import Workspace

logger = logging.getLogger(__name__)
EMBED_BATCH = 512  # patterns between two writes of the best tier: what a kill can lose
ONE_PUBLISH = 256  # fewer new vectors than this are filled before anything is published


@dataclass(frozen=True, slots=True)
class _Changes:
    """Files that may differ, and (source, path) of those that are gone."""

    tasks: list[Task]
    gone: list[tuple[str, str]]


class IndexRun:
    """The parts one run works with; the caller holds the writer's lock."""

    def __init__(
        self,
        *,
        config: Config,
        store: PatternStore,
        manifest: Manifest,
        cache: VectorCache,
        fast: Encoder,
        best: Encoder,
        derived: Path,
        migrating: bool = False,
        progress: Progress = silent,
    ) -> None:
        self.config = config
        self.store = store
        self.manifest = manifest
        self.cache = cache
        self.fast = fast
        self.best = best
        self.derived = derived
        self.migrating = migrating  # another model's vectors answer until this run is complete
        self.progress = progress
        self.rules = rules_digest(config)
        self.report = IndexReport()

    def run(
        self, located: Sequence[Located], before: Snapshot, tier: Tier, *, published: bool
    ) -> Snapshot:
        """Bring the index up to date with ``located``; returns the generation readers now see.

        ``published`` says that readers already see ``before``.
        """
        started = time.perf_counter()
        snapshot = before
        changes = self._changes(located, before)
        if changes.tasks or changes.gone:
            snapshot = self._write(changes, snapshot)
        for place in located:
            self.manifest.put_source(place.source)
            skips = [(skip.path, skip.reason) for skip in place.listing.skipped]
            self.manifest.put_skips(place.source.name, skips)
        self.report.fast_seconds = time.perf_counter() - started
        if tier == "best":
            missing = np.flatnonzero(~snapshot.rows.has_best())
            if len(missing) > ONE_PUBLISH:
                before = snapshot = self._saved(snapshot)
                _release_memory()
            if len(missing):
                snapshot = self._fill_best(snapshot, missing)
        if snapshot is not before or not published:
            self._publish(snapshot)
        else:
            if changes.tasks:  # they held what they held before
                self.store.set_state(writing=False)
            self._tidy(snapshot)
        self.report.tier = tier
        self.report.patterns_total = len(snapshot.rows)
        self.report.seconds = time.perf_counter() - started
        return snapshot

    def forget(self, name: str, snapshot: Snapshot) -> None:
        """Remove a source: its rows, its records, then the generation that had them."""
        paths = self.manifest.files(name).keys() | snapshot.rows_by_path(name).keys()
        files = [(name, path) for path in paths]
        self.store.set_state(writing=True)
        self._delete(files, rows_by_file(snapshot, files))
        self.manifest.delete_source(name)
        self.report.files_removed = len(files)
        self._publish(
            snapshot.replaced(snapshot.generation + 1, files, empty_rows(self.fast.dimension))
        )

    def _changes(self, located: Sequence[Located], before: Snapshot) -> _Changes:
        """Compare what is there with what was seen; only files that may differ become tasks."""
        changes = _Changes([], [])
        skipped: Counter[str] = Counter()
        for place in located:
            name = place.source.name
            self.report.sources.append(name)
            skipped.update(skip.reason for skip in place.listing.skipped)
            known = self.manifest.files(name)
            present = {entry.path for entry in place.listing.files}
            rows = before.rows_by_path(name)
            indexed = known.keys() | rows.keys()  # rows can outlive their record, and it them
            changes.gone.extend((name, path) for path in sorted(indexed - present))
            for entry in place.listing.files:
                record = known.get(entry.path)
                if record and record.patterns != rows.get(entry.path, 0):
                    record = None  # of another store, or of rows that somebody removed
                if record and record.unchanged(entry, self.rules):
                    self.report.files_unchanged += 1
                    skipped.update([record.skipped] if record.skipped else [])
                    continue
                changes.tasks.append(
                    Task(
                        source=name,
                        root=place.listing.root,
                        entry=entry,
                        max_chars=self.config.chunks.max_chars,
                        known=record.digest if record and record.rules == self.rules else "",
                        new=entry.path not in known,
                    )
                )
        self.report.skipped = dict(skipped)
        return changes

    def _write(self, changes: _Changes, snapshot: Snapshot) -> Snapshot:
        """Write changed files' patterns and fast vectors; returns the next generation's columns."""
        self.store.set_state(writing=True)
        total = sum(task.entry.size for task in changes.tasks)
        done = 0
        files = [(task.source, task.entry.path) for task in changes.tasks]
        known = rows_by_file(snapshot, [*files, *changes.gone])
        writer = PatternWriter(
            store=self.store,
            manifest=self.manifest,
            dimension=self.fast.dimension,
            before=snapshot,
            known=known,
            rules=self.rules,
            report=self.report,
        )
        prepared_files = prepare_all(changes.tasks, self.fast)
        for task, prepared in zip(changes.tasks, prepared_files, strict=True):
            self._count(task, prepared)
            writer.put(prepared)
            done += task.entry.size
            self.progress("patterns", done, total)
        writer.flush()
        self._delete(changes.gone, known)
        touched = [*writer.touched, *changes.gone]
        self.report.files_removed = len(changes.gone)
        if not touched:
            return snapshot
        return snapshot.replaced(snapshot.generation + 1, touched, writer.rows())

    def _delete(
        self, gone: Sequence[tuple[str, str]], known: dict[tuple[str, str], dict[str, int]]
    ) -> None:
        self.manifest.delete_files(gone)  # first: a record must never outlive its rows
        ids = sorted({id_ for file in gone for id_ in known.get(file, ())})
        self.store.delete(ids)
        self.report.patterns_removed += len(ids)

    def _count(self, task: Task, prepared: Prepared) -> None:
        report = self.report
        if prepared.skipped:
            report.skipped[prepared.skipped] = report.skipped.get(prepared.skipped, 0) + 1
            return
        if prepared.same:
            report.files_unchanged += 1
            return
        report.files_added += task.new
        report.files_changed += not task.new
        report.plain_text += prepared.language == "text"
        report.source_bytes += task.entry.size

    def _saved(self, snapshot: Snapshot) -> Snapshot:
        """Keep no copy in memory, and publish what the fast tier can answer already, unless the
        model before answers better."""
        if self.migrating:
            snapshot.save(self.derived)
        else:
            self._publish(snapshot)
        self.store.reopen()  # the fast vectors' graph is not needed any more
        return Snapshot.load(self.derived, snapshot.generation) or snapshot

    def _fill_best(self, snapshot: Snapshot, missing: npt.NDArray[np.int64]) -> Snapshot:
        """Add the best tier's missing vectors."""
        self.store.create_best(self.rules)
        best = np.zeros((len(snapshot.rows), self.best.dimension), dtype=np.float32)
        if snapshot.rows.best.shape == best.shape:
            best[:] = snapshot.rows.best
        for at in range(0, len(missing), EMBED_BATCH):
            rows = missing[at : at + EMBED_BATCH]
            ids = [id_.decode() for id_ in snapshot.rows.ids[rows]]
            best[rows] = self._embed(ids, at, len(missing))
            self.store.add_best(ids, best[rows])
        return snapshot.with_best(snapshot.generation + 1, best)

    def _embed(self, ids: Sequence[str], done: int, total: int) -> Vectors:
        """The best vectors of patterns, from the cache where their content is known."""
        found = self.store.get(ids)
        progress = functools.partial(self.progress, "vectors")

        def contents(texts: list[str]) -> Vectors:
            known = done + len(ids) - len(texts)  # doubles in this batch
            vectors, new = self._cached(texts, lambda n: progress(known + n, total))
            self.report.embedded += new
            self.report.reused += len(ids) - new
            return vectors

        vectors = pattern_vectors(
            [found[id_] for id_ in ids], contents, lambda texts: self._cached(texts)[0]
        )
        progress(done + len(ids), total)
        return vectors

    def _cached(
        self, texts: list[str], progress: Callable[[int], None] = lambda _: None
    ) -> tuple[Vectors, int]:
        """Vectors of distinct texts, and how many of them had to be embedded."""
        keys = [self.cache.key(text) for text in texts]
        known = self.cache.get(keys)
        unknown = [i for i, key in enumerate(keys) if key not in known]
        finished = len(texts) - len(unknown)

        def on_done(count: int) -> None:
            nonlocal finished
            finished += count
            progress(finished)

        if unknown:
            new = self.best.encode_documents([texts[i] for i in unknown], on_done=on_done)
            self.cache.put((keys[i], vector) for i, vector in zip(unknown, new, strict=True))
            known.update(self.cache.get([keys[i] for i in unknown]))  # as later runs read them
        return np.stack([known[key] for key in keys]), len(unknown)

    def _publish(self, snapshot: Snapshot) -> None:
        """Make ``snapshot`` the generation that readers see."""
        complete = bool(snapshot.rows.has_best().all()) and snapshot.rows.best.shape[1] > 0
        snapshot.save(self.derived)
        sources = {source.name: source.location for source in self.manifest.sources()}
        self.store.set_state(
            sources=json.dumps(sources, sort_keys=True),  # the manifest can be deleted
            generation=snapshot.generation,
            best_complete=complete,
            writing=False,
        )
        self._tidy(snapshot)

    def _tidy(self, snapshot: Snapshot) -> None:
        """Delete what other models wrote, and the generations before."""
        self.store.drop_others()
        snapshot.prune(self.derived)


def _release_memory() -> None:
    """Give back what was freed: glibc keeps it, a third of the memory after a first index."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def index(
    workspace: Workspace,
    locations: Sequence[str | Path],
    *,
    tier: Tier,
    progress: Progress | None = None,
) -> IndexReport:
    """See :meth:`hub.api.Hub.index`."""
    with _writing(workspace) as manifest:
        if not manifest.sources():
            for name, location in workspace.store.sources().items():
                manifest.put_source(Source(name, location))
        located, failed = locate(workspace, manifest, locations)
        run, snapshot, published = _start(workspace, manifest, progress or silent)
        with closing(run.cache):
            run.report.failed = failed
            run.run(located, snapshot, tier, published=published)
        return run.report


def forget(workspace: Workspace, source: str) -> IndexReport:
    """See :meth:`hub.api.Hub.forget`."""
    with _writing(workspace) as manifest:
        workspace.store.state()  # refuses patterns of another model: to migrate takes an index run
        run, snapshot, _ = _start(workspace, manifest, silent)
        names = {known.name for known in manifest.sources()} | {*snapshot.rows.sources.names}
        if source not in names:
            shown = ", ".join(sorted(names)) or "none"
            raise HubError(f"no source is called {source!r}; there are: {shown}")
        with closing(run.cache):
            run.forget(source, snapshot)
        return run.report


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the writer's lock; say so while another process has it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.warning("another process is writing to %s; waiting for it to finish", path.parent)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(workspace: Workspace) -> Iterator[Manifest]:
    """The one writer's manifest, behind the hub's lock; a full disk becomes a clear error."""
    folder = workspace.store_folder
    manifest = None
    try:
        folder.mkdir(exist_ok=True)
        (folder / ".gitignore").write_text("*\n")  # the hub never indexes or commits itself
        with _locked(folder / "lock"):
            manifest = Manifest(workspace.manifest_path)
            yield manifest
    except (OSError, sqlite3.Error, *StoreError) as error:
        raise HubError(
            f"writing to {folder} failed: {error}; what was indexed before is still there, and the "
            "next `patternhub index` goes on from it"
        ) from error
    finally:
        if manifest:
            manifest.close()


def _start(
    workspace: Workspace, manifest: Manifest, progress: Progress
) -> tuple[IndexRun, Snapshot, bool]:
    """A run, the columns it starts from, and whether readers see these already."""
    rules = rules_digest(workspace.config)
    store = workspace.store
    store.reopen_if_stale()  # another process may have written while this one waited
    store.create(rules)
    described = manifest.described()
    if described != store.patterns_name:
        same_rows = store.carry_over(described)
        manifest.describe(store.patterns_name, same_rows=same_rows)
    state = store.own_state()
    assert state is not None  # create made it
    derived = workspace.derived
    snapshot = None if state.writing else Snapshot.load(derived, state.generation)
    published = snapshot is not None
    if snapshot is None:
        snapshot = Snapshot.from_store(state.generation + 1, store)
    run = IndexRun(
        config=workspace.config,
        store=store,
        manifest=manifest,
        cache=VectorCache(
            workspace.store_folder / "vectors.db", model=workspace.encoders.best.digest
        ),
        fast=workspace.encoders.fast,
        best=workspace.encoders.best,
        derived=derived,
        migrating=not state.generation and store.previous() is not None,
        progress=progress,
    )
    return run, snapshot, published
