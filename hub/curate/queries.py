"""tree-sitter queries over snippets of code, compiled once a language."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

from hub.syntax import PROSE, parse

if TYPE_CHECKING:
    from tree_sitter import Language, Node
    from tree_sitter_language_pack import SupportedLanguage

_GRAMMARS = {"jsx": "javascript"}  # languages without a grammar of their own


def root_of(text: str, language: str) -> Node | None:
    """The root of ``text``'s syntax tree; None for prose."""
    return None if language in PROSE else parse(text, _GRAMMARS.get(language, language))


def matches(node: Node, language: str, query: str) -> list[dict[str, list[Node]]]:
    """The nodes that ``query`` captures below ``node``, by capture name, a match an entry."""
    from tree_sitter import QueryCursor

    return [found for _, found in QueryCursor(_compiled(language, query)).matches(node)]


@functools.cache
def known_kinds(language: str, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Those of ``kinds`` that the language's grammar has as named nodes."""
    grammar = _grammar(language)
    return tuple(kind for kind in kinds if grammar.id_for_node_kind(kind, True) is not None)


@functools.cache
def _compiled(language: str, query: str) -> Any:
    from tree_sitter import Query

    return Query(_grammar(language), query)


def _grammar(language: str) -> Language:
    from tree_sitter_language_pack import get_language

    grammar: Language = get_language(cast("SupportedLanguage", _GRAMMARS.get(language, language)))
    return grammar
