"""Does the chunker keep every byte, keep functions whole, and say when it has no grammar?

    python -m tests.benchmarks.chunking [--repos FOLDER --role dev|report|all]

Measured on the running Python's standard library and, with --repos, on the repositories of the
retrieval benchmark. Functions are counted by an independent parse (functions.py); one is whole when
all its lines lie in one chunk.
"""

from __future__ import annotations

import argparse
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from indexers.code import chunk_file, detect_language
from indexers.files import list_files, read_source
from tests.benchmarks.checkouts import check_out, listed_repositories
from tests.benchmarks.documented import EXTENSIONS
from tests.benchmarks.functions import LANGUAGES, parse

SMALL = 1200  # characters up to which a function has to stay whole


@dataclass(slots=True)
class Tally:
    """What was seen below one folder."""

    files: int = 0
    bytes: int = 0
    chunks: int = 0
    seconds: float = 0.0
    lost: int = 0  # files whose chunks do not partition them
    functions: int = 0  # small ones
    whole: int = 0
    plain_text: int = 0  # files without a grammar, which every report counts
    silent: int = 0  # files of a known language that came back as plain text


def main() -> None:
    """Print one row per folder."""
    parser = argparse.ArgumentParser(description="Chunk round trip and whole functions.")
    parser.add_argument("--repos", type=Path)
    parser.add_argument("--role", choices=("dev", "report", "all"), default="all")
    options = parser.parse_args()
    print("| folder | files | MB | chunks/s | MB/s | not a partition | small functions whole |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(_row("standard library", measure(Path(sysconfig.get_path("stdlib")))))
    for repository in listed_repositories(options.role) if options.repos else []:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            check_out(repository, repos=options.repos, folder=folder, extensions=EXTENSIONS)
            print(_row(repository.name, measure(folder)), flush=True)


def _row(name: str, tally: Tally) -> str:
    files = f"{tally.files} ({tally.plain_text} plain text, {tally.silent} silent)"
    whole = f"{tally.whole}/{tally.functions} ({tally.whole / max(tally.functions, 1):.2%})"
    rates = f"{tally.chunks / tally.seconds:.0f} | {tally.bytes / tally.seconds / 1e6:.2f}"
    return f"| {name} | {files} | {tally.bytes / 1e6:.1f} | {rates} | {tally.lost} | {whole} |"


def measure(folder: Path) -> Tally:
    """Cut every file that an index of ``folder`` would cut."""
    tally = Tally()
    for entry in list_files(folder).files:
        data = read_source(folder, entry)
        if isinstance(data, bytes):
            _measure_file(tally, entry.path, data)
    return tally


def _measure_file(tally: Tally, path: str, data: bytes) -> None:
    begin = time.perf_counter()
    chunks = chunk_file(path, data)
    tally.seconds += time.perf_counter() - begin
    tally.files += 1
    tally.bytes += len(data)
    tally.chunks += len(chunks)
    edges = [0, *(chunk.end_byte for chunk in chunks)]
    texts = "".join(chunk.text for chunk in chunks).encode()
    tally.lost += edges[:-1] != [c.start_byte for c in chunks] or texts != data
    language = detect_language(path, data[:4096])
    tally.plain_text += language == "text"
    tally.silent += language != "text" and any(chunk.language != language for chunk in chunks)
    independent = LANGUAGES.get(PurePosixPath(path).suffix)
    if independent is None:
        return
    try:
        functions = parse(data, independent).functions
    except ValueError:
        return
    lines = data.decode().split("\n")
    for function in functions:
        text = "\n".join(lines[function.start_line - 1 : function.end_line])
        if len(text) <= SMALL:
            tally.functions += 1
            tally.whole += any(
                c.start_line <= function.start_line and function.end_line <= c.end_line
                for c in chunks
            )


if __name__ == "__main__":
    main()
