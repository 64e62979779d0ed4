"""Examples without the names that their authors chose, for Python and TypeScript.

Functions, classes, parameters and variables that an example binds become ``function_1``,
``parameter_1`` and so on: the same name is the same in its prompt, its completion and the prose
about them. Attributes, imports and names that code spells as text stay, for other code has them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count, pairwise
from typing import TYPE_CHECKING, NamedTuple

from hub.curate.names import names_of
from hub.curate.rename import RESERVED, in_style_of, mention
from hub.curate.rows import LANGUAGES, PROSE, fences
from hub.curate.trees import GRAMMARS, Edit, Unsuited, loose, parse, spliced, text_of
from hub.syntax import walk
from hub.types import Infill

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tree_sitter import Node

    from hub.curate.trees import Tree
    from hub.types import Example, Message

_WORD = re.compile(r"[\w$]+")
_SPAN = re.compile(r"`[^`\n]+`")
_IN_CODE = re.compile(r"(?<![\w$.])[^\W\d][\w$]*")
_NAMES = ("identifier", "type_identifier")  # and shorthand properties, which are both
_CLOSING = {"(": ")", "[": "]", "{": "}", "${": "}"}
_HEADS = re.compile(r"(?m)^(\s*(?:(?:async )?def|class) .*[^:\n]):?$")


class _Piece(NamedTuple):
    text: str
    language: str  # "" of prose


def anonymize(example: Example) -> Example | str:
    """The example under neutral names; as it is in other languages.

    Or the reason why it has no such form: its answer is a name, or code in it cannot be read, so
    that a name might stay.
    """
    if example.language not in GRAMMARS:
        return example
    if example.task == "name":
        return "its answer is a name"
    try:
        mapping = _learnt(example)
    except ValueError as reason:  # Unsuited, or a tree with errors in it
        return f"its names cannot be told: {reason}"
    hole = _filled(example, mapping) if example.infill else None

    def turns(conversation: tuple[Message, ...], *, is_answer: bool) -> tuple[Message, ...]:
        changed = []
        for turn in conversation:
            pieces = _pieces(turn.content, example, is_answer=is_answer)
            texts = (_under(piece, mapping, example, hole) for piece in pieces)
            changed.append(turn._replace(content="\n".join(texts)))
        return tuple(changed)

    return replace(
        example,
        prompt=turns(example.prompt, is_answer=False),
        completion=turns(example.completion, is_answer=True),
        infill=hole,
        symbol=_symbol(example, mapping),
    )


def _learnt(example: Example) -> dict[str, str]:
    """A new name for each that the example's code binds; none occurs in it."""
    turns = example.prompt + example.completion
    taken = {word for turn in turns for word in _WORD.findall(turn.content)}
    mapping: dict[str, str] = {}
    for code, language in _codes(example):
        names = names_of(_readable(code, language))
        stay = {b.name for b in names.bindings if b.fixed and b.role != "class"}
        stay |= RESERVED[language == "python"] | {"self", "cls"}
        for binding in names.bindings:
            old = binding.name
            if binding.scope.kind != "class" and old not in stay and old not in mapping:
                numbered = ([binding.role, str(number)] for number in count(1))
                styled = (in_style_of(old, words, language) for words in numbered)
                mapping[old] = next(new for new in styled if new not in taken)
                taken.add(mapping[old])
    return mapping


def _codes(example: Example) -> Iterator[_Piece]:
    """The code that binds names; what is cut is put together again."""
    asked = [p for turn in example.prompt for p in _pieces(turn.content, example, is_answer=False)]
    answered = [
        p for turn in example.completion for p in _pieces(turn.content, example, is_answer=True)
    ]
    asked = [piece for piece in asked if piece.language]
    if example.infill:
        whole = example.infill.prefix + example.infill.middle + example.infill.suffix
        yield _Piece(whole, example.language)
    elif example.task == "next_line" and asked and answered:
        above, line = asked[-1].text, answered[0].text
        last = above.rstrip().rpartition("\n")[2]
        indent = last[: len(last) - len(last.lstrip())] + "    " * last.endswith(":")
        yield _Piece(f"{above}\n{indent}{line}", example.language)
    else:
        yield from (*asked, *(piece for piece in answered if piece.language))


def _pieces(text: str, example: Example, *, is_answer: bool) -> list[_Piece]:
    """Code and prose in turn; an answer without a fence is code in most tasks."""
    blocks = [(info, line, code) for info, line, code, _ in fences(text) if code]
    if not blocks:
        is_code = is_answer and example.task not in PROSE
        return [_Piece(text, example.language if is_code else "")]
    lines, at, pieces = text.split("\n"), 0, []
    for info, line, code in blocks:
        said = LANGUAGES.get(info.lower(), info.lower()) or example.language
        pieces.append(_Piece("\n".join(lines[at:line]), ""))
        pieces.append(_Piece(code, said if said in GRAMMARS else ""))
        at = line + code.count("\n") + 1
    return [*pieces, _Piece("\n".join(lines[at:]), "")] if at < len(lines) else pieces


