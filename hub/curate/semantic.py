"""Semantic duplicates: the same code in other words, told by shape, names and vectors together.

A cosine alone calls functions duplicates that differ in the one word that matters, and misses
copies whose variables were renamed: a text model reads little else than words. So the code decides
(see hub/curate/shape.py): the same form, by MinHash and exact verification as near-duplicates are
found, and the same names, but for a small edit. The vectors have to agree as well; as each pair's
product is computed by itself, the result is the same in every process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hub.curate.near import near_pairs
from hub.curate.shape import shape_of
from hub.curate.shingles import Sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.curate.shingles import Hashes, Pairs, Similarities
    from hub.types import Pattern, Vectors

KINDS = frozenset({"function", "method", "test"})
LENGTH = 30  # tokens: too many shorter functions look alike
NAMED = 5  # names, literals and operators, at least: with fewer, nothing is told apart
FORM = 0.5  # Jaccard similarity of the forms, at least
# A small edit, in names: at most so many others in their place, and so many more on one side.
REPLACED_SHARE, REPLACED = 0.08, 2
ADDED_SHARE, ADDED_ANYWAY, ADDED = 0.15, 2, 5
PAIRS = 1 << 16  # whose vectors are held at once


@dataclass(frozen=True, slots=True)
class Code:
    """The patterns that can be told apart by shape: ``rows`` of a sequence, in rising order."""

    rows: Pairs
    forms: Sets
    names: Sets
    whole: Hashes  # the code with its own names numbered
    files: npt.NDArray[np.int64]  # a number for each file

    @classmethod
    def of(cls, patterns: Sequence[Pattern]) -> Code:
        """The functions among ``patterns`` that are long enough, comments not counted."""
        rows, shapes = [], []
        files: dict[tuple[str, str], int] = {}
        for row, p in enumerate(patterns):
            if p.kind in KINDS:
                shape = shape_of(p.text, language=p.language, symbol=p.symbol)
                if shape.length >= LENGTH and len(shape.names) >= NAMED:
                    rows.append(row)
                    shapes.append(shape)
        places = [(patterns[row].source, patterns[row].path) for row in rows]
        return cls(
            rows=np.array(rows, dtype=np.int64),
            forms=Sets.of([shape.form for shape in shapes]),
            names=Sets.of([shape.names for shape in shapes]),
            whole=np.array([shape.code for shape in shapes], dtype=np.uint64),
            files=np.array([files.setdefault(p, len(files)) for p in places], dtype=np.int64),
        )

    def agreeing(self, pairs: Pairs) -> npt.NDArray[np.bool_]:
        """Which rows of ``pairs`` are the same code but for own names and a small edit.

        No edit is forgiven within a file: what stands side by side and differs a little was meant
        to. Nor where the names are the same ones in another order: that computes something else.
        """
        sizes = self.names.sizes[pairs]
        smaller = sizes.min(axis=1)
        replaced = smaller - self.names.common(pairs)
        added = sizes.max(axis=1) - smaller
        edited = (replaced <= np.minimum(REPLACED, np.floor(REPLACED_SHARE * smaller))) & (
            added <= np.clip(ADDED_SHARE * smaller, ADDED_ANYWAY, ADDED)
        )
        left, right = pairs.T
        elsewhere = self.files[left] != self.files[right]
        edited &= elsewhere & (replaced + added > 0)
        return np.asarray((self.whole[left] == self.whole[right]) | edited)


def semantic_pairs(
    vectors: Vectors, code: Code, threshold: float, *, labels: Pairs
) -> tuple[Pairs, Similarities]:
    """Pairs of ``code`` that agree in form, names and vectors, and the cosine of each.

    Args:
        vectors: Unit rows, shape (patterns, dimension).
        code: Of the same patterns.
        threshold: The least cosine.
        labels: A number a pattern; two with the same are known to be duplicates and left out.

    Returns:
        Rows (i, j) with i < j in rising order, shape (n, 2), and n cosines.
    """
    pairs, _ = near_pairs(code.forms, FORM)
    known = labels[code.rows[pairs]]
    pairs = pairs[known[:, 0] != known[:, 1]]
    pairs = code.rows[pairs[code.agreeing(pairs)]]
    cosines = _cosines(vectors, pairs)
    return pairs[cosines >= threshold], cosines[cosines >= threshold]


def _cosines(vectors: Vectors, pairs: Pairs) -> Similarities:
    """Each pair's product, in double precision and by itself: no block's size changes it."""
    parts = [np.zeros(0)]
    for at in range(0, len(pairs), PAIRS):
        left, right = vectors[pairs[at : at + PAIRS].T].astype(np.float64)
        parts.append(np.einsum("ij,ij->i", left, right))
    return np.concatenate(parts)
