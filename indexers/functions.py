"""The functions of one file as two versions of it are compared: by symbol, text and tokens.

Where a function begins and what it is called is the chunker's decision (outline.py); here it is
kept whole, with its syntax tree, whatever its length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexers.code import parse
from indexers.languages import GRAMMARS
from indexers.outline import outline
from indexers.spans import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node, Tree

_KINDS = {"function", "method", "test"}
_CLOSERS = frozenset(")]}>")
_SEMICOLON_IS_STYLE = {"javascript", "jsx", "typescript", "tsx"}
_QUOTE = re.compile(r"[A-Za-z]{0,2}'")
_WORD_OR_SIGN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function with its decorators and the comments that belong to it.

    ``start`` and ``end`` are byte offsets in ``data``, the whole file.
    """

    symbol: str
    kind: str
    language: str
    signature: str
    data: bytes
    start: int
    end: int
    node: Node

    @property
    def code(self) -> bytes:
        return self.data[self.start : self.end]

    @property
    def text(self) -> str:
        return self.code.decode("utf-8").rstrip()

    @property
    def line(self) -> int:
        """The 1-based line of the first byte of ``text``."""
        return self.data.count(b"\n", 0, self.start) + 1

    @property
    def parses(self) -> bool:
        """Whether the grammar understood all of it."""
        return not any(node.has_error for node in self.nodes)

    @property
    def name(self) -> str:
        """The last part of the qualified symbol."""
        return re.split(r"[.>\s]+", self.symbol)[-1]

    @property
    def nodes(self) -> list[Node]:
        """The definition, after the attributes that some grammars put beside it."""
        nodes = [self.node]
        while (before := nodes[0].prev_sibling) is not None and before.start_byte >= self.start:
            nodes.insert(0, before)
        return nodes


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """One version of a file: its functions in order, outermost only."""

    data: bytes
    language: str
    tree: Tree
    functions: list[Function]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a function says, without comments, documentation and layout."""

    texts: tuple[str, ...]
    identifiers: frozenset[str]


def parse_file(data: bytes, language: str, like: ParsedFile | None = None) -> ParsedFile:
    """The functions of a file, which is UTF-8; ``like``, another version of it, saves time.

    Raises:
        HubError: the language's grammar cannot be loaded.
    """
    grammar = GRAMMARS[language]
    known = (like.data, like.tree) if like and like.language == language else None
    tree = parse(grammar.name, data, known)
    spans = outline(Source(data, max_chars=1), grammar, tree.root_node)  # nothing is cut here
    found = [
        Function(
            symbol=span.symbol,
            kind=span.kind,
            language=language,
            signature=span.signature,
            data=data,
            start=span.start,
            end=span.nodes[-1].end_byte,
            node=span.nodes[-1],
        )
        for span in spans
        if span.kind in _KINDS and span.symbol
    ]
    return ParsedFile(data, language, tree, found)


def tokens(function: Function) -> Tokens:
    """The function's tokens, so that reformatting it or documenting it changes nothing.

    Left out: comments, docstrings, white space, trailing commas, the kind of quotes, and the
    semicolons of JavaScript. Python's blocks count: indentation is no white space there.
    """
    found = [token for node in function.nodes for token in _leaves(node, function.language)]
    texts = [_plain(text) for text, _ in found]
    following = [*texts[1:], ""]
    style = ";" if function.language in _SEMICOLON_IS_STYLE else ""
    kept = (
        text
        for text, after in zip(texts, following, strict=True)
        if not (text == "," and after in _CLOSERS) and text != style
    )
    return Tokens(tuple(kept), frozenset(text for text, is_name in found if is_name))


def signature_tokens(function: Function) -> list[str]:
    """The signature without layout; a trailing comma is layout."""
    words = _WORD_OR_SIGN.findall(function.signature)
    following = [*words[1:], ""]
    return [
        word
        for word, after in zip(words, following, strict=True)
        if not (word == "," and after in _CLOSERS)
    ]


def _plain(text: str) -> str:
    return text.replace("'", '"') if len(text) <= 3 and _QUOTE.fullmatch(text) else text


def _leaves(top: Node, language: str) -> Iterator[tuple[str, bool]]:
    """(text, whether it is an identifier) of every leaf, and of what lies between leaves.

    A string's text lies between its escape sequences and belongs to no leaf of its own.
    """
    data = top.text or b""
    comments = GRAMMARS[language].comments
    has_blocks = language == "python"
    position = base = top.start_byte
    cursor = top.walk()
    while True:
        node = cursor.node
        if node is None:
            return
        is_skipped = node.type in comments or (has_blocks and _is_docstring(node))
        if not is_skipped and cursor.goto_first_child():
            if has_blocks and node.type == "block":
                yield "{", False
            continue
        between = data[position - base : node.start_byte - base]
        if between and not between.isspace():
            yield between.decode("utf-8", "replace"), False
        position = node.end_byte
        if not is_skipped and node.end_byte > node.start_byte:
            text = data[node.start_byte - base : node.end_byte - base]
            yield text.decode("utf-8", "replace"), node.type.endswith("identifier")
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            if has_blocks and cursor.node is not None and cursor.node.type == "block":
                yield "}", False


def _is_docstring(node: Node) -> bool:
    """A string that stands as a statement does nothing."""
    if node.type not in ("string", "concatenated_string"):
        return False
    return node.parent is not None and node.parent.type in ("block", "expression_statement")
