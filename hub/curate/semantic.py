"""Semantic duplicates: the same code in other words.

The stored vectors propose: of each function its :data:`NEIGHBOURS` nearest, by exact products of
all with all, a block at a time. The code decides (hub/curate/shape.py), because a cosine alone
calls functions duplicates that differ in the one word that matters, and ranks renamed copies low.

Two functions are duplicates if their words are the same but for names of their own, one renamed
into the other consistently; or, in different files, if one has a few more words in a few places.
But for one literal, a word in the place of another is no small edit: siblings differ in just that.
Nor is any edit within a file: what stands side by side and differs a little was meant to; nor any
other literal of a test, which is there for just that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import numpy as np

from hub.curate.linking import in_test_file
from hub.curate.shape import KEYWORDS, code_of
from hub.curate.shingles import Sets, token_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hub.curate.shape import Code
    from hub.curate.shingles import Hashes, Pairs, Similarities
    from hub.types import Pattern, Vectors

SHARED = 0.85  # share of the longer one's words that the other has too, at least
KINDS = frozenset({"function", "method", "test"})
BODY, SAID = 6, 2  # words of a body, and names among them, at least: stubs all look alike
EDITED_BODY = 20  # words of a body in which an edit is small
PLACES = 4  # in which an edited function differs, at most
LONGEST = 1000  # words of the longest function in which an edit is looked for
NEIGHBOURS = 200
BLOCK = 1024  # rows multiplied at once
SCALE = 2048  # of vectors as whole numbers, whose products are below 2 ** 24


def semantic_pairs(
    patterns: Sequence[Pattern], vectors: Vectors, threshold: float = SHARED
) -> tuple[Pairs, Similarities]:
    """Pairs of functions that are the same code, and the share of words that they have in common.

    Args:
        patterns: Of any kind; only whole functions are compared.
        vectors: Their unit vectors of one tier, shape (patterns, dimension).
        threshold: The least share, from 0 to 1.

    Returns:
        Rows (i, j) with i < j in rising order, shape (n, 2), and n shares.
    """
    codes: dict[int, Code] = {}
    by_language = defaultdict(list)
    for row, pattern in enumerate(patterns):
        if pattern.kind in KINDS and not pattern.part:
            code = code_of(pattern.text, language=pattern.language, symbol=pattern.symbol)
            if len(code.words) - code.body >= BODY and len(code.said) >= SAID:
                codes[row] = code
                by_language[pattern.language].append(row)
    pairs, shares = [], []
    for rows in by_language.values():
        words = Sets.of([_counted(codes[row].words) for row in rows])
        near = nearest(vectors[rows], NEIGHBOURS)
        sizes = words.sizes[near].max(axis=1)
        near = near[words.sizes[near].min(axis=1) >= threshold * sizes]
        near = near[words.common(near) >= threshold * words.sizes[near].max(axis=1)]
        for left, right in np.array(rows)[near].tolist():
            one, other = patterns[left], patterns[right]
            beside = (one.source, one.path) == (other.source, other.path)
            literals = int(not any(p.kind == "test" or in_test_file(p) for p in (one, other)))
            share = shared(codes[left], codes[right], edited=not beside, literals=literals)
            if share and share >= threshold:
                pairs.append((left, right))
                shares.append(share)
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    order = np.lexsort((found[:, 1], found[:, 0]))
    return found[order], np.array(shares, dtype=np.float64)[order]


def nearest(vectors: Vectors, count: int) -> Pairs:
    """Each row with its ``count`` nearest ones, every pair (i, j) with i < j once, in order.

    Vectors are rounded to whole numbers whose products single precision holds exactly: neither the
    number of threads nor a block's size changes which rows are nearest.
    """
    whole = np.rint(vectors * np.float32(SCALE))
    size = len(whole)
    count = min(count, size - 1)
    codes = [np.zeros(0, dtype=np.int64)]
    for start in range(0, size if count > 0 else 0, BLOCK):
        products = whole[start : start + BLOCK] @ whole.T
        rows = np.arange(start, start + len(products))
        products[rows - start, rows] = -np.inf
        others = np.argpartition(products, size - count, axis=1)[:, size - count :]
        left, right = np.broadcast_to(rows[:, None], others.shape), others
        codes.append((np.minimum(left, right) * size + np.maximum(left, right)).reshape(-1))
    return np.stack(np.divmod(np.unique(np.concatenate(codes)), max(size, 1)), axis=1)


def shared(one: Code, other: Code, *, edited: bool, literals: int) -> float:
    """The share of the longer one's words that both have in the same order; 0 of other code.

    Where they may be ``edited``, so many ``literals`` may be others.
    """
    if one.words == other.words:
        return float(_renamed_consistently(zip(one.own, other.own, strict=True)))
    bodies = [len(code.words) - code.body for code in (one, other)]
    longest = max(len(one.words), len(other.words))
    if not edited or min(bodies) < EDITED_BODY or longest > LONGEST:
        return 0.0
    changes = SequenceMatcher(None, one.words, other.words, autojunk=False).get_opcodes()
    if sum(change[0] != "equal" for change in changes) > PLACES:
        return 0.0
    same = 0
    replaced = 0
    names: list[tuple[str, str]] = []
    for change, start, end, other_start, other_end in changes:
        if change == "equal":
            same += end - start
            names += zip(one.own[start:end], other.own[other_start:other_end], strict=True)
        else:
            pieces = one.words[start:end], other.words[other_start:other_end]
            replaced += change == "replace"
            if not (_both_literals(*pieces) if change == "replace" else _says_more(*pieces)):
                return 0.0
    return same / longest if replaced <= literals and _renamed_consistently(names) else 0.0


def _renamed_consistently(names: Iterable[tuple[str, str]]) -> bool:
    """Whether each name of one side stands for one name of the other, and the other way round."""
    pairs = {pair for pair in names if pair[0]}
    return len({one for one, _ in pairs}) == len(pairs) == len({other for _, other in pairs})


def _both_literals(one: Sequence[str], other: Sequence[str]) -> bool:
    words = [*one, *other]
    return len(one) == len(other) == 1 and all(w[0].isdigit() or w[0] in "\"'`" for w in words)


def _says_more(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether what only one side has is more than a `not`, an `await` or an operator."""
    first, *more = (*one, *other)
    return bool(more) or (first not in KEYWORDS and (first[0].isalnum() or first[0] in "_\"'`"))


def _counted(words: Sequence[str]) -> Hashes:
    """Words as a set: the second time a word comes it is another member."""
    members = [f"{word}\0{i}" for word, n in Counter(words).items() for i in range(n)]
    return np.array([token_hash(member) for member in members], dtype=np.uint64)
