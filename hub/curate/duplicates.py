"""Which patterns say the same: what `patternhub dedup` reports.

Three levels: **exact** (the same text but for white space), **near** (Jaccard similarity of the
shingles, verified) and **semantic** (functions whose form, names and vectors agree). The report
depends neither on the order of the patterns nor on the process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hub.curate.clusters import LEVELS, PREFERENCES, Link, clusters_of, components, place
from hub.curate.near import near_pairs
from hub.curate.semantic import Code, semantic_pairs
from hub.curate.shingles import Sets, shingles, tokens
from hub.errors import HubError
from hub.reporting import silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.curate.clusters import Cluster, Member, Preference
    from hub.curate.shingles import Pairs, Similarities
    from hub.reporting import Progress
    from hub.search.ranking import Filters
    from hub.search.retrieval import Retriever
    from hub.types import Pattern, Vectors

NEAR = 0.7  # Jaccard similarity of near-duplicates, at least
THRESHOLD = 0.2  # cosine of semantic duplicates, at least: that of renamed copies is low
PAGE = 5000  # patterns read at once


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatesReport:
    """Clusters, largest first, and every pattern that stands for itself or for others."""

    tier: str
    threshold: float
    clusters: tuple[Cluster, ...]
    kept: tuple[Pattern, ...] = field(repr=False)

    @property
    def dropped(self) -> tuple[Member, ...]:
        """The patterns that a representative stands for."""
        return tuple(member for cluster in self.clusters for member in cluster.members)

    @property
    def total(self) -> int:
        """How many patterns were compared."""
        return len(self.kept) + len(self.dropped)

    @property
    def ratio(self) -> float:
        """The share of patterns that are dropped; 0 of none."""
        return len(self.dropped) / self.total if self.total else 0.0

    def levels(self) -> dict[str, int]:
        """How many patterns each level dropped."""
        counts = dict.fromkeys(LEVELS, 0)
        for member in self.dropped:
            counts[member.level] += 1
        return counts

    def to_json(self) -> dict[str, Any]:
        return {
            "tier": self.tier,
            "threshold": self.threshold,
            "kept": len(self.kept),
            "dropped": len(self.dropped),
            "ratio": round(self.ratio, 6),
            "levels": self.levels(),
            "clusters": [_cluster_json(cluster) for cluster in self.clusters],
        }


def indexed_duplicates(
    retriever: Retriever, *, filters: Filters, threshold: float, progress: Progress = silent
) -> DuplicatesReport:
    """The duplicates among the indexed patterns that pass, by the vectors of the best whole tier.

    Raises:
        HubError: nothing is indexed, a filter value that no pattern has, or a threshold that is no
            cosine.
    """
    if not 0 <= threshold <= 1:
        raise HubError(
            f"threshold = {threshold}: the least cosine of semantic duplicates is a number from 0 "
            f"to 1; the default is {THRESHOLD}"
        )
    generation = retriever.current()
    rows = generation.snapshot.rows
    mask = filters.mask(rows)
    wanted = np.arange(len(rows)) if mask is None else np.flatnonzero(mask)
    found: dict[str, Pattern] = {}
    for at in range(0, len(wanted), PAGE):
        found |= retriever.store.get([id_.decode() for id_ in rows.ids[wanted[at : at + PAGE]]])
        progress("reading", min(at + PAGE, len(wanted)), len(wanted))
    there = [row for row in wanted.tolist() if rows.ids[row].decode() in found]
    vectors = rows.best if generation.best_complete else rows.fast
    return find_duplicates(
        [found[rows.ids[row].decode()] for row in there],
        np.asarray(vectors[there]),
        tier=generation.tier,
        threshold=threshold,
        progress=progress,
    )


def find_duplicates(
    patterns: Sequence[Pattern],
    vectors: Vectors,
    *,
    tier: str,
    threshold: float = THRESHOLD,
    preferences: Sequence[Preference] = PREFERENCES,
    progress: Progress = silent,
) -> DuplicatesReport:
    """The clusters of ``patterns`` on all three levels.

    Args:
        patterns: In any order; ids are unique.
        vectors: Their unit vectors of one tier, shape (patterns, dimension).
        tier: Its name, for the report.
        threshold: The least cosine of semantic duplicates.
        preferences: What makes a representative, the most important first; the last one tells any
            two patterns apart.
        progress: Called after each level.
    """
    order = sorted(range(len(patterns)), key=lambda i: (_normal(patterns[i]), patterns[i].id))
    patterns = [patterns[i] for i in order]
    firsts: dict[str, int] = {}  # of each text the first row that has it
    links = []
    for row, pattern in enumerate(patterns):
        first = firsts.setdefault(_normal(pattern), row)
        if first != row and pattern.text.strip():
            links.append(Link("exact", 1.0, first, row))
    progress("comparing", 1, len(LEVELS))
    rows = np.array(list(firsts.values()), dtype=np.int64)
    distinct = [patterns[row] for row in rows]
    near = near_pairs(Sets.of([shingles(tokens(p.text)) for p in distinct]), NEAR)
    links += _links("near", rows, *near)
    progress("comparing", 2, len(LEVELS))
    own = np.array(order, dtype=np.int64)[rows]
    labels = _labels(len(patterns), links)[rows]
    semantic = semantic_pairs(vectors[own], Code.of(distinct), threshold, labels=labels)
    links += _links("semantic", rows, *semantic)
    progress("comparing", 3, len(LEVELS))
    clusters = tuple(clusters_of(patterns, links, preferences))
    dropped = {member.pattern.id for cluster in clusters for member in cluster.members}
    kept = sorted((p for p in patterns if p.id not in dropped), key=place)
    return DuplicatesReport(tier=tier, threshold=threshold, clusters=clusters, kept=tuple(kept))


def _normal(pattern: Pattern) -> str:
    """The text with single blanks for all white space."""
    return " ".join(pattern.text.split())


def _links(level: str, rows: Pairs, pairs: Pairs, similarities: Similarities) -> Iterator[Link]:
    """Pairs of places in ``rows`` as links of the rows themselves."""
    for (left, right), similarity in zip(rows[pairs].tolist(), similarities.tolist(), strict=True):
        yield Link(level, round(similarity, 6), left, right)


def _labels(size: int, links: Sequence[Link]) -> Pairs:
    """A number for each row; linked rows have the same."""
    labels = np.zeros(size, dtype=np.int64)
    for label, rows in enumerate(components(size, [(link.left, link.right) for link in links])):
        labels[rows] = label
    return labels


def _cluster_json(cluster: Cluster) -> dict[str, Any]:
    return {
        "size": len(cluster),
        "representative": _pattern_json(cluster.representative),
        "reason": cluster.reason,
        "members": [
            _pattern_json(member.pattern)
            | {
                "level": member.level,
                "similarity": member.similarity,
                "neighbour": member.neighbour.id,
            }
            for member in cluster.members
        ],
    }


def _pattern_json(pattern: Pattern) -> dict[str, Any]:
    names = ("id", "source", "path", "start_line", "end_line", "language", "kind", "symbol")
    return {name: getattr(pattern, name) for name in names}
