"""Search over the generation of the index that is current when the query arrives."""

from __future__ import annotations

import contextlib
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hub.config import MODES, TIERS
from hub.errors import HubError
from hub.search.ranking import (
    EXACT_NAME,
    INNER_NAME,
    inner_definition,
    lexical_scores,
    path_prior,
    rank,
    standard,
)
from hub.store.snapshot import Snapshot
from hub.types import SearchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from hub.config import Mode, Tier
    from hub.search.ranking import Filters
    from hub.store.chroma import PatternStore, State
    from hub.store.encoders import Encoders
    from hub.store.snapshot import Rows
    from hub.types import Encoder, Pattern, Vectors

CANDIDATES = 500  # of each arm, where the dense arm is approximate
SAMPLE = 5000  # rows whose cosines set the scale there, as all rows do where it is exact
SPARE = 20  # rows beyond twice what was asked for: some may be deleted, or parts of one function
INNER = 50  # hits among which the one that defines an identifier comes first
PARTED = frozenset({"function", "method", "test"})
SCANNERS = min(4, os.cpu_count() or 1)  # threads; with more, memory is what they wait for

_Hit = tuple["Pattern | None", float]  # None: just deleted


@dataclass(frozen=True)
class Generation:
    """A snapshot with what is computed once when it is loaded."""

    snapshot: Snapshot
    prior: Vectors
    best_complete: bool

    @property
    def tier(self) -> Tier:
        """The best tier that is complete."""
        return "best" if self.best_complete else "fast"

    def rows_of(self, ids: list[str]) -> npt.NDArray[np.int64]:
        """The row numbers of ``ids``, without those that this generation does not have."""
        known, order = self._by_id
        wanted = np.array([id_.encode() for id_ in ids], dtype=known.dtype)
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.asarray(order[at[known[at] == wanted]])

    @functools.cached_property
    def _by_id(self) -> tuple[Any, npt.NDArray[np.int64]]:
        order = np.argsort(self.snapshot.rows.ids)
        return self.snapshot.rows.ids[order], order


