"""Gaps filled without a model: examples of the patterns nearest to each, and variants of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from hub.curate.duplicates import NEAR
from hub.dataset.build import lesson, telling
from hub.dataset.tasks import TASKS
from hub.dataset.varying import entries_of, examples_of, read_entries, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hub.curate.gaps import Gap
    from hub.dataset.checks import Check
    from hub.dataset.tasks import Material
    from hub.dataset.varying import Entry
    from hub.reporting import Progress
    from hub.types import Example, Pattern

OPS = ("rename", "comments", "bugs")  # another layout would teach another style than the team's


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What the next build has for a gap: what its checks let pass and no better example says.

    Caps, shares and the split are not foreseen.

    ``made`` counts as the gap's ``missing`` does: examples, or patterns that have one. Of
    ``patterns`` functions they are made.
    """

    kind: str
    category: str
    task: str
    language: str
    missing: int
    made: int
    patterns: int

    @property
    def shortfall(self) -> int:
        return max(0, self.missing - self.made)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"shortfall": self.shortfall}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What gaps can be filled from.

    ``covered`` has the patterns with examples by category, the best first: they are varied where
    others run out. ``is_new`` says that the dataset with the gaps did not know all patterns, and
    ``has_new_variants`` that it did not know all of the ledger: then the next build makes examples
    of those anyway, and they count. ``clean`` and ``check`` are what the build does to patterns
    and examples, ``taught`` what the dataset teaches.
    """

    material: Material
    covered: Mapping[str, Sequence[Pattern]]
    tasks: Sequence[str]
    seed: int
    is_new: bool
    has_new_variants: bool
    clean: Callable[[Pattern], Pattern]
    check: Check
    taught: Taught


class Taught:
    """What examples say, by task: of two that say the same, a build keeps one."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], list[set[int]]] = defaultdict(list)

    def learn(self, task: str, asked: str, answer: str) -> bool:
        """Know what an example says; whether it was news."""
        new = set(telling(asked, answer).tolist())
        known = self._said[task, lesson(task, answer)]
        if any(_alike(new, old) for old in known):
            return False
        known.append(new)
        return True


def _alike(a: set[int], b: set[int]) -> bool:
    if min(len(a), len(b)) < NEAR * max(len(a), len(b)):
        return False
    common = len(a & b)
    return common >= NEAR * (len(a) + len(b) - common)


def fill(gaps: Sequence[Gap], stock: Stock, ledger: Path, progress: Progress) -> list[Filled]:
    """Put variants into the ledger, of as many patterns as each gap needs, the nearest first.

    ``gaps`` name all patterns that could fill them.

    Raises:
        HubError: the ledger cannot be read or written.
    """
    known = {entry.key for entry in read_entries(ledger)}
    made: dict[str, list[Entry]] = {}
    lasting: dict[str, list[Example]] = {}
    filled = []
    for done, gap in enumerate(gaps):
        progress("filling gaps", done, len(gaps))
        total = used = 0
        for p in _candidates(gap, stock):
            if total >= gap.missing:
                break
            if p.id not in lasting:
                entries = made[p.id] = list(entries_of(p, OPS, stock.seed))
                if not stock.has_new_variants:
                    entries = [e for e in entries if e.key not in known]
                lasting[p.id] = list(_lasting(p, entries, stock))
            fits = sum(gap.task in ("", e.task) for e in lasting[p.id])
            total += fits if gap.kind == "target" else bool(fits)
            used += bool(fits)
        filled.append(
            Filled(
                kind=gap.kind, category=gap.category, task=gap.task, language=gap.language,
                missing=gap.missing, made=total, patterns=used,
            )
        )  # fmt: skip
    record(ledger, (entry for entries in made.values() for entry in entries))
    return filled


def _candidates(gap: Gap, stock: Stock) -> Iterator[Pattern]:
    yield from (stock.material.patterns[near.id] for near in gap.nearest)
    if gap.kind == "target":
        covered = stock.covered.get(gap.category, ())
        yield from (p for p in covered if gap.language in ("", p.language))


def _lasting(p: Pattern, entries: Iterable[Entry], stock: Stock) -> Iterator[Example]:
    """Of what the next build makes of a pattern, what passes and is news."""
    for example in _examples(stock.clean(p), entries, stock):
        found = stock.check(example)
        if isinstance(found, str):
            continue
        asked, answer = found.prompt[-1].content, found.completion[-1].content
        if stock.taught.learn(found.task, asked, answer):
            yield found


def _examples(p: Pattern, entries: Iterable[Entry], stock: Stock) -> Iterator[Example]:
    """What the next build makes of a pattern that the last did not make."""
    for task in stock.tasks if stock.is_new else ():
        yield from TASKS[task](p, stock.material, Random(f"{stock.seed} {task} {p.id}"))
    for entry in entries:
        if not entry.rejected:
            variant = entry.variant_of(p)
            variant = variant._replace(pattern=stock.clean(variant.pattern))
            yield from examples_of(variant, stock.tasks, stock.material, stock.seed)
