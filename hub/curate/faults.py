"""Where code can go wrong, and how: a syntax node to the edits that break it, and why they do.

Node types and fields are those of tree-sitter-python, -typescript and -javascript.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from hub.curate.trees import Edit, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tree_sitter import Node


class Fault(NamedTuple):
    """The edits that make a bug, and why what they make is wrong."""

    edits: tuple[Edit, ...]
    why: str


LONG = 60  # characters of code that an explanation quotes
GUARD_LINES = 4  # a longer branch is a case of its own rather than a check

_OPERATORS = {
    "+": "-", "-": "+", "+=": "-=", "-=": "+=", "==": "!=", "!=": "==", "===": "!==", "!==": "===",
    "and": "or", "or": "and", "&&": "||", "||": "&&", "in": "not in", "not in": "in",
    "is": "is not", "is not": "is",
}  # fmt: skip
_BOUNDS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_EXPRESSIONS = re.compile("(?:binary|comparison|boolean|augmented_assignment)(?:_|$)")
_ERRORS = {
    "KeyError": "IndexError", "IndexError": "KeyError", "ValueError": "TypeError",
    "TypeError": "ValueError", "AttributeError": "KeyError", "OSError": "ValueError",
    "FileNotFoundError": "PermissionError", "ImportError": "AttributeError",
    "RuntimeError": "ValueError", "StopIteration": "IndexError", "SyntaxError": "TypeError",
    "UnicodeDecodeError": "UnicodeEncodeError", "TimeoutError": "ConnectionError",
    "NotImplementedError": "ValueError",
}  # fmt: skip
_SCRIPT_ERRORS = {"TypeError": "RangeError", "RangeError": "TypeError", "SyntaxError": "TypeError"}
_NOTHING = r"(?:None|null|undefined)"
_ABSENT = re.compile(rf"\(?(?:(?:!|not )([\w.$]+)|(\S+) (?:is|===?) {_NOTHING})\)?")
_PRESENT = re.compile(rf"(\S+) (?:is not|!==?) {_NOTHING}")
_OPENED = re.compile(r"(?i)open|connect|session|temp|file|cursor|socket|pool|executor|client")
_HELD = re.compile(r"(?i)lock|mutex|semaphore|transaction")
_RELEASED = re.compile(
    r".*\.(?:close|release|dispose|shutdown|disconnect|unsubscribe|terminate|cleanup|rollback"
    r"|destroy|removeEventListener)|clear(?:Timeout|Interval)"
)
_NOT_OUTDENTED = re.compile(r"^async|\"{3}|'{3}|\t|^[^\n]*#|:\s*#")
_INDEX = re.compile(r"[ijkn]|idx|pos|offset|\w*[iI]ndex")
_POSITIONAL = re.compile(r"\.(?:slice|substring|charAt|charCodeAt|at)$")
_ANY_ORDER = re.compile(
    r"(?i)(?:^|\.)(?:max|min|zip|isinstance|issubclass|hasattr|getattr|setattr|cast|range"
    r"|(?:assert|expect|equal|is_?equal|is_?close|gcd|add|union|all|any|gather|join|race)\w*)$"
)
_SIMPLE = ("identifier", "attribute", "member_expression", "integer", "number", "subscript")


def _token(node: Node) -> Fault | None:
    """Another operator, or a bound that takes in its end or leaves it out."""
    left, right, whole = node.prev_sibling, node.next_sibling, node.parent
    if not left or not right or not whole or not _EXPRESSIONS.match(whole.type):
        return None
    if node.type in ("+", "-", "+=", "-=") and re.search(rb"[\"'`\[]", whole.text or b""):
        return None  # texts and lists are not subtracted
    other = _OPERATORS.get(node.type)
    why = f"`{other}` stands where `{node.type}` is meant"
    if not other:
        other = _BOUNDS[node.type]
        takes = "takes in" if "=" in other else "leaves out"
        equal = f"the case that {_quoted(left)} equals {_quoted(right)}"
        why = f"`{other}` instead of `{node.type}` {takes} {equal}"
    return Fault((_replace(node, other),), why)


def _guard(node: Node) -> Fault | None:
    """``if x is None: return`` left out."""
    absent = _ABSENT.fullmatch(text_of(node.child_by_field_name("condition")))
    long = node.end_point.row - node.start_point.row > GUARD_LINES
    if not absent or long or node.child_by_field_name("alternative"):
        return None
    case = f"`{absent[1]}` is empty or false" if absent[1] else f"there is no `{absent[2]}`"
    return _left_out(node, f"the case that {case} is not handled")


def _and_present(node: Node) -> Fault | None:
    """``x is not None and x.y`` without its first half, ``x ?? y`` without its second."""
    left, right, operator = map(node.child_by_field_name, ("left", "right", "operator"))
    present = _PRESENT.fullmatch(text_of(left))
    if not left or not right:
        return None
    if text_of(operator) == "??":
        why = f"nothing stands in for {_quoted(left)} when there is none"
        return Fault((Edit(left.end_byte, node.end_byte, ""),), why)
    if not present or text_of(operator) not in ("and", "&&"):
        return None
    why = f"{_quoted(right)} is reached without `{present[1]}`, too"
    return Fault((Edit(node.start_byte, right.start_byte, ""),), why)


def _or_default(node: Node) -> Fault | None:
    """``x if x is not None else default`` without its default."""
    value, condition = node.named_children[:2]
    present = _PRESENT.fullmatch(text_of(condition))
    why = f"nothing stands in for `{present[1]}` when there is none" if present else ""
    return Fault((Edit(value.end_byte, node.end_byte, ""),), why) if present else None


def _optional(node: Node) -> Fault | None:
    plain = "." if node.parent and node.parent.type == "member_expression" else ""
    why = f"{_quoted(node.prev_sibling)} can be absent, and is used as if it were there"
    return Fault((_replace(node, plain),), why)


def _caught(node: Node) -> Fault | None:
    """``except KeyError`` that catches another error."""
    error = _first(node)
    if error and error.type == "as_pattern":
        error = _first(error)
    other = _ERRORS.get(text_of(error))
    why = f"the error to catch here is {text_of(error)}, not {other}"
    return Fault((_replace(error, other),), why) if error and other else None


def _raised(node: Node) -> Fault | None:
    """In a handler, the error goes no further; elsewhere it is another one."""
    handler = node.parent and node.parent.parent
    if handler and handler.type in ("except_clause", "catch_clause"):
        why = "the handler swallows the error, and the caller takes a failure for a success"
        nothing = Fault((_replace(node, "pass" if node.type == "raise_statement" else ""),), why)
        return _left_out(node, why) or nothing
    error = _first(node)
    while error and error.type in ("call", "new_expression"):
        error = _first(error)
    others = _ERRORS if node.type == "raise_statement" else _SCRIPT_ERRORS
    other = others.get(text_of(error))
    why = f"callers expect {text_of(error)} here, and {other} passes their handlers by"
    return Fault((_replace(error, other),), why) if error and other else None


def _with(node: Node) -> Fault | None:
    """``with open(path) as file:`` as ``file = open(path)``, which nobody closes."""
    clause, body = _first(node), node.child_by_field_name("body")
    item = clause and _first(clause)
    value = item and item.child_by_field_name("value")
    if not body or not value or not clause or clause.named_child_count > 1:
        return None
    alias = value.child_by_field_name("alias")
    opened = text_of(_first(value) if alias else value)
    name, indent = opened.partition("(")[0], " " * node.start_point.column
    inline = body.start_point.row == node.start_point.row
    closed = alias and f"{text_of(alias)}.close(" in text_of(body)
    wanted = _OPENED if alias else _HELD
    if not wanted.search(name) or inline or closed or _NOT_OUTDENTED.search(text_of(node)):
        return None
    outdented = text_of(body).replace(f"\n{' ' * body.start_point.column}", f"\n{indent}")
    if alias is None:
        return Fault((_replace(node, outdented),), f"`{name}` is not held while this runs")
    opening = f"{text_of(alias)} = {opened}\n{indent}"
    return Fault((_replace(node, opening + outdented),), f"what `{name}` opens is never closed")


def _release(node: Node) -> Fault | None:
    """A statement that closes something, left out."""
    parent = node.parent
    statement = parent if parent and parent.type == "expression_statement" else node
    block = statement.parent.type if statement.parent else ""
    function = text_of(node.child_by_field_name("function"))
    if not block.endswith("block") or not _RELEASED.fullmatch(function):
        return None
    if _is_managed(statement, function.partition(".")[0]):
        return None
    return _left_out(statement, f"{_quoted(node)} is missing")


def _is_managed(node: Node, name: str) -> bool:
    """Whether a ``with`` around it closes what has the name."""
    managed = re.compile(rf"(?:\bas |^(?:with_clause)? *){re.escape(name)}\b")
    around = node.parent
    while around:
        if around.type == "with_statement" and managed.search(text_of(_first(around))):
            return True
        around = around.parent
    return False


def _await(node: Node) -> Fault | None:
    awaited, parent = _first(node), node.parent
    promise = node.type == "await_expression"
    if not awaited or (promise and parent and parent.type == "return_statement"):
        return None  # a promise that is returned is awaited by the caller
    kind = "a promise" if promise else "an awaitable"
    why = f"without `await`, {_quoted(awaited)} is {kind} and not its result"
    return Fault((Edit(node.start_byte, awaited.start_byte, ""),), why)


def _index(node: Node) -> Fault | None:
    """``x[0]`` and ``x[1:]`` that are off by one."""
    index = node.child_by_field_name("subscript") or node.child_by_field_name("index")
    return _off(_first(index) if index and index.type == "slice" else index)


def _counted(node: Node) -> Fault | None:
    """``range(n)`` and ``x.slice(1)`` that are off by one."""
    function, arguments = map(node.child_by_field_name, ("function", "arguments"))
    if not arguments or not arguments.named_children:
        return None
    stop = arguments.named_children[:2][-1]
    if text_of(function) == "range" and stop.type in (*_SIMPLE, "call"):
        last = text_of(stop)
        fewer = str(int(last) - 1) if last.isdecimal() else f"{last} - 1"
        why = f"the last round is left out, for `{last}` is not reached anyway"
        return Fault((_replace(stop, fewer),), why)
    positional = _POSITIONAL.search(text_of(function))
    return _off(arguments.named_children[0]) if positional else None


def _off(index: Node | None) -> Fault | None:
    """An index one further from its end; none where it may be a key."""
    text = text_of(index)
    other = f"{text} + 1" if _INDEX.fullmatch(text) else ""
    if re.fullmatch(r"-?\d+", text):
        other = str(int(text) + (-1 if text.startswith("-") else 1))
    why = f"the position is `{text}`, not `{other}`"
    return Fault((_replace(index, other),), why) if index and other else None


def _plus_one(node: Node) -> Fault | None:
    """``x - 1`` as ``x``."""
    left, right, operator = map(node.child_by_field_name, ("left", "right", "operator"))
    if not left or text_of(right) != "1" or text_of(operator) not in ("+", "-"):
        return None
    why = f"{_quoted(left)} stands where {_quoted(node)} is meant"
    return Fault((Edit(left.end_byte, node.end_byte, ""),), why)


def _swapped(node: Node) -> Fault | None:
    """Two arguments in a row, each in the other's place."""
    function, arguments = map(node.child_by_field_name, ("function", "arguments"))
    if not arguments or _ANY_ORDER.search(text_of(function)):
        return None
    for one, two in pairwise(arguments.named_children):
        a, b = text_of(one), text_of(two)
        if one.type in _SIMPLE and two.type in _SIMPLE and a != b and not (a + b).isdigit():
            why = f"`{text_of(function)}` takes `{a}` before `{b}`"
            return Fault((_replace(one, b), _replace(two, a)), why)
    return None


