"""Functions and documentation comments of Go, TypeScript, JavaScript, Rust and Java.

The walk is ours and small: it knows which nodes are functions, which open a named scope, and that
a documentation comment stands directly above what it documents.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tests.benchmarks.functions import Edit, Function, ParsedFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node, Parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """What the walk has to know of a language, in its grammar's node names."""

    functions: frozenset[str]
    signatures: frozenset[str] = frozenset()
    scopes: frozenset[str]
    between: frozenset[str] = frozenset()  # may stand between a comment and its function
    comment: re.Pattern[str]


_BLOCK = re.compile(r"/\*\*(?!/)")
_SCRIPT = Grammar(
    functions=frozenset(
        ("function_declaration", "generator_function_declaration", "method_definition")
    ),
    signatures=frozenset(("function_signature", "method_signature")),
    scopes=frozenset(("class_declaration", "abstract_class_declaration", "internal_module")),
    between=frozenset(("decorator", ";")),
    comment=_BLOCK,
)
GRAMMARS = {
    "typescript": _SCRIPT,
    "tsx": _SCRIPT,
    "javascript": _SCRIPT,
    "go": Grammar(
        functions=frozenset(("function_declaration", "method_declaration")),
        scopes=frozenset(),
        comment=re.compile(r"//(?!go:|nolint|\s*\+build)|/\*"),
    ),
    "rust": Grammar(
        functions=frozenset(("function_item",)),
        scopes=frozenset(("impl_item", "trait_item", "mod_item")),
        between=frozenset(("attribute_item",)),
        comment=re.compile(r"//[/!](?!/)|/\*[*!](?!/)"),
    ),
    "java": Grammar(
        functions=frozenset(("method_declaration", "constructor_declaration")),
        scopes=frozenset(
            f"{kind}_declaration" for kind in ("class", "interface", "enum", "record")
        ),
        comment=_BLOCK,
    ),
}
_COMMENTS = frozenset(("comment", "line_comment", "block_comment"))
_FUNCTION_VALUES = frozenset(("arrow_function", "function_expression", "generator_function"))
_HOLDERS = {  # a node that binds a name to a function value: its name and value fields
    "variable_declarator": ("name", "value"),
    "assignment_expression": ("left", "right"),
    "pair": ("key", "value"),
    "public_field_definition": ("name", "value"),
    "field_definition": ("property", "value"),
}


def parse_with_grammar(source: bytes, language: str) -> ParsedFile:
    """Functions in order of their first line, and edits for every documentation comment."""
    grammar = GRAMMARS[language]
    root = _parser(language).parse(source).root_node
    functions = sorted(_functions(root, grammar), key=lambda f: (f.start_line, -f.end_line))
    comments = _attached_comments(root, grammar) if language == "go" else _all_comments(root)
    edits = (
        Edit(node.start_byte, node.start_byte + len(_bytes(node).rstrip()))
        for node in comments
        if grammar.comment.match(_text(node))
    )
    return ParsedFile(tuple(functions), tuple(edits))


@cache
def _parser(language: str) -> Parser:
    from tree_sitter_language_pack import get_parser

    parser: Parser = get_parser(language)
    return parser


def _functions(root: Node, grammar: Grammar) -> Iterator[Function]:
    stack = [(root, "")]
    while stack:
        parent, scope = stack.pop()
        comments: list[Node] = []
        overloads: list[tuple[str, Node, str]] = []
        for child in parent.named_children:
            if child.type in _COMMENTS:
                comments.append(child)
                continue
            if child.type in grammar.between:
                continue
            name, node = _named(_unwrap(child), grammar)
            documentation = _documentation(comments, child, grammar)
            comments = []
            if node is not None and node.type in grammar.signatures:
                overloads = [o for o in overloads if o[0] == name]
                overloads.append((name, child, documentation))
                continue
            symbol = ".".join(part for part in (scope, name) if part)
            if node is not None and node.type not in grammar.scopes and name:
                group = [o for o in overloads if o[0] == name]
                first = group[0][1] if group else child
                yield Function(
                    symbol=symbol,
                    start_line=first.start_point[0] + 1,
                    end_line=_last_line(child),
                    documentation=next((o[2] for o in group if o[2]), documentation),
                    empty=_is_empty(node),
                )
            overloads = []
            stack.append((node or child, symbol))


