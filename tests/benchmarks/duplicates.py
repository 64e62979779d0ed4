"""The duplicates benchmark: near-duplicates against datasketch, and seeded semantic duplicates.

    python -m tests.benchmarks.duplicates near [--functions 20000]
    python -m tests.benchmarks.duplicates semantic [--repos ~/repositories --only scrapy] [--show]

`near` takes functions of the standard library and of installed packages, plants an edited copy of a
tenth of them, and asks both for the pairs of Jaccard similarity .7 or more; the truth is an
exhaustive join (prefix filtering, Bayardo et al. 2007). `semantic` plants one copy a function,
renamed, reformatted or edited (mutants.py), and counts the copies that end in their function's
cluster; `--show` prints the semantic pairs of the code itself, to be read.
"""

from __future__ import annotations

import argparse
import difflib
import math
import sysconfig
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from hub.curate.clusters import Link, components

from hub.config import Embedding
from hub.curate.duplicates import NEAR, find_duplicates
from hub.curate.near import near_pairs
from hub.curate.semantic import KINDS as FUNCTIONS
from hub.curate.semantic import LENGTH
from hub.curate.shape import shape_of
from hub.curate.shingles import WIDTH, Sets, shingles, tokens
from hub.preparing import with_ids
from hub.store.embedding import pattern_vectors
from hub.store.encoders import open_encoders
from indexers.code import chunk_file, detect_language
from tests.benchmarks.checkouts import check_out, listed_repositories
from tests.benchmarks.documented import EXTENSIONS
from tests.benchmarks.mutants import GRAMMARS, KINDS, mutant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hub.curate.clusters import Cluster

    from hub.types import Pattern, Vectors

PERMUTATIONS = 250  # of datasketch
SEED = 2026
LONGEST_FILE = 200_000  # bytes
SEEDS = 400  # functions a run plants a copy of
SHOWN = 14  # lines of a difference


