"""Texts as sets of numbers, and the exact Jaccard similarity of many pairs of them at once.

A text is the set of its shingles, every run of five tokens (Broder 1997, "On the resemblance and
containment of documents"). Tokens are hashed by their content alone, so that a set is the same in
every process.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Hashes = npt.NDArray[np.uint64]
    Pairs = npt.NDArray[np.int64]
    Similarities = npt.NDArray[np.float64]

WIDTH = 5  # tokens a shingle
PAIR_BLOCK = 4096  # pairs compared at once: some MB of numbers
_TOKEN = re.compile(r"\w+|[^\w\s]")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_KNOWN_TOKENS = 1 << 18


@dataclass(frozen=True, slots=True)
class Sets:
    """Sets of numbers: set ``i`` is ``members[starts[i]:starts[i + 1]]``, in rising order."""

    starts: npt.NDArray[np.int64]
    members: Hashes

    @classmethod
    def of(cls, sets: Iterable[Hashes]) -> Sets:
        """The distinct members of each."""
        distinct = [np.unique(each) for each in sets]
        starts = np.zeros(len(distinct) + 1, dtype=np.int64)
        np.cumsum([len(each) for each in distinct], out=starts[1:])
        return cls(starts, np.concatenate([np.zeros(0, dtype=np.uint64), *distinct]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        return np.diff(self.starts)

    def jaccard(self, pairs: Pairs) -> Similarities:
        """The Jaccard similarity of each row of ``pairs``, shape (n, 2); 0 of two empty sets."""
        common = self.common(pairs)
        union = self.sizes[pairs].sum(axis=1) - common
        return np.asarray(common / np.maximum(union, 1))

    def common(self, pairs: Pairs) -> Pairs:
        """How many members the two sets of each row of ``pairs`` share."""
        found = np.zeros(len(pairs), dtype=np.int64)
        for at in range(0, len(pairs), PAIR_BLOCK):
            found[at : at + PAIR_BLOCK] = self._common(pairs[at : at + PAIR_BLOCK])
        return found

    def similar(self, pairs: Pairs, threshold: float) -> tuple[Pairs, Similarities]:
        """The pairs at ``threshold`` or above, with their similarities.

        Sets whose sizes differ by too much are told apart without a look at their members.
        """
        sizes = self.sizes[pairs]
        pairs = pairs[sizes.min(axis=1) >= threshold * sizes.max(axis=1)]
        found = self.jaccard(pairs)
        kept = found >= threshold
        return pairs[kept], found[kept]

    def _common(self, pairs: Pairs) -> Pairs:
        """Both sides of every pair in one row of numbers: what occurs twice is in both."""
        rows = pairs.T.reshape(-1)
        lengths = self.sizes[rows]
        ends = np.cumsum(lengths)
        at = np.arange(ends[-1]) + np.repeat(self.starts[rows] - (ends - lengths), lengths)
        pair = np.repeat(np.tile(np.arange(len(pairs)), 2), lengths)
        members = self.members[at]
        order = np.lexsort((members, pair))
        members, pair = members[order], pair[order]
        twice = (members[1:] == members[:-1]) & (pair[1:] == pair[:-1])
        return np.bincount(pair[1:][twice], minlength=len(pairs))


def tokens(text: str) -> list[str]:
    """Words and single marks; white space separates and is none."""
    return _TOKEN.findall(text)


def shingles(words: Sequence[str]) -> Hashes:
    """A 64-bit hash of every run of :data:`WIDTH` words; of all of them where they are fewer."""
    hashes = np.array([token_hash(word) for word in words], dtype=np.uint64)
    width = min(WIDTH, len(hashes))
    if not width:
        return hashes
    total = np.zeros(len(hashes) - width + 1, dtype=np.uint64)
    for i in range(width):
        total = total * _MULTIPLIER + hashes[i : len(hashes) - width + 1 + i]
    return mixed(total)


@functools.lru_cache(maxsize=_KNOWN_TOKENS)
def token_hash(token: str) -> int:
    """As :func:`text_hash`, remembered: the same few tokens come again and again."""
    return text_hash(token)


def text_hash(text: str) -> int:
    """64 bits that a text always has, whatever the process; lone surrogates have theirs."""
    data = text.encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def mixed(values: Hashes) -> Hashes:
    """Each number scrambled, two different ones never to the same (splitmix64's finaliser)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))
