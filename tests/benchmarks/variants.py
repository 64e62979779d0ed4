"""Does every variant of a real function parse, and how many functions are done in a second?

    python -m tests.benchmarks.variants --repos FOLDER [--role dev|report|all]

Every whole function of the repositories' Python, TypeScript and JavaScript files goes through every
operation. Python variants are parsed by CPython, where it parses the original; the others by the
grammar that also made them. Seconds are of the processor, for one thread.
"""

from __future__ import annotations

import argparse
import ast
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hub.curate.bugs import inject
from hub.curate.layout import recomment, reformat
from hub.curate.rename import rename
from hub.curate.trees import GRAMMARS, Unsuited, parse
from indexers.code import chunk_file, detect_language
from indexers.files import list_files, read_source
from tests.benchmarks.checkouts import check_out, listed_repositories

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.types import Chunk

OPS = {
    "rename": lambda *args: [rename(*args)],
    "comments": lambda *args: [recomment(*args)],
    "format": lambda *args: [reformat(*args)],
    "bugs": inject,
}
EXTENSIONS = frozenset((".py", ".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".jsx"))


def main() -> None:
    """Print one row per repository and operation."""
    parser = argparse.ArgumentParser(description="Variants of real functions.")
    parser.add_argument("--repos", type=Path, required=True)
    parser.add_argument("--role", choices=("dev", "report", "all"), default="all")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # escapes in other people's strings
    print("| repository | operation | functions | variants | do not parse | functions/s | left |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for repository in listed_repositories(options.role):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            check_out(repository, repos=options.repos, folder=folder, extensions=EXTENSIONS)
            chunks = list(functions(folder))
        for op in OPS if chunks else ():
            print(f"| {repository.name} | {op} | {row(op, chunks)} |", flush=True)


def functions(folder: Path) -> Iterator[Chunk]:
    """Every function and method of the languages with variants, whole."""
    for entry in list_files(folder).files:
        data = read_source(folder, entry)
        if isinstance(data, bytes) and detect_language(entry.path, data[:4096]) in GRAMMARS:
            chunks = chunk_file(entry.path, data, max_chars=10**9)
            yield from (c for c in chunks if c.kind in ("function", "method"))


def row(op: str, chunks: list[Chunk]) -> str:
    """Counts and speed of one operation; on broken variants, where they come from."""
    made, left, broken, seconds = 0, Counter[str](), [], 0.0
    for chunk in chunks:
        begin = time.process_time()
        try:
            variants = OPS[op](chunk.text, chunk.language, chunk.path)
        except Unsuited as reason:
            left[str(reason)] += 1
            variants = []
        seconds += time.process_time() - begin
        made += len(variants)
        broken += [chunk.location for v in variants if not parses(v.text, chunk)]
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left.items()))
    speed = f"{len(chunks) / seconds:.0f}"
    return f"{len(chunks)} | {made} | {len(broken)} {broken[:3] or ''} | {speed} | {reasons}"


def parses(text: str, chunk: Chunk) -> bool:
    """Whether the variant parses; True where the original does not either."""
    try:
        tail = parse(text, chunk.language).tail
    except Unsuited:
        return False
    python = chunk.language == "python" and is_python(chunk.text, tail)
    return not python or is_python(text, tail)


def is_python(text: str, tail: str) -> bool:
    block = "if 1:\n" if text[:1] == " " else ""
    try:
        ast.parse(block + text.removesuffix(tail))
    except (SyntaxError, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
