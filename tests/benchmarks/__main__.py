"""Every number of LOG.md from one command.

    python -m tests.benchmarks [--repos FOLDER] [--role dev|report|all]

Repositories that are not below FOLDER are cloned there. Takes about half an hour on two idle cores;
the parts can be run alone: ``tests.benchmarks.retrieval``, ``.chunking``, ``.speed``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run the parts one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description="All benchmarks.")
    parser.add_argument("--repos", type=Path, default=Path("benchmarks"))
    parser.add_argument("--role", choices=("dev", "report", "all"), default="report")
    options = parser.parse_args()
    options.repos.mkdir(exist_ok=True)
    repos = ["--repos", str(options.repos), "--role", options.role]
    for title, arguments in (
        ("Retrieval", ["tests.benchmarks.retrieval", *repos]),
        ("Chunking", ["tests.benchmarks.chunking", *repos]),
        ("Speed and memory", ["tests.benchmarks.speed"]),
    ):
        print(f"\n## {title}\n", flush=True)
        done = subprocess.run([sys.executable, "-m", *arguments], check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
