"""The same code in another layout, and with fewer or moved comments.

What is returned has been compared with the original token by token, each at its depth in the
syntax tree: nothing but white space, quotes, comments and (where it says so) documentation differs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate, pairwise
from random import Random
from typing import TYPE_CHECKING

from hub.curate.trees import Edit, Unsuited, parse, text_of
from hub.syntax import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tree_sitter import Node

    from hub.curate.trees import Tree

WIDTH = 100  # columns that a line may take
LONG = 60  # columns from which a line is worth breaking
_DIRECTIVE = re.compile(
    r"(?://|#|/\*+)\s*(?:type:|noqa|pragma|pylint|mypy|pyright|ruff|fmt:|isort|nosec|yapf|@ts-|@?jsx"
    r"|eslint|prettier|istanbul|[cv]8 |webpack|[@#]__|tslint|biome|#?(?:end)?region|<reference|!)"
)
_BRACKETS = frozenset(
    (
        "argument_list", "parameters", "list", "dictionary", "set", "tuple",
        "arguments", "formal_parameters", "array", "object",
    )
)  # fmt: skip
_TEXTS = frozenset(("string", "template_string", "jsx_text"))
_OWN_LINES = re.compile(r"comment|(?:statement_)?block|class_body|jsx_.*")


@dataclass(frozen=True, slots=True)
class Relaid:
    """A function that looks otherwise, and in what."""

    text: str
    change: str


def reformat(text: str, language: str, seed: str) -> Relaid:
    """The function with other quotes, line breaks in brackets or indentation, drawn by ``seed``.

    Raises:
        Unsuited: it does not parse, or has nothing to lay out otherwise.
    """
    tree = _parsed(text, language)
    draw = Random(seed)
    drawn = [way for way in _WAYS if draw.random() < 0.5]
    new, done = _laid_out(tree, drawn)
    if not done:
        new, done = _laid_out(tree, list(_WAYS))
    return _same_code(tree, new, ", ".join(done))


def _laid_out(tree: Tree, ways: list[str]) -> tuple[Tree, list[str]]:
    """The tree after those of ``ways`` that change it, and which they were."""
    done = []
    for way in ways:
        if edits := list(_WAYS[way](tree)):
            tree = tree.edited(edits)
            done.append(way)
    return tree, done


def recomment(text: str, language: str, seed: str) -> Relaid:
    """The function without its comments, with them moved, or without its documentation too.

    Comments that tools read (``# noqa``, ``// @ts-ignore``) stay where they are.

    Raises:
        Unsuited: it does not parse, or has no such comment.
    """
    tree = _parsed(text, language)
    lines = tree.data.decode().split("\n")
    comments = [n for n in walk(tree.root) if n.type == "comment" and _ends_line(n, lines)]
    comments = [n for n in comments if not _DIRECTIVE.match(text_of(n))]
    plain = [n for n in comments if not text_of(n).startswith("/**")]
    docs = [n for n in comments if n not in plain] + _docstrings(tree, lines)
    texts = _inside_texts(tree)
    drop = [_without(tree, node) for node in plain]
    ways = {
        "comments dropped": drop,
        "comments moved": [e for n in plain for e in _moved(tree, n, lines, texts)],
        "documentation dropped": [*drop, *(_without(tree, n) for n in docs)] if docs else [],
    }
    change = Random(seed).choice([name for name, edits in ways.items() if edits] or [""])
    new = tree.edited(ways[change]) if change else tree
    return _same_code(tree, new, change, docs if change.startswith("documentation") else ())


def _parsed(text: str, language: str) -> Tree:
    if "\r" in text:
        raise Unsuited("carriage returns in it")
    return parse(text, language)


def _same_code(tree: Tree, new: Tree, change: str, without: Iterable[Node] = ()) -> Relaid:
    if not change:
        raise Unsuited("nothing in it to change")
    if _tokens(tree.root, frozenset(without)) != _tokens(new.root, frozenset()):
        raise Unsuited("the result would be other code")
    return Relaid(new.text, change)


def _tokens(root: Node, without: frozenset[Node]) -> list[tuple[int, str]]:
    """Depth and text of every token but comments, spare commas and ``without``; quotes are all the
    same."""
    found, stack = [], [(0, root)]
    while stack:
        depth, node = stack.pop()
        if node.type == "comment" or node in without or _is_spare(node):
            continue
        children = node.children
        stack += [(depth + 1, child) for child in reversed(children)]
        if not children:
            quote = node.type in ("'", '"', "string_start", "string_end")
            text = text_of(node)
            found.append((depth, text.replace("'", '"') if quote else text))
    return found


def _quotes(tree: Tree) -> Iterator[Edit]:
    """All plain strings in the quotes that most of them are not in."""
    strings = [node for node in walk(tree.root) if node.type == "string"]
    nested = {inner for node in strings for inner in walk(node) if inner != node}
    double = sum(text_of(node).endswith('"') for node in strings)
    old, new = ('"', "'") if 2 * double > len(strings) else ("'", '"')
    plain = re.compile(rf"\w?{old}[^'\"\\\n]*{old}")
    for node in strings:
        if plain.fullmatch(text_of(node)) and node not in nested:
            yield Edit(node.start_byte, node.end_byte, text_of(node).replace(old, new))


def _line_breaks(tree: Tree) -> Iterator[Edit]:
    """Brackets over several lines on one line, and a long line with one element a line."""
    lines = tree.data.decode().split("\n")
    told = any(_DIRECTIVE.search(line) for line in lines)  # a tool is told about this line or that
    stack = [] if told else [tree.root]
    while stack:
        node = stack.pop()
        edits: list[Edit] = []
        line = lines[node.start_point.row]
        if node.type in _BRACKETS and node.end_point.row != node.start_point.row:
            edits = _joined(node, len(lines[node.end_point.row]))
        elif node.type in _BRACKETS and node.is_named and len(line) > LONG:
            edits = _one_a_line(node, line, tree)
        yield from edits
        if not edits and node.type not in _TEXTS:
            stack.extend(reversed(node.children))


def _joined(node: Node, last_line: int) -> list[Edit]:
    nodes = list(walk(node))
    leaves = [leaf for leaf in nodes if not leaf.children]
    rows = (leaf.end_point.row - leaf.start_point.row for leaf in leaves)
    if any(rows) or any(_OWN_LINES.fullmatch(n.type) for n in nodes):
        return []
    edits = []
    for left, right in pairwise(leaves):
        if left.end_point.row != right.start_point.row:
            tight = left.type in ("(", "[") or right.type in (")", "]", ",")
            start = left.start_byte if _is_spare(left) else left.end_byte
            edits.append(Edit(start, right.start_byte, "" if tight else " "))
    saved = sum(edit.end - edit.start - len(edit.text) for edit in edits)
    length = node.end_byte - node.start_byte - saved + last_line - node.end_point.column
    return edits if node.start_point.column + length <= WIDTH else []


def _is_spare(node: Node) -> bool:
    """Whether it is a comma after the last element; in a tuple, or after a hole, it counts."""
    whole, before = node.parent, node.prev_sibling
    return bool(
        node.type == ","
        and whole
        and whole.type in _BRACKETS
        and whole.type != "tuple"
        and node.next_sibling == whole.children[-1]
        and before
        and before.is_named
    )


def _one_a_line(node: Node, line: str, tree: Tree) -> list[Edit]:
    first, *elements, last = node.children
    if sum(child.type == "," for child in elements) < 2:
        return []
    indent = "\n" + " " * _indent(line)
    deeper = indent + ("    " if tree.is_python else "  ")
    edits = [Edit(first.end_byte, elements[0].start_byte, deeper)]
    for left, right in pairwise(elements):
        if left.type == ",":
            edits.append(Edit(left.end_byte, right.start_byte, deeper))
    return [*edits, Edit(elements[-1].end_byte, last.start_byte, indent)]


def _indentation(tree: Tree) -> Iterator[Edit]:
    """Two columns a level for four, or four for two."""
    lines = tree.data.decode().split("\n")
    own = range(tree.frame[0].count("\n"), len(lines) - tree.frame[1].count("\n"))
    texts = _inside_texts(tree)
    rows = [row for row in own if lines[row].strip() and row not in texts]
    base = min((_indent(lines[row]) for row in rows), default=0)
    unit = min((_indent(lines[r]) - base for r in rows if _indent(lines[r]) > base), default=0)
    if unit not in (2, 4) or any(line.lstrip(" ").startswith("\t") for line in lines):
        return
    starts = [0, *accumulate(len(line.encode()) + 1 for line in lines)]
    shift = 0
    for row in rows:
        old = _indent(lines[row])
        if old % unit == 0:
            shift = old // unit * (6 - unit) - old
        yield Edit(starts[row], starts[row] + old, " " * max(0, old + shift))


def _inside_texts(tree: Tree) -> frozenset[int]:
    """Rows whose first column lies inside a string of several lines."""
    texts = [node for node in walk(tree.root) if node.type in _TEXTS]
    rows = (range(n.start_point.row + 1, n.end_point.row + 1) for n in texts)
    return frozenset(row for several in rows for row in several)


def _docstrings(tree: Tree, lines: list[str]) -> list[Node]:
    """The strings that document functions; none where one of them is all that a body has."""
    found = []
    for node in walk(tree.root):
        if node.type == "block" and node.parent and node.parent.type.endswith("_definition"):
            first, *rest = [child for child in node.named_children if child.type != "comment"]
            if first.type == "string":
                found.append(first if rest and _ends_line(first, lines) else None)
    return [] if None in found else [node for node in found if node]


def _ends_line(node: Node, lines: list[str]) -> bool:
    after = lines[node.end_point.row].encode()[node.end_point.column :]
    return not after.strip()


def _without(tree: Tree, node: Node) -> Edit:
    """The comment gone, with its line if there is nothing else on it."""
    start = tree.data.rfind(b"\n", 0, node.start_byte) + 1
    if not tree.data[start : node.start_byte].strip():
        return Edit(start, tree.data.find(b"\n", node.end_byte) + 1 or len(tree.data), "")
    return Edit(len(tree.data[: node.start_byte].rstrip(b" \t")), node.end_byte, "")


def _moved(tree: Tree, node: Node, lines: list[str], texts: frozenset[int]) -> list[Edit]:
    """A comment at the end of a line above it, one above a line at its end; where that can be."""
    row = node.start_point.row
    start = node.start_byte - node.start_point.column
    if lines[row].strip() != text_of(node).strip():
        before = lines[row - 1].strip() if row else ""
        if row in texts or before.endswith("\\") or _DIRECTIVE.match(before):
            return []
        above = f"{lines[row][: _indent(lines[row])]}{text_of(node)}\n"
        return [_without(tree, node), Edit(start, start, above)]
    below = lines[row + 1] if row + 1 < len(lines) else ""
    taken = re.search(r"#|//|/\*|\\$", below) or not below.strip() or row + 2 in texts
    several = row != node.end_point.row or re.match(r"\s*(?:#|//|/\*)", lines[row - 1])
    if taken or several or len(below) + len(text_of(node)) + 2 > WIDTH:
        return []
    end = tree.data.find(b"\n", node.end_byte + 1)
    end = end if end >= 0 else len(tree.data)
    return [_without(tree, node), Edit(end, end, f"  {text_of(node)}")]


_WAYS = {"quotes": _quotes, "line breaks": _line_breaks, "indentation": _indentation}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
