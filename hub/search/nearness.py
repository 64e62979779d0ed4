"""How near a hub comes to a question at all: what tells an answer from the best of the unrelated.

Scores of a search order its hits and mean nothing across searches. What can be compared are
cosines, and which of the question's words the hits have, weighted by how rare they are here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hub.store.lexical import query_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from hub.search.retrieval import Retriever
    from hub.store.lexical import BM25, Hashes
    from hub.types import SearchResult


class Nearness(NamedTuple):
    """What is known of a question and its hits.

    ``fast`` and ``best`` are the largest cosines of a hit in each tier (0 where a tier is not
    complete); ``covered`` is the share of the question's words that one hit has, weighted by their
    rarity in this hub, of the hit that has most. ``model`` is what computed the cosines: those of
    two models have nothing in common.
    """

    fast: float
    best: float
    covered: float
    model: str


def nearness(retriever: Retriever, question: str, hits: Sequence[SearchResult]) -> Nearness:
    """How near ``hits`` are to ``question``."""
    generation = retriever.current()
    rows = generation.rows_of([hit.pattern.id for hit in hits])
    model = retriever.model
    if not len(rows):
        return Nearness(0.0, 0.0, 0.0, model)
    fast, best = retriever.cosines(generation, question, rows)
    covered = _coverage(generation.snapshot.body, query_terms(question), rows)
    return Nearness(float(fast.max()), float(best.max(initial=0)), covered, model)


def _coverage(index: BM25, terms: Hashes, rows: npt.NDArray[np.int64]) -> float:
    """The weighted share of ``terms`` that the one of ``rows`` has that has most."""
    if not len(terms) or not len(index.terms):
        return 0.0
    at = np.minimum(np.searchsorted(index.terms, terms), len(index.terms) - 1)
    present = index.terms[at] == terms
    frequency = np.where(present, np.diff(index.starts)[at], 0)
    weight = np.log1p((index.size - frequency + 0.5) / (frequency + 0.5))
    has = np.zeros((len(terms), len(rows)), dtype=bool)
    for i in np.flatnonzero(present):
        has[i] = np.isin(rows, index.rows[index.starts[at[i]] : index.starts[at[i] + 1]])
    return float((weight @ has).max() / weight.sum())
