"""Code cut out of its file, parsed so that a sound piece has no error.

A method without its class is no program: it is tried in the surroundings that make it one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from hub.syntax import walk

if TYPE_CHECKING:
    from tree_sitter import Node
    from tree_sitter_language_pack import SupportedLanguage

_ALONE, _CLASS, _OBJECT = ("", "\n"), ("class C {\n", "\n}"), ("({\n", "\n})")
SURROUNDINGS = {
    "python": (_ALONE, ("if 1:\n", "\n")),
    "typescript": (_ALONE, _CLASS, _OBJECT),
    "tsx": (_ALONE, _CLASS, _OBJECT),
    "javascript": (_ALONE, _CLASS, _OBJECT),
    "jsx": (_ALONE, _CLASS, _OBJECT),
    "go": (_ALONE,),
    "rust": (_ALONE,),
    "java": (_ALONE, _CLASS),
    "c": (_ALONE,),
    "cpp": (_ALONE, ("class C {\n", "\n};")),
    "csharp": (_ALONE, _CLASS),
    "ruby": (_ALONE,),
    "php": (("<?php\n", "\n"), ("<?php class C {\n", "\n}")),
    "kotlin": (_ALONE, _CLASS),
    "swift": (_ALONE, _CLASS),
    "bash": (_ALONE,),
}
ALIASES = {"jsx": "javascript"}  # where a grammar goes by another name
# Macros hide the syntax of the first two, and the third has more of it than its grammar knows.
DOUBTFUL = frozenset({"c", "cpp", "swift"})
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_OPENERS = {"(": "(", "[": "[", "{": "{", "${": "{", "#{": "{", "$(": "(", "\\(": "("}
_QUOTES = frozenset({'"', "'", "`", '"""', "'''", "string_start", "/*"})


@dataclass(frozen=True, slots=True)
class Fragment:
    """A syntax tree, what was parsed for it, and the lines of that which stand before the code."""

    root: Node
    source: str
    ahead: int

    def line(self, node: Node) -> int:
        """The 1-based line of the code that ``node`` begins on."""
        return max(1, node.start_point.row + 1 - self.ahead)

    @property
    def error(self) -> Node | None:
        """The first node that is wrong or missing."""
        if not self.root.has_error:
            return None
        return next(
            (node for node in walk(self.root) if node.is_error or node.is_missing), self.root
        )

    @property
    def unbalanced(self) -> Node | None:
        """A bracket or quote without its other half; None where the code has no error."""
        opened: list[Node] = []
        for leaf in walk(self.root) if self.root.has_error else ():
            if leaf.child_count or leaf.is_missing:
                continue
            if leaf.type in _OPENERS:
                opened.append(leaf)
            elif leaf.type in _BRACKETS:
                if not opened:
                    return leaf
                if _OPENERS[opened[-1].type] == _BRACKETS[leaf.type]:
                    opened.pop()
            elif leaf.type in _QUOTES and leaf.parent and leaf.parent.is_error:
                return leaf
        return opened[-1] if opened else None


def parse(text: str, language: str) -> Fragment | None:
    """``text`` in the surroundings that suit it best; None for a language without a grammar."""
    from tree_sitter import Parser
    from tree_sitter_language_pack import get_language

    if language not in SURROUNDINGS:
        return None
    name = cast("SupportedLanguage", ALIASES.get(language, language))
    parser = Parser(get_language(name))
    tried = []
    is_file = language == "php" and "<?" in text  # anything that is not marked so is a sound text
    for before, after in (_ALONE,) if is_file else SURROUNDINGS[language]:
        source = f"{before}{text}{after}"
        root = parser.parse(source.encode("utf-8", "surrogatepass")).root_node
        fragment = Fragment(root, source, before.count("\n"))
        if not fragment.root.has_error:
            return fragment
        tried.append(fragment)
    return max(tried, key=lambda each: each.line(each.error or each.root))
