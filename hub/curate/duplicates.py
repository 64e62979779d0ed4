"""Which patterns say the same, and which of them stays.

Three levels, each of what the one before left: **exact** (the same text but for white space),
**near** (Jaccard similarity of the shingles, verified) and, of functions, **semantic** (the same
code under other names, reformatted or with a small edit). Patterns are gone through from the best
to the worst, and one that says what a better one says gives way to it: whatever is dropped was
compared with the one that stays, or with one that a later level dropped for it.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.curate.linking import in_test_file
from hub.curate.measures import measure
from hub.curate.near import near_pairs
from hub.curate.quality import quality, quality_parts
from hub.curate.semantic import SHARED, semantic_pairs
from hub.curate.shingles import Sets, shingles, tokens
from hub.errors import HubError
from hub.reporting import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub.curate.shingles import Pairs, Similarities
    from hub.reporting import Progress
    from hub.types import Pattern, Vectors

LEVELS = ("exact", "near", "semantic")
NEAR = 0.7  # Jaccard similarity of near-duplicates, at least
_measure = functools.lru_cache(maxsize=1)(measure)  # copies are ranked one after the other


@dataclass(frozen=True, slots=True)
class Member:
    """A pattern that gives way: at ``level`` it is ``similarity`` to ``like``, a better one."""

    pattern: Pattern
    level: str
    similarity: float
    like: Pattern


@dataclass(frozen=True, slots=True)
class Cluster:
    """Patterns that say the same; ``reason`` is why ``kept`` stands for the others."""

    kept: Pattern
    reason: str
    members: tuple[Member, ...]

    def __len__(self) -> int:
        return 1 + len(self.members)

    @property
    def ids(self) -> list[str]:
        """Of all its patterns, the kept one first."""
        return [self.kept.id, *(member.pattern.id for member in self.members)]

    def to_json(self) -> dict[str, Any]:
        members = [
            _pattern_json(m.pattern)
            | {"level": m.level, "similarity": m.similarity, "like": m.like.id}
            for m in self.members
        ]
        return {"kept": _pattern_json(self.kept), "reason": self.reason, "members": members}


@dataclass(slots=True, kw_only=True)
class DuplicatesReport:
    """Clusters, largest first, and every pattern that stands for itself or for others.

    ``applied`` is the file that makes datasets leave the others out; empty if none is.
    """

    threshold: float
    clusters: tuple[Cluster, ...]
    kept: tuple[Pattern, ...] = field(repr=False)
    applied: str = ""

    @property
    def dropped(self) -> dict[str, str]:
        """The id of each pattern that another stands for, with the id of that one."""
        return {m.pattern.id: c.kept.id for c in self.clusters for m in c.members}

    @property
    def total(self) -> int:
        """How many patterns were compared."""
        return len(self.kept) + sum(len(cluster.members) for cluster in self.clusters)

    def levels(self) -> dict[str, int]:
        """How many patterns each level dropped."""
        counts = dict.fromkeys(LEVELS, 0)
        for cluster in self.clusters:
            for member in cluster.members:
                counts[member.level] += 1
        return counts

    def to_json(self) -> dict[str, Any]:
        return {
            "threshold": self.threshold,
            "compared": self.total,
            "kept": len(self.kept),
            "dropped": self.levels(),
            "applied": self.applied,
            "clusters": [cluster.to_json() for cluster in self.clusters],
        }


def find_duplicates(
    patterns: Sequence[Pattern],
    vectors: Vectors,
    *,
    threshold: float = SHARED,
    progress: Progress = silent,
) -> DuplicatesReport:
    """The duplicates among patterns, on all three levels; their order changes nothing.

    What is no test stays rather than a test, then the best by quality, as far as a pattern's own
    text shows it, then the one of the shortest path.

    Args:
        patterns: Ids are unique.
        vectors: Their unit vectors of one tier, shape (patterns, dimension).
        threshold: The least share of words that semantic duplicates have in common, from 0 to 1.
        progress: Called after each level.

    Raises:
        HubError: a threshold that is no share.
    """
    if not 0 <= threshold <= 1:
        raise HubError(
            f"threshold = {threshold}: the share of words that two functions have in common is a "
            f"number from 0 to 1; the default is {SHARED}"
        )
    places = sorted(range(len(patterns)), key=lambda row: _place(patterns[row]))
    patterns, vectors = [patterns[row] for row in places], vectors[places]
    ranks = functools.cache(lambda row: _ranks(patterns[row]))

    def near(rows: list[int]) -> tuple[Pairs, Similarities]:
        return near_pairs(Sets.of(shingles(tokens(patterns[r].text)) for r in rows), NEAR)

    def semantic(rows: list[int]) -> tuple[Pairs, Similarities]:
        return semantic_pairs([patterns[r] for r in rows], vectors[rows], threshold)

    found = _exact(patterns, ranks)
    for done, (level, pairs_of) in enumerate((("near", near), ("semantic", semantic)), start=1):
        progress("comparing", done, len(LEVELS))
        left = [row for row in range(len(patterns)) if row not in found]
        found |= _giving_way(level, left, pairs_of, ranks)
    progress("comparing", len(LEVELS), len(LEVELS))
    return DuplicatesReport(
        threshold=threshold,
        clusters=tuple(_clusters(patterns, found, ranks)),
        kept=tuple(p for row, p in enumerate(patterns) if row not in found),
    )


def give_way(pairs: Pairs) -> dict[int, int]:
    """Of pairs (better, worse) in rising order, the worse ones that give way, each with its pair's
    number: whatever gives way is in a pair with the best one that stays."""
    found: dict[int, int] = {}
    for number, (better, worse) in enumerate(pairs.tolist()):
        if better not in found and worse not in found:
            found[worse] = number
    return found


@dataclass(frozen=True, slots=True)
class _Duplicate:
    """What a row gives way to, and why."""

    of: int
    level: str
    similarity: float


_Ranks = dict[str, Any]


def _exact(patterns: Sequence[Pattern], ranks: Callable[[int], _Ranks]) -> dict[int, _Duplicate]:
    by_text = defaultdict(list)
    for row, pattern in enumerate(patterns):
        by_text[" ".join(pattern.text.split())].append(row)
    found: dict[int, _Duplicate] = {}
    for text, rows in by_text.items():
        if text and len(rows) > 1:
            best = min(rows, key=lambda row: list(ranks(row).values()))
            found |= {row: _Duplicate(best, "exact", 1.0) for row in rows if row != best}
    return found


def _giving_way(
    level: str,
    rows: list[int],
    pairs_of: Callable[[list[int]], tuple[Pairs, Similarities]],
    ranks: Callable[[int], _Ranks],
) -> dict[int, _Duplicate]:
    """Those of ``rows`` that give way.

    Pairs are looked for twice: only rows that are in one have to be ranked, which takes longer.
    """
    paired = [rows[at] for at in np.unique(pairs_of(rows)[0]).tolist()]
    paired.sort(key=lambda row: list(ranks(row).values()))
    pairs, similarities = pairs_of(paired)
    return {
        paired[worse]: _Duplicate(paired[pairs[n, 0]], level, round(float(similarities[n]), 6))
        for worse, n in give_way(pairs).items()
    }


def _clusters(
    patterns: Sequence[Pattern],
    found: dict[int, _Duplicate],
    ranks: Callable[[int], _Ranks],
) -> list[Cluster]:
    """Duplicates by the row that stays in the end, the largest cluster first."""
    by_kept = defaultdict(list)
    for row in found:
        kept = row
        while kept in found:
            kept = found[kept].of
        by_kept[kept].append(row)
    clusters = []
    for kept, rows in by_kept.items():
        rows.sort(key=lambda r: (LEVELS.index(found[r].level), -found[r].similarity, r))
        second = min((ranks(row) for row in rows), key=lambda each: list(each.values()))
        reason = next(name for name, rank in ranks(kept).items() if rank != second[name])
        members = (
            Member(patterns[r], found[r].level, found[r].similarity, patterns[found[r].of])
            for r in rows
        )
        clusters.append(Cluster(patterns[kept], reason, tuple(members)))
    return sorted(clusters, key=lambda cluster: (-len(cluster), _place(cluster.kept)))


def _ranks(pattern: Pattern) -> _Ranks:
    """What makes one pattern better than another, the most important first; lower is better."""
    measures = _measure(pattern.text, pattern.language, pattern.kind)
    parts = quality_parts(pattern, measures, tested=None, duplicated=None)
    return {
        "no test": pattern.kind == "test" or in_test_file(pattern),
        "best quality": -quality(parts),
        "shortest path": len(pattern.path),
        "first of its kind": _place(pattern),
    }


def _place(pattern: Pattern) -> tuple[str, str, int, str]:
    return pattern.source, pattern.path, pattern.start_byte, pattern.id


def _pattern_json(pattern: Pattern) -> dict[str, Any]:
    names = ("id", "source", "path", "start_line", "end_line", "language", "kind", "symbol")
    return {name: getattr(pattern, name) for name in names}
