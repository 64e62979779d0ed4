"""A function with one realistic bug in it, and what is wrong, in words.

The kinds are those of mutation testing (wrong operator, boundary, off by one) and of studies of
real bugs (missing check, swallowed error, leak, missing await, swapped arguments). Only code is
broken: no text, comment, type, decorator, message of an error or line of a log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from hub.curate.faults import FINDERS
from hub.curate.trees import Unsuited, parse, text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tree_sitter import Node

    from hub.curate.faults import Fault
    from hub.curate.trees import Tree

KINDS = {
    "operator": "wrong operator",
    "boundary": "boundary error",
    "none_check": "missing check",
    "exception": "error handled wrongly",
    "resource": "resource not released",
    "await": "missing await",
    "off_by_one": "off-by-one error",
    "argument": "arguments in the wrong order",
}
_NOT_CODE = """
    comment string concatenated_string template_string regex decorator type type_annotation
    type_arguments type_parameters type_parameter type_alias_declaration type_alias_statement
    interface_declaration raise_statement throw_statement assert_statement import_statement
    import_from_statement
"""
_SAID = re.compile(r"(?:\w+\.)*(?:log|logger|logging|console|warnings)\.\w+$|print$|super$")
_PLATFORM = re.compile(r"version_info|sys\.platform|os\.name|TYPE_CHECKING|process\.env")


@dataclass(frozen=True, slots=True)
class Bug:
    """A broken function: ``line`` (from 1) of ``text`` has ``broken_line`` for ``fixed_line``.

    Both may be several lines, and ``broken_line`` is "" where what should stand there is missing.
    """

    text: str
    kind: str
    line: int
    explanation: str
    fixed_line: str
    broken_line: str


def inject(text: str, language: str, seed: str, kinds: Collection[str] | None = None) -> list[Bug]:
    """Variants of a function with one bug each, at most one of each kind, all of which parse.

    ``kinds`` are some of KINDS, or all.

    Raises:
        Unsuited: the function does not parse, or has no place for such a bug.
    """
    tree = parse(text, language)
    places: dict[str, list[Fault]] = {kind: [] for kind in KINDS if kinds is None or kind in kinds}
    for node in _code(tree.root):
        for kind, find in FINDERS.get(node.type, ()):
            if kind in places and (fault := find(node)):
                places[kind].append(fault)
    bugs = []
    for kind, faults in places.items():
        Random(f"{seed}:{kind}").shuffle(faults)
        broken = (_bug(tree, text, kind, fault) for fault in faults)
        bugs += [bug for bug in broken if bug][:1]
    if not bugs:
        raise Unsuited("no place in it for such a bug")
    return bugs


def _code(root: Node) -> Iterator[Node]:
    """The nodes in which an edit is a bug; of a raise or throw the statement alone."""
    skipped = frozenset(_NOT_CODE.split())
    stack = [root]
    while stack:
        node = stack.pop()
        kind = node.type
        if "call" in kind and _SAID.match(text_of(node.child_by_field_name("function"))):
            continue
        yield node
        asked = kind == "if_statement" and text_of(node.child_by_field_name("condition"))
        if kind not in skipped and not (asked and _PLATFORM.search(asked)):
            stack.extend(reversed(node.children))


def _bug(tree: Tree, text: str, kind: str, fault: Fault) -> Bug | None:
    try:
        broken = tree.edited(fault.edits).text
    except Unsuited:
        return None
    right, wrong = text.split("\n"), broken.split("\n")
    shorter = min(len(right), len(wrong))
    start = next((i for i in range(shorter) if right[i] != wrong[i]), shorter)
    rest = range(1, shorter - start + 1)
    end = next((i for i in rest if right[-i] != wrong[-i]), shorter - start + 1) - 1
    return Bug(
        text=broken,
        kind=kind,
        line=start + 1,
        explanation=f"{KINDS[kind].capitalize()} in line {start + 1}: {fault.why}.",
        fixed_line="\n".join(right[start : len(right) - end]),
        broken_line="\n".join(wrong[start : len(wrong) - end]),
    )
