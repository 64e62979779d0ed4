"""A walk over a syntax tree that says where each definition and each stretch of glue begins."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from indexers import comments
from indexers.spans import Source, Span
from indexers.syntax import Role, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tree_sitter import Node

    from indexers.languages import Grammar

    Ranges = Sequence[tuple[int, int]]

MAX_DEPTH = 50
MAX_SIGNATURE = 300
_WRAPPER_HOPS = 3
_ANNOTATIONS = (
    "decorator",
    "annotation",
    "marker_annotation",
    "attribute",
    "attribute_list",
)
_COMMENTS = ("comment", "line_comment", "block_comment", "multiline_comment")
_DECORATORS = frozenset((*_ANNOTATIONS, *_COMMENTS, "attribute_item", "attribute_declaration"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """Where the walk is: how names are qualified, and what members and glue are called there."""

    prefix: str = ""
    separator: str = "."
    in_class: bool = False
    member_kind: str = "function"
    signature: str = ""
    depth: int = 0

    def qualify(self, name: str, separator: str = ".") -> str:
        """``name`` within the scope; the scope's own prefix where there is no name."""
        if not (self.prefix and name):
            return self.prefix or name
        return f"{self.prefix}{max(separator, self.separator, key=len)}{name}"


def outline(
    source: Source, grammar: Grammar, root: Node, within: Ranges | None = None
) -> list[Span]:
    """The spans of a file in order: definitions with what belongs to them, and glue between.

    What touches none of the byte ranges ``within`` is left out.
    """
    walk = _Walk(source, grammar, within)
    walk.members(root.named_children, _Scope())
    return walk.spans or [Span(start=0, kind="module", glue=True)]


