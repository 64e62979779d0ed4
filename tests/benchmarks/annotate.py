"""How often is the category right, by labels set by hand? And how fast is annotating?

    python -m tests.benchmarks.annotate --repos ~/repositories [--role report --tier best --wrong]
    python -m tests.benchmarks.annotate speed --repos ~/repositories
    python -m tests.benchmarks.annotate draw --repos ~/repositories --only gin --code 110 --any 30

The labels and how they were set: labels/README.md. "code" are patterns that are neither below a
path with "test" in it nor prose; "others" the rest; "all" weighs both by how many of each the
repository has. `draw` prints a draw to be labelled. `speed` annotates whole repositories.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hub.config import Embedding
from hub.curate.annotate import annotate
from hub.curate.categories import CONFIDENT
from hub.curate.taxonomy import UNCLASSIFIED, shipped_taxonomy
from hub.preparing import with_ids
from hub.store.embedding import pattern_vectors
from hub.store.encoders import open_encoders
from hub.syntax import PROSE
from indexers.code import chunk_file
from indexers.files import Skip, list_files, read_source
from indexers.languages import EXTENSIONS
from tests.benchmarks.checkouts import LIST, TEAMS, check_out, listed_repositories

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hub.curate.annotate import Annotation
    from hub.types import Pattern
    from tests.benchmarks.checkouts import Repository

LABELS = Path(__file__).with_name("labels")
ENDINGS = frozenset(f".{ending}" for found in EXTENSIONS.values() for ending in found.split())


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled pattern with what was found."""

    pattern: Pattern
    label: str
    found: Annotation

    @property
    def right(self) -> bool:
        return self.label == self.found.category

    @property
    def confident(self) -> bool:
        return self.found.confidence >= CONFIDENT and self.found.category != UNCLASSIFIED


