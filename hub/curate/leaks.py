"""What one side of a split knows of the other: an exact join, for a leak must not be missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hub.curate.shingles import WIDTH, Sets, shingles, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from hub.curate.shingles import Pairs

BLOCK = 1 << 20  # pairs compared at once


def leaking(texts: Sequence[str], held_out: Sequence[str], *, threshold: float) -> list[int]:
    """Rows of ``texts`` whose shingles are as similar as ``threshold`` to a held-out text's.

    Every pair at the threshold is found. Two sets of Jaccard similarity t share a member among the
    rarest ``size - ceil(t * size) + 1`` of each (prefix filtering; Chaudhuri, Ganti and Kaushik,
    "A Primitive Operator for Similarity Joins", 2006), so only sets that do are compared.
    A text of fewer than :data:`~hub.curate.shingles.WIDTH` tokens has no shingle.
    """
    sets = Sets.of(_shingles(text) for text in (*texts, *held_out))
    rare, rows = _prefixes(sets, threshold)
    held = rows >= len(texts)
    found: set[int] = set()
    for pairs in _meeting(rare[~held], rows[~held], rare[held], rows[held]):
        found.update(sets.similar(pairs, threshold)[0][:, 0].tolist())
    return sorted(found)


def _shingles(text: str) -> npt.NDArray[np.uint64]:
    words = tokens(text)
    return shingles(words if len(words) >= WIDTH else [])


def _prefixes(sets: Sets, threshold: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rarest members of each set, as ranks by frequency, and whose they are."""
    _, rank, counts = np.unique(sets.members, return_inverse=True, return_counts=True)
    by_frequency = np.empty(len(counts), dtype=np.int64)
    by_frequency[np.argsort(counts, kind="stable")] = np.arange(len(counts))
    rank = by_frequency[rank]
    rows = np.repeat(np.arange(len(sets)), sets.sizes)
    order = np.lexsort((rank, rows))
    within = np.arange(len(rows)) - np.repeat(sets.starts[:-1], sets.sizes)
    wanted = sets.sizes - np.ceil(threshold * sets.sizes - 1e-9).astype(np.int64) + 1
    chosen = order[within < np.repeat(wanted, sets.sizes)]
    return rank[chosen], rows[chosen]


def _meeting(
    left: npt.NDArray[np.int64],
    left_rows: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    right_rows: npt.NDArray[np.int64],
) -> Iterable[Pairs]:
    """Distinct pairs of rows whose keys meet, a block at a time."""
    order = np.argsort(right, kind="stable")
    right, right_rows = right[order], right_rows[order]
    first = np.searchsorted(right, left, side="left")
    counts = np.searchsorted(right, left, side="right") - first
    ends = np.cumsum(counts)
    start = 0
    while start < len(left):
        stop = max(int(np.searchsorted(ends, (ends[start - 1] if start else 0) + BLOCK)), start + 1)
        some = counts[start:stop]
        inside = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
        others = right_rows[np.repeat(first[start:stop], some) + inside]
        pairs = np.stack([np.repeat(left_rows[start:stop], some), others], axis=1)
        if len(pairs):
            yield np.unique(pairs, axis=0)
        start = stop