class _Walk:
    """The spans found so far, and the comments and attributes waiting for a definition."""

    def __init__(self, source: Source, grammar: Grammar, within: Ranges | None) -> None:
        self.source = source
        self.grammar = grammar
        self.within = within
        self.spans: list[Span] = []
        self.lead: list[Node] = []

    def members(self, nodes: list[Node], scope: _Scope) -> None:
        self._through(nodes, scope)
        self._flush_lead(scope)

    def _through(self, nodes: list[Node], scope: _Scope) -> None:
        for node in nodes if self.within is None else self._touched(nodes, self.within):
            self._visit(node, scope)

    def _touched(self, nodes: list[Node], within: Ranges) -> list[Node]:
        """Those that touch one of the ranges, whole with what leads up to them."""
        kept: list[Node] = []
        done = 0
        for start, end in within:
            first = bisect_left(nodes, start, lo=done, key=lambda node: node.end_byte)
            last = bisect_right(nodes, end, lo=first, key=lambda node: node.start_byte)
            while first > done and self._leads_up(nodes[first - 1]):
                first -= 1
            while first < last < len(nodes) and self._leads_up(nodes[last - 1]):
                last += 1
            kept += nodes[first:last]
            done = last
        return kept

    def _leads_up(self, node: Node) -> bool:
        """Comments, attributes and declarations of overloads belong to what follows."""
        if self._is_lead(node):
            return True
        found = self._definitions(node, _WRAPPER_HOPS)
        return any(
            role is Role.FUNCTION and self.grammar.body(inner) is None for role, inner in found
        )

    def _visit(self, node: Node, scope: _Scope) -> None:
        if self._is_lead(node):
            if self._begins_line(node):  # a trailing comment stays with its line
                self.lead.append(node)
            return
        found = self._definitions(node, _WRAPPER_HOPS) if scope.depth < MAX_DEPTH else []
        deeper = replace(scope, depth=scope.depth + 1) if found else scope
        if not found:
            self._glue(node, scope)
        elif len(found) > 1:
            self._glue_header(node, scope)
            self._through(node.named_children, deeper)
        elif found[0][0] is Role.TRANSPARENT:
            self._glue_header(node, scope)
            self._through(found[0][1].named_children, deeper)
        else:
            self._define(*found[0], node, deeper)

    def _is_lead(self, node: Node) -> bool:
        return node.type in self.grammar.comments or node.type in self.grammar.attributes

    def _definitions(self, node: Node, hops: int) -> list[tuple[Role, Node]]:
        """The node itself if it has a role, else what it wraps."""
        grammar = self.grammar
        if grammar.role is not None and node.type in grammar.conditional:
            role = grammar.role(node)
        else:
            role = grammar.roles.get(node.type)
        if role is not None:
            return [(role, node)]
        if node.type not in grammar.wrappers or not hops:
            return []
        found = [self._definitions(child, hops - 1) for child in node.named_children]
        return [definition for inner in found for definition in inner]

    def _define(self, role: Role, node: Node, outer: Node, scope: _Scope) -> None:
        body = self.grammar.body(node)
        if body is None and role in (Role.FUNCTION, Role.NAMESPACE):
            self._declaration(node, outer, scope)
        elif role in (Role.FUNCTION, Role.TEST):
            self._function(role, node, outer, scope)
        else:
            self._container(role, node, outer, scope)

    def _declaration(self, node: Node, outer: Node, scope: _Scope) -> None:
        """A function without a body is glue, unless its implementation follows and takes it in."""
        symbol = scope.qualify(self.grammar.symbol(node))
        start, docstring = self._take_lead(outer, scope)
        span = self._glue_span(start, scope, nodes=(outer,))
        self._add(replace(span, declares=symbol, docstring=docstring), symbol)

    def _function(self, role: Role, node: Node, outer: Node, scope: _Scope) -> None:
        body = self.grammar.body(node)
        name = self.grammar.symbol(node)
        symbol = scope.qualify(name, " > " if role is Role.TEST else ".")
        start, docstring = self._take_lead(outer, scope)
        kind = "method" if self.grammar.dotted_methods and "." in name else scope.member_kind
        span = Span(
            start=start,
            kind="test" if role is Role.TEST else kind,
            symbol=symbol,
            signature=self._signature(node, outer),
            docstring=self._docstring(body, docstring),
            nodes=(outer,),
        )
        self._add(span, symbol)

    def _container(self, role: Role, node: Node, outer: Node, scope: _Scope) -> None:
        body = self.grammar.body(node)
        inner = self._inner_scope(role, node, outer, scope)
        start, docstring = self._take_lead(outer, scope)
        nodes = () if body else (outer,)
        header = self._glue_span(start, inner if role is Role.CLASS else scope, nodes=nodes)
        if role is Role.CLASS:
            header = replace(header, docstring=self._docstring(body, docstring))
        self._add(header)
        if body is not None:
            self.members(self._between(node, body) + body.named_children, inner)

    def _inner_scope(self, role: Role, node: Node, outer: Node, scope: _Scope) -> _Scope:
        name = self.grammar.symbol(node)
        if role is Role.CLASS:
            signature = self._signature(node, outer)
            inner = _Scope(in_class=True, member_kind="method", signature=signature)
        else:
            is_suite = node.type == "call_expression"
            is_object = (self.grammar.body(node) or node).type == "object"
            inner = _Scope(
                separator=" > " if is_suite else ".",
                member_kind="method" if is_object else "function",
            )
        return replace(inner, prefix=scope.qualify(name, inner.separator), depth=scope.depth)

    def _between(self, node: Node, body: Node) -> list[Node]:
        """Comments that the grammar puts between a definition's header and its body."""
        return [
            child
            for child in node.named_children
            if child.type in self.grammar.comments and child.end_byte <= body.start_byte
        ]

    def _glue(self, node: Node, scope: _Scope) -> None:
        self._flush_lead(scope)
        self._glue_header(node, scope, nodes=(node,))

    def _glue_header(self, node: Node, scope: _Scope, nodes: tuple[Node, ...] = ()) -> None:
        """Open glue at ``node``, unless it must stay with what precedes it."""
        if node.type in self.grammar.silent:
            return
        self._flush_lead(scope)
        if self._begins_line(node) or not self.spans:
            self._add(self._glue_span(node.start_byte, scope, nodes=nodes))

    def _glue_span(self, start: int, scope: _Scope, nodes: tuple[Node, ...]) -> Span:
        return Span(
            start=start,
            kind="class" if scope.in_class else "module",
            symbol=scope.prefix if scope.in_class else "",
            signature=scope.signature,
            glue=True,
            nodes=nodes,
        )

    def _add(self, span: Span, implements: str = "") -> None:
        """Append a span, from the start of its line and of the declarations it implements."""
        start = self.source.line_start(span.start)
        span = span if start is None else replace(span, start=start)
        while implements and self.spans and self.spans[-1].declares == implements:
            declared = self.spans.pop()
            docstring = declared.docstring or span.docstring
            span = replace(span, start=declared.start, docstring=docstring)
        self.spans.append(span)

    def _begins_line(self, node: Node) -> bool:
        return self.source.line_start(node.start_byte) is not None

    def _flush_lead(self, scope: _Scope) -> None:
        """Comments that no definition took are glue."""
        lead, self.lead = self.lead, []
        for node in lead:
            self._add(self._glue_span(node.start_byte, scope, nodes=(node,)))

    def _take_lead(self, outer: Node, scope: _Scope) -> tuple[int, str]:
        """Where the definition starts with all that belongs to it, and what its comments say."""
        start = outer.start_byte
        texts: list[str] = []
        while self.lead:
            node = self.lead[-1]
            if node.type in self.grammar.comments:
                text = text_of(node).strip()
                if not self._belongs(node, text, start, is_nearest=not texts):
                    break
                texts.insert(0, text)
            start = self.lead.pop().start_byte
        self._flush_lead(scope)
        return start, comments.docstring(texts)

    def _belongs(self, node: Node, text: str, start: int, is_nearest: bool) -> bool:
        """Directly above; the nearest doc comment also across blank lines."""
        if comments.belongs_to_file(text) or text.startswith(self.grammar.inner_docs):
            return False
        end = node.start_byte + len(text.encode())
        is_adjacent = self.source.data.count(b"\n", end, start) <= 1
        return is_adjacent or (is_nearest and comments.is_doc(text))

    def _docstring(self, body: Node | None, above: str) -> str:
        if self.grammar.docstring is None:
            return above
        return self.grammar.docstring(body) if body else ""

    def _signature(self, node: Node, outer: Node) -> str:
        """From the definition proper to its body, on one line."""
        start, end = _after_decorators(outer), outer.end_byte
        body = self.grammar.body(node)
        if body is not None:
            stops = [*self._between(node, body), body]
            end = min(
                (stop.start_byte for stop in stops if stop.start_byte > start),
                default=end,
            )
        window = self.source.data[start : min(end, start + 8 * MAX_SIGNATURE)]
        text = " ".join(window.decode("utf-8", "ignore").split())
        return text[:MAX_SIGNATURE].removesuffix("{").rstrip()


def _after_decorators(node: Node) -> int:
    """Where the definition proper starts; annotations also hide among a node's modifiers."""
    for child in node.children:
        if child.type in _DECORATORS:
            continue
        if child.type == "modifiers" and all(inner.type in _DECORATORS for inner in child.children):
            continue
        return _after_decorators(child) if child.type == "modifiers" else child.start_byte
    return node.start_byte
