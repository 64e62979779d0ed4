"""How fast are pairs read from git history, beside PyDriller; and do both sides of them parse?

    python -m tests.benchmarks.history [--repos FOLDER --role dev|report|all --commits 300]

Both read the newest commits of each repository, merges not counted: the functions that they
changed, with the text before and after and the subject, in commits that pass the same filters of
subject and size, in files of the same languages. PyDriller gets the commits by name. Each runs in a
process of its own, one after the other; memory is that of all its processes. Pairs are parsed once
more by themselves, Python by ``ast``.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexers.commit_messages import clean_message, reason_to_leave_out
from indexers.function_pairs import Bounds
from indexers.git_history import HistoryReport, read_changes
from indexers.intents import is_test
from tests.benchmarks.checkouts import listed_repositories
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
    parser = argparse.ArgumentParser(description="Pairs from git history.")
    parser.add_argument("--repos", type=Path, default=Path("benchmarks"))
    parser.add_argument("--role", choices=("dev", "report", "all"), default="report")
    parser.add_argument("--only", default="")
    parser.add_argument("--commits", type=int, default=300)
    parser.add_argument("--run", choices=("ours", "pydriller"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run = {"ours": run_ours, "pydriller": run_pydriller}[options.run]
        print(json.dumps(run(options.repos, options.commits)))
        return
    print(
        "| repository | commits | functions, ours | s | MB | PyDriller | s | MB | ratio | parse |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for repository in listed_repositories(options.role, options.only):
        print(_row(repository.name, options.repos / repository.name, options.commits), flush=True)


def _row(name: str, folder: Path, commits: int) -> str:
    with tempfile.TemporaryDirectory() as scratch:  # PyDriller knows no bare repository by any name
        clone = ["git", "clone", "--quiet", "--shared", "--no-checkout", str(folder), scratch]
        subprocess.run(clone, check=True)
        ours, theirs = (_in_process(run, Path(scratch), commits) for run in ("ours", "pydriller"))
    ratio = theirs["seconds"] / ours["seconds"]
    sides = f"{ours['parsed']}/{ours['pairs']}"
    return (
        f"| {name} | {ours['commits']} | {ours['pairs']} kept of {ours['changed']}"
        f" | {ours['seconds']:.2f} | {ours['megabytes']} | {theirs['changed']}"
        f" | {theirs['seconds']:.2f} | {theirs['megabytes']} | {ratio:.1f} | {sides} |"
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
        begin = time.perf_counter()
        changes = list(read_changes(repository, max_commits=commits, report=report))
        seconds = time.perf_counter() - begin
        megabytes = peak()
    compared = ("function added", "function deleted", "several of this name")
    left_out = sum(n for reason, n in report.functions_left_out.items() if reason not in compared)
    return {
        "commits": report.commits,
        "pairs": report.pairs,
        "changed": report.pairs + left_out,
        "seconds": seconds,
        "megabytes": megabytes,
        "parsed": sum(parses(change) for change in changes),
    }


def run_pydriller(repository: Path, commits: int) -> dict[str, Any]:
    """The functions whose text differs, by PyDriller's own parts."""
    names = _newest(repository, commits)
    with peak_memory() as peak:
        begin = time.perf_counter()
        changed = sum(1 for _ in _pydriller_pairs(repository, names))
        seconds = time.perf_counter() - begin
        return {"changed": changed, "seconds": seconds, "megabytes": peak()}


def _newest(repository: Path, commits: int) -> list[str]:
    command = ["git", "-C", str(repository), "rev-list", "--no-merges", f"-n{commits}", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def _pydriller_pairs(repository: Path, names: list[str]) -> Iterator[tuple[str, str, str]]:
    """(subject, before, after) of every function that a commit changed."""
    from pydriller import Git, ModificationType

    modified = {ModificationType.MODIFY, ModificationType.RENAME}
    bounds = Bounds()
    driller = Git(str(repository))
    for name in names:
        commit = driller.get_commit(name)
        message = clean_message(commit.msg)
        if reason_to_leave_out(message) or commit.files > bounds.all_files:
            continue
        files = [
            file
            for file in commit.modified_files
            if file.change_type in modified and Path(file.filename).suffix in EXTENSIONS
        ]
        if len(files) > bounds.files:
            continue
        code = [file for file in files if not is_test(file.new_path)]
        for file in code or files:
            before = _texts(file.methods_before, file.source_code_before)
            for symbol, text in _texts(file.methods, file.source_code).items():
                if symbol in before and before[symbol] != text:
                    yield message.subject, before[symbol], text


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
                ast.parse(textwrap.dedent(text))
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
