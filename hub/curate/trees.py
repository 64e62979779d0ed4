"""One function of Python, TypeScript or JavaScript as a syntax tree, and edits that still parse.

A function is seldom a whole file: a method of a class parses only inside one. It is read within
the first frame that makes it valid, and comes back without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, cast

from hub.syntax import walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tree_sitter import Node
    from tree_sitter_language_pack import SupportedLanguage

GRAMMARS = {
    "python": "python",
    "typescript": "typescript",
    "tsx": "tsx",
    "javascript": "javascript",
    "jsx": "javascript",
}
Frame = tuple[str, str]
_FRAMES: tuple[Frame, ...] = (("", ""), ("class _ {\n", "\n}"), ("({\n", "\n})"))


class Unsuited(ValueError):  # noqa: N818 - a reason, counted by who asked; nothing is broken
    """Why a text has no variant of the kind that was asked for."""


class Edit(NamedTuple):
    """Replace the bytes from ``start`` to ``end`` of a tree's data."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Tree:
    """A text that parses: ``data`` is the text in a frame, and what ``root`` counts bytes of.

    ``tail`` follows the definition and is no part of it: the last method of a class may carry the
    brace that closes the class.
    """

    language: str
    data: bytes
    root: Node
    frame: Frame
    tail: str

    @property
    def is_python(self) -> bool:
        return self.language == "python"

    @property
    def text(self) -> str:
        before, after = self.frame
        return self.data[len(before) : len(self.data) - len(after)].decode() + self.tail

    def edited(self, edits: Iterable[Edit]) -> Tree:
        """The tree after ``edits``, which must not overlap.

        Raises:
            Unsuited: what they make does not parse.
        """
        data = spliced(self.data, edits)
        root = _root(data, self.language)
        if root.has_error:
            raise Unsuited("the result would not parse")
        return replace(self, data=data, root=root)

    def text_with(self, edits: Iterable[Edit]) -> str:
        """The text after ``edits``, which may parse or not."""
        return replace(self, data=spliced(self.data, edits)).text


def parse(text: str, language: str) -> Tree:
    """The tree of a function.

    Raises:
        Unsuited: a language that is none of GRAMMARS, or a text that does not parse.
    """
    if language not in GRAMMARS:
        raise Unsuited(f"no syntax trees for {language}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unsuited("not valid Unicode") from None
    frames = _FRAMES[:1] if language == "python" else _FRAMES
    if text[:1] in (" ", "\t"):
        frames = frames[1:] + frames[:1]  # what is indented is more often a method
    tree = _framed(text, "", language, frames)
    if tree is None:
        end = _indented(text) if language == "python" else _own_length(text, language)
        tree = _framed(text[:end], text[end:], language, frames)
    if tree is None:
        raise Unsuited("does not parse on its own")
    return tree


def loose(text: str, language: str) -> Tree:
    """The tree of any text in a language of GRAMMARS, also of one with errors."""
    data = text.encode(errors="surrogatepass")
    return Tree(language, data, _root(data, language), ("", ""), "")


def spliced(data: bytes, edits: Iterable[Edit]) -> bytes:
    """The data after ``edits``, which must not overlap."""
    parts, at = [], 0
    for edit in sorted(edits):
        parts += [data[at : edit.start], edit.text.encode()]
        at = edit.end
    return b"".join([*parts, data[at:]])


def text_of(node: Node | None) -> str:
    """The node's source; "" for no node, so that optional fields need no test."""
    return node.text.decode() if node and node.text else ""


def _framed(text: str, tail: str, language: str, frames: Iterable[Frame]) -> Tree | None:
    for frame in frames:
        data = f"{frame[0]}{text}{frame[1]}".encode()
        root = _root(data, language)
        if not root.has_error:
            return Tree(language, data, root, frame, tail)
    return None


def _indented(text: str) -> int:
    """Characters before the clause (``else:``) that a definition inside a block is followed by."""
    lines = text.splitlines(keepends=True)
    edge = _indent(text)
    while len(lines) > 1 and (not lines[-1].strip() or _indent(lines[-1]) < edge):
        lines.pop()
    return len("".join(lines))


def _own_length(text: str, language: str) -> int:
    """Characters before the first closing bracket that nothing in the text opens."""
    data, depth = text.encode(), 0
    for node in walk(_root(data, language)):
        if node.type in ("{", "(", "[", "${"):
            depth += 1
        elif node.type in ("}", ")", "]"):
            depth -= 1
            if depth < 0:
                return len(data[: node.start_byte].decode())
    return len(text)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _root(data: bytes, language: str) -> Node:
    from tree_sitter import Parser
    from tree_sitter_language_pack import get_language

    grammar = get_language(cast("SupportedLanguage", GRAMMARS[language]))
    return Parser(grammar).parse(data).root_node
