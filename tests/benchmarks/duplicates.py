"""The duplicates benchmark: near-duplicates against datasketch, and semantic duplicates.

    python -m tests.benchmarks.duplicates near [--functions 20000]
    python -m tests.benchmarks.duplicates semantic [--repos ~/repositories --only scrapy]
    python -m tests.benchmarks.duplicates judged --repos ~/repositories [--only caddy] [--show]

`near` takes functions of the standard library and of installed packages, plants an edited copy of a
tenth of them, and asks both for the pairs of Jaccard similarity .7 or more; the truth is an
exhaustive join (prefix filtering, Bayardo et al. 2007). `semantic` plants one copy a function,
renamed, reformatted or edited (mutants.py), and counts the pairs of which no more than one
is kept. `judged` finds the semantic duplicates of whole repositories (duplicates.toml) and counts
those that were judged right by hand (labels/duplicates.tsv); `--show` prints those that were not
judged yet, to be read.
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

from hub.config import Embedding
from hub.curate.duplicates import NEAR, find_duplicates
from hub.curate.near import near_pairs
from hub.curate.semantic import BODY
from hub.curate.semantic import KINDS as FUNCTIONS
from hub.curate.shape import code_of
from hub.curate.shingles import WIDTH, Sets, shingles, tokens
from hub.preparing import with_ids
from hub.store.embedding import pattern_vectors
from hub.store.encoders import open_encoders
from indexers.code import chunk_file, detect_language
from tests.benchmarks.checkouts import check_out, listed_repositories
from tests.benchmarks.documented import EXTENSIONS
from tests.benchmarks.mutants import GRAMMARS, KINDS, mutant

if TYPE_CHECKING:
    from collections.abc import Container

    from hub.curate.duplicates import Member
    from hub.types import Pattern, Vectors
    from tests.benchmarks.checkouts import Repository

PERMUTATIONS = 250  # of datasketch
SEED = 2026
LONGEST_FILE = 200_000  # bytes
SEEDS = 400  # functions a run plants a copy of
SHOWN = 14  # lines of a difference
LANGUAGES = frozenset({*GRAMMARS, "javascript", "tsx", "rust", "java"})
REPOSITORIES = Path(__file__).with_name("duplicates.toml")
LABELS = Path(__file__).parent / "labels" / "duplicates.tsv"


def main() -> None:
    """Print one part's numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("near", "semantic", "judged"))
    parser.add_argument("--functions", type=int, default=20_000)
    parser.add_argument(
        "--repos",
        type=Path,
        help="folder of checkouts; for semantic, not given: installed packages",
    )
    parser.add_argument("--only", default="", help="the repository")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    if options.part == "near":
        near(installed(options.functions))
        return
    if options.part == "judged":
        judged(
            listed_repositories(only=options.only, path=REPOSITORIES),
            options.repos,
            show=options.show,
        )
    elif options.repos:
        (repository,) = listed_repositories(only=options.only)
        semantic(functions_of(repository, options.repos, GRAMMARS))
    else:
        semantic(installed(options.functions))


def functions_of(repository: Repository, repos: Path, languages: Container[str]) -> list[Pattern]:
    """The whole functions of a repository at its commit."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / repository.name
        check_out(repository, repos=repos, folder=folder, extensions=EXTENSIONS)
        return functions(folder, repository.name, languages=languages)


def installed(limit: int) -> list[Pattern]:
    """Functions of the standard library and of installed packages, whole files at random."""
    found: list[Pattern] = []
    folders = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")]
    for folder, share in zip(folders, (0.5, 1), strict=True):
        wanted = int(share * limit) - len(found)
        found += functions(folder, folder.name, languages=GRAMMARS, limit=wanted)
    return found[:limit]


def functions(
    folder: Path, source: str, *, languages: Container[str], limit: int = 1 << 30
) -> list[Pattern]:
    """The whole functions of files in these languages."""
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
            if detect_language(name, data) not in languages:
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


def semantic(patterns: list[Pattern]) -> None:
    """Recall of one planted copy a function, by kind."""
    random = Random(SEED)
    kinds = list(KINDS)
    seeds = random.sample(patterns, min(SEEDS, len(patterns)))
    asked = [(p, kinds[i % len(kinds)]) for i, p in enumerate(seeds)]
    planted = [(p, kind, mutant(p, kind, random)) for p, kind in asked]
    pairs = [(p, kind, copy) for p, kind, copy in planted if copy]
    everything = [*patterns, *(copy for _, _, copy in pairs)]
    report = find_duplicates(everything, encoded(everything))
    hits = defaultdict(list)
    for original, kind, copy in pairs:
        hit = not {original.id, copy.id}.isdisjoint(report.dropped)
        long = min(body(original), body(copy)) >= BODY
        for name in (kind, "every kind"):
            hits[name].append((hit, long))
    print(f"{len(patterns)} functions, {len(pairs)} planted copies")
    print("| copy | planted | recall | of those long enough | recall |\n" + "| --- " * 5 + "|")
    for kind in (*kinds, "every kind"):
        every = [hit for hit, _ in hits[kind]]
        long = [hit for hit, is_long in hits[kind] if is_long]
        print(
            f"| {kind} | {len(every)} | {np.mean(every):.3f} | {len(long)} | {np.mean(long):.3f} |"
        )


def judged(repositories: list[Repository], repos: Path, *, show: bool) -> None:
    """How many of the semantic duplicates in real code were judged right."""
    rows = [line.split("\t") for line in LABELS.read_text(encoding="utf-8").splitlines()]
    verdicts = {tuple(row[:-1]): row[-1] for row in rows}
    print(
        "| repository | functions | semantic duplicates | judged | right |\n" + "| --- " * 5 + "|"
    )
    unseen: list[Member] = []
    for repository in repositories:
        patterns = functions_of(repository, repos, LANGUAGES)
        report = find_duplicates(patterns, encoded(patterns))
        found = [m for c in report.clusters for m in c.members if m.level == "semantic"]
        known = [verdicts[key(m)] for m in found if key(m) in verdicts]
        unseen += [m for m in found if key(m) not in verdicts]
        right = f"{known.count('right')} ({known.count('right') / max(len(known), 1):.3f})"
        print(f"| {repository.name} | {len(patterns)} | {len(found)} | {len(known)} | {right} |")
    for m in unseen if show else ():
        print(f"\n#### {m.similarity:.2f} " + "\t".join(key(m)))
        one, other = ([line.strip() for line in p.text.split("\n")] for p in (m.like, m.pattern))
        changes = list(difflib.unified_diff(one, other, n=0, lineterm=""))[2:]
        print("\n".join([line for line in changes if not line.startswith("@@")][:SHOWN]))


def key(member: Member) -> tuple[str, ...]:
    """A pair as a label names it: the source, then path, symbol and line of both."""
    both = [(p.path, p.symbol, str(p.start_line)) for p in (member.like, member.pattern)]
    return member.pattern.source, *both[0], *both[1]


def encoded(patterns: list[Pattern]) -> Vectors:
    encode = open_encoders(Embedding(), Path.cwd()).fast.encode_documents
    return pattern_vectors(patterns, encode, encode)


def body(pattern: Pattern) -> int:
    """Words of a function's body, as the semantic level counts them."""
    code = code_of(pattern.text, language=pattern.language, symbol=pattern.symbol)
    return len(code.words) - code.body


if __name__ == "__main__":
    main()