def main() -> None:
    """Print one part's numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("near", "semantic"))
    parser.add_argument("--functions", type=int, default=20_000)
    parser.add_argument("--repos", type=Path, help="instead of installed packages, for semantic")
    parser.add_argument("--only", default="", help="the repository")
    parser.add_argument("--tier", choices=("fast", "best"), default="best")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    if options.part == "near":
        near(installed(options.functions))
        return
    with tempfile.TemporaryDirectory() as scratch:
        if options.repos:
            (repository,) = listed_repositories(only=options.only)
            folder = Path(scratch) / repository.name
            check_out(repository, repos=options.repos, folder=folder, extensions=EXTENSIONS)
            patterns = functions(folder, repository.name)
        else:
            patterns = installed(options.functions)
    semantic(patterns, options.tier, show=options.show)


def installed(limit: int) -> list[Pattern]:
    """Functions of the standard library and of installed packages, whole files at random."""
    found: list[Pattern] = []
    folders = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    for folder, share in zip(folders, (0.5, 1), strict=True):
        found += functions(folder, folder.name, limit=int(share * limit) - len(found))
    return found[:limit]


def functions(folder: Path, source: str, *, limit: int = 1 << 30) -> list[Pattern]:
    """The whole functions of files that the mutations have a grammar for."""
    files = sorted(
        path
        for path in folder.rglob("*.*")
        if path.suffix in EXTENSIONS
        and (folder.name == "site-packages" or "site-packages" not in path.parts)
        and path.is_file()
        and path.stat().st_size < LONGEST_FILE
    )
    Random(SEED).shuffle(files)
    found: list[Pattern] = []
    for path in files:
        data = path.read_bytes()
        name = str(path.relative_to(folder))
        try:
            if detect_language(name, data) not in GRAMMARS:
                continue
            chunks = chunk_file(name, data)
        except UnicodeDecodeError:
            continue
        found += with_ids(source, [c for c in chunks if c.kind in FUNCTIONS and not c.part])
        if len(found) >= limit:
            break
    return found[:limit]


def near(patterns: list[Pattern]) -> None:
    """Both tools on the same texts; seconds are of the processor."""
    random = Random(SEED)
    planted = [mutant(p, "edited", random) for p in random.sample(patterns, len(patterns) // 10)]
    texts = sorted({p.text for p in [*patterns, *filter(None, planted)]})
    truth = exhaustive([set(shingles(tokens(text)).tolist()) for text in texts], NEAR)
    print(f"{len(texts)} distinct texts, {len(truth)} pairs at Jaccard >= {NEAR}")
    print("| | texts/s | pairs | recall | precision |\n| --- | --- | --- | --- | --- |")
    rates = []
    for name, find in (("Pattern Hub", ours), (f"datasketch, {PERMUTATIONS}", datasketch)):
        started = time.process_time()
        pairs = find(texts)
        rates.append(len(texts) / (time.process_time() - started))
        right = len(pairs & truth)
        print(
            f"| {name} | {rates[-1]:.0f} | {len(pairs)} | {right / len(truth):.4f} "
            f"| {right / len(pairs):.4f} |",
            flush=True,
        )
        if find is ours:
            groups = components(len(texts), [Link("near", 1, *pair) for pair in pairs])
            group = {row: i for i, rows in enumerate(groups) for row in rows}
            together = sum(group[a] == group[b] for a, b in truth)
            print(f"| ... pairs in one cluster | | | {together / len(truth):.4f} | |")
    print(f"speed ratio {rates[0] / rates[1]:.2f}")


def ours(texts: list[str]) -> set[tuple[int, int]]:
    """What `patternhub dedup` does for its near level."""
    pairs, _ = near_pairs(Sets.of([shingles(tokens(text)) for text in texts]), NEAR)
    return {(left, right) for left, right in pairs.tolist()}


def datasketch(texts: list[str]) -> set[tuple[int, int]]:
    """Its MinHash in bulk over the same shingles, and its LSH at the same threshold."""
    from datasketch import MinHash, MinHashLSH

    words = (tokens(text) for text in texts)
    sets = (
        {" ".join(w[i : i + WIDTH]).encode(errors="surrogatepass") for i in range(span(w))}
        for w in words
    )
    lsh = MinHashLSH(threshold=NEAR, num_perm=PERMUTATIONS)
    hashes = MinHash.bulk(sets, num_perm=PERMUTATIONS)
    pairs = set()
    for row, minhash in enumerate(hashes):
        pairs |= {(other, row) for other in lsh.query(minhash)}
        lsh.insert(row, minhash)
    return pairs


def span(words: list[str]) -> int:
    """How many shingles the words have."""
    return max(len(words) - WIDTH + 1, 1)


def exhaustive(sets: list[set[int]], threshold: float) -> set[tuple[int, int]]:
    """Every pair at the threshold: two such sets share one of their rarest members."""
    counts = Counter(member for each in sets for member in each)
    index: dict[int, list[int]] = defaultdict(list)
    pairs = set()
    for row, each in enumerate(sets):
        rarest = sorted(each, key=lambda member: (counts[member], member))
        prefix = rarest[: len(each) - math.ceil(threshold * len(each)) + 1]
        candidates = {other for member in prefix for other in index[member]}
        for other in candidates:
            if min(len(each), len(sets[other])) >= threshold * max(len(each), len(sets[other])):
                common = len(each & sets[other])
                if common >= threshold * (len(each) + len(sets[other]) - common):
                    pairs.add((other, row))
        for member in prefix:
            index[member].append(row)
    return pairs


def semantic(patterns: list[Pattern], tier: str, *, show: bool) -> None:
    """Recall of one planted copy a function, by kind; then what the code itself has."""
    random = Random(SEED)
    kinds = list(KINDS)
    seeds = random.sample(patterns, min(SEEDS, len(patterns)))
    asked = [(p, kinds[i % len(kinds)]) for i, p in enumerate(seeds)]
    planted = [(p, kind, mutant(p, kind, random)) for p, kind in asked]
    pairs = [(p, kind, copy) for p, kind, copy in planted if copy]
    everything = [*patterns, *(copy for _, _, copy in pairs)]
    report = find_duplicates(everything, encoded(everything, tier), tier=tier)
    cluster_of = {p.id: i for i, c in enumerate(report.clusters) for p in whole(c)}
    hits = defaultdict(list)
    for original, kind, copy in pairs:
        hit = cluster_of.get(original.id, -1) == cluster_of.get(copy.id, -2)
        long = min(length(original), length(copy)) >= LENGTH
        for name in (kind, "every kind"):
            hits[name].append((hit, long))
    print(f"{len(patterns)} functions, {len(pairs)} planted copies, {tier} tier")
    print("| copy | planted | recall | of those long enough | recall |\n" + "| --- " * 5 + "|")
    for kind in (*kinds, "every kind"):
        every = [hit for hit, _ in hits[kind]]
        long = [hit for hit, is_long in hits[kind] if is_long]
        print(
            f"| {kind} | {len(every)} | {np.mean(every):.3f} | {len(long)} | {np.mean(long):.3f} |"
        )
    natural(report.clusters, {p.id for p in patterns}, show=show)


def natural(clusters: tuple[Cluster, ...], known: set[str], *, show: bool) -> None:
    """The semantic pairs that were there before anything was planted."""
    found = [
        (m.neighbour, m.pattern, m.similarity)
        for cluster in clusters
        for m in cluster.members
        if m.level == "semantic" and {m.pattern.id, m.neighbour.id} <= known
    ]
    print(f"{len(found)} semantic pairs in the code itself")
    for left, right, similarity in found if show else ():
        names = f"{left.source}/{left.location} {left.symbol} | {right.location} {right.symbol}"
        print(f"\n#### {similarity:.2f} {names}")
        lines = [[line.strip() for line in p.text.splitlines()] for p in (left, right)]
        changes = list(difflib.unified_diff(*lines, n=0, lineterm=""))[2:]
        print("\n".join([line for line in changes if not line.startswith("@@")][:SHOWN]))


def encoded(patterns: list[Pattern], tier: str) -> Vectors:
    encoders = open_encoders(Embedding(), Path.cwd())
    encode: Callable[[list[str]], Vectors] = getattr(encoders, tier).encode_documents
    return pattern_vectors(patterns, encode, encode)


def whole(cluster: Cluster) -> Iterator[Pattern]:
    yield cluster.representative
    yield from (member.pattern for member in cluster.members)


def length(pattern: Pattern) -> int:
    """Tokens without comments, as the semantic level counts them."""
    return shape_of(pattern.text, language=pattern.language).length


if __name__ == "__main__":
    main()
