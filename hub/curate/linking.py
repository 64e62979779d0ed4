"""Which tests exercise which functions and classes, by what their own frames call.

    links = link_tests(patterns)
    links[pattern.id]  # ids of its tests, best first

pytest, unittest, vitest and jest, go test, JUnit. A name is resolved through imports, fixtures and
the types of receivers (calls.py); one that could be two things links to nothing.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from hub.curate.calls import Calls
from hub.curate.modules import FAMILIES, Project
from hub.words import split_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub.curate.calls import Use
    from hub.types import Pattern

_FOLDERS = {"test", "tests", "__tests__", "spec", "e2e"}
_FILES = {
    "python": re.compile(r"test_.*|.*_tests?|tests?|conftest"),
    "javascript": re.compile(r".*[.-](test|spec|test-d|spec-d)"),
    "go": re.compile(r".*_test"),
    "java": re.compile(r"Test.*|.*(Test|Tests|TestCase|IT)"),
}
_NAMES = {
    "python": re.compile(r"test"),
    "go": re.compile(r"(Test|Benchmark|Fuzz|Example)(?![a-z])"),
    "java": re.compile(r"test"),
}
_JUNIT = re.compile(r"^\s*@\w*Test\b", re.MULTILINE)


def in_test_file(pattern: Pattern) -> bool:
    """Whether the file is there for tests, by its folders and its language's conventions."""
    family = FAMILIES.get(pattern.language)
    *folders, name = pattern.path.split("/")
    if family is not None and _FILES[family].fullmatch(name.rpartition(".")[0]):
        return True
    return family != "go" and not _FOLDERS.isdisjoint(folders)


def is_test(pattern: Pattern) -> bool:
    """Whether the pattern is one test; of a test in parts, the first."""
    if pattern.part > 1 or (pattern.kind != "test" and not in_test_file(pattern)):
        return False
    if pattern.kind == "test":
        return not posixpath.splitext(pattern.path)[0].endswith("-d")  # of types alone: never run
    names = _NAMES.get(pattern.language)
    if names is None or pattern.kind == "class":
        return False
    name = pattern.symbol.rpartition(".")[2]
    return bool(names.match(name) or (pattern.language == "java" and _JUNIT.search(pattern.text)))


def link_tests(patterns: Iterable[Pattern]) -> dict[str, tuple[str, ...]]:
    """Ids of functions, methods and classes to the ids of the tests that exercise them.

    Best first: tests named for the pattern, then those that call the least beside it. A pattern in
    parts is linked by all of them, a test in parts by its first. Sources are taken one by one.
    """
    projects: dict[tuple[str, str], list[Pattern]] = defaultdict(list)
    for pattern in patterns:
        if family := FAMILIES.get(pattern.language):
            projects[pattern.source, family].append(pattern)
    links: dict[str, tuple[str, ...]] = {}
    for source, family in sorted(projects):
        links |= _link_project(Project(family, projects[source, family]))
    return links


def _link_project(project: Project) -> dict[str, tuple[str, ...]]:
    calls = Calls(project)
    found: dict[str, list[tuple[tuple[bool, int, str, int], str]]] = defaultdict(list)
    for path in sorted(project.files):
        for test in project.files[path]:
            uses = dict.fromkeys(calls.of(test)) if is_test(test) else ()
            exercised = {p.id: p for use in uses for p in _exercised(project, use)}
            for target in exercised.values():
                rank = (not _is_named_for(test, target), len(exercised), path, test.start_byte)
                found[target.id].append((rank, test.id))
    return {key: tuple(test for _, test in sorted(found[key])) for key in sorted(found)}


def _exercised(project: Project, use: Use) -> list[Pattern]:
    """The patterns that a call runs: of a class its constructor too; none where it is not sure."""
    constructors = ("__init__", "constructor", use.symbol.rpartition(".")[2])
    exercised: list[Pattern] = []
    for symbol in (use.symbol, *(f"{use.symbol}.{name}" for name in constructors)):
        choices = project.choices(use.module, symbol)
        groups = [group for group in choices if not in_test_file(group[0])]
        if len(groups) > 1:
            groups = [g for g in groups if _arity(g[0].signature) == use.arguments]
        if len(groups) == 1:
            exercised += groups[0]
    return exercised


def _arity(signature: str) -> int:
    """How many parameters a signature without defaults has."""
    inner = re.sub(r"<[^<>]*>|\[[^\[\]]*\]", "", signature.partition("(")[2].rpartition(")")[0])
    return inner.count(",") + 1 if inner.strip() else 0


def _is_named_for(test: Pattern, target: Pattern) -> bool:
    """Whether the words of the pattern's name stand together in the test's."""
    wanted = split_words(target.symbol.rpartition(".")[2])
    words = split_words(f"{posixpath.basename(test.path)} {test.symbol}")
    return f" {' '.join(wanted)} " in f" {' '.join(words)} "
