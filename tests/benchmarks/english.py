"""Has tuning for code cost plain English? A section's heading finds its text, among all others.

    python -m tests.benchmarks.english --repos ~/repositories --role dev|report

The sections are those of the Markdown files of both lists of repositories, without the heading, its
file's path and any code they show. Vectors alone are searched, of the shipped retriever and of the
model it was tuned from.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks.checkouts import LIST, TEAMS, check_out, listed_repositories

if TYPE_CHECKING:
    from hub.types import Encoder

WORDS = 3  # a shorter heading, such as "Usage", fits many sections
CHARS = 200
_CODE = re.compile(r"^(```+|~~~+).*?^\1", re.DOTALL | re.MULTILINE)


def sections(folder: Path) -> dict[str, str]:
    """Text by heading, where the heading stands once."""
    from indexers.code import chunk_file

    found: list[tuple[str, str]] = []
    for path in sorted(folder.rglob("*.md")):
        for chunk in chunk_file(path.name, path.read_bytes()):
            heading = chunk.symbol.rpartition(".")[2]
            text = _CODE.sub("", chunk.text.partition("\n")[2]).strip()
            if chunk.kind == "section" and len(heading.split()) >= WORDS and len(text) >= CHARS:
                found.append((heading, text))
    times = Counter(heading.lower() for heading, _ in found)
    return {heading: text for heading, text in found if times[heading.lower()] == 1}


def mean_reciprocal_rank(encoder: Encoder, texts: dict[str, str]) -> float:
    """MRR@10 of every heading over all texts."""
    near = encoder.encode_queries(list(texts)) @ encoder.encode_documents(list(texts.values())).T
    ranks = (near >= np.diag(near)[:, None]).sum(axis=1)
    return float(np.where(ranks <= 10, 1 / ranks, 0).mean())


def main() -> None:
    """Print one Markdown row for each encoder."""
    from hub.config import Embedding
    from hub.store.encoders import open_encoders

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repos", type=Path, required=True)
    parser.add_argument("--role", choices=("dev", "report", "all"), default="dev")
    options = parser.parse_args()
    texts: dict[str, str] = {}
    for listed in (LIST, TEAMS):
        for repository in listed_repositories(options.role, path=listed):
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                check_out(
                    repository, repos=options.repos, folder=folder, extensions=frozenset([".md"])
                )
                texts |= sections(folder)
    print(f"{len(texts)} sections\n\n| model | best | fast |\n| --- | --- | --- |")
    for model in ("all-MiniLM-L6-v2", Embedding().model):
        encoders = open_encoders(Embedding(model=model), Path())
        best, fast = (mean_reciprocal_rank(e, texts) for e in (encoders.best, encoders.fast))
        print(f"| {model} | {best:.3f} | {fast:.3f} |")


if __name__ == "__main__":
    main()
