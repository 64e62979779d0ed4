"""How every system is judged: one protocol, no exceptions.

A system answers a query with ranked hits, each a span of lines in a file. The hits become a ranked
list of functions:

- All functions of the stripped copy count, tests included, as the independent parse sees them.
- A hit that overlaps several functions yields each of them in turn, the largest overlap in lines
  first (of two equal overlaps, the shorter function, then the earlier one).
- A hit that overlaps no function takes one rank: the reader looked at it in vain.
- A function or span that was already listed is dropped.

The rank of the target in that list gives the reciprocal rank, 0 beyond rank 10. Every system is
asked for `HITS` hits, which is enough to fill ten ranks.

The rule favours hits that are whole functions: of a long chunk, only one function comes first. So
the report also has the opposite, `span_reciprocal_rank`: the rank of the first hit that overlaps
the target at all. It favours long chunks (a whole file would always overlap), and what is true of
a system lies between the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.benchmarks.documented import Query
    from tests.benchmarks.functions import Function

HITS = 30
CUTOFF = 10


@dataclass(frozen=True, slots=True)
class Hit:
    """A span of lines, 1-based and inclusive, in a file of the stripped copy."""

    path: str
    start_line: int
    end_line: int


def ranked_functions(
    hits: Iterable[Hit], functions: Mapping[str, Sequence[Function]]
) -> Iterator[Hit]:
    """The spans of the functions the hits lead to, or of the hits that lead to none."""
    seen: set[Hit] = set()
    for hit in hits:
        for span in _functions_of_hit(hit, functions.get(hit.path, ())) or [hit]:
            if span not in seen:
                seen.add(span)
                yield span


def _functions_of_hit(hit: Hit, functions: Sequence[Function]) -> list[Hit]:
    overlaps = []
    for function in functions:
        shared = min(hit.end_line, function.end_line) - max(hit.start_line, function.start_line) + 1
        if shared > 0:
            length = function.end_line - function.start_line
            span = Hit(hit.path, function.start_line, function.end_line)
            overlaps.append((-shared, length, function.start_line, span))
    return [span for *_, span in sorted(overlaps, key=lambda overlap: overlap[:3])]


def reciprocal_rank(
    query: Query, hits: Iterable[Hit], functions: Mapping[str, Sequence[Function]]
) -> float:
    """1 / rank of the query's target, 0 when it is not among the first ten."""
    target = Hit(query.path, query.start_line, query.end_line)
    for rank, span in enumerate(ranked_functions(hits, functions), start=1):
        if rank > CUTOFF:
            break
        if span == target:
            return 1 / rank
    return 0.0


def span_reciprocal_rank(query: Query, hits: Iterable[Hit]) -> float:
    """1 / rank of the first different hit that overlaps the target, 0 beyond the first ten."""
    for rank, hit in enumerate(list(dict.fromkeys(hits))[:CUTOFF], start=1):
        starts_before_end = hit.start_line <= query.end_line
        if hit.path == query.path and starts_before_end and query.start_line <= hit.end_line:
            return 1 / rank
    return 0.0


def ratio_interval(
    ours: Sequence[Sequence[float]],
    theirs: Sequence[Sequence[float]],
    *,
    seed: int = 0,
    samples: int = 2000,
) -> tuple[float, float]:
    """Paired bootstrap 95% interval of the geometric mean, over repositories, of mean / mean.

    `ours` and `theirs` hold one list of scores a repository, of the same queries in the same order;
    queries are drawn with replacement inside each repository.
    """
    rng = np.random.default_rng(seed)
    logs = np.zeros(samples)
    for our, their in zip(ours, theirs, strict=True):
        drawn = rng.integers(0, len(our), size=(samples, len(our)))
        means = np.asarray(our)[drawn].mean(axis=1), np.asarray(their)[drawn].mean(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs += np.log(means[0]) - np.log(means[1])
    low, high = np.nanpercentile(np.exp(logs / len(ours)), [2.5, 97.5], method="nearest")
    return float(low), float(high)
