"""Which functions of two versions of a file belong together, and which of the pairs can teach."""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from itertools import chain, pairwise, zip_longest
from typing import TYPE_CHECKING, NamedTuple

from indexers.file_versions import differences, functions
from indexers.intents import API_CHANGE, OTHER, RENAME
from indexers.languages import GRAMMARS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tree_sitter import Node

    from indexers.file_versions import Function, Version

MIN_LINES = 3  # of a function, on either side
MAX_LINES = 120
MAX_CHANGED_LINES = 60  # that are only on one side
MAX_RENAMES = 200  # pairs of functions that are looked at in one file
_CLOSERS = {b")", b"]", b"}", b">"}
_SEMICOLON_IS_STYLE = {"javascript", "jsx", "typescript", "tsx"}
_QUOTE = re.compile(rb"[A-Za-z]{0,2}'{1,3}")
_NO_NAME = frozenset(b"true false none null nil undefined nan self this".split())

Token = tuple[bytes, bool]  # a leaf of the syntax tree, and whether it is a name
_NO_TOKEN: Token = (b"", False)


class Pair(NamedTuple):
    """Two versions of a function; ``shows`` is the intent that the change alone shows."""

    before: Function
    after: Function
    shows: str


def changed_functions(old: Version, new: Version, left_out: Counter[str]) -> list[Pair]:
    """The functions that differ by more than layout and comments, in the file's order.

    ``left_out`` counts "function: reason" of those that differ and make no pair.
    """
    old_hunks, new_hunks = differences(old.data, new.data)
    before, after = _by_symbol(functions(old, old_hunks)), _by_symbol(functions(new, new_hunks))
    pairs = []
    for symbol in [symbol for symbol in before if symbol in after]:
        ours, theirs = before.pop(symbol), after.pop(symbol)
        if len(ours) != len(theirs):  # nothing says which of them came or went
            left_out["function: several of one name"] += 1
            continue
        for one, other in zip(ours, theirs, strict=True):
            if one.text != other.text:
                found = _pair(one, other)
                if isinstance(found, Pair):
                    pairs.append(found)
                else:
                    left_out[f"function: {found}"] += 1
    gone, come = chain.from_iterable(before.values()), chain.from_iterable(after.values())
    pairs += _renamed(list(gone), list(come), left_out)
    return sorted(pairs, key=lambda pair: pair.after.line)


def _by_symbol(found: Iterable[Function]) -> dict[str, list[Function]]:
    groups: dict[str, list[Function]] = {}
    for function in found:
        groups.setdefault(function.symbol, []).append(function)
    return groups


def _pair(before: Function, after: Function) -> Pair | str:
    """The pair, or why it teaches nothing."""
    if reason := _reason_unfit(before.text.split("\n"), after.text.split("\n")):
        return reason
    if not (shows := _shown(before, after)):
        return "only comments or formatting changed"
    if not (_parses(before) and _parses(after)):
        return "does not parse"
    return Pair(before, after, shows)


def _shown(before: Function, after: Function) -> str:
    """The intent that the change alone shows; "" if only comments and layout changed."""
    changed: set[tuple[Token, Token]] = set()
    for old, new in zip_longest(_tokens(before), _tokens(after), fillvalue=_NO_TOKEN):
        if old != new:
            changed.add((old, new))
            if len(changed) > 1:
                break
    if not changed:
        return ""
    if len(changed) == 1 and _is_rename(*changed.pop(), before, after):
        return RENAME
    has_same_signature = _plain_signature(before) == _plain_signature(after)
    return OTHER if has_same_signature else API_CHANGE


def _is_rename(old: Token, new: Token, before: Function, after: Function) -> bool:
    """Whether the only token that differs is a name, replaced by one that was not there.

    A name that stands there once, and is not the function's own, may as well be another thing and
    not the same by another name.
    """
    ours, theirs = list(_tokens(before)), list(_tokens(after))
    return (
        old[1]
        and new[1]
        and old not in theirs
        and new not in ours
        and (old[0].decode() == before.name or ours.count(old) > 1)
        and not {old[0].lower(), new[0].lower()} & _NO_NAME
    )


def _reason_unfit(old: list[str], new: list[str]) -> str:
    """Why lines are too few or too many."""
    if min(len(old), len(new)) < MIN_LINES:
        return "too short"
    if max(len(old), len(new)) > MAX_LINES:
        return "too long"
    counts, others = Counter(old), Counter(new)
    is_large = max((counts - others).total(), (others - counts).total()) > MAX_CHANGED_LINES
    return "change too large" if is_large else ""


def _parses(function: Function) -> bool:
    """The grammar knows Python 2 as well, which nobody should learn any more."""
    if any(node.has_error for node in function.nodes):
        return False
    if function.language == "python":
        text = f"if True:\n{function.text}" if function.text[0].isspace() else function.text
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _renamed(gone: list[Function], come: list[Function], left_out: Counter[str]) -> list[Pair]:
    """Functions that only their own name, and its uses in them, tells apart."""
    pairs = []
    for after in come if len(gone) * len(come) <= MAX_RENAMES else []:
        for before in gone:
            if before.name != after.name and _pair(before, after) == (before, after, RENAME):
                pairs.append(Pair(before, after, RENAME))
                gone.remove(before)
                break
    left_out.update(["function: added"] * (len(come) - len(pairs)))
    left_out.update(["function: deleted"] * len(gone))
    return pairs


def _tokens(function: Function) -> Iterator[Token]:
    """What the function says, so that reformatting it or documenting it changes nothing.

    Left out: comments, docstrings, white space, trailing commas, the kind of quotes, and the
    semicolons of JavaScript. Python's blocks count: indentation is no white space there.
    """
    leaves = chain.from_iterable(_leaves(node, function.language) for node in function.nodes)
    for token, following in pairwise(chain(leaves, [_NO_TOKEN])):
        is_style = token[0] == b";" and function.language in _SEMICOLON_IS_STYLE
        if not is_style and not (token[0] == b"," and following[0] in _CLOSERS):
            yield token


def _leaves(top: Node, language: str) -> Iterator[Token]:
    """A string's text lies between its escape sequences and belongs to no leaf of its own."""
    data, base, position = top.text or b"", top.start_byte, top.start_byte
    comments, has_blocks = GRAMMARS[language].comments, language == "python"
    ahead: list[Node | None] = [top]  # None where a block of Python ends
    while ahead:
        node = ahead.pop()
        if node is None:
            yield b"}", False
            continue
        start, end = node.start_byte, node.end_byte
        between = data[position - base : start - base]
        if between and not between.isspace():
            yield between, False
        position = start
        if node.type in comments or (has_blocks and _is_docstring(node)):
            position = end
        elif node.child_count:
            if has_blocks and node.type == "block":
                yield b"{", False
                ahead.append(None)
            ahead += reversed(node.children)
        elif end > start:
            position = end
            text = data[start - base : end - base]
            is_quote = b"'" in text and _QUOTE.fullmatch(text)
            yield text.replace(b"'", b'"') if is_quote else text, node.type.endswith("identifier")


def _is_docstring(node: Node) -> bool:
    """A string that stands as a statement does nothing."""
    if node.type not in ("string", "concatenated_string"):
        return False
    return node.parent is not None and node.parent.type in ("block", "expression_statement")


def _plain_signature(function: Function) -> str:
    """Without layout; a trailing comma is layout."""
    return re.sub(r"\s+|,(?=\s*[)\]}>])", "", function.signature)
