"""From pairs of duplicates to clusters, each with the pattern that stands for it and why."""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hub.types import Pattern

LEVELS = ("exact", "near", "semantic")  # strongest first
_TEST_OR_VENDORED = re.compile(
    r"(^|/)(tests?|specs?|__tests__|testdata|fixtures|vendor|third_party|node_modules)/"
    r"|(^|/)(test_[^/]*|[^/]*([._-]test|[._-]spec)\.\w+)$"
)


@dataclass(frozen=True, slots=True)
class Preference:
    """A reason to keep one pattern rather than another: the one with the lower ``key``."""

    reason: str
    key: Callable[[Pattern], Any]


PREFERENCES = (
    Preference("documented", lambda p: not p.docstring),
    Preference("longest documentation", lambda p: -len(p.docstring)),
    Preference("outside tests and vendored code", lambda p: bool(_TEST_OR_VENDORED.search(p.path))),
    Preference("shortest path", lambda p: len(p.path)),
    Preference("first by id", lambda p: p.id),
)


@dataclass(frozen=True, slots=True)
class Link:
    """Two rows that were found to be duplicates."""

    level: str
    similarity: float
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Member:
    """A pattern that another stands for: at ``level`` it is ``similarity`` to ``neighbour``.

    The neighbour is the representative, or the member of the cluster that led to this one.
    """

    pattern: Pattern
    level: str
    similarity: float
    neighbour: Pattern


@dataclass(frozen=True, slots=True)
class Cluster:
    """Patterns that say the same; ``reason`` is why it is the representative that stands for all.

    ``members`` are the others, in the order in which links lead to them.
    """

    representative: Pattern
    reason: str
    members: tuple[Member, ...]

    def __len__(self) -> int:
        return 1 + len(self.members)


def place(pattern: Pattern) -> tuple[str, str, int, str]:
    """What patterns are listed by."""
    return pattern.source, pattern.path, pattern.start_byte, pattern.id


def components(size: int, pairs: Iterable[Sequence[int]]) -> list[list[int]]:
    """The rows from 0 up to ``size`` in groups that pairs connect (union-find, Tarjan 1975)."""
    parent = list(range(size))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for one, other in pairs:
        left, right = root(one), root(other)
        parent[max(left, right)] = min(left, right)
    groups = defaultdict(list)
    for row in range(size):
        groups[root(row)].append(row)
    return list(groups.values())


def clusters_of(
    patterns: Sequence[Pattern], links: Sequence[Link], preferences: Sequence[Preference]
) -> list[Cluster]:
    """Patterns that are linked, directly or through others, in clusters, largest first."""
    by_row = defaultdict(list)
    for link in links:
        by_row[link.left].append(link)
        by_row[link.right].append(link)
    clusters = []
    for rows in components(len(patterns), [(link.left, link.right) for link in links]):
        if len(rows) > 1:
            rows.sort(key=lambda row: [each.key(patterns[row]) for each in preferences])
            best, second = patterns[rows[0]], patterns[rows[1]]
            reason = next(p.reason for p in preferences if p.key(best) != p.key(second))
            clusters.append(Cluster(best, reason, tuple(_members(patterns, rows[0], by_row))))
    return sorted(clusters, key=lambda cluster: (-len(cluster), place(cluster.representative)))


def _members(
    patterns: Sequence[Pattern], start: int, by_row: dict[int, list[Link]]
) -> Iterator[Member]:
    """Every other row of a cluster, by the strongest link that leads to it (Prim 1957)."""
    reached = {start}
    copies = {start}  # of its text: each is said to be a copy of the representative itself
    heap: list[tuple[int, float, int, int]] = []

    def offer(row: int) -> None:
        for link in by_row[row]:
            other = link.right if link.left == row else link.left
            if other not in reached:
                heapq.heappush(heap, (LEVELS.index(link.level), -link.similarity, other, row))

    offer(start)
    while heap:
        level, similarity, row, neighbour = heapq.heappop(heap)
        if row not in reached:
            reached.add(row)
            if LEVELS[level] == "exact" and neighbour in copies:
                copies.add(row)
                neighbour = start
            yield Member(patterns[row], LEVELS[level], -similarity, patterns[neighbour])
            offer(row)