def _readable(code: str, language: str) -> Tree:
    """The tree of the code, where need be with its open brackets closed or its bodies added.

    Raises:
        Unsuited: it does not parse.
    """
    python = language == "python"
    bodies = _HEADS.sub(r"\1: ...", code) if python else re.sub(r"(?m)$", " {}", code)
    for text in (code, _closed(code, language), bodies):
        try:
            return parse(text, language)
        except Unsuited as reason:
            why = reason
    raise why


def _closed(code: str, language: str) -> str:
    still_open = []
    for leaf in walk(loose(code, language).root):
        if leaf.type in _CLOSING:
            still_open.append(_CLOSING[leaf.type])
        elif leaf.type in _CLOSING.values() and not leaf.is_missing and still_open:
            still_open.pop()
    last = code.rstrip().rpartition("\n")[2]
    indent = last[: len(last) - len(last.lstrip())]
    body = f"\n{indent}    pass" if last.endswith(":") and language == "python" else ""
    return code + "".join(reversed(still_open)) + body


def _filled(example: Example, mapping: Mapping[str, str]) -> Infill:
    """The hole under the new names; one that it cuts in two stays so, and rejoins."""
    parts = [part.encode() for part in example.infill or ()]
    prefix, suffix, middle = parts
    data = prefix + middle + suffix
    edits = list(_edits(loose(data.decode(), example.language).root, mapping))
    bounds = [0, len(prefix), len(prefix) + len(middle), len(data)]
    for bound in bounds[1:3]:
        edits = [part for edit in edits for part in _halves(edit, bound)]
    cut = []
    for start, end in pairwise(bounds):
        inside = (e for e in edits if start <= e.start < end)
        shifted = [Edit(e.start - start, e.end - start, e.text) for e in inside]
        cut.append(spliced(data[start:end], shifted).decode())
    return Infill(cut[0], cut[2], cut[1])


def _halves(edit: Edit, bound: int) -> list[Edit]:
    if not edit.start < bound < edit.end:
        return [edit]
    at = bound - edit.start
    return [Edit(edit.start, bound, edit.text[:at]), Edit(bound, edit.end, edit.text[at:])]


def _under(piece: _Piece, mapping: Mapping[str, str], example: Example, hole: Infill | None) -> str:
    """A piece of a conversation under the new names."""
    if hole and example.infill:
        old = example.infill
        if piece.text == f"{old.prefix}<blank>{old.suffix}":
            return f"{hole.prefix}<blank>{hole.suffix}"
        if piece.text == old.middle:
            return hole.middle
    if piece.language:
        tree = loose(piece.text, piece.language)
        return tree.text_with(_edits(tree.root, mapping))
    return _prose(
        piece.text.replace(f"`{example.symbol}`", f"`{_symbol(example, mapping)}`"), mapping
    )


def _prose(text: str, mapping: Mapping[str, str]) -> str:
    def spanned(match: re.Match[str]) -> str:
        return _IN_CODE.sub(lambda word: mapping.get(word[0], word[0]), match[0])

    return _SPAN.sub(spanned, mention(text, mapping))


def _symbol(example: Example, mapping: Mapping[str, str]) -> str:
    return ".".join(mapping.get(part, part) for part in example.symbol.split("."))


def _edits(root: Node, mapping: Mapping[str, str]) -> Iterator[Edit]:
    """New names for values and types, and in comments and documentation."""
    for node in walk(root):
        text = text_of(node) if not node.child_count else ""
        if node.type == "string_content" and _decorates(node):  # as pytest's parameters are told
            names = text.replace(",", " ").split()
            if names and all(name in mapping for name in names):
                told = _WORD.sub(lambda word: mapping[word[0]], text)
                yield Edit(node.start_byte, node.end_byte, told)
        elif node.type == "comment" or (node.type == "string_content" and _documents(node)):
            yield Edit(node.start_byte, node.end_byte, _prose(text_of(node), mapping))
        elif text in mapping and not _is_attribute(node, mapping):
            if node.type in _NAMES:
                yield Edit(node.start_byte, node.end_byte, mapping[text])
            elif node.type.startswith("shorthand_property_identifier"):
                yield Edit(node.start_byte, node.end_byte, f"{text}: {mapping[text]}")


def _decorates(node: Node) -> bool:
    parent = node.parent
    while parent and parent.type != "decorator":
        parent = parent.parent
    return parent is not None


def _documents(node: Node) -> bool:
    string = node.parent
    return bool(string and string.parent and string.parent.type in ("block", "module"))


def _is_attribute(node: Node, mapping: Mapping[str, str]) -> bool:
    """``x.name``, and ``name=`` in a call of what is not the example's own."""
    parent = node.parent
    if parent is None or parent.type not in ("attribute", "keyword_argument"):
        return False
    if parent.type == "attribute":
        return node == parent.child_by_field_name("attribute")
    call = parent.parent and parent.parent.parent
    function = call.child_by_field_name("function") if call else None
    return node == parent.child_by_field_name("name") and text_of(function) not in mapping
