"""Snippets of code: a function or a class on its own, cut out of its file."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node
    from tree_sitter_language_pack import SupportedLanguage

PROSE = frozenset({"text", "markdown", "restructuredtext"})  # languages without a grammar
_CLOSER = re.compile(r"[\s})\];,]+|end")


def definition(text: str) -> str:
    """A chunk as it would stand alone: not indented, without the closing of what is around it.

    The last chunk of a class or a block carries their closing brackets, for chunks partition a
    file. They are told by their lines: nothing else on them, and indented less than the definition.
    """
    lines = text.removeprefix("\ufeff").strip("\n").rstrip().splitlines()
    edge = _indent(lines[0]) if lines else 0
    while len(lines) > 1 and _closes(lines[-1], edge):
        lines.pop()
    return textwrap.dedent("\n".join(lines))


def parse(text: str, language: str) -> Node | None:
    """The root of ``text``'s syntax tree, its offsets in UTF-8 bytes; None for prose."""
    from tree_sitter import Parser
    from tree_sitter_language_pack import get_language

    if language in PROSE:
        return None
    grammar = get_language(cast("SupportedLanguage", language))
    return Parser(grammar).parse(text.encode(errors="replace")).root_node


def walk(node: Node) -> Iterator[Node]:
    """The node and all under it, in the order of the text; a deep tree needs no deep stack."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


def _closes(line: str, edge: int) -> bool:
    return not line.strip() or (bool(_CLOSER.fullmatch(line.strip())) and _indent(line) < edge)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
