"""The benchmark's task, made from a real repository.

*The first sentence of a function's documentation finds that function, after the documentation has
been removed from the indexed copy.*

From one commit of a repository this module writes a copy without documentation and the queries:

- The copy has the source files of the languages in functions.py and the prose (Markdown,
  reStructuredText, text). Data, lock files, images and other binaries are left out, so that every
  system is given the same bytes, and nearly all of them are worth indexing.
- Documentation of modules, classes and functions is cut from the package code. Tests, examples
  and prose stay as they are, as distractors. Where a prose page quotes a sentence word for word
  it leaks, or distracts, for every system alike.
- A query is the first sentence of a package function's documentation. A sentence that documents
  two functions is dropped, for its answer is ambiguous. A function with nothing but documentation
  in its body is no target.
- An exact-symbol query is the name of a package function, defined once in the repository.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tests.benchmarks.functions import LANGUAGES, Function, ParsedFile, apply_edits, parse
from tests.benchmarks.sentences import first_sentence, normalized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PROSE = frozenset((".md", ".mdx", ".rst", ".txt"))
EXTENSIONS = PROSE | LANGUAGES.keys()
MAX_QUERIES = 400
_NOT_PACKAGE = re.compile(
    r"(?:^|/)(?:tests?|testing|testdata|__tests__|__mocks__|specs?|fixtures|mocks?|docs?|website"
    r"|examples?|_examples|benches|bench\w*|scripts?|tools|vendor|node_modules|dist|lib-test)/"
    r"|(?:^|/)(?:test_[^/]*|conftest|setup|noxfile)\.py$"
    r"|(?:_test\.(?:py|go|rs|[jt]sx?)|[.-](?:test|test-d|spec|bench)\.[jt]sx?|Tests?\.java|\.d\.ts"
    r"|\.min\.js|\.pb\.go|/tests?\.rs)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Query:
    """A question and the one function, in the stripped copy, that answers it."""

    query: str
    path: str
    start_line: int
    end_line: int
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One repository, ready to be indexed and asked."""

    folder: Path
    queries: tuple[Query, ...]
    symbols: tuple[Query, ...]
    functions: dict[str, tuple[Function, ...]]
    documented: int
    left_alone: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Documented:
    """A function of the package: where it stands in the copy, and what was said of it."""

    path: str
    function: Function
    documentation: str


def is_package_code(path: str) -> bool:
    """Whether queries may come from the file: source that is no test, example, tool or document."""
    return _suffix(path) in LANGUAGES and not _NOT_PACKAGE.search(path)


def strip_documentation(source: bytes, language: str) -> tuple[bytes, ParsedFile, ParsedFile]:
    """The source without documentation, and how it parses before and after.

    ValueError when the file cannot be parsed or its functions do not survive the cut unchanged.
    """
    before = parse(source, language)
    stripped = apply_edits(source, before.edits)
    after = parse(stripped, language)
    if [f.symbol for f in before.functions] != [f.symbol for f in after.functions]:
        raise ValueError("cutting the documentation changed the functions")
    return stripped, before, after


def make_task(checkout: Path, folder: Path, *, seed: int = 0, limit: int = MAX_QUERIES) -> Task:
    """Write the stripped copy of `checkout` into `folder` and draw at most `limit` queries."""
    functions: dict[str, tuple[Function, ...]] = {}
    documented: list[_Documented] = []
    left_alone: list[str] = []
    for path in sorted(_wanted_files(checkout)):
        content = (checkout / path).read_bytes()
        language = LANGUAGES.get(_suffix(path))
        if language:
            try:
                if is_package_code(path):
                    content, before, after = strip_documentation(content, language)
                    documented.extend(_documented(path, before, after))
                else:
                    after = parse(content, language)
                functions[path] = after.functions
            except ValueError:
                left_alone.append(path)
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return Task(
        folder=folder,
        queries=_sample(_sentence_queries(documented), seed, limit),
        symbols=_sample(_symbol_queries(functions), seed, limit),
        functions=functions,
        documented=sum(1 for entry in documented if entry.documentation),
        left_alone=tuple(left_alone),
    )


def write_queries(queries: Iterable[Query], path: Path) -> None:
    """One JSON object a line."""
    lines = (json.dumps(asdict(query), ensure_ascii=False) + "\n" for query in queries)
    path.write_text("".join(lines), encoding="utf-8")


def _wanted_files(checkout: Path) -> Iterator[str]:
    for path in checkout.rglob("*"):
        relative = path.relative_to(checkout)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.suffix in EXTENSIONS and path.is_file() and not path.is_symlink() and not hidden:
            yield relative.as_posix()


def _documented(path: str, before: ParsedFile, after: ParsedFile) -> Iterator[_Documented]:
    for old, new in zip(before.functions, after.functions, strict=True):
        yield _Documented(path=path, function=new, documentation=old.documentation)


def _sentence_queries(documented: list[_Documented]) -> list[Query]:
    asked = [
        (first_sentence(entry.documentation, entry.function.name), entry) for entry in documented
    ]
    times = Counter(normalized(sentence) for sentence, _ in asked)
    return [
        _query(sentence, entry.path, entry.function)
        for sentence, entry in asked
        if sentence and times[normalized(sentence)] == 1 and _is_target(entry.function)
    ]


def _symbol_queries(functions: dict[str, tuple[Function, ...]]) -> list[Query]:
    everywhere = [(path, function) for path, found in functions.items() for function in found]
    times = Counter(function.name for _, function in everywhere)
    return [
        _query(function.name, path, function)
        for path, function in everywhere
        if times[function.name] == 1 and is_package_code(path) and _is_target(function)
    ]


def _is_target(function: Function) -> bool:
    """Not an empty body, and not in a Rust file's inline test module."""
    return not function.empty and "tests" not in function.symbol.split(".")


def _query(text: str, path: str, function: Function) -> Query:
    return Query(text, path, function.start_line, function.end_line, function.symbol)


def _sample(queries: list[Query], seed: int, limit: int) -> tuple[Query, ...]:
    if len(queries) <= limit:
        return tuple(queries)
    kept = sorted(random.Random(seed).sample(range(len(queries)), limit))
    return tuple(queries[i] for i in kept)


def _suffix(path: str) -> str:
    return path[path.rfind(".") :] if "." in path else ""
