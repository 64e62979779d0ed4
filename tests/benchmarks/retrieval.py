"""The retrieval benchmark: how well does each system find a function by what was said of it?

    python -m tests.benchmarks.retrieval --repos ~/repositories --role dev
    python -m tests.benchmarks.retrieval --repos ~/repositories --only click --peers bm25,ripgrep

Prints Markdown. "Exact symbol first" is the share of unique function names whose definition lies in
the first hit. The task is described in documented.py, the protocol in protocol.py, the systems in
ours.py and peers.py. ``--repos`` has a checkout or bare git directory per repository; missing ones
are cloned. ``--json`` keeps every reciprocal rank: later runs can be compared query by query.

The peers come with ``pip install -e .[dev]``, ripgrep from the system. Speeds mean something on an
idle machine only: one system at a time, nothing beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import report
from tests.benchmarks.checkouts import check_out, listed_repositories
from tests.benchmarks.documented import EXTENSIONS, Query, Task, make_task, write_queries
from tests.benchmarks.ours import OURS
from tests.benchmarks.peers import PEERS
from tests.benchmarks.protocol import HITS, Hit, reciprocal_rank, span_reciprocal_rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.systems import Build, Search

SYSTEMS = OURS | PEERS


@dataclass(slots=True, kw_only=True)
class Arm:
    """One way of searching one index: its scores in the order of the queries."""

    reciprocal_ranks: list[float]
    span_ranks: list[float]
    symbol_ranks: list[float]
    milliseconds: list[float]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """One system on one repository."""

    repository: str
    language: str
    system: str
    queries: int
    indexed_bytes: int
    index_seconds: float
    arms: dict[str, Arm] = field(default_factory=dict)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark as the command line says; 2 when it names something unknown."""
    options = _parser().parse_args(arguments)
    systems = options.peers.split(",") if options.peers else list(SYSTEMS)
    repositories = listed_repositories(options.role, options.only)
    if unknown := [name for name in systems if name not in SYSTEMS]:
        print(f"unknown system {unknown}; choose from {list(SYSTEMS)}", file=sys.stderr)
        return 2
    if not repositories:
        print(f"no repository called {options.only!r} in repositories.toml", file=sys.stderr)
        return 2
    builds = {name: SYSTEMS[name]() for name in systems}
    outcomes: list[Outcome] = []
    for repository in repositories:
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch)
            check_out(
                repository, repos=options.repos, folder=home / "original", extensions=EXTENSIONS
            )
            task = make_task(home / "original", home / repository.name, seed=options.seed)
            if options.queries:
                options.queries.mkdir(parents=True, exist_ok=True)
                write_queries(task.queries, options.queries / f"{repository.name}.jsonl")
            for system, build in builds.items():
                outcome = run_system(task, build, home / system)
                outcome.repository, outcome.language = repository.name, repository.language
                outcome.system = system
                outcomes.append(outcome)
                if options.json:  # after each system: a run takes long, and may be cut short
                    options.json.write_text(json.dumps([asdict(outcome) for outcome in outcomes]))
                print(f"{repository.name}: {system} done", file=sys.stderr)
    print(report.markdown(outcomes))
    return 0


def run_system(task: Task, build: Build, scratch: Path) -> Outcome:
    """Index the stripped copy, ask every query in every arm, and score the answers."""
    scratch.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    built = build(task.folder, scratch)
    outcome = Outcome(
        repository=task.folder.name,
        language="",
        system="",
        queries=len(task.queries),
        indexed_bytes=built.indexed_bytes,
        index_seconds=time.perf_counter() - started,
    )
    for name, search in built.arms.items():
        answers, milliseconds = _ask(search, task.queries)
        symbols, _ = _ask(search, task.symbols)
        outcome.arms[name] = Arm(
            reciprocal_ranks=_ranks(task.queries, answers, task),
            span_ranks=_span_ranks(task.queries, answers),
            symbol_ranks=_span_ranks(task.symbols, symbols),
            milliseconds=milliseconds,
        )
    return outcome


def _span_ranks(queries: Sequence[Query], answers: Sequence[Sequence[Hit]]) -> list[float]:
    return [span_reciprocal_rank(*pair) for pair in zip(queries, answers, strict=True)]


def _ask(search: Search, queries: Sequence[Query]) -> tuple[list[list[Hit]], list[float]]:
    """The hits of each query, and the milliseconds they took."""
    answers, milliseconds = [], []
    for query in queries:
        started = time.perf_counter()
        answers.append(search(query.query, HITS))
        milliseconds.append(1000 * (time.perf_counter() - started))
    return answers, milliseconds


def _ranks(queries: Sequence[Query], answers: list[list[Hit]], task: Task) -> list[float]:
    pairs = zip(queries, answers, strict=True)
    return [reciprocal_rank(query, hits, task.functions) for query, hits in pairs]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Retrieval benchmark on real repositories.")
    parser.add_argument("--repos", type=Path, required=True, help="folder with the repositories")
    parser.add_argument("--role", choices=("dev", "report", "all"), default="dev")
    parser.add_argument("--only", default="", help="one repository, by name")
    parser.add_argument("--peers", default="", help=f"systems to run, of {','.join(SYSTEMS)}")
    parser.add_argument("--queries", type=Path, help="folder to write the queries to, as JSONL")
    parser.add_argument("--json", type=Path, help="file for all results")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
