"""The tuning benchmark: what does a team gain by tuning the shipped retriever on its own code?

    python -m tests.benchmarks.tuning --repos ~/repositories --role dev [--tier fast|best]

For each repository of teams.toml: index it, run `Hub.tune`, and print what the verdict on held-out
files says, how long it took and what it held in memory, all processes together. The verdict is the
product's own (hub/tuning/measure.py): fused search, weights fitted on other files than it judges.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.checkouts import TEAMS, check_out, listed_repositories
from tests.benchmarks.documented import EXTENSIONS
from tests.benchmarks.memory import peak_memory

if TYPE_CHECKING:
    from hub.config import Tier

HEAD = (
    "| repository | functions | tier | learned from | questions | fused | ratio "
    "| 95% of the difference | vectors alone | kept | seconds | with re-embedding | peak MB |\n"
    + "| --- " * 13
    + "|"
)


def main() -> None:
    """Print one Markdown row for each repository and tier."""
    from hub import Hub

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repos", type=Path, required=True)
    parser.add_argument("--role", choices=("dev", "report", "all"), default="dev")
    parser.add_argument("--only", default="")
    parser.add_argument("--tier", choices=("fast", "best"))
    options = parser.parse_args()
    tiers: list[Tier] = [options.tier] if options.tier else ["best", "fast"]
    print(HEAD)
    for repository in listed_repositories(options.role, options.only, TEAMS):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / repository.name
            check_out(repository, repos=options.repos, folder=folder, extensions=EXTENSIONS)
            home = Path(scratch) / "hub"
            home.mkdir()
            (home / "hub.toml").write_text('[embedding]\ntier = "fast"\n')
            hub = Hub.open(home)
            hub.index([folder])
            kinds = hub.status().kinds
            started = time.perf_counter()
            with peak_memory() as peak:
                report = hub.tune(tiers=tiers)
            seconds = time.perf_counter() - started
            functions = kinds.get("function", 0) + kinds.get("method", 0)
            for tier, v in report.verdicts.items():
                print(
                    f"| {repository.name} | {functions} | {tier} | {report.trained} "
                    f"| {v.questions} | {v.base:.3f} -> {v.tuned:.3f} | {v.tuned / v.base:.3f} | "
                    f"{v.interval[0]:+.3f} to {v.interval[1]:+.3f} | "
                    f"{v.base_dense:.3f} -> {v.tuned_dense:.3f} | {v.kept} | {report.seconds:.0f} "
                    f"| {seconds:.0f} | {peak()} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
