"""Whole categories are taken from a copy of a real dataset: are exactly they named as gaps?

    python -m tests.benchmarks.gaps HUB      # its index, and the dataset that was built there last

A gap names a category either because no example is of it, or because its functions lie far from
every example; the second looks at vectors alone and does not know what was taken.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from hub import Hub
from hub.building import curated, made_of, read_patterns
from hub.curate.gaps import find_gaps
from hub.dataset.checking import last_build
from hub.reporting import silent

if TYPE_CHECKING:
    from collections.abc import Iterable

TRIALS = 100
MOST = 4  # categories taken at once


class Score(NamedTuple):
    """How well the named categories are the removed ones."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def score(trials: Iterable[tuple[set[str], set[str]]]) -> Score:
    """Of (removed, named) in all trials together."""
    hits = removed = named = 0
    for truth, found in trials:
        hits, removed, named = hits + len(truth & found), removed + len(truth), named + len(found)
    return Score(hits / max(1, named), hits / max(1, removed))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("hub", type=Path)
    hub = Hub.open(parser.parse_args().hub)
    retriever = hub.retriever
    patterns, vectors = read_patterns(retriever)
    annotations = curated(hub.workspace, patterns, vectors, silent).annotations
    categories = {id_: known.category for id_, known in annotations.items()}
    made = made_of(last_build(hub.workspace.store_folder))
    sizes = Counter(example.category for example in made)
    print(len(patterns), "patterns;", len(made), "examples of", len(sizes), "categories:", sizes)

    draw = Random(0)
    known = sorted(set(sizes) - {"unclassified"})
    found: dict[str, list[tuple[set[str], set[str]]]] = {"no examples": [], "far": []}
    for _ in range(TRIALS):
        removed = set(draw.sample(known, draw.randint(1, min(MOST, len(known) - 1))))
        left = [example for example in made if example.category not in removed]
        gaps = find_gaps(patterns, vectors, categories, left)
        for kind, trials in found.items():
            trials.append((removed, {gap.category for gap in gaps if gap.kind == kind}))
    print("| gaps of the kind | precision | recall | F1 |")
    print("| --- | --- | --- | --- |")
    for kind, trials in found.items():
        total = score(trials)
        print(f"| {kind} | {total.precision:.3f} | {total.recall:.3f} | {total.f1:.3f} |")
    print("removed at once, on average:", statistics.mean(len(t) for t, _ in found["far"]))


if __name__ == "__main__":
    main()
