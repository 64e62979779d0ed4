"""Words of code, and BM25 over them.

Identifiers are split (``getUserName`` is get, user, name), words are stemmed, and a term is known
by a 64-bit hash, so that worker processes can index without sharing a vocabulary. Scores are
computed when the index is built (eager scoring, as bm25s does), so a query adds up a few columns.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hub.words import signed_text, split_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hub.types import Chunk, Vectors

    Hashes = npt.NDArray[np.uint64]

K1 = 1.5
B = 0.75
NAME_WEIGHT = 0.8

_IDENTIFIER = re.compile(r"[^\W_]+(?:_+[^\W_]+)*")
# Words that say nothing about what code does; queries are full of them.
STOP_WORDS = frozenset(
    """a an and are as at be by do does for from has have how if in into is it its of on or our that
    the their then there these they this to was we were what when where which who will with you
    your""".split()  # noqa: SIM905 - a list of words reads best as words
)


class Terms(NamedTuple):
    """The distinct terms of one text: 64-bit hashes, and how often each occurs."""

    hashes: Hashes
    counts: npt.NDArray[np.uint16]


class ChunkTerms(NamedTuple):
    """What BM25 knows of one chunk: its whole text with the header, and its name alone."""

    body: Terms
    name: Terms


def chunk_terms(chunk: Chunk) -> ChunkTerms:
    """The terms of a chunk; path, qualified name and signature count as part of the text."""
    return ChunkTerms(
        body=_terms(_words_of(f"{chunk.path} {chunk.symbol}\n{signed_text(chunk)}")),
        name=_terms(_words_of(chunk.symbol)),
    )


def query_terms(text: str) -> Hashes:
    """The distinct terms of a query; stop words are left out unless nothing else is there."""
    words = _words_of(text)
    telling = [word for word in words if word not in STOP_WORDS]
    return _terms(telling or words).hashes


def _words_of(text: str) -> list[str]:
    """Split words, plus each compound identifier whole, so that an exact name stands out."""
    words: list[str] = []
    for identifier in _IDENTIFIER.findall(text):
        parts = _split_identifier(identifier)
        words.extend(parts)
    return words


@functools.lru_cache(maxsize=1 << 17)
def _split_identifier(identifier: str) -> tuple[str, ...]:
    parts = split_words(identifier)
    if len(parts) > 1:
        parts.append("".join(parts))
    return tuple(parts)


def _terms(words: Iterable[str]) -> Terms:
    counts = Counter(map(_term_hash, words))
    hashes = np.fromiter(counts.keys(), dtype=np.uint64, count=len(counts))
    numbers = np.fromiter(counts.values(), dtype=np.int64, count=len(counts))
    return Terms(hashes, np.minimum(numbers, 65535).astype(np.uint16))


@functools.lru_cache(maxsize=1 << 18)
def _term_hash(word: str) -> int:
    digest = hashlib.blake2b(_stemmer().stemWord(word).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@functools.cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


@dataclass(frozen=True, slots=True)
class Postings:
    """Terms of many texts, one after the other: row ``i`` owns ``ends[i-1]:ends[i]``."""

    ends: npt.NDArray[np.int64]
    hashes: Hashes
    counts: npt.NDArray[np.uint16]

    @classmethod
    def of(cls, rows: Sequence[Terms]) -> Postings:
        if not rows:
            empty = np.zeros(0, dtype=np.int64)
            return cls(empty, empty.astype(np.uint64), empty.astype(np.uint16))
        return cls(
            np.cumsum([len(row.hashes) for row in rows], dtype=np.int64),
            np.concatenate([row.hashes for row in rows]),
            np.concatenate([row.counts for row in rows]),
        )

    def lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.ends, prepend=0)

    def take(self, rows: npt.NDArray[np.int64]) -> Postings:
        """The postings of ``rows``, in that order."""
        sizes = self.lengths()[rows]
        starts = self.ends[rows] - sizes
        ends = np.cumsum(sizes)
        inside = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - sizes, sizes)
        index = np.repeat(starts, sizes) + inside
        return Postings(ends, self.hashes[index], self.counts[index])

    def cut(self, start: int, stop: int) -> Postings:
        """The postings of the rows from ``start`` up to ``stop``, as views."""
        first, last = (int(self.ends[row - 1]) if row else 0 for row in (start, stop))
        return Postings(
            self.ends[start:stop] - first, self.hashes[first:last], self.counts[first:last]
        )

    @classmethod
    def joined(cls, parts: Sequence[Postings]) -> Postings:
        """The rows of every part, in order."""
        shifts = np.cumsum([0, *(len(part.hashes) for part in parts)])
        return cls(
            np.concatenate([p.ends + shift for p, shift in zip(parts, shifts, strict=False)]),
            np.concatenate([p.hashes for p in parts]),
            np.concatenate([p.counts for p in parts]),
        )


@dataclass(frozen=True, slots=True)
class BM25:
    """Precomputed BM25 impacts by term: term ``terms[i]`` owns ``starts[i]:starts[i+1]``."""

    size: int
    terms: Hashes
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    impacts: npt.NDArray[np.float32]

    @classmethod
    def build(cls, postings: Postings, *, k1: float = K1, b: float = B) -> BM25:
        size = len(postings.ends)
        lengths = postings.lengths()
        rows = np.repeat(np.arange(size, dtype=np.int32), lengths)
        order = np.argsort(postings.hashes)
        hashes = postings.hashes[order]
        rows = rows[order]
        counts = postings.counts[order].astype(np.float32)
        starts = np.flatnonzero(np.diff(hashes, prepend=~hashes[:1]))  # where a term begins
        terms = hashes[starts]
        bounds = np.append(starts, len(hashes)).astype(np.int64)
        frequency = np.diff(bounds)
        idf = np.log1p((size - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
        totals = np.bincount(rows, weights=counts, minlength=size).astype(np.float32)
        mean = totals.mean() if size and totals.any() else 1.0
        saturation = k1 * (1 - b + b * totals / mean)
        impacts = np.repeat(idf, frequency) * counts * (k1 + 1) / (counts + saturation[rows])
        return cls(size, terms, bounds, rows, impacts.astype(np.float32))

    def scores(self, query: Hashes) -> Vectors:
        """The BM25 score of every row, shape ``(size,)``."""
        scores = np.zeros(self.size, dtype=np.float32)
        if not len(self.terms):
            return scores
        found = np.searchsorted(self.terms, query)
        for term, at in zip(query, np.minimum(found, len(self.terms) - 1), strict=True):
            if self.terms[at] == term:
                span = slice(self.starts[at], self.starts[at + 1])
                scores[self.rows[span]] += self.impacts[span]  # a row occurs once per term
        return scores


def name_hash(name: str) -> int:
    """A hash of a name, case kept; 0 where there is none."""
    if not name:
        return 0
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