class Retriever:
    """Answers queries; notices by itself when a writer has published a new generation."""

    def __init__(
        self, store: PatternStore, encoders: Encoders, derived: Path, *, exact_limit: int
    ) -> None:
        self.store = store
        self._encoders = encoders
        self._derived = derived
        self._exact_limit = exact_limit
        self._generation: Generation | None = None
        # of the last questions: what is searched for is often looked at again
        self._query_vector = functools.lru_cache(maxsize=16)(self._encoded)

    def current(self) -> Generation:
        """The published generation.

        Raises:
            HubError: nothing was indexed yet.
            OtherModelError: it was by another model.
        """
        state = published_state(self.store)
        known = self._generation
        if known is None or known.snapshot.generation != state.generation:
            if known is not None:
                self.store.reopen_if_stale()
            snapshot, state = current_snapshot(self.store, self._derived, state)
            prior = path_prior(snapshot.rows.paths)
            self._generation = known = Generation(snapshot, prior, state.best_complete)
        return known

    def search(
        self, query: str, *, limit: int, mode: Mode, tier: Tier | None, filters: Filters
    ) -> list[SearchResult]:
        """See :meth:`hub.api.Hub.search`."""
        query = query.strip()
        if not query:
            raise HubError("the query is empty: give words, a sentence or an identifier")
        if query != query.encode(errors="replace").decode():
            raise HubError(f"the query {query!r} is not UTF-8 text")
        if not isinstance(limit, int) or limit < 1:
            raise HubError(f"limit = {limit!r}: a number of hits from 1 up is needed")
        for name, value, known in (("mode", mode, MODES), ("tier", tier or "best", TIERS)):
            if value not in known:
                raise HubError(f"{name} = {value!r}: there are {', '.join(known)}")
        generation = self.current()
        tier = _usable_tier(generation, tier)
        rows = generation.snapshot.rows
        mask = filters.mask(rows)
        if not len(rows):
            return []
        lexical = lexical_scores(generation.snapshot, query) if mode != "dense" else None
        dense = (
            self._dense(generation, query, tier, filters, lexical) if mode != "lexical" else None
        )
        found, scores = rank(
            rows,
            query,
            dense=dense,
            lexical=lexical,
            dense_weight=self._encoders.dense_weight[tier],
            prior=generation.prior,
            mask=mask,
            limit=max(2 * limit + SPARE, INNER),
        )
        ids = [id_.decode() for id_ in rows.ids[found]]
        inner = inner_definition(query)
        hits: Iterable[_Hit] = self._hits(ids, scores, INNER if inner else limit + limit // 2)
        if inner and len(scores) and scores[0] < EXACT_NAME:
            nearer: list[_Hit] = [
                (
                    p,
                    score + float(INNER_NAME)
                    if p and i < INNER and inner.search(p.text)
                    else score,
                )
                for i, (p, score) in enumerate(hits)
            ]
            hits = sorted(nearer, key=lambda hit: -hit[1])
        return [
            SearchResult(rank=i, score=float(score), tier=tier, pattern=pattern)
            for i, (pattern, score) in enumerate(islice(_one_per_function(hits), limit), start=1)
        ]

    def _hits(self, ids: list[str], scores: Vectors, page: int) -> Iterator[_Hit]:
        """Patterns with their scores, read a page at a time: mostly the first is enough."""
        for at in range(0, len(ids), page):
            patterns = self.store.get(ids[at : at + page])
            for id_, score in zip(ids[at : at + page], scores[at : at + page], strict=True):
                yield patterns.get(id_), float(score)

    def get(self, prefix: str) -> Pattern:
        """See :meth:`hub.api.Hub.get`."""
        full = self._full_id(prefix)
        found = self.store.get([full])
        if full not in found:
            raise HubError(f"id {prefix!r}: this pattern has just been removed")
        return found[full]

    def matching(self, filters: Filters) -> tuple[list[Pattern], Vectors]:
        """The patterns that pass, in order, and their fast vectors, shape (patterns, dimension).

        Raises:
            HubError: nothing is indexed, or a filter value that no pattern has.
        """
        rows = self.current().snapshot.rows
        mask = filters.mask(rows)
        wanted = np.arange(len(rows)) if mask is None else np.flatnonzero(mask)
        ids = [id_.decode() for id_ in rows.ids[wanted]]
        found: dict[str, Pattern] = {}
        for at in range(0, len(ids), SAMPLE):
            found |= self.store.get(ids[at : at + SAMPLE])
        there = [id_ in found for id_ in ids]  # others were just deleted
        return [found[id_] for id_ in ids if id_ in found], rows.fast[wanted[there]]

    def patterns(self, ids: Sequence[str]) -> list[Pattern]:
        """See :meth:`hub.api.Hub.patterns`."""
        found = self.store.get(list(ids))
        return [found[id_] for id_ in ids if id_ in found]

    def similar(self, pattern: Pattern, *, limit: int) -> list[tuple[Pattern, float]]:
        """See :meth:`hub.api.Hub.similar`."""
        generation = self.current()
        rows = generation.snapshot.rows
        own = generation.rows_of([pattern.id])
        if not len(own):
            return []
        matrix = rows.best if generation.tier == "best" else rows.fast
        cosines = _start_scan(matrix, np.asarray(matrix[own[0]], dtype=np.float32))()
        cosines[rows.ids == pattern.id.encode()] = -1
        near = np.argsort(-cosines, kind="stable")[: 2 * limit + SPARE]
        hits = self._hits([rows.ids[row].decode() for row in near], cosines[near], limit)
        return list(islice(_one_per_function(hits), limit))

    def neighbours(self, pattern: Pattern) -> tuple[Pattern | None, Pattern | None]:
        """See :meth:`hub.api.Hub.neighbours`."""
        ids = [None, *self._file_of(pattern), None]
        if pattern.id not in ids:
            return None, None  # removed by a writer meanwhile
        at = ids.index(pattern.id)
        before, after = ids[at - 1], ids[at + 1]
        found = self.store.get([id_ for id_ in (before, after) if id_])
        return found.get(before or ""), found.get(after or "")

    def wholes(self, patterns: Sequence[Pattern]) -> list[list[Pattern]]:
        """Of each pattern that is one piece of a long function or section all pieces, in order; of
        any other the pattern alone."""
        rows = self.current().snapshot.rows
        ids = {p.id: _piece_ids(rows, p) for p in patterns if p.part}
        wanted = dict.fromkeys(id_ for listed in ids.values() for id_ in listed)
        found = self.store.get(list(wanted)) if wanted else {}
        return [
            _pieces([found[id_] for id_ in ids[p.id] if id_ in found], p) if p.part else [p]
            for p in patterns
        ]

    def outline(self, pattern: Pattern) -> list[Pattern]:
        """See :meth:`hub.api.Hub.outline`."""
        if pattern.kind != "class":
            return []
        ids = self._file_of(pattern)
        found = self.store.get(ids)
        members = [found[id_] for id_ in ids if id_ in found]
        prefix = f"{pattern.symbol}."
        return [p for p in members if p.kind == "method" and p.symbol.startswith(prefix)]

    def with_vectors(self) -> tuple[list[Pattern], Vectors, Encoder]:
        """Every pattern with its vector, by the best tier that is complete, and that tier's
        encoder; in the order of source, path and position."""
        generation = self.current()
        rows = generation.snapshot.rows
        known = {p.id: p for page, _ in self.store.pages() for p in page}
        ids = [id_.decode() for id_ in rows.ids]
        there = [row for row, id_ in enumerate(ids) if id_ in known]  # others were just deleted
        best = generation.tier == "best"
        vectors = np.asarray((rows.best if best else rows.fast)[there], dtype=np.float32)
        encoder = self._encoders.best if best else self._encoders.fast
        return [known[ids[row]] for row in there], vectors, encoder

    @property
    def model(self) -> str:
        """What a person calls the best tier's model."""
        return self._encoders.best.name

    def cosines(
        self, generation: Generation, query: str, rows: npt.NDArray[np.int64]
    ) -> tuple[Vectors, Vectors]:
        """Cosines of ``query`` and ``rows`` of a generation by fast vectors, and by the best; none,
        shape (0,), where that tier is not complete."""
        columns = generation.snapshot.rows
        fast = columns.fast[rows] @ self._query_vector("fast", query)
        if generation.tier != "best":
            return np.asarray(fast), np.zeros(0, dtype=np.float32)
        best = columns.best[rows] @ self._query_vector("best", query)
        return np.asarray(fast), np.asarray(best)

    def _encoded(self, tier: Tier, query: str) -> Vectors:
        encoder = self._encoders.best if tier == "best" else self._encoders.fast
        return np.asarray(encoder.encode_queries([query])[0])

    def _full_id(self, prefix: str) -> str:
        """The one id that starts with ``prefix``."""
        found = [id_.decode() for id_ in self.current().snapshot.rows.ids]
        found = [id_ for id_ in found if id_.startswith(prefix)]
        if len(found) != 1:
            shown = ", ".join(sorted(found)[:5])
            reason = f"{len(found)} patterns have one: {shown}" if found else "no pattern has one"
            raise HubError(f"id {prefix!r}: {reason}; `patternhub search --json` prints ids whole")
        return str(found[0])

    def _file_of(self, pattern: Pattern) -> list[str]:
        """Ids of all patterns in the pattern's file, in order of position."""
        rows = self.current().snapshot.rows
        return [id_.decode() for id_ in rows.ids[_same_file(rows, pattern)]]

    def _dense(
        self,
        generation: Generation,
        query: str,
        tier: Tier,
        filters: Filters,
        lexical: Vectors | None,
    ) -> Vectors:
        """How near every row is; past the exact limit only Chroma's and BM25's candidates."""
        rows = generation.snapshot.rows
        share = self._encoders.static_share if tier == "best" else 1.0
        arms: list[tuple[float, Vectors, Tier]]
        arms = [(share, rows.fast, "fast"), (1 - share, rows.best, "best")]
        arms = [arm for arm in arms if arm[0]]
        scores = np.zeros(len(rows), dtype=np.float32)
        if len(rows) <= self._exact_limit:
            # a scan goes on in other threads while the next arm's model reads the query
            scans = [
                (weight, _start_scan(matrix, self._query_vector(name, query)))
                for weight, matrix, name in arms
            ]
            for weight, finish in scans:
                cosines = finish()
                scores += np.float32(weight) * standard(cosines, cosines)
            return scores
        vectors = [self._query_vector(name, query) for _, _, name in arms]
        near = self._near(query, vectors[-1], tier, filters.where(rows))
        candidates = generation.rows_of(near)
        if lexical is not None:
            edge = max(len(rows) - CANDIDATES, 0)
            candidates = np.union1d(candidates, np.argpartition(lexical, edge)[edge:])
        for (weight, matrix, _), vector in zip(arms, vectors, strict=True):
            scores += np.float32(weight) * _standard_cosines(matrix, vector, candidates)
        return scores

    def _near(
        self, query: str, vector: Vectors, tier: Tier, where: dict[str, Any] | None
    ) -> list[str]:
        """Chroma's neighbours; filtered ones by fast vectors, whose collection has the metadata."""
        if where and tier == "best":
            tier, vector = "fast", self._query_vector("fast", query)
        found = self.store.nearest(tier, vector, limit=CANDIDATES, where=where)
        return [id_ for id_, _ in found]


def published_state(store: PatternStore) -> State:
    """The store's state.

    Raises:
        HubError: nothing was indexed yet, or by another model.
    """
    state = store.state()
    if state is None or not state.generation:  # the first run has not published anything yet
        raise HubError("this hub is empty: run `patternhub index PATH` first")
    return state


def current_snapshot(store: PatternStore, derived: Path, state: State) -> tuple[Snapshot, State]:
    """The published generation's columns and state; rebuilt from Chroma where they are missing."""
    snapshot = Snapshot.load(derived, state.generation)
    while snapshot is None:
        asked, state = state, published_state(store)
        snapshot = Snapshot.load(derived, state.generation)  # a writer may just have replaced it
        if snapshot is None and state.generation == asked.generation:
            store.reopen()
            snapshot = Snapshot.from_store(state.generation, store)
            with contextlib.suppress(OSError):  # a writer tidies up meanwhile
                snapshot.save(derived)
    return snapshot, state


def _standard_cosines(
    matrix: Vectors, vector: Vectors, candidates: npt.NDArray[np.int64]
) -> Vectors:
    """Cosines of ``candidates`` in standard deviations; other rows are as far as the farthest."""
    cosines = _start_scan(matrix[candidates], vector)()
    scores = np.full(len(matrix), cosines.min(initial=0), dtype=np.float32)
    scores[candidates] = cosines
    return standard(scores, _start_scan(matrix[:: len(matrix) // SAMPLE + 1], vector)())


def _start_scan(matrix: Vectors, vector: Vectors) -> Callable[[], Vectors]:
    """Begin to multiply unit rows by ``vector``; what is returned waits for the cosines.

    One thread does not saturate memory. A threaded BLAS does no better than one thread here, and
    its spinning threads are several times slower beside other work; einsum's work in blocks.
    """
    cosines = np.empty(len(matrix), dtype=np.float32)
    size = -(-len(matrix) // SCANNERS) or 1

    def scan(start: int) -> None:
        block = slice(start, start + size)
        np.einsum("ij,j->i", matrix[block], vector, out=cosines[block])

    jobs = [_scanners().submit(scan, start) for start in range(0, len(matrix), size)]

    def finish() -> Vectors:
        for job in jobs:
            job.result()
        return cosines

    return finish


@functools.cache
def _scanners() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(SCANNERS, "scan")


def _one_per_function(hits: Iterable[_Hit]) -> Iterator[tuple[Pattern, float]]:
    """Hits without those that were just deleted, and with one part of a long function only."""
    seen = set()
    for pattern, score in hits:
        if pattern is None:
            continue
        key = (pattern.source, pattern.path, pattern.kind, pattern.symbol)
        if pattern.part and pattern.kind in PARTED:
            if key in seen:
                continue
            seen.add(key)
        yield pattern, score


def _same_file(rows: Rows, pattern: Pattern) -> npt.NDArray[np.int64]:
    """The rows of all patterns in the pattern's file, in order of position."""
    same_path = rows.paths.codes == rows.paths.code(pattern.path)
    return np.flatnonzero(same_path & (rows.sources.codes == rows.sources.code(pattern.source)))


def _piece_ids(rows: Rows, pattern: Pattern) -> list[str]:
    """Ids around the pattern, the pieces of its construct among them: they share its symbol.

    A file may have hundreds of patterns, and each that is read takes its time.
    """
    file = _same_file(rows, pattern)
    at = np.flatnonzero(rows.ids[file] == pattern.id.encode())
    if not len(at):
        return []  # removed by a writer meanwhile
    other = rows.symbols[file[at[0] :]] != rows.symbols[file[at[0]]]
    end = at[0] + (other.argmax() if other.any() else len(other))
    first = max(at[0] - (pattern.part - 1), 0)
    return [id_.decode() for id_ in rows.ids[file[first:end]]]


def _pieces(file: list[Pattern], pattern: Pattern) -> list[Pattern]:
    """The run of pieces around ``pattern``: parts of one construct count up from 1."""
    at = next((i for i, p in enumerate(file) if p.id == pattern.id), None)
    if at is None:
        return [pattern]  # removed by a writer meanwhile
    first = at - (pattern.part - 1)
    run = [pattern]
    if first >= 0 and file[first].part == 1:
        run = [file[first]]
        for p in file[first + 1 :]:
            if p.part != run[-1].part + 1:
                break
            run.append(p)
    return run if any(p.id == pattern.id for p in run) else [pattern]


def _usable_tier(generation: Generation, asked: Tier | None) -> Tier:
    if asked == "best" and not generation.best_complete:
        raise HubError(
            "the best tier is not complete: run `patternhub index` to fill it, or search with "
            "tier 'fast'"
        )
    return asked or generation.tier
