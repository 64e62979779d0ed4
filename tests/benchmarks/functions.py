"""An independent parse: which functions a file has, where they are, and how they are documented.

The benchmark must not judge the hub with the hub's own chunker, so this module shares nothing with
it: Python is read with ``ast``, every other language by walking its tree-sitter tree (grammars.py).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LANGUAGES = {
    ".py": "python",
    ".go": "go",
    ".ts": "typescript",
    ".tsx": "tsx",
    ".js": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".jsx": "javascript",
    ".rs": "rust",
    ".java": "java",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function or method with a body; overload signatures directly above it belong to it.

    Lines are 1-based and inclusive. ``documentation`` is the raw docstring or comment text, and
    ``empty`` says that nothing but documentation is in the body.
    """

    symbol: str
    start_line: int
    end_line: int
    documentation: str = ""
    empty: bool = False

    @property
    def name(self) -> str:
        """The last part of the qualified symbol."""
        return self.symbol.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the bytes [start, end) of a file."""

    start: int
    end: int
    replacement: bytes = b""


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """The functions of a file in order, and the edits that take all its documentation out."""

    functions: tuple[Function, ...]
    edits: tuple[Edit, ...]


def parse(source: bytes, language: str) -> ParsedFile:
    """Read one file; a file that its language cannot parse raises ValueError."""
    if language == "python":
        return _parse_python(source)
    from tests.benchmarks.grammars import parse_with_grammar

    return parse_with_grammar(source, language)


def apply_edits(source: bytes, edits: tuple[Edit, ...]) -> bytes:
    """Apply the edits; one that removes all a line holds takes the whole line with it."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        start, end = (edit.start, edit.end) if edit.replacement else _whole_lines(source, edit)
        source = source[:start] + edit.replacement + source[end:]
    return source


def _whole_lines(source: bytes, edit: Edit) -> tuple[int, int]:
    line_start = source.rfind(b"\n", 0, edit.start) + 1
    line_end = source.find(b"\n", edit.end)
    line_end = len(source) if line_end < 0 else line_end + 1
    around = source[line_start : edit.start] + source[edit.end : line_end]
    return (edit.start, edit.end) if around.strip() else (line_start, line_end)


def _parse_python(source: bytes) -> ParsedFile:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"not valid Python: {error}") from error
    functions = sorted(_python_functions(tree, ""), key=lambda f: (f.start_line, -f.end_line))
    line_starts = [0]
    for line in source.splitlines(keepends=True):
        line_starts.append(line_starts[-1] + len(line))
    nodes = (n for n in ast.walk(tree) if isinstance(n, _DOCUMENTED))
    edits = [_docstring_edit(node, line_starts) for node in nodes if _docstring(node)]
    return ParsedFile(tuple(functions), tuple(edits))


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _python_functions(parent: ast.AST, scope: str) -> Iterator[Function]:
    """Functions in and below `parent`; ``@overload`` stubs join the definition they precede."""
    first_line: dict[str, int] = {}
    for node in ast.iter_child_nodes(parent):
        if not isinstance(node, (*_FUNCTION, ast.ClassDef)):
            yield from _python_functions(node, scope)
            continue
        symbol = f"{scope}.{node.name}" if scope else node.name
        if isinstance(node, _FUNCTION):
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if any(ast.unparse(d).endswith("overload") for d in node.decorator_list):
                first_line.setdefault(symbol, start)
                continue
            yield Function(
                symbol=symbol,
                start_line=first_line.pop(symbol, start),
                end_line=node.end_lineno or node.lineno,
                documentation=ast.get_docstring(node) or "",
                empty=all(_is_filler(statement) for statement in node.body),
            )
        yield from _python_functions(node, symbol)


def _is_filler(statement: ast.stmt) -> bool:
    """Whether the statement is a docstring, ``...`` or ``pass``."""
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass)


def _docstring(node: _Documented) -> ast.Expr | None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return first if isinstance(first.value.value, str) else None
    return None


def _docstring_edit(node: _Documented, line_starts: list[int]) -> Edit:
    """Cut the docstring; a body that consists of it, or shares its line, keeps ``...`` instead."""
    docstring = _docstring(node)
    assert docstring is not None
    assert docstring.end_lineno is not None
    assert docstring.end_col_offset is not None
    start = line_starts[docstring.lineno - 1] + docstring.col_offset
    end = line_starts[docstring.end_lineno - 1] + docstring.end_col_offset
    if isinstance(node, ast.Module):
        return Edit(start, end)
    shares_line = any(
        following.lineno == previous.end_lineno for previous, following in pairwise(node.body[:2])
    )
    opens_on_same_line = docstring.lineno == node.lineno
    keep = len(node.body) == 1 or shares_line or opens_on_same_line
    return Edit(start, end, b"..." if keep else b"")
