"""How fast are changes read from git history, beside PyDriller; and do both sides parse?

    python -m tests.benchmarks.history [--repos FOLDER --role dev|report|all --commits 100]

Both read the newest commits of each repository, merges not counted: the functions that they
changed, with the text before and after and the subject, in commits that pass the same filters of
subject and size, in files of the same languages. PyDriller gets the commits by name. Each runs in a
process of its own, in turns, ours first; processor time and memory are those of all its processes.
The changes are then parsed once more by themselves, Python by ``ast``.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexers.commit_messages import clean_message, reason_to_leave_out
from indexers.git_history import (
    MAX_CODE_FILES,
    MAX_FUNCTIONS,
    HistoryReport,
    is_test_path,
    read_changes,
)
from indexers.git_log import MAX_FILES
from tests.benchmarks.checkouts import LIST, TEAMS, listed_repositories
from tests.benchmarks.memory import peak_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.types import Change

EXTENSIONS = frozenset((".py", ".go", ".ts", ".tsx", ".js", ".mjs", ".cjs", ".jsx", ".rs", ".java"))
# What makes a member of a class, an object or an impl parse by itself.
WRAPPERS = {
    "java": ("class X {{\n{}\n}}", "interface X {{\n{}\n}}", "enum X {{ A;\n{}\n}}"),
    "rust": ("{}", "impl X {{\n{}\n}}", "trait X {{\n{}\n}}"),
    "typescript": ("{}", "class X {{\n{}\n}}", "abstract class X {{\n{}\n}}", "x = {{\n{}\n}}",
                   "interface X {{\n{}\n}}"),
}  # fmt: skip
WRAPPERS["javascript"] = WRAPPERS["jsx"] = WRAPPERS["tsx"] = WRAPPERS["typescript"]


def main() -> None:
    """Print one row per repository."""
    parser = argparse.ArgumentParser(description="Changes from git history.")
    parser.add_argument("--repos", type=Path, default=Path("benchmarks"))
    parser.add_argument("--role", choices=("dev", "report", "all"), default="report")
    parser.add_argument("--only", default="")
    parser.add_argument("--commits", type=int, default=100)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--run", choices=("ours", "pydriller"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run = {"ours": run_ours, "pydriller": run_pydriller}[options.run]
        print(json.dumps(run(options.repos, options.commits)))
        return
    print(
        "| repository | kept of changed | PyDriller | wall s | ratio | CPU s | ratio | MB | parse |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    listed = [listed_repositories(options.role, options.only, path) for path in (LIST, TEAMS)]
    for repository in chain.from_iterable(listed):
        folder = options.repos / repository.name
        print(_row(repository.name, folder, options.commits, options.turns), flush=True)


def _row(name: str, folder: Path, commits: int, turns: int) -> str:
    with tempfile.TemporaryDirectory() as scratch:  # PyDriller knows no bare repository by any name
        clone = ["git", "clone", "--quiet", "--shared", "--no-checkout", str(folder), scratch]
        subprocess.run(clone, check=True)
        runs = [
            {run: _in_process(run, Path(scratch), commits) for run in ("ours", "pydriller")}
            for _ in range(turns)
        ]
    ours, theirs = runs[0]["ours"], runs[0]["pydriller"]
    wall, cpu = (
        [sum(turn[run][clock] for turn in runs) / turns for run in ("ours", "pydriller")]
        for clock in ("wall", "cpu")
    )
    return (
        f"| {name} | {ours['pairs']} of {ours['changed']} | {theirs['changed']}"
        f" | {wall[0]:.2f}, {wall[1]:.2f} | {wall[1] / wall[0]:.1f}"
        f" | {cpu[0]:.2f}, {cpu[1]:.2f} | {cpu[1] / cpu[0]:.1f}"
        f" | {ours['megabytes']}, {theirs['megabytes']} | {ours['parsed']}/{ours['pairs']} |"
    )


def _in_process(run: str, folder: Path, commits: int) -> dict[str, Any]:
    arguments = ["--run", run, "--repos", str(folder), "--commits", str(commits)]
    command = [sys.executable, "-m", "tests.benchmarks.history", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def run_ours(repository: Path, commits: int) -> dict[str, Any]:
    """Read, time, and only then parse what was kept."""
    report = HistoryReport()
    with peak_memory() as peak:
        begin = _clocks()
        changes = list(read_changes(repository, count=commits, report=report))
        times = _since(begin)
        megabytes = peak()
    compared = {"function: added", "function: deleted", "function: several of one name"}
    left_out = sum(
        number
        for reason, number in report.left_out.items()
        if reason.startswith("function: ") and reason not in compared
    )
    return times | {
        "pairs": report.pairs,
        "changed": report.pairs + left_out,
        "megabytes": megabytes,
        "parsed": sum(parses(change) for change in changes),
    }


def run_pydriller(repository: Path, commits: int) -> dict[str, Any]:
    """The functions whose text differs, by PyDriller's own parts."""
    from pydriller import Git

    names = _newest(repository, commits)
    with peak_memory() as peak:
        begin = _clocks()
        driller = Git(str(repository))
        changed = sum(1 for _ in _pydriller_pairs(driller, names))
        megabytes = peak()
        driller.clear()  # ends its git processes, so that their time counts
        return _since(begin) | {"changed": changed, "megabytes": megabytes}


