"""Speed and memory of the index itself, at sizes that hurt.

    python -m tests.benchmarks.speed [--patterns 50000] [--large 100000] [--tier fast|best]

The corpus is what every installation has: Python packages of this environment, copied until there
are enough patterns. The peer of the fast tier is embedded Chroma alone: the same rows, written
right after, in the same process. Every number is of this machine at this moment; run it on an idle
one, and read the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.memory import peak_memory

QUERIES = (
    "retry with growing delay", "parse a date header", "open a socket with a timeout",
    "validate the configuration", "write json atomically", "split text into tokens",
    "cosine similarity of two matrices", "close the connection", "load weights from a checkpoint",
    "format a traceback", "read environment variables", "schedule a callback",
)  # fmt: skip
ROUNDS = 20
FILTERS: dict[str, dict[str, str]] = {
    "no filter": {},
    "kind=function": {"kind": "function"},
    "path=**/utils*": {"path": "**/utils*"},
}


def main() -> None:
    """Measure each part in a process of its own and print one table."""
    parser = argparse.ArgumentParser(description="Speed and memory of the index.")
    parser.add_argument("--patterns", type=int, default=50_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--tier", choices=("fast", "best"), default="best")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(STEPS[options.step](options.folder)))
        return
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        middle = Path(scratch) / "middle"
        make_corpus(middle / "corpus", options.patterns)
        steps = ["fast", "best", "queries", "refresh", "cold"]
        for step in steps if options.tier == "best" else [s for s in steps if s != "best"]:
            rows |= _step(step, middle)
        shutil.rmtree(middle)
        large = Path(scratch) / "large"
        make_corpus(large / "corpus", options.large)
        rows |= {f"large {name}": value for name, value in _step(options.tier, large).items()}
    print("| what | value |\n| --- | --- |")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


def make_corpus(folder: Path, patterns: int) -> None:
    """Copy Python files of installed packages until they make this many patterns."""
    from indexers.code import chunk_file
    from indexers.files import list_files, read_source

    site = Path(sysconfig.get_path("purelib"))
    count = 0
    for package in sorted(p for p in site.iterdir() if p.is_dir() and not p.name.endswith("-info")):
        for entry in list_files(package).files:
            data = read_source(package, entry) if entry.path.endswith(".py") else None
            if not isinstance(data, bytes):
                continue
            count += len(chunk_file(entry.path, data))
            target = folder / package.name / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            os.utime(target, (1_000_000_000, 1_000_000_000))
            if count >= patterns:
                return
    raise SystemExit(f"the installed packages make only {count} patterns, {patterns} are needed")


def _step(name: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.speed", "--step", name]
    done = subprocess.run(
        [*command, "--folder", str(folder)], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(name, found, file=sys.stderr, flush=True)
    return found


def _open(folder: Path) -> Any:
    from hub import Hub

    return Hub.open(folder)


def index_fast(folder: Path) -> dict[str, Any]:
    """The fast tier from nothing, and embedded Chroma writing the same rows."""
    hub = _open(folder)
    hub.workspace.encoders.fast.encode_documents(["made once a machine"])
    with peak_memory() as peak:
        begin = time.perf_counter()
        report = hub.index([folder / "corpus"], tier="fast")
        seconds = time.perf_counter() - begin
    alone = _chroma_alone(hub, folder / "alone")
    rate, rate_alone = report.patterns_total / seconds, report.patterns_total / alone
    return {
        "patterns": report.patterns_total,
        "fast: rows/s": round(rate),
        "fast: Chroma alone rows/s": round(rate_alone),
        "fast: share of Chroma's own rate": round(rate / rate_alone, 3),
        "fast: source MB/s": round(report.source_bytes / seconds / 1e6, 3),
        "fast: peak memory MB": peak(),
    }


def _chroma_alone(hub: Any, folder: Path) -> float:
    """Seconds that Chroma takes for the hub's rows, in batches of the same size."""
    import chromadb
    from chromadb.config import Settings

    from hub.store.chroma import BATCH, METADATA

    pages = list(hub.workspace.store.pages())
    patterns = [p for page, _ in pages for p in page]
    vectors = np.concatenate([v for _, v in pages])
    order = sorted(range(len(patterns)), key=lambda i: (patterns[i].path, patterns[i].start_byte))
    client = chromadb.PersistentClient(folder, settings=Settings(anonymized_telemetry=False))
    collection = client.create_collection(
        "alone", embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
    )
    rows = [
        (p.id, p.text, {name: getattr(p, name) for name in METADATA})
        for p in (patterns[i] for i in order)
    ]
    vectors = vectors[order]
    begin = time.perf_counter()
    for at in range(0, len(rows), BATCH):
        ids, texts, metadatas = zip(*rows[at : at + BATCH], strict=True)
        collection.add(
            ids=list(ids),
            documents=list(texts),
            metadatas=list(metadatas),
            embeddings=vectors[at : at + BATCH],
        )
    return time.perf_counter() - begin


