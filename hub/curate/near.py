"""Near-duplicates: MinHash proposes pairs, and each is then compared exactly.

MinHash with banding (Broder 1997; Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets",
chapter 3): two texts of Jaccard similarity J agree on all rows of a band with probability
J ** rows. Enough short bands find nearly every pair; what they propose wrongly, the exact
similarity rejects. The hash functions are multiply-shift (Dietzfelbinger et al. 1997), which numpy
computes for a block of texts at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hub.curate.shingles import mixed

if TYPE_CHECKING:
    from hub.curate.shingles import Hashes, Pairs, Sets, Similarities

ROWS = 4  # hashes a band
MISSED = 0.003  # share of pairs exactly at the threshold that no band proposes
WINDOW = 32  # texts that a text is compared with in a band where many agree
LOWEST = 0.3  # the number of bands grows with 1 / threshold ** ROWS
SEED = 1997
BLOCK = 1 << 15  # shingles hashed at once: what a processor's cache holds


def near_pairs(sets: Sets, threshold: float) -> tuple[Pairs, Similarities]:
    """Pairs of sets whose Jaccard similarity is ``threshold`` or more, and that similarity.

    Every reported pair is verified; of the pairs there are, at least 1 - :data:`MISSED` are
    expected to be found. Where more than :data:`WINDOW` sets agree on a band, each is compared with
    the first of them and those that follow it only: ten thousand copies cost ten thousand times
    :data:`WINDOW`, not their square.

    Args:
        sets: Shingles of texts; an empty set is near to nothing.
        threshold: From :data:`LOWEST` to 1.

    Returns:
        Rows (i, j) with i < j in rising order, shape (n, 2), and n similarities.

    Raises:
        ValueError: a threshold outside that range.
    """
    if not LOWEST <= threshold <= 1:
        raise ValueError(f"a Jaccard threshold of {threshold}: from {LOWEST} to 1 is possible")
    candidates = _agreeing(band_keys(sets, band_count(threshold)))
    return sets.similar(candidates[sets.sizes[candidates[:, 0]] > 0], threshold)


def band_count(threshold: float) -> int:
    """How many bands miss no more than :data:`MISSED` of the pairs at ``threshold``."""
    if threshold == 1:
        return 1
    return math.ceil(math.log(MISSED) / math.log1p(-(threshold**ROWS)))


def band_keys(sets: Sets, bands: int) -> Hashes:
    """For each set the key of every band, shape (bands, sets): where a key is shared, so is the
    band. Of an empty set it means nothing."""
    random = np.random.default_rng(SEED)
    factors = random.integers(1 << 63, size=(bands, ROWS), dtype=np.uint64) * 2 + 1
    addends = random.integers(1 << 64, size=(bands, ROWS), dtype=np.uint64, endpoint=False)
    keys = np.zeros((bands, len(sets)), dtype=np.uint64)
    filled = np.flatnonzero(sets.sizes)
    for rows in _blocks(sets, filled):
        first, last = sets.starts[rows[0]], sets.starts[rows[-1] + 1]
        members, starts = sets.members[first:last], sets.starts[rows] - first
        for band in range(bands):
            key = np.zeros(len(rows), dtype=np.uint64)
            for factor, addend in zip(factors[band], addends[band], strict=True):
                key = mixed(key + np.minimum.reduceat(members * factor + addend, starts))
            keys[band, rows] = key
    return keys


def _blocks(sets: Sets, filled: Pairs) -> list[Pairs]:
    """The rows of ``filled``, cut where another :data:`BLOCK` of members is full."""
    if not len(filled):
        return []
    block = sets.starts[filled] // BLOCK
    return np.split(filled, np.flatnonzero(np.diff(block)) + 1)


def _agreeing(keys: Hashes) -> Pairs:
    """Pairs of columns that agree on a band, each once, in rising order."""
    size = keys.shape[1]
    known = np.zeros(0, dtype=np.int64)
    for band in keys:
        order = np.argsort(band, kind="stable")
        ordered = band[order]
        same = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
        if not len(same):
            continue
        starts = np.arange(size)
        starts[same] = 0
        first = np.maximum.accumulate(starts)  # of those that agree
        codes = [known, order[first[same]] * size + order[same]]
        for step in range(1, min(WINDOW, size - 1) + 1):
            same = np.flatnonzero(first[step:] == first[:-step])
            if not len(same):
                break
            codes.append(order[same] * size + order[same + step])
        known = np.unique(np.concatenate(codes))
    return np.stack(np.divmod(known, max(size, 1)), axis=1)
