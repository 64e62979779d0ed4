"""Gaps filled without a model: examples of the patterns nearest to each, and variants of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from hub.dataset.tasks import TASKS
from hub.dataset.varying import entries_of, examples_of, read_entries, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hub.curate.gaps import Gap
    from hub.dataset.tasks import Material
    from hub.dataset.varying import Entry
    from hub.reporting import Progress
    from hub.types import Example, Pattern

OPS = ("rename", "comments", "bugs")  # another layout would teach another style than the team's


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What the next build has for a gap, before it checks, compares and balances.

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
    of those anyway, and they count.
    """

    material: Material
    covered: Mapping[str, Sequence[Pattern]]
    tasks: Sequence[str]
    seed: int
    is_new: bool
    has_new_variants: bool


def fill(gaps: Sequence[Gap], stock: Stock, ledger: Path, progress: Progress) -> list[Filled]:
    """Put variants into the ledger, of as many patterns as each gap needs, the nearest first.

    ``gaps`` name all patterns that could fill them.

    Raises:
        HubError: the ledger cannot be read or written.
    """
    known = {entry.key for entry in read_entries(ledger)}
    made: dict[str, list[Entry]] = {}
    filled = []
    for done, gap in enumerate(gaps):
        progress("filling gaps", done, len(gaps))
        total = used = 0
        for p in _candidates(gap, stock):
            if total >= gap.missing:
                break
            entries = made.setdefault(p.id, list(entries_of(p, OPS, stock.seed)))
            new = entries if stock.has_new_variants else [e for e in entries if e.key not in known]
            fits = sum(gap.task in ("", e.task) for e in _examples(p, new, stock))
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


def _examples(p: Pattern, entries: Iterable[Entry], stock: Stock) -> Iterator[Example]:
    """What the next build makes of a pattern that the last did not make."""
    for task in stock.tasks if stock.is_new else ():
        yield from TASKS[task](p, stock.material, Random(f"{stock.seed} {task} {p.id}"))
    for entry in entries:
        if not entry.rejected:
            yield from examples_of(entry.variant_of(p), stock.tasks, stock.material, stock.seed)