def _unwrap(node: Node) -> Node:
    """The declaration inside ``export``, ``const x = ...`` or an expression statement."""
    while True:
        inner = None
        if node.type == "export_statement":
            inner = node.child_by_field_name("declaration")
        elif node.type in ("lexical_declaration", "variable_declaration", "expression_statement"):
            inner = node.named_children[0] if node.named_child_count == 1 else None
        if inner is None:
            return node
        node = inner


def _named(node: Node, grammar: Grammar) -> tuple[str, Node | None]:
    """The name and node of a function, signature or scope; ("", None) for anything else."""
    if node.type in _HOLDERS:
        name_field, value_field = _HOLDERS[node.type]
        value = node.child_by_field_name(value_field)
        if value is not None and value.type in _FUNCTION_VALUES:
            return _identifier(node.child_by_field_name(name_field)), value
    elif node.type in grammar.functions:
        if node.child_by_field_name("body") is not None:
            receiver = _receiver(node.child_by_field_name("receiver"))
            return receiver + _identifier(node.child_by_field_name("name")), node
    elif node.type in grammar.signatures:
        return _identifier(node.child_by_field_name("name")), node
    elif node.type in grammar.scopes:
        field = "type" if node.type == "impl_item" else "name"
        return _identifier(node.child_by_field_name(field)), node
    return "", None


def _identifier(node: Node | None) -> str:
    """``module.exports.name`` and ``Name<T>`` give ``name`` and ``Name``."""
    if node is None:
        return ""
    words = re.findall(r"[\w$#]+", re.sub(r"<.*", "", _text(node), flags=re.DOTALL))
    return words[-1] if words else ""


def _receiver(node: Node | None) -> str:
    """``(c *Context[T])`` of a Go method gives ``Context.``."""
    match = re.search(r"(\w+)\s*(?:\[[^\]]*\])?\s*\)$", _text(node)) if node is not None else None
    return f"{match[1]}." if match else ""


def _documentation(comments: list[Node], unit: Node, grammar: Grammar) -> str:
    """The text of the documentation comments that end on the line above `unit`."""
    texts: list[str] = []
    below = unit.start_point[0]
    between = unit.prev_named_sibling
    while between is not None and between.type in grammar.between:
        below, between = between.start_point[0], between.prev_named_sibling
    for comment in reversed(comments):
        if _last_line(comment) < below or not grammar.comment.match(_text(comment)):
            break
        texts.append(_text(comment).rstrip())
        below = comment.start_point[0]
    return "\n".join(reversed(texts))


def _attached_comments(root: Node, grammar: Grammar) -> Iterator[Node]:
    """Go marks documentation by place alone: comments directly above a top-level declaration."""
    group: list[Node] = []
    for child in root.named_children:
        if child.type in _COMMENTS:
            detached = group and _last_line(group[-1]) < child.start_point[0]
            group = [child] if detached else [*group, child]
            continue
        if group and _last_line(group[-1]) >= child.start_point[0]:
            yield from group
        group = []


def _all_comments(root: Node) -> Iterator[Node]:
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type in _COMMENTS:
            yield node
        else:
            stack.extend(node.named_children)


def _is_empty(node: Node) -> bool:
    body = node.child_by_field_name("body")
    return body is None or all(child.type in _COMMENTS for child in body.named_children)


def _last_line(node: Node) -> int:
    """1-based; Rust's line comments end at the first column of the line below."""
    row, column = node.end_point
    return row if column == 0 else row + 1


def _bytes(node: Node) -> bytes:
    return node.text or b""


def _text(node: Node) -> str:
    return _bytes(node).decode(errors="replace")
