"""What a dataset lacks: against targets, against the code there is, and in variety.

Each gap names the patterns that could fill it and the command that does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hub.config import Target
    from hub.types import Pattern, Vectors

FILLING = frozenset({"function", "method"})  # the patterns that `patternhub augment` can use
NEAREST = 5  # patterns named with each gap
FEW = 5  # patterns of a category below which being far from every example is no gap
RADIUS = 0.05  # share of covered patterns that are farther than the radius from the next one
FAR = 3 * RADIUS  # share of a category that is farther: more than chance puts there
SHALLOW = 3.0  # effective number of files below which a category has no variety
ENOUGH = 20  # examples of a category from which its variety is judged
BLOCK = 2048  # rows multiplied at once


class Made(NamedTuple):
    """What is known of an example: its task, and the patterns it was made from."""

    category: str
    task: str
    language: str
    patterns: tuple[str, ...]
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A pattern that could fill a gap; ``cosine`` to the middle of its category."""

    id: str
    symbol: str
    location: str
    cosine: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that is missing; ``missing`` counts examples, or patterns that none is near to.

    ``kind`` is "target", "no examples", "far" or "one-sided".
    """

    kind: str
    category: str
    task: str = ""
    language: str = ""
    have: int
    missing: int
    why: str
    nearest: tuple[Near, ...] = ()
    command: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def find_gaps(
    patterns: Sequence[Pattern],
    vectors: Vectors,
    categories: Mapping[str, str],
    made: Sequence[Made],
    targets: Iterable[Target] = (),
    *,
    nearest: int = NEAREST,
) -> list[Gap]:
    """The gaps of a dataset, the largest first.

    Args:
        patterns: All that are indexed.
        vectors: Their unit vectors, shape (patterns, dimension), in the same order.
        categories: Of the patterns, by id.
        made: The dataset's examples.
        targets: What there should be.
        nearest: How many patterns to name with each gap.
    """
    covered = {id_ for example in made for id_ in example.patterns}
    rows: dict[str, list[int]] = defaultdict(list)
    for row, p in enumerate(patterns):
        if p.kind not in FILLING or p.part:
            continue
        rows[categories.get(p.id, "unclassified")].append(row)
    found = _Finder(patterns, vectors, rows, covered, nearest)
    gaps = [
        *found.short_of(targets, made),
        *found.without_examples(made),
        *found.far(),
        *found.one_sided(made),
    ]
    return sorted(gaps, key=lambda gap: (-gap.missing, gap.kind, gap.category, gap.task))


@dataclass(frozen=True, slots=True)
class _Finder:
    patterns: Sequence[Pattern]
    vectors: Vectors
    rows: Mapping[str, Sequence[int]]  # by category
    covered: set[str]
    nearest: int

    def short_of(self, targets: Iterable[Target], made: Sequence[Made]) -> Iterator[Gap]:
        """Targets that are not met."""
        for target in targets:
            have = sum(_fits(target, example) for example in made)
            if have < target.examples:
                yield self._gap(
                    "target",
                    target.category,
                    task=target.task,
                    language=target.language,
                    have=have,
                    missing=target.examples - have,
                    why=f"{target.examples} are wanted",
                )

    def without_examples(self, made: Iterable[Made]) -> Iterator[Gap]:
        """Categories with code that no example is of."""
        shown = {example.category for example in made}
        for category, rows in self.rows.items():
            if category not in shown and category != "unclassified":
                yield self._gap(
                    "no examples", category, have=0, missing=len(rows),
                    why=f"{len(rows)} functions, and no example",
                )  # fmt: skip

    def far(self) -> Iterator[Gap]:
        """Patterns that are farther from every example than examples are from each other."""
        is_covered = np.array([p.id in self.covered for p in self.patterns], dtype=bool)
        known = self.vectors[is_covered]
        if len(known) < 2:
            return
        radius = float(np.quantile(_nearest(known, known, skip_self=True), RADIUS))
        cosines = _nearest(self.vectors, known)
        outside = (cosines < radius) & ~is_covered
        for category, rows in self.rows.items():
            far = [row for row in rows if outside[row]]
            if len(far) >= max(FEW, FAR * len(rows)):
                yield self._gap(
                    "far", category, have=len(rows) - len(far), missing=len(far),
                    why=f"{len(far)} of {len(rows)} functions have no example within cosine "
                    f"{radius:.2f}", among=far,
                )  # fmt: skip

    def one_sided(self, made: Iterable[Made]) -> Iterator[Gap]:
        """Categories whose examples are of few files: the exponential of the entropy counts them
        (Hill's number of order 1, 1973)."""
        files: dict[str, Counter[str]] = defaultdict(Counter)
        for example in made:
            files[example.category][example.file] += 1
        for category, counts in files.items():
            total = counts.total()
            shares = np.array(list(counts.values())) / total
            effective = float(np.exp(-(shares * np.log(shares)).sum()))
            if total >= ENOUGH and effective < SHALLOW:
                yield self._gap(
                    "one-sided", category, have=total, missing=len(self._open(category)),
                    why=f"its examples are of {len(counts)} files, as various as "
                    f"{effective:.1f} equal ones",
                )  # fmt: skip

    def _open(self, category: str) -> list[int]:
        """The category's patterns that no example covers."""
        return [row for row in self.rows.get(category, ()) if self._is_open(row)]

    def _is_open(self, row: int) -> bool:
        return self.patterns[row].id not in self.covered

    def _gap(
        self,
        kind: str,
        category: str,
        *,
        have: int,
        missing: int,
        why: str,
        among: Sequence[int] | None = None,
        task: str = "",
        language: str = "",
    ) -> Gap:
        """A gap with the patterns nearest to its category's middle that no example covers."""
        rows = self._open(category) if among is None else among
        rows = [row for row in rows if language in ("", self.patterns[row].language)]
        middle = self.vectors[list(self.rows.get(category, ()))].sum(axis=0)
        middle /= max(float(np.linalg.norm(middle)), 1e-9)
        cosines = self.vectors[rows] @ middle
        order = sorted(range(len(rows)), key=lambda i: (-cosines[i], self.patterns[rows[i]].id))
        nearest = tuple(self._near(rows[i], float(cosines[i])) for i in order[: self.nearest])
        members = (self.patterns[row] for row in self.rows.get(category, ()))
        has_code = any(language in ("", p.language) for p in members)
        if kind == "one-sided":
            has_code = bool(nearest)  # variants of what is covered are of the same files
        verb = "augment --fill-gaps" if has_code else "examples new"
        return Gap(
            kind=kind, category=category, task=task, language=language, have=have, missing=missing,
            why=why, nearest=nearest, command=f"patternhub {verb} --category {category!r}",
        )  # fmt: skip

    def _near(self, row: int, cosine: float) -> Near:
        p = self.patterns[row]
        where = f"{p.source}/{p.location}"
        return Near(id=p.id, symbol=p.symbol, location=where, cosine=round(cosine, 3))


def _fits(target: Target, made: Made) -> bool:
    """Whether an example counts towards a target."""
    same = made.category == target.category
    return same and target.task in ("", made.task) and target.language in ("", made.language)


def _nearest(rows: Vectors, known: Vectors, *, skip_self: bool = False) -> Vectors:
    """The cosine of each row's nearest neighbour among ``known``."""
    found = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        cosines = rows[start : start + BLOCK] @ known.T
        if skip_self:
            cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -1
        found[start : start + BLOCK] = cosines.max(axis=1)
    return found
