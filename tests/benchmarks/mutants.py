"""Copies of real functions that still do the same: renamed, reformatted, a little edited.

Syntax trees say what may be changed. Renaming takes every parameter and local variable, and one
word of the function's name; reformatting drops comments and changes quotes and layout; an edit
drops a statement, adds one, or changes a literal, once or twice.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from textwrap import dedent, indent
from typing import TYPE_CHECKING

from tree_sitter import Parser
from tree_sitter_language_pack import get_language

from tests.benchmarks.functions import Edit, apply_edits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

    from tree_sitter import Node

    from hub.types import Pattern

_NOUNS = (
    "value item entry result total index offset buffer source target handle record field token "
    "state option limit count width node child parent left right first last current previous "
    "query answer message payload header body reader writer stream chunk batch context config "
    "label kind group member owner cursor prefix suffix"
)
WORDS = tuple(_NOUNS.split())
_VERBS = "make build load fetch compute find collect create apply run handle update"
VERBS = tuple(_VERBS.split())
SEVERAL = (
    "pattern_list", "tuple_pattern", "list_pattern", "expression_list", "as_pattern_target"
)  # fmt: skip
KEPT = frozenset({"self", "cls", "this", "_"})


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a mutation has to know of a language: field names by node type, and how to log."""

    name: str
    bindings: dict[str, tuple[str, ...]]
    blocks: tuple[str, ...]
    literals: tuple[str, ...]
    added: tuple[str, ...]


GRAMMARS = {
    "python": Grammar(
        "python",
        {
            "assignment": ("left",),
            "for_statement": ("left",),
            "for_in_clause": ("left",),
            "named_expression": ("name",),
            "as_pattern": ("alias",),
            "default_parameter": ("name",),
            "typed_default_parameter": ("name",),
        },
        ("block",),
        ("integer", "string_content"),
        ('logger.debug("called")', "assert True", "started = time.time()"),
    ),
    "go": Grammar(
        "go",
        {
            "parameter_declaration": ("name",),
            "short_var_declaration": ("left",),
            "range_clause": ("left",),
            "var_spec": ("name",),
        },
        ("block", "statement_list"),
        ("int_literal", "interpreted_string_literal_content"),
        ('log.Print("called")', "started := time.Now()", "_ = 0"),
    ),
    "typescript": Grammar(
        "typescript",
        {
            "required_parameter": ("pattern",),
            "optional_parameter": ("pattern",),
            "variable_declarator": ("name",),
            "arrow_function": ("parameter",),
        },
        ("statement_block",),
        ("number", "string_fragment"),
        ('console.debug("called");', "const started = Date.now();", "void 0;"),
    ),
}


def mutant(pattern: Pattern, kind: str, random: Random) -> Pattern | None:
    """A copy of ``pattern`` of this kind, see :data:`KINDS`; None where nothing can be changed."""
    text = dedent(pattern.text.expandtabs(4)).strip("\n")
    name = pattern.symbol.rpartition(".")[2]
    changed = text
    for step in KINDS[kind]:
        changed = step(changed, pattern, random)
    if changed == text:
        return None
    if "renamed" in kind or kind == "all":
        new = _new_function_name(name, random)
        changed = re.sub(rf"\b{re.escape(name)}\b(?=\s*[(<=:])", new, changed, count=1)
        name = new
    signature = changed.partition("\n")[0]
    return replace(
        pattern,
        id=f"{pattern.id}-{kind}",
        text=changed,
        symbol=pattern.symbol.removesuffix(pattern.symbol.rpartition(".")[2]) + name,
        signature=signature,
        path=f"copies/{random.choice(WORDS)}/{random.choice(WORDS)}.src",
    )


def renamed(text: str, pattern: Pattern, random: Random) -> str:
    """Every parameter and local variable gets another name."""
    root, data, shift = _parsed(text, pattern)
    grammar = GRAMMARS[pattern.language]
    free = _fixed_names(root) | KEPT
    bound = sorted({_text(node) for node in _bindings(root, grammar)} - free)
    snake = pattern.language == "python"
    names = _names(len(bound), random, taken=set(re.findall(r"\w+", text)), snake=snake)
    new = dict(zip(bound, names, strict=True))
    edits = [
        Edit(node.start_byte, node.end_byte, new[_text(node)].encode())
        for node in _walk(root)
        if node.type == "identifier" and _text(node) in new and not _is_keyword_name(node)
    ]
    return _applied(data, edits, shift)


def reformatted(text: str, pattern: Pattern, random: Random) -> str:
    """Other layout and quotes, no comments; half of the Python functions lose their docstring."""
    if pattern.language == "python":
        return _unparsed(text, drop_docstring=random.random() < 0.5)
    root, data, shift = _parsed(text, pattern)
    edits = [Edit(n.start_byte, n.end_byte) for n in _walk(root) if n.type == "comment"]
    text = _applied(data, edits, shift)
    if pattern.language == "typescript":
        text = re.sub(r";$", "", text, flags=re.MULTILINE)
        text = re.sub(r'"([^"\'\n]*)"', r"'\1'", text)
    return re.sub(r", (?=\w)", ",\n        ", text, count=random.randint(1, 3))


def edited(text: str, pattern: Pattern, random: Random) -> str:
    """One or two statements dropped or added, or literals changed."""
    for _ in range(random.randint(1, 2)):
        change = random.choice((_without_statement, _with_statement, _with_other_literal))
        text = change(text, pattern, random)
    return text


