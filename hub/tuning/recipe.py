"""Make a retriever tuned for code, from nothing but package registries.

    python -m hub.tuning.recipe build/tuned [--exclude FOLDER ...]

The steps: download the packages in sources.toml at their versions; collect pairs of documentation
and function; tune the adapter; distil static vectors from the tuned model and tune them on the same
pairs; write the card. Downloads, pairs and the adapter are kept where they lie in the folder
already. ``--exclude`` names checkouts whose code must not be learned from: those of the benchmark.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tomllib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hub.documentation import undocumented
from hub.errors import HubError
from hub.tuning.pairs import collect_pairs, fingerprint
from hub.words import content_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hub.config import Tier
    from hub.types import Pattern

Row = dict[str, Any]  # package, language, query and document of a pair

SOURCES = Path(__file__).with_name("sources.toml")
# Fitted on the benchmark's dev repositories. Around them the scores are flat; of equals, those that
# leave most to words, for questions are not always sentences.
DENSE_WEIGHT: dict[Tier, float] = {"best": 0.9, "fast": 0.8}
STATIC_SHARE = 0.3
FILES = 120  # of a package, drawn at random
FILES_OF_LARGE = 250  # of a language's own library, and of a Java project
LARGE = {"rust-src", "golang-1.19-src"}
PAIRS = 1500  # of a package
HELD_OUT = 600
SUFFIXES = frozenset(
    [".py", ".js", ".mjs", ".ts", ".tsx", ".go", ".rs", ".rb", ".php", ".java", ".h", ".hpp"]
)
_SKIPPED = re.compile(
    r"(?:^|/)(?:tests?|testing|testdata|__tests__|specs?|fixtures|mocks?|examples?|bench\w*|vendor"
    r"|_vendor|node_modules|locale|locales|i18n/|generated)/|\.min\.|\.d\.ts$|_test\.|\.test\."
    r"|bundle|umd",
    re.IGNORECASE,
)
CHOSEN = {  # by package: which of several licences
    "php-symfony-finder": "Glob.php and NumberComparator.php, ports of Perl modules under GPL-1+ or"
    " Artistic, were learned from under Artistic"
}
DOWNLOADS = {
    "pypi": "{python} -m pip download -q --no-deps {name}=={version}",
    "npm": "npm pack --silent {name}@{version}",
    "debian": "apt-get download -q {name}={version}",
    "debian-source": "apt-get source -q --download-only {name}={version}",
}
UNPACK = {".whl": "unzip -qo {0} -d {1}", ".deb": "dpkg -x {0} {1}"}


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description="Make a retriever tuned for code.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--exclude", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    make(options.folder.resolve(), options.exclude)


def make(folder: Path, exclude: Iterable[Path]) -> None:
    """All steps; the result is ``folder``/tuned."""
    from hub.store.minilm import NAME
    from hub.store.tuned import SHIPPED_NAME, write_card
    from training.retriever import Recipe, StaticRecipe

    download(folder / "packages")
    pairs_file = folder / "pairs.jsonl"
    if not pairs_file.is_file():
        write_pairs(folder / "packages", pairs_file)
    train, held_out = samples(pairs_file, evaluated(exclude))
    scores = tune(folder / "tuned", train, held_out)
    write_card(
        folder / "tuned",
        name=SHIPPED_NAME,
        dense_weight=DENSE_WEIGHT,
        static_share=STATIC_SHARE,
        base=NAME,
        pairs=dict(Counter(row["language"] for row in train)),
        recipe={"adapter": asdict(Recipe()), "static": asdict(StaticRecipe())},
        held_out=scores,
        sources=tomllib.loads(SOURCES.read_text()),
        licences_chosen=CHOSEN,
        replaced=replaced(folder / "packages"),
    )


def download(folder: Path) -> None:
    """Fetch and unpack every package into ``folder``/REGISTRY/NAME."""
    for registry, packages in tomllib.loads(SOURCES.read_text()).items():
        for name, version, _ in packages:
            target = folder / registry / name.replace("/", "-").removeprefix("@")
            if target.is_dir():
                continue
            archives = folder / "archives" / registry / target.name
            archives.mkdir(parents=True, exist_ok=True)
            command = DOWNLOADS[registry].format(python=sys.executable, name=name, version=version)
            subprocess.run(command.split(), cwd=archives, check=False)
            found = [path for path in archives.iterdir() if _is_source(path)]
            if not found and registry == "debian":  # it keeps no version that an update replaced
                newest = command.removesuffix(f"={version}").split()
                subprocess.run(newest, cwd=archives, check=False)
                found = [path for path in archives.iterdir() if _is_source(path)]
            if not found:  # of a source package, Debian's own part may be gone; it is not needed
                raise HubError(f"{name} {version} cannot be had from {registry}: see above")
            partial = target.with_name(f".{target.name}")
            partial.mkdir(parents=True, exist_ok=True)
            for archive in found:
                unpack = UNPACK.get(archive.suffix, "tar -xf {0} -C {1}")
                subprocess.run(unpack.format(archive, partial).split(), check=True)
            partial.rename(target)


def replaced(folder: Path) -> dict[str, str]:
    """The archive that was taken for each package whose version Debian had replaced."""
    return {
        name: path.name
        for name, version, _ in tomllib.loads(SOURCES.read_text())["debian"]
        for path in (folder / "archives" / "debian" / name).iterdir()
        if f"_{version}_" not in unquote(path.name)
    }


def _is_source(path: Path) -> bool:
    tar = path.name.endswith((".tgz", ".tar.gz")) and ".debian." not in path.name
    return tar or ".orig.tar" in path.name or path.suffix in UNPACK


def write_pairs(packages: Path, path: Path) -> None:
    """Pairs of every package as JSON lines, with their language."""
    folders = sorted(p for r in packages.iterdir() if r.name != "archives" for p in r.iterdir())
    with ProcessPoolExecutor() as pool, path.open("w", encoding="utf-8") as file:
        for rows in pool.map(_pairs_of, folders):
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _pairs_of(package: Path) -> list[dict[str, Any]]:
    return [
        {
            "package": package.name,
            "language": pair.answer.language,
            "query": pair.query,
            "document": pair.document,
        }
        for pair in collect_pairs(_patterns(package, _files(package)), ["docs"]).kept
    ]


def _files(package: Path) -> list[Path]:
    found = [
        path
        for path in sorted(package.rglob("*"))
        if path.suffix in SUFFIXES
        and path.is_file()
        and not path.is_symlink()
        and not _SKIPPED.search(path.relative_to(package).as_posix())
        and 800 < path.stat().st_size < 200_000
    ]
    random.Random(package.name).shuffle(found)
    large = package.name in LARGE or package.parent.name == "debian-source"
    return found[: FILES_OF_LARGE if large else FILES]


def _patterns(root: Path, files: Iterable[Path]) -> Iterator[Pattern]:
    from hub.preparing import with_ids
    from indexers.code import chunk_file

    for path in files:
        try:
            chunks = chunk_file(path.relative_to(root).as_posix(), path.read_bytes())
        except UnicodeDecodeError:
            continue
        yield from with_ids(root.name, chunks)


def evaluated(checkouts: Iterable[Path]) -> frozenset[str]:
    """Fingerprints of every function in these checkouts."""
    marks = set()
    for root in checkouts:
        files = [path for path in sorted(root.rglob("*")) if path.suffix in SUFFIXES]
        for pattern in _patterns(root, (path for path in files if path.is_file())):
            if pattern.kind in ("function", "method"):
                marks.add(fingerprint(content_text(undocumented(pattern) or pattern)))
    return frozenset(marks)


def samples(path: Path, excluded: frozenset[str], *, seed: int = 0) -> tuple[list[Row], list[Row]]:
    """To learn from, and held out: no package is in both."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    times = Counter(row["query"].lower() for row in rows)
    distinct = {fingerprint(row["document"]): row for row in reversed(rows)}
    rows = [
        row
        for mark, row in distinct.items()
        if mark not in excluded and times[row["query"].lower()] == 1
    ]
    rng = random.Random(seed)
    rng.shuffle(rows)
    names = sorted({row["package"] for row in rows})
    rng.shuffle(names)
    away = set(names[: max(1, len(names) // 12)])
    taken: Counter[str] = Counter()
    train = []
    for row in rows:
        if row["package"] not in away and taken[row["package"]] < PAIRS:
            taken[row["package"]] += 1
            train.append(row)
    return train, [row for row in rows if row["package"] in away][:HELD_OUT]


def tune(folder: Path, train: list[Row], held_out: list[Row]) -> dict[str, float]:
    """Both tiers into ``folder``; returns the adapter's held-out scores."""
    from hub.store.minilm import NAME, MiniLMEncoder, file_sha256, packaged_folder
    from hub.store.static import StaticEncoder, static_text
    from hub.store.tuned import ADAPTER, SHIPPED_NAME, STATIC, Tuned, save_table
    from training.retriever import Recipe, StaticRecipe, tune_encoder, tune_static

    folder.mkdir(parents=True, exist_ok=True)
    scores = folder / "held_out.json"
    texts = [(row["query"], row["document"]) for row in train]
    groups = [row["package"] for row in train]
    if not (folder / ADAPTER).is_file():
        judging = [(row["query"], row["document"]) for row in held_out]
        found = tune_encoder(packaged_folder(), texts, judging, folder, Recipe(), groups=groups)
        scores.write_text(json.dumps(found))
    adapter = Tuned(
        folder, SHIPPED_NAME, {ADAPTER: file_sha256(folder / ADAPTER)}, DENSE_WEIGHT, base=NAME
    )
    start = StaticEncoder(MiniLMEncoder(packaged_folder(), tuned=adapter))
    words = [(static_text(query), static_text(document)) for query, document in texts]
    vocabulary = start.tokenizer.to_str()
    table = tune_static(start.table, vocabulary, words, StaticRecipe(), groups=groups)
    save_table(folder / STATIC, table)
    return dict(json.loads(scores.read_text()))


if __name__ == "__main__":
    main()