def main() -> None:
    """Print one part's numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "part", choices=("accuracy", "speed", "draw"), nargs="?", default="accuracy"
    )
    parser.add_argument("--repos", type=Path, required=True)
    parser.add_argument("--role", choices=("dev", "report", "all"), default="dev")
    parser.add_argument("--only", default="", help="one repository")
    parser.add_argument("--tier", choices=("none", "fast", "best"), default="fast")
    parser.add_argument("--wrong", action="store_true", help="list what was wrong, and why")
    parser.add_argument("--code", type=int, default=100)
    parser.add_argument("--any", type=int, default=30)
    options = parser.parse_args()
    repositories = [
        repository
        for path in (LIST, TEAMS)
        for repository in listed_repositories(options.role, options.only, path)
    ]
    together: tuple[list[Judged], list[bool]] = ([], [])
    with tempfile.TemporaryDirectory() as scratch:
        for repository in repositories:
            labelled = LABELS / f"{repository.name}.tsv"
            if options.part != "accuracy" or labelled.exists():
                patterns = read(repository, options.repos, Path(scratch))
                if options.part == "draw":
                    draw(patterns, options.code, options.any)
                elif options.part == "speed":
                    speed(repository.name, patterns)
                else:
                    judged, code = accuracy(patterns, labelled, options.tier)
                    table(repository.name, judged, code)
                    together[0].extend(judged)
                    together[1].extend(code)
    if together[0]:
        table("together", *together)
    if options.wrong:
        wrong(together[0])


def read(repository: Repository, repos: Path, scratch: Path) -> list[Pattern]:
    """The patterns of a repository, in order."""
    folder = scratch / repository.name
    check_out(repository, repos=repos, folder=folder, extensions=ENDINGS)
    listing = list_files(folder)
    patterns: list[Pattern] = []
    for entry in listing.files:
        data = read_source(listing.root, entry)
        if not isinstance(data, Skip):
            patterns += with_ids(repository.name, chunk_file(entry.path, data))
    return patterns


def is_code(pattern: Pattern) -> bool:
    """Whether it is neither a test, by its path, nor prose."""
    return "test" not in pattern.path.lower() and pattern.language not in PROSE


def drawn_from(patterns: Iterable[Pattern]) -> list[Pattern]:
    """What a draw may hold: no later part of a function, nothing hidden, nothing empty."""
    return [p for p in patterns if p.part <= 1 and p.text.strip() and not p.path.startswith(".")]


def draw(patterns: Sequence[Pattern], code: int, rest: int) -> None:
    """Print patterns to be labelled, as lines of a label file without its last column."""

    def key(seed: str, p: Pattern) -> str:
        place = f"{seed} {p.source} {p.path} {p.symbol} {p.start_line}"
        return hashlib.sha256(place.encode()).hexdigest()

    known = drawn_from(patterns)
    first = sorted(filter(is_code, known), key=lambda p: key("code", p))[:code]
    taken = {p.id for p in first}
    others = sorted((p for p in known if p.id not in taken), key=lambda p: key("any", p))[:rest]
    for name, found in (("code", first), ("any", others)):
        for p in sorted(found, key=lambda p: (p.path, p.start_byte)):
            print(p.source, p.path, p.symbol, p.start_line, name, sep="\t")


def accuracy(
    patterns: Sequence[Pattern], labelled: Path, tier: str
) -> tuple[list[Judged], list[bool]]:
    """The labelled patterns with what was found, and which of all patterns are code."""
    with labelled.open(encoding="utf-8", newline="") as file:
        labels = {
            (row["path"], row["symbol"], int(row["line"])): row["label"]
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        }
    paths = {path for path, _, _ in labels}
    files = [p for p in patterns if p.path in paths]
    vectors = encoder = None
    if tier != "none":
        encoders = open_encoders(Embedding(), Path())
        encoder = encoders.best if tier == "best" else encoders.fast
        encode = encoder.encode_documents
        vectors = pattern_vectors(files, encode, encode)
    found = annotate(files, taxonomy=shipped_taxonomy("default"), vectors=vectors, encoder=encoder)
    judged = []
    for p in drawn_from(files):
        label = labels.pop((p.path, p.symbol.replace("\t", " "), p.start_line), None)
        if label:
            judged.append(Judged(p, label, found[p.id]))
    if labels:
        raise ValueError(f"{labelled}: no pattern at {', '.join(map(str, labels))}")
    return judged, [is_code(p) for p in drawn_from(patterns)]


def table(name: str, judged: Sequence[Judged], code: Sequence[bool]) -> None:
    """Print a table of accuracies."""
    share = sum(code) / len(code)
    groups = {
        "code": [j for j in judged if is_code(j.pattern)],
        "others": [j for j in judged if not is_code(j.pattern)],
        "labelled": judged,
    }
    print(f"\n{name}: {len(code)} patterns, {share:.0%} of them code\n")
    print("| patterns | labels | right | unclassified | confident | right where confident |")
    print("| --- | --- | --- | --- | --- | --- |")
    for title, group in groups.items():
        left = sum(j.found.category == UNCLASSIFIED for j in group)
        print(
            f"| {title} | {len(group)} | {mean(group):.3f} | {left / max(1, len(group)):.2f} "
            f"| {sure_share(group):.2f} | {mean(sure_of(group)):.3f} |"
        )
    code_group, others = groups["code"], groups["others"]
    if others:
        weighed = share * mean(code_group) + (1 - share) * mean(others)
        in_code, in_others = share * sure_share(code_group), (1 - share) * sure_share(others)
        sure_right = in_code * mean(sure_of(code_group)) + in_others * mean(sure_of(others))
        sure = in_code + in_others
        print(f"| all, weighed | | {weighed:.3f} | | {sure:.2f} | {sure_right / sure:.3f} |")


def sure_of(group: Sequence[Judged]) -> list[Judged]:
    """Those whose category may be relied on, as they say."""
    return [j for j in group if j.confident]


def sure_share(group: Sequence[Judged]) -> float:
    """How many of them that are."""
    return len(sure_of(group)) / max(1, len(group))


def mean(group: Sequence[Judged]) -> float:
    """The share that is right."""
    return sum(j.right for j in group) / max(1, len(group))


def wrong(judged: Sequence[Judged]) -> None:
    """Print what was taken for what, and each wrong one with its reason."""
    taken = Counter((j.label, j.found.category) for j in judged if not j.right)
    print("\n| label | found | times |\n| --- | --- | --- |")
    for (label, found), times in sorted(taken.items(), key=lambda item: (-item[1], item[0])):
        print(f"| {label} | {found} | {times} |")
    print()
    for j in judged:
        if not j.right:
            print(
                f"{j.pattern.location} {j.pattern.symbol}: {j.label}, found {j.found.category} "
                f"({j.found.confidence:.2f}, {j.found.by}: {j.found.reason})"
            )


def speed(name: str, patterns: Sequence[Pattern]) -> None:
    """Print how long annotating takes, with vectors of the fast tier."""
    encoder = open_encoders(Embedding(), Path()).fast
    vectors = pattern_vectors(patterns, encoder.encode_documents, encoder.encode_documents)
    started = time.perf_counter()
    annotate(patterns, taxonomy=shipped_taxonomy("default"), vectors=vectors, encoder=encoder)
    seconds = time.perf_counter() - started
    print(f"{name}: {len(patterns)} patterns in {seconds:.1f} s, {len(patterns) / seconds:.0f}/s")


if __name__ == "__main__":
    main()
