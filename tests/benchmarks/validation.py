"""The rules on real functions, on broken ones, and how fast they are.

    python -m tests.benchmarks.validation FOLDER... [--show 3]
    python -m tests.benchmarks.validation FOLDER... --rows 100000

Every function below the folders is the answer of a row in its language. A syntax error in one is
the grammar's, or ours: the code is real. Then each function is cut off at a random place, or loses
one bracket: how many of these are an error? With `--rows`, that many rows are written to a file and
checked as the command line does it, in a process whose time and memory are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import textwrap
import time
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from hub.config import Dataset
from hub.curate.validate import Validator
from hub.dataset.checking import check_dataset
from hub.reporting import silent
from indexers.code import detect_language, parse
from indexers.languages import GRAMMARS
from indexers.syntax import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

SEED = 2026
MUTANTS = 400  # a language
LARGEST = 400_000  # bytes of a file


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--show", type=int, default=0, help="functions that break a rule")
    options = parser.parse_args()
    by_language: dict[str, list[str]] = defaultdict(list)
    for folder in options.folders:
        for language, text in functions(folder):
            by_language[language].append(text)
    if options.rows:
        speed(by_language, options.rows)
        return
    real(by_language, options.show)
    broken(by_language)


def functions(folder: Path) -> Iterator[tuple[str, str]]:
    """Every function of more than one line that has a body, as it stands, not indented."""
    for path in sorted(folder.rglob("*")):
        language = detect_language(path.name)
        if language not in GRAMMARS or not path.is_file() or path.stat().st_size > LARGEST:
            continue
        data = path.read_bytes()
        language = detect_language(path.name, data[:8192])
        grammar = GRAMMARS[language]
        stack = [parse(grammar.name, data).root_node]
        while stack:
            node = stack.pop()
            conditional = grammar.role is not None and node.type in grammar.conditional
            role = grammar.role(node) if conditional else grammar.roles.get(node.type)  # type: ignore[misc]
            text = _own_lines(node, data, grammar.wrappers)
            if role in (Role.FUNCTION, Role.TEST) and grammar.body(node) is not None and text:
                yield language, text
            else:
                stack.extend(node.children)


def _own_lines(node: Node, data: bytes, wrappers: frozenset[str]) -> str:
    """The node with what wraps it, from the start of its line; "" where it shares that, or is one
    line."""
    while node.parent is not None and node.parent.type in wrappers:
        node = node.parent
    start = data.rfind(b"\n", 0, node.start_byte) + 1
    if data[start : node.start_byte].strip() or node.start_point.row == node.end_point.row:
        return ""
    try:
        return textwrap.dedent(data[start : node.end_byte].decode())
    except UnicodeDecodeError:
        return ""


def row(text: str, language: str) -> dict[str, Any]:
    asked = f"Write this {language} function: {text.strip().splitlines()[0]}"
    return {
        "prompt": [{"role": "user", "content": asked}],
        "completion": [{"role": "assistant", "content": text}],
        "task": "implement",
        "language": language,
    }


def validator() -> Validator:
    return Validator(Dataset(), (), None)


def real(by_language: dict[str, list[str]], show: int) -> None:
    """Rows that each rule flags, of functions that people wrote."""
    names = [rule.name for rule in validator().rules]
    names = [name for name in names if name not in ("structure", "fields", "tests")]
    print(f"| language | functions | {' | '.join(names)} |")
    print("| --- |" + " --- |" * (len(names) + 1))
    for language, texts in sorted(by_language.items()):
        checker, counts = validator(), Counter[str]()
        draw, shown = Random(SEED), Counter[str]()
        for number, text in enumerate(texts, start=1):
            found = checker.findings(row(text, language), number)
            counts.update({finding.rule for finding in found})
            for finding in found:
                if shown[finding.rule] < show and draw.random() < 0.3:
                    shown[finding.rule] += 1
                    print(f"\n--- {language} {finding}\n{text[:900]}\n", file=sys.stderr)
        cells = [f"{counts[name]} ({counts[name] / len(texts):.2%})" for name in names]
        print(f"| {language} | {len(texts)} | {' | '.join(cells)} |", flush=True)


def broken(by_language: dict[str, list[str]]) -> None:
    """Sound functions made unsound: the share that is an error of some rule."""
    print(
        "\n| language | cut off | found | a bracket lost | found |\n| --- | --- | --- | --- | --- |"
    )
    for language, texts in sorted(by_language.items()):
        draw, cells = Random(SEED), []
        sample = draw.sample(texts, min(MUTANTS, len(texts)))
        for mutate in (_cut, _unbracketed):
            mutants = [mutant for text in sample if (mutant := mutate(text.rstrip(), draw))]
            found = sum(
                any(each.level == "error" for each in validator().findings(row(m, language), 1))
                for m in mutants
            )
            cells += [str(len(mutants)), f"{found / max(1, len(mutants)):.1%}"]
        print(f"| {language} | {' | '.join(cells)} |", flush=True)


def _cut(text: str, draw: Random) -> str:
    return text[: draw.randrange(len(text) // 4, len(text) * 9 // 10)] if len(text) > 40 else ""


def _unbracketed(text: str, draw: Random) -> str:
    brackets = [i for i, char in enumerate(text) if char in "()[]{}"]
    at = draw.choice(brackets) if brackets else 0
    return text[:at] + text[at + 1 :] if brackets else ""


def speed(by_language: dict[str, list[str]], rows: int) -> None:
    """Rows a second of the whole check, and the memory it takes beyond its imports."""
    texts = [(text, language) for language, texts in by_language.items() for text in texts]
    Random(SEED).shuffle(texts)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "train.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for number in range(rows):
                text, language = texts[number % len(texts)]
                data = row(text, language)
                data["prompt"][0]["content"] += f" (variant {number})"
                file.write(json.dumps(data, ensure_ascii=False) + "\n")
        size = path.stat().st_size / 1e6
        reader, writer = os.pipe()
        if child := os.fork():
            os.waitpid(child, 0)
            print("\n" + os.read(reader, 10_000).decode())
            return
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        checker = validator()
        report = check_dataset(
            path, checker, fix=False, on_finding=lambda _p, _f: None, progress=silent
        )
        taken, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        os.write(
            writer,
            f"{report.rows} rows, {size:.0f} MB: {taken:.1f} s ({report.rows / taken:.0f} rows/s), "
            f"{cpu:.1f} s of one core ({report.rows / cpu:.0f} rows/s), {report.failing} with "
            f"errors, {(after.ru_maxrss - before.ru_maxrss) / 1024:.0f} MB above "
            f"{before.ru_maxrss / 1024:.0f} MB\n".encode(),
        )
        os._exit(0)


if __name__ == "__main__":
    main()