def index_best(folder: Path) -> dict[str, Any]:
    """The best tier, from nothing or on top of the fast one."""
    hub = _open(folder)
    with peak_memory() as peak:
        begin = time.perf_counter()
        report = hub.index([folder / "corpus"])
        seconds = time.perf_counter() - begin
    size = sum(f.stat().st_size for f in (folder / ".patternhub").rglob("*") if f.is_file())
    return {
        "best: vectors/s": round(report.embedded / seconds),
        "best: peak memory MB": peak(),
        "best: patterns": report.patterns_total,
        "index size MB": round(size / 1e6),
        "index KB a pattern": round(size / 1e3 / report.patterns_total, 2),
    }


def queries(folder: Path) -> dict[str, Any]:
    """Warm queries without and with a filter, interleaved."""
    hub = _open(folder)
    for options in FILTERS.values():
        hub.search("warm up", **options)
    times: dict[str, list[float]] = {name: [] for name in FILTERS}
    for _ in range(ROUNDS):
        for query in QUERIES:
            for name, options in FILTERS.items():
                begin = time.perf_counter()
                hub.search(query, **options)
                times[name].append(1000 * (time.perf_counter() - begin))
    found = {}
    for name, values in times.items():
        p50, p95 = np.percentile(values, [50, 95])
        found[f"query, {name}: p50 / p95 ms"] = f"{p50:.1f} / {p95:.1f}"
    return found


def refresh(folder: Path) -> dict[str, Any]:
    """Nothing changed, then one file changed, in a hub that is open; then as cold commands."""
    hub = _open(folder)
    hub.index()
    tier = hub.status().tier
    found: dict[str, Any] = {}
    found["refresh, nothing changed, open hub: s"] = _timed(lambda: hub.index(tier=tier))
    file = next(path for path in sorted((folder / "corpus").rglob("*.py")) if _middling(path))
    file.write_text(file.read_text() + "\n\ndef added_by_the_benchmark():\n    return 1\n")
    found["refresh, one file changed, first write of an open hub: s"] = _timed(hub.index)
    file.write_text(file.read_text() + "\n\ndef added_once_more():\n    return 3\n")
    begin = time.perf_counter()
    report = hub.index(tier=tier)
    found["refresh, one file changed, open hub: s"] = round(time.perf_counter() - begin, 3)
    found["refresh, vectors embedded for it"] = report.embedded
    found["refresh, nothing changed, cold command: s"] = _timed(lambda: _cli(folder, "index"))
    file.write_text(file.read_text() + "\n\ndef added_again():\n    return 2\n")
    found["refresh, one file changed, cold command: s"] = _timed(lambda: _cli(folder, "index"))
    return found


def cold(folder: Path) -> dict[str, Any]:
    """`patternhub search` as a new process."""
    found = {}
    for tier in ("fast", _open(folder).status().tier):
        arguments = ("search", "retry with backoff", "--tier", tier)
        _cli(folder, *arguments)
        times = [_timed(lambda: _cli(folder, *arguments)) for _ in range(5)]  # noqa: B023
        found[f"cold search, {tier} tier: median s"] = float(np.median(times))
    return found


def _cli(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "hub.cli", "--hub", str(folder), *arguments]
    subprocess.run(command, check=True, capture_output=True)


def _timed(work: Any) -> float:
    begin = time.perf_counter()
    work()
    return round(time.perf_counter() - begin, 3)


def _middling(path: Path) -> bool:
    return 5_000 < path.stat().st_size < 10_000


STEPS = {
    "fast": index_fast,
    "best": index_best,
    "queries": queries,
    "refresh": refresh,
    "cold": cold,
}

if __name__ == "__main__":
    main()
