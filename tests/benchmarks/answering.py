"""Whether `ask` answers what is there, abstains from what is not, and cites lines that exist; and
how fast it retrieves.

    python -m tests.benchmarks.answering HUBS --role dev    # HUBS/NAME is a hub of each repository
    python -m tests.benchmarks.answering HUBS --only NAME --evidence    # a question a line
    python -m tests.benchmarks.answering speed HUB          # any hub; 50,000 patterns are wanted

The questions were written before the rule was fitted, see questions/README.md. `dev` is what it
was fitted on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import time
from pathlib import Path

import numpy as np

from hub import Hub
from hub.answering.abstaining import is_near
from hub.search.nearness import nearness
from tests.benchmarks.checkouts import listed_repositories

QUESTIONS = Path(__file__).with_name("questions")
PLACE = re.compile(r"^(\S+):(\d+)-(\d+)$", re.MULTILINE)
SPEED = 400  # questions


def questions(name: str) -> list[tuple[str, bool]]:
    lines = (QUESTIONS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [(row["question"], row["present"]) for row in map(json.loads, lines)]


def judged(hub: Hub, name: str) -> None:
    """One line of the table: present and absent questions, and the citations that resolve."""
    arms = hub.arms(generator=None, adapter="")
    root = Path(hub.status().sources[0].location)
    answered = {True: 0, False: 0}
    asked = {True: 0, False: 0}
    cited = resolved = 0
    for question, present in questions(name):
        answer = arms.answer(question, "rag")
        asked[present] += 1
        answered[present] += not answer.abstained
        for path, start, end in PLACE.findall(answer.text):
            cited += 1
            lines = (root / path).read_text(encoding="utf-8").split("\n")
            block = "\n".join(lines[int(start) - 1 : int(end)])
            resolved += block in answer.text.replace("\r", "")
    print(
        f"| {name} | {asked[True] - answered[True]} of {asked[True]} | "
        f"{asked[False] - answered[False]} of {asked[False]} | {resolved} of {cited} |"
    )


def evidence(hub: Hub, name: str) -> None:
    for question, present in questions(name):
        found = nearness(hub.retriever, question, hub.search(question, limit=8))
        mark = "" if is_near(found) == present else "WRONG"
        print(
            f"{present:d} {found.fast:.2f} {found.best:.2f} {found.covered:.2f} {mark:5} {question}"
        )


def speed(hub: Hub) -> None:
    """Milliseconds from a question to the passages and the decision, with all that is between."""
    arms = hub.arms(generator=None, adapter="")
    every = [q for path in sorted(QUESTIONS.glob("*.jsonl")) for q, _ in questions(path.stem)]
    took = []
    for question in itertools.islice(every, SPEED):
        started = time.perf_counter()
        arms.answer(question, "rag")
        took.append(1000 * (time.perf_counter() - started))
    p50, p95 = np.percentile(took[10:], [50, 95])
    print(f"{hub.status().patterns} patterns: p50 {p50:.1f} ms, p95 {p95:.1f} ms of {len(took)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="+", help="HUBS, or speed HUB")
    parser.add_argument("--role", default="dev", choices=["dev", "report"])
    parser.add_argument("--only", default="")
    parser.add_argument("--evidence", action="store_true")
    options = parser.parse_args()
    if options.what[0] == "speed":
        speed(Hub.open(options.what[1]))
        return
    for repository in listed_repositories(options.role, options.only):
        if (QUESTIONS / f"{repository.name}.jsonl").is_file():
            hub = Hub.open(Path(options.what[0]) / repository.name)
            (evidence if options.evidence else judged)(hub, repository.name)


if __name__ == "__main__":
    main()