KINDS: dict[str, Sequence[Callable[[str, Pattern, Random], str]]] = {
    "renamed": (renamed,),
    "reformatted": (reformatted,),
    "edited": (edited,),
    "renamed+reformatted": (renamed, reformatted),
    "all": (edited, renamed, reformatted),
}


def _without_statement(text: str, pattern: Pattern, random: Random) -> str:
    root, data, shift = _parsed(text, pattern)
    blocks = [b for b in _walk(root) if b.type in GRAMMARS[pattern.language].blocks]
    statements = [
        statement
        for block in blocks
        if block.named_child_count > 3
        for statement in block.named_children[1:-1]
        if statement.start_point[0] == statement.end_point[0] and statement.type != "comment"
    ]
    if not statements:
        return text
    dropped = random.choice(statements)
    return _applied(data, [Edit(dropped.start_byte, dropped.end_byte)], shift)


def _with_statement(text: str, pattern: Pattern, random: Random) -> str:
    root, data, shift = _parsed(text, pattern)
    grammar = GRAMMARS[pattern.language]
    blocks = [b for b in _walk(root) if b.type in grammar.blocks and b.named_child_count > 1]
    if not blocks:
        return text
    before = random.choice(random.choice(blocks).named_children[1:])
    margin = "\n" + " " * before.start_point[1]
    added = (random.choice(grammar.added) + margin).encode()
    return _applied(data, [Edit(before.start_byte, before.start_byte, added)], shift)


def _with_other_literal(text: str, pattern: Pattern, random: Random) -> str:
    root, data, shift = _parsed(text, pattern)
    literals = [n for n in _walk(root) if n.type in GRAMMARS[pattern.language].literals]
    if not literals:
        return text
    node = random.choice(literals)
    new = str(random.randint(2, 99)) if _text(node).isdigit() else random.choice(WORDS)
    return _applied(data, [Edit(node.start_byte, node.end_byte, new.encode())], shift)


def _parsed(text: str, pattern: Pattern) -> tuple[Node, bytes, bool]:
    """The tree, the bytes it is of, and whether a class was put around a method."""
    wrapped = pattern.language == "typescript" and pattern.kind == "method"
    data = (f"class X {{\n{text}\n}}" if wrapped else text).encode()
    grammar = get_language(GRAMMARS[pattern.language].name)  # type: ignore[arg-type]
    return Parser(grammar).parse(data).root_node, data, wrapped


def _applied(data: bytes, edits: Sequence[Edit], wrapped: bool) -> str:
    text = apply_edits(data, tuple(edits)).decode()
    return text.split("\n", 1)[1].rpartition("\n")[0] if wrapped else text


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _text(node: Node) -> str:
    return (node.text or b"").decode()


def _bindings(root: Node, grammar: Grammar) -> Iterator[Node]:
    """Identifiers that are declared or assigned."""
    for node in _walk(root):
        for field in grammar.bindings.get(node.type, ()):
            for bound in node.children_by_field_name(field):
                yield from _identifiers(bound)
        if node.type in ("parameters", "lambda_parameters", "typed_parameter"):  # Python's
            yield from (child for child in node.children if child.type == "identifier")


def _identifiers(node: Node) -> Iterator[Node]:
    """``node`` itself or what a pattern of several names binds; no attribute, no subscript."""
    if node.type == "identifier":
        yield node
    elif node.type in SEVERAL:
        for child in node.named_children:
            yield from _identifiers(child)


def _fixed_names(root: Node) -> set[str]:
    """Names that are a key as well: renaming them would change what is meant."""
    fixed = {
        _text(node)
        for node in _walk(root)
        if node.type in ("shorthand_property_identifier", "shorthand_property_identifier_pattern")
    }
    return fixed | {
        _text(leaf)
        for node in _walk(root)
        if node.type == "keyed_element"
        for leaf in _walk(node.children[0])
        if leaf.type == "identifier"
    }


def _is_keyword_name(node: Node) -> bool:
    parent = node.parent
    return bool(
        parent
        and parent.type in ("keyword_argument", "attribute")
        and parent.child_by_field_name("name" if parent.type == "keyword_argument" else "attribute")
        == node
    )


def _names(count: int, random: Random, *, taken: set[str], snake: bool) -> list[str]:
    names: list[str] = []
    while len(names) < count:
        words = random.sample(WORDS, random.randint(1, 2))
        name = "_".join(words) if snake else words[0] + "".join(w.title() for w in words[1:])
        if name not in taken:
            taken.add(name)
            names.append(name)
    return names


def _new_function_name(name: str, random: Random) -> str:
    """One word of the name becomes another."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|_+", name)
    at = random.choice([i for i, word in enumerate(words) if word[0] != "_"] or [0])
    new = random.choice(VERBS if at == 0 else WORDS)
    title = bool(words) and words[at][:1].isupper()
    return "".join([*words[:at], new.title() if title else new, *words[at + 1 :]])


def _unparsed(text: str, *, drop_docstring: bool) -> str:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    function = tree.body[0]
    defined = isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
    if defined and drop_docstring and ast.get_docstring(function) and len(function.body) > 1:
        del function.body[0]
    head, _, body = ast.unparse(tree).partition("\n")
    return f"{head}\n{indent(dedent(body), '  ')}"
