"""What documentation says, and code without it."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.types import Pattern

_HASH_COMMENTS = {"python", "ruby", "bash", "php"}
_ATTRIBUTE = re.compile(r"\s*(?:@\w|#!?\[|\[\w)")
_LINE_COMMENT = re.compile(r"\s*(?://|--)")
_HASH_COMMENT = re.compile(r"\s*#(?!\[)")
_BLOCK_COMMENT = re.compile(r"\s*/\*.*?\*/[ \t]*\n?", re.DOTALL)
SENTENCE = re.compile(r"(.+?[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bvs\.)(?=\s|$)", re.DOTALL)
_SECTION_LINE = re.compile(r"\s*(?:@\w|:\w[\w ]*:|>>>|```|\.\. |#|[-=~^]{3,}|\w+:\s*$)")
_MARKUP = (
    (re.compile(r"\{@\w+\s+([^}]*)\}"), r"\1"),
    (re.compile(r":[\w:+.-]+:`[~!.]?([^`<]*?)(?:\s*<[^`]*>)?`"), r"\1"),
    (re.compile(r"!?\[`?([^\]`]*)`?\](?:\([^)]*\)|\[[^\]]*\])?"), r"\1"),
    (re.compile(r"[`*]+|</?\w+[^>]*>"), " "),
)
_NO_DESCRIPTION = re.compile(
    r"(?i)deprecated|inherit|see\b|same as\b|alias\b|todo\b|internal\b|overrid|auto-?generated"
)


def first_sentence(documentation: str, name: str) -> str:
    """The sentence that says what ``name`` does, in plain words; "" where none does."""
    lines: list[str] = []
    for line in documentation.strip().splitlines():
        if not line.strip() or _SECTION_LINE.match(line):
            break
        lines.append(line.strip())
    text = plain(" ".join(lines))
    match = SENTENCE.match(text)
    sentence = re.sub(
        rf"^(?:(?:the|an?)\s+)?{re.escape(name)}\b(?:\(\))?\s*", "", match[1] if match else text
    ).strip(" .:-")
    return "" if _NO_DESCRIPTION.match(sentence) else sentence


def undocumented(pattern: Pattern) -> Pattern | None:
    """The pattern without its documentation; None where that cannot be cut out."""
    text = _without_comments_above(pattern.text, pattern.language)
    if pattern.language == "python":
        bare = _without_docstring(text)
        if bare is None:
            return None
        text = bare
    opening = " ".join(pattern.docstring.split()[:6])
    if opening and opening in " ".join(text.split()):
        return None  # it stands somewhere else too, and would give the answer away
    return replace(pattern, text=text, docstring="")


def plain(text: str) -> str:
    """Prose without its markup, on one line."""
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def _without_comments_above(text: str, language: str) -> str:
    """Comments before the definition go; attributes and decorators among them stay."""
    kept = ""
    while text:
        if block := _BLOCK_COMMENT.match(text):
            text = text[block.end() :]
            continue
        line, end, rest = text.partition("\n")
        comment = _HASH_COMMENT if language in _HASH_COMMENTS else _LINE_COMMENT
        if comment.match(line) or _LINE_COMMENT.match(line):
            text = rest
        elif not line.strip() or (_ATTRIBUTE.match(line) and rest):
            kept, text = kept + line + end, rest
        else:
            break
    return (kept + text).lstrip("\n")


def _without_docstring(text: str) -> str | None:
    """A Python function without the string that opens its body."""
    source = textwrap.dedent(text)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    node = tree.body[0] if tree.body else None
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or len(node.body) < 2:
        return None
    first = node.body[0]
    if ast.get_docstring(node) is None or node.body[1].lineno == first.end_lineno:
        return None
    lines = source.splitlines(keepends=True)
    return "".join(lines[: first.lineno - 1] + lines[first.end_lineno or first.lineno :])