def _first(node: Node) -> Node | None:
    return next(iter(node.named_children), None)


def _quoted(node: Node | None) -> str:
    text = " ".join(text_of(node).split())
    return f"`{text[:LONG]}...`" if len(text) > LONG else f"`{text}`"


def _replace(node: Node, text: str) -> Edit:
    return Edit(node.start_byte, node.end_byte, text)


def _left_out(node: Node, why: str) -> Fault | None:
    """The statement gone; None where the block has no other, or the line has more on it."""
    before, after = node.prev_sibling, node.next_sibling
    if after and after.start_point.row == node.end_point.row:
        return None
    if before and before.end_point.row < node.start_point.row:
        return Fault((Edit(before.end_byte, node.end_byte, ""),), why)
    if before is None and after and after.type != "comment":
        return Fault((Edit(node.start_byte, after.start_byte, ""),), why)
    return None


_CALL = (("resource", _release), ("off_by_one", _counted), ("argument", _swapped))
FINDERS: dict[str, tuple[tuple[str, Callable[[Node], Fault | None]], ...]] = {
    **dict.fromkeys(_OPERATORS, (("operator", _token),)),
    **dict.fromkeys(_BOUNDS, (("boundary", _token),)),
    "if_statement": (("none_check", _guard),),
    "boolean_operator": (("none_check", _and_present),),
    "binary_expression": (("none_check", _and_present), ("off_by_one", _plus_one)),
    "binary_operator": (("off_by_one", _plus_one),),
    "conditional_expression": (("none_check", _or_default),),
    "optional_chain": (("none_check", _optional),),
    "except_clause": (("exception", _caught),),
    **dict.fromkeys(("raise_statement", "throw_statement"), (("exception", _raised),)),
    "with_statement": (("resource", _with),),
    **dict.fromkeys(("call", "call_expression"), _CALL),
    **dict.fromkeys(("await", "await_expression"), (("await", _await),)),
    **dict.fromkeys(("subscript", "subscript_expression"), (("off_by_one", _index),)),
}
