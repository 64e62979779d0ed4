"""Which texts say the same, and which of them stays.

Three levels, each of what the one before left: **exact** (the same text but for white space),
**near** (Jaccard similarity of the shingles, verified) and, of functions, **semantic** (the same
code under other names, reformatted or with a small edit). Texts are gone through from the best to
the worst; one that says what a better one says is dropped for it, so that whatever is dropped was
compared with one that stays, or that a level later was dropped for one that does.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.curate.near import near_pairs
from hub.curate.semantic import SHARED, semantic_pairs
from hub.curate.shingles import Sets, shingles, tokens
from hub.errors import HubError
from hub.reporting import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub.curate.shingles import Pairs, Similarities
    from hub.reporting import Progress
    from hub.types import Pattern, Vectors

    Quality = Callable[[Pattern], float]

LEVELS = ("exact", "near", "semantic")
NEAR = 0.7  # Jaccard similarity of near-duplicates, at least


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Row ``row`` says what the better row ``of`` says."""

    row: int
    of: int
    level: str
    similarity: float


def text_duplicates(
    texts: Sequence[str],
    *,
    quality: Sequence[float] | None = None,
    held_out: Sequence[bool] | None = None,
    groups: Sequence[str] | None = None,
    threshold: float = NEAR,
) -> list[Duplicate]:
    """The exact and near-duplicates among any texts, such as completions.

    Args:
        texts: Blank ones are duplicates of nothing.
        quality: Of each text: the highest stays, the first of equals.
        held_out: Texts that stay rather than any other, such as those of a test set.
        groups: Two texts of one group are no duplicates of each other, such as several completions
            of one pattern.
        threshold: The least Jaccard similarity of near-duplicates, from .3 to 1.
    """
    rows = sorted(
        range(len(texts)),
        key=lambda row: (not (held_out and held_out[row]), -quality[row] if quality else 0, row),
    )
    found: list[Duplicate] = []
    first: dict[str, int] = {}
    left = []
    for row in rows:
        text = " ".join(texts[row].split())
        of = first.setdefault(text, row)
        if of != row and text and not (groups and groups[of] == groups[row]):
            found.append(Duplicate(row, of, "exact", 1.0))
        else:
            left.append(row)
    pairs, similarities = near_pairs(
        Sets.of(shingles(tokens(texts[row])) for row in left), threshold
    )
    if groups:
        group = np.unique(np.array([groups[row] for row in left]), return_inverse=True)[1]
        apart = group[pairs[:, 0]] != group[pairs[:, 1]]
        pairs, similarities = pairs[apart], similarities[apart]
    return found + _dropped("near", left, pairs, similarities)


def _dropped(
    level: str, rows: Sequence[int], pairs: Pairs, similarities: Similarities
) -> list[Duplicate]:
    """Of ``pairs`` of places in ``rows``, best first and in order, what is dropped for what stays.

    Each is dropped for the best one that stays.
    """
    found: dict[int, Duplicate] = {}
    for (better, worse), similarity in zip(pairs.tolist(), similarities.tolist(), strict=True):
        if better not in found and worse not in found:
            found[worse] = Duplicate(rows[worse], rows[better], level, round(similarity, 6))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Member:
    """A pattern that another stands for: at ``level`` it is ``similarity`` to ``like``."""

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

    def to_json(self) -> dict[str, Any]:
        members = [
            _pattern_json(m.pattern)
            | {"level": m.level, "similarity": m.similarity, "like": m.like.id}
            for m in self.members
        ]
        return {"kept": _pattern_json(self.kept), "reason": self.reason, "members": members}


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatesReport:
    """Clusters, largest first, and every pattern that stands for itself or for others."""

    threshold: float
    clusters: tuple[Cluster, ...]
    kept: tuple[Pattern, ...] = field(repr=False)

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
            "clusters": [cluster.to_json() for cluster in self.clusters],
        }


def find_duplicates(
    patterns: Sequence[Pattern],
    vectors: Vectors,
    *,
    quality: Quality | None = None,
    threshold: float = SHARED,
    progress: Progress = silent,
) -> DuplicatesReport:
    """The duplicates among patterns, on all three levels; their order changes nothing.

    Args:
        patterns: Ids are unique.
        vectors: Their unit vectors of one tier, shape (patterns, dimension).
        quality: The highest stays; of equals the documented one, no test, of the shortest path.
        threshold: The least share of words that semantic duplicates have in common, from 0 to 1.
        progress: Called after each step.

    Raises:
        HubError: a threshold that is no share.
    """
    if not 0 <= threshold <= 1:
        raise HubError(
            f"threshold = {threshold}: the share of words that two functions have in common is a "
            f"number from 0 to 1; the default is {SHARED}"
        )
    ranks = [_ranks(pattern, quality) for pattern in patterns]
    order = sorted(range(len(patterns)), key=lambda row: list(ranks[row].values()))
    patterns = [patterns[row] for row in order]
    found = text_duplicates([p.text for p in patterns])
    progress("comparing", 1, 2)
    gone = {duplicate.row for duplicate in found}
    left = [row for row in range(len(patterns)) if row not in gone]
    own = vectors[np.array(order, dtype=np.int64)[left]]
    found += _dropped(
        "semantic", left, *semantic_pairs([patterns[r] for r in left], own, threshold)
    )
    progress("comparing", 2, 2)
    gone |= {duplicate.row for duplicate in found}
    kept = sorted((p for row, p in enumerate(patterns) if row not in gone), key=_place)
    by_row = [ranks[row] for row in order]
    clusters = tuple(_clusters(patterns, by_row, found))
    return DuplicatesReport(threshold=threshold, clusters=clusters, kept=tuple(kept))


def _clusters(
    patterns: Sequence[Pattern], ranks: Sequence[dict[str, Any]], found: Sequence[Duplicate]
) -> list[Cluster]:
    """Duplicates by the row that stays in the end, the largest cluster first."""
    of = {duplicate.row: duplicate.of for duplicate in found}
    by_kept = defaultdict(list)
    for duplicate in found:
        row = duplicate.row
        while row in of:
            row = of[row]
        by_kept[row].append(duplicate)
    clusters = []
    for row, duplicates in by_kept.items():
        duplicates.sort(key=lambda d: (LEVELS.index(d.level), -d.similarity, d.row))
        second = ranks[min(d.row for d in duplicates)]
        reason = next(name for name, rank in ranks[row].items() if rank != second[name])
        members = tuple(
            Member(patterns[d.row], d.level, d.similarity, patterns[d.of]) for d in duplicates
        )
        clusters.append(Cluster(patterns[row], reason, members))
    return sorted(clusters, key=lambda cluster: (-len(cluster), _place(cluster.kept)))


def _ranks(pattern: Pattern, quality: Quality | None) -> dict[str, Any]:
    """What makes one pattern better than another, the most important first; lower is better."""
    return {
        "best quality": -quality(pattern) if quality else 0,
        "documented": not pattern.docstring.strip(),
        "no test": pattern.kind == "test",
        "shortest path": len(pattern.path),
        "first of its kind": _place(pattern),
    }


def _place(pattern: Pattern) -> tuple[str, str, int, str]:
    return pattern.source, pattern.path, pattern.start_byte, pattern.id


def _pattern_json(pattern: Pattern) -> dict[str, Any]:
    names = ("id", "source", "path", "start_line", "end_line", "language", "kind", "symbol")
    return {name: getattr(pattern, name) for name in names}
