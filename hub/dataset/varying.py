"""Variants: functions in other words, or with a bug, for categories that have too few examples.

Every variant goes to a ledger, accepted or rejected with its reason. A build makes examples of the
accepted ones as it does of patterns, in those tasks whose answer is the variant's own code, and
under the original's file, so that no split comes between them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from hub.curate.bugs import Bug, inject
from hub.curate.layout import recomment, reformat
from hub.curate.rename import rename
from hub.curate.trees import Unsuited
from hub.dataset.checking import read_lines
from hub.dataset.jsonl import write_rows
from hub.dataset.tasks import TASKS, fix_of
from hub.errors import HubError
from hub.syntax import definition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from hub.dataset.tasks import Material
    from hub.reporting import Progress
    from hub.types import Example, Pattern

VARIANTS = "examples/variants.jsonl"  # the ledger, in the hub's folder
ANSWERS = ("implement", "complete", "next_line", "name", "fix")  # others would answer the same
WORTH = 0.5  # of the original's quality: where there is enough, originals stay


class Variant(NamedTuple):
    """A pattern in other words, by which operations; with ``bug``, for an example of it alone."""

    pattern: Pattern
    ops: str
    bug: Bug | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the ledger: a variant of the pattern with this id, or why there is none."""

    pattern: str
    ops: str
    text: str = ""
    rejected: str = ""
    bug: Bug | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.pattern, self.ops, self.bug.kind if self.bug else ""

    def variant_of(self, p: Pattern) -> Variant:
        return Variant(replace(p, text=self.text), self.ops, self.bug)


@dataclass(slots=True)
class VaryReport:
    """Variants accepted in this run, those that were there before, and rejected by reason."""

    accepted: int = 0
    known: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        shown = {"accepted": self.accepted, "known": self.known}
        return shown | {"rejected": dict(self.rejected)}


def vary(
    patterns: Sequence[Pattern],
    ledger: Path,
    *,
    ops: Sequence[str],
    seed: int,
    progress: Progress,
) -> VaryReport:
    """Add the variants of ``patterns`` to the ledger: of each, one that all operations but "bugs"
    have changed, and with "bugs" one for every kind of bug that there is a place for.

    Raises:
        HubError: no operation, an unknown one, or the ledger cannot be read or written.
    """
    unknown = [op for op in ops if op not in OPS]
    if unknown or not ops:
        told = f"no operation is called {unknown[0]!r}" if unknown else "no operation is named"
        raise HubError(f"{told}; there are: {', '.join(OPS)}")

    def made() -> Iterator[Entry]:
        for done, p in enumerate(patterns):
            progress("varying functions", done, len(patterns))
            yield from entries_of(p, ops, seed)

    return record(ledger, made())


def record(ledger: Path, made: Iterable[Entry]) -> VaryReport:
    """Add what is not in the ledger yet.

    Raises:
        HubError: the ledger cannot be read or written.
    """
    report = VaryReport()
    entries = {entry.key: entry for entry in read_entries(ledger)}
    for entry in made:
        if entry.key in entries:
            report.known += 1
        elif entry.rejected:
            report.rejected[entry.rejected] += 1
        else:
            report.accepted += 1
        entries.setdefault(entry.key, entry)
    ledger.parent.mkdir(parents=True, exist_ok=True)
    write_rows(ledger, map(asdict, entries.values()))
    return report


def read_entries(ledger: Path) -> list[Entry]:
    """What is in the ledger; nothing where there is none.

    Raises:
        HubError: a line that is no entry.
    """
    entries = []
    for line in read_lines(ledger) if ledger.is_file() else ():
        try:
            bug = line.data["bug"]
            entries.append(Entry(**line.data | {"bug": Bug(**bug) if bug else None}))
        except (KeyError, TypeError) as error:
            raise HubError(
                f"{ledger}:{line.number}: no variant; delete the file, and make them again"
            ) from error
    return entries


def read_variants(ledger: Path, patterns: Iterable[Pattern]) -> list[Variant]:
    """The accepted variants of patterns that are still as they were."""
    by_id = {p.id: p for p in patterns}
    return [
        entry.variant_of(by_id[entry.pattern])
        for entry in read_entries(ledger)
        if entry.pattern in by_id and not entry.rejected
    ]


def examples_of(
    variant: Variant, tasks: Sequence[str], material: Material, seed: int
) -> Iterator[Example]:
    """What a build makes of a variant, in those of its tasks that suit one."""
    p, bug = variant.pattern, variant.bug
    ops = f"{variant.ops}:{bug.kind}" if bug else variant.ops
    for task in ANSWERS:
        draw = Random(f"{seed} {task} {p.id} {ops}")
        if task not in tasks or (bug and task != "fix"):
            continue
        if task == "implement" and _squeezed(p.signature) not in _squeezed(p.text):
            continue  # it would not be what the prompt asks for
        for example in [fix_of(p, bug, draw)] if bug else TASKS[task](p, material, draw):
            told = ",".join(filter(None, (example.variant, ops)))
            yield replace(example, variant=told)


def entries_of(p: Pattern, ops: Sequence[str], seed: int) -> Iterator[Entry]:
    """The variants of one pattern, and the reasons where there is none."""
    text, done, reasons = definition(p.text), list[str](), list[str]()
    styles = [op for op in _STYLES if op in ops]
    for op in styles:
        try:
            text = _STYLES[op](text, p, f"{seed} {p.id}")
        except Unsuited as reason:
            reasons.append(f"{op}: {reason}")
        else:
            done.append(op)
    if done:
        yield Entry(p.id, ",".join(done), text)
    elif styles:
        yield Entry(p.id, ",".join(styles), rejected="; ".join(reasons))
    if "bugs" in ops:
        told = ",".join([*done, "bugs"])
        try:
            for bug in inject(text, p.language, f"{seed} {p.id}"):
                yield Entry(p.id, told, text, bug=bug)
        except Unsuited as reason:
            yield Entry(p.id, told, rejected=f"bugs: {reason}")


_STYLES: dict[str, Callable[[str, Pattern, str], str]] = {
    "rename": lambda text, p, seed: (
        rename(text, p.language, seed, keep=re.findall(r"[\w$]+", p.signature)).text
    ),
    "comments": lambda text, p, seed: recomment(text, p.language, seed).text,
    "format": lambda text, p, seed: reformat(text, p.language, seed).text,
}
OPS = (*_STYLES, "bugs")


def _squeezed(code: str) -> str:
    return "".join(code.split())
