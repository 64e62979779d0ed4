"""Examples to train, validation and test sides that share nothing.

A file's side follows from its name alone, so that it stays where it is when data is added; a file
of tests goes with the file that it tests most. What would tie two sides together, a commit, a
near-duplicate, an example that shows files of both, loses its training side.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hub.buckets import bucket
from hub.curate.leaks import leaking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hub.types import Example

SIDES = ("train", "validation", "test")
LEAK = 0.5  # Jaccard similarity of completions from which one side knows the other's answer
MOSTLY = 0.5  # share of a file's rows that makes it a file of a category
GROWTH = 1.5  # times its share, that the test side may be
FEW = 0.5  # of its share: a side with less is short, which a hash of few files may leave it
LARGEST_TEST = 1 / 3  # of a category's rows, that its test side may take to have enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How much is held out; ``min_test`` is how many test rows each category should have."""

    test: float = 0.1
    validation: float = 0.0
    min_test: int = 50


@dataclass(slots=True)
class Split:
    """Examples by side, what was dropped by reason, test rows that categories lack, and rows that
    sides lack to the share that they should have."""

    sides: dict[str, list[Example]]
    dropped: Counter[str] = field(default_factory=Counter)
    shortfall: dict[str, int] = field(default_factory=dict)
    side_shortfall: dict[str, int] = field(default_factory=dict)


def split(
    examples: Sequence[Example],
    shares: Shares,
    *,
    seed: int = 0,
    clusters: Mapping[str, int] | None = None,
) -> Split:
    """Examples by the side of their files.

    ``clusters`` numbers the patterns that resemble each other, by pattern id.
    """
    owners = _owners(examples)
    reach = _reach(examples, owners, shares, seed)
    found = Split({side: [] for side in SIDES})
    for example in examples:
        units = {owners.get(file, file) for file in example.files}
        sides = {_side(unit, reach, shares, seed) for unit in units}
        if len(sides) > 1:
            found.dropped["shows files of two sides"] += 1
        else:
            found.sides[sides.pop()].append(example)
    for side, others in (("train", ("validation", "test")), ("validation", ("test",))):
        held_out = [example for other in others for example in found.sides[other]]
        found.sides[side] = _apart(found.sides[side], held_out, clusters or {}, found.dropped)
    tested = Counter(example.category for example in found.sides["test"])
    for category in sorted({example.category for example in examples}):
        if tested[category] < shares.min_test:
            found.shortfall[category] = shares.min_test - tested[category]
    for side, share in (("validation", shares.validation), ("test", shares.test)):
        wanted, rows = round(share * len(examples)), len(found.sides[side])
        if rows < FEW * wanted:
            found.side_shortfall[side] = wanted - rows
    return found


def _owners(examples: Iterable[Example]) -> dict[str, str]:
    """By file of tests, the file that most of its tests in examples exercise."""
    exercised: dict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        if example.task == "tests":
            exercised[example.files[0]][example.files[-1]] += 1
    return {
        file: max(sorted(counts), key=counts.__getitem__)
        for file, counts in exercised.items()
        if not counts.keys() & exercised.keys()  # a file of tests owns none
    }


def _reach(
    examples: Iterable[Example], owners: Mapping[str, str], shares: Shares, seed: int
) -> dict[str, float]:
    """By file, the end of the interval in which it is on the test side.

    That is the share; or more, as far as GROWTH goes, for categories that would have too few rows:
    until each has its share, then, for files that are mostly of it, until it has enough.
    """
    reach: dict[str, float] = defaultdict(lambda: shares.test)
    if not shares.test:
        return reach
    counts: dict[str, Counter[str]] = defaultdict(Counter)  # rows by file and category
    for example in examples:
        counts[owners.get(example.files[0], example.files[0])][example.category] += 1
    at = {file: bucket(f"{seed} {file}") for file in counts}
    order = sorted(counts, key=lambda file: (at[file], file))
    totals, tested = Counter[str](), Counter[str]()
    for file in order:
        totals.update(counts[file])
        if at[file] < shares.test:
            tested.update(counts[file])

    if not tested and len(order) > 1:  # of a few files, the hash may hold out none
        reach[order[0]] = at[order[0]] + 1e-12
        tested.update(counts[order[0]])
    most = GROWTH * shares.test * totals.total()

    def grow(category: str, files: Iterable[str], enough: float) -> None:
        for file in files:
            after = tested[category] + counts[file][category]
            if tested[category] >= enough:
                return
            fits = tested.total() + counts[file].total() <= most
            if fits and at[file] >= reach[file] and after <= totals[category] * LARGEST_TEST:
                reach[file] = at[file] + 1e-12
                tested.update(counts[file])

    def part(file: str, category: str) -> float:
        return counts[file][category] / counts[file].total()

    rarest = sorted(totals, key=lambda category: (totals[category], category))
    for category in rarest:
        some = [file for file in order if counts[file][category]]
        some.sort(key=lambda file: -part(file, category))
        grow(category, some, min(shares.min_test, shares.test * totals[category]))
    for category in rarest:
        mostly = [file for file in order if part(file, category) > MOSTLY]
        grow(category, mostly, shares.min_test)
    return reach


def _side(file: str, reach: Mapping[str, float], shares: Shares, seed: int) -> str:
    at = bucket(f"{seed} {file}")
    if at < reach[file]:
        return "test"
    return "validation" if at >= 1 - shares.validation else "train"


def _apart(
    examples: list[Example],
    held_out: list[Example],
    clusters: Mapping[str, int],
    dropped: Counter[str],
) -> list[Example]:
    """Examples that neither share a commit nor resemble what is held out."""
    commits = {example.commit for example in held_out} - {""}
    known = {clusters[id_] for example in held_out for id_ in example.patterns if id_ in clusters}
    kept = []
    for example in examples:
        if example.commit in commits:
            dropped["its commit is held out"] += 1
        elif any(clusters.get(id_) in known for id_ in example.patterns):
            dropped["resembles a held-out pattern"] += 1
        else:
            kept.append(example)
    texts = [[e.completion[-1].content for e in side] for side in (kept, held_out)]
    leaks = set(leaking(*texts, threshold=LEAK))
    dropped["its answer resembles a held-out one"] += len(leaks)
    return [example for row, example in enumerate(kept) if row not in leaks]