def _clocks() -> tuple[float, float]:
    """Wall, and processor of this process and of those it has ended."""
    return time.perf_counter(), sum(os.times()[:4])


def _since(begin: tuple[float, float]) -> dict[str, Any]:
    wall, cpu = _clocks()
    return {"wall": wall - begin[0], "cpu": cpu - begin[1]}


def _newest(repository: Path, commits: int) -> list[str]:
    command = ["git", "-C", str(repository), "rev-list", "--no-merges", f"-n{commits}", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def _pydriller_pairs(driller: Any, names: list[str]) -> Iterator[tuple[str, str, str]]:
    """(subject, before, after) of every function that a commit changed.

    It stops at missing objects and at some TypeScript: such commits are named and left out.
    """
    from git.exc import GitCommandError

    for name in names:
        try:
            yield from _pydriller_commit(driller.get_commit(name))
        except (IndexError, ValueError, GitCommandError) as error:
            print(f"PyDriller left out {name}: {error!r}", file=sys.stderr)


def _pydriller_commit(commit: Any) -> list[tuple[str, str, str]]:
    from pydriller import ModificationType

    message = clean_message(commit.msg)
    if reason_to_leave_out(message) or commit.files > MAX_FILES:
        return []
    files = [
        file
        for file in commit.modified_files
        if file.change_type in (ModificationType.MODIFY, ModificationType.RENAME)
        and Path(file.filename).suffix in EXTENSIONS
    ]
    code = [file for file in files if not is_test_path(file.new_path)]
    if len(files) > MAX_CODE_FILES or (code and not message.is_about_code):
        return []
    found: list[tuple[str, str, str]] = []
    for file in code or files:
        before = _texts(file.methods_before, file.source_code_before)
        for symbol, text in _texts(file.methods, file.source_code).items():
            if symbol in before and before[symbol] != text:
                found.append((message.subject, before[symbol], text))
        if len(found) > MAX_FUNCTIONS:
            return []
    return found


def _texts(methods: list[Any], source: str | None) -> dict[str, str]:
    lines = (source or "").split("\n")
    return {m.name: "\n".join(lines[m.start_line - 1 : m.end_line]) for m in methods}


def parses(change: Change) -> bool:
    """Whether both sides are without error where nothing of ours has a say."""
    return all(_parses(text, change.language) for text in (change.before, change.after))


def _parses(text: str, language: str) -> bool:
    if language == "python":
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(f"if True:\n{text}" if text[0].isspace() else text)
        except (SyntaxError, ValueError):
            return False
        return True
    from tree_sitter_language_pack import get_parser

    grammar = "javascript" if language == "jsx" else language
    parser = get_parser(grammar)  # type: ignore[arg-type]
    for wrapper in WRAPPERS.get(language, ("{}",)):
        if not parser.parse(wrapper.format(text).encode()).root_node.has_error:
            return True
    return False


if __name__ == "__main__":
    main()
