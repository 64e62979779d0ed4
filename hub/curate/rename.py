"""Other names for a function's own variables, so that the same code is seen in other words.

What a name is made of: words of the expression that the variable is first bound to, or of a small
vocabulary by the role it plays; drawn by a seed. A new name occurs nowhere in the function, so
that nothing is captured.
"""

from __future__ import annotations

import builtins
import keyword
import re
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from hub.curate.names import names_of
from hub.curate.trees import Edit, Unsuited, parse, text_of
from hub.words import split_words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from tree_sitter import Node

    from hub.curate.scopes import Binding

_WORDS = {
    "loop": "item entry element current each candidate member",
    "index": "index position offset idx number",
    "context": "handle resource opened active guard",
    "error": "error exc problem failure cause",
    "parameter": "value given source argument subject",
    "variable": "result value current found outcome data target",
    "number": "count total number amount limit",
    "text": "text message label content line",
    "list": "items collected results entries group",
    "table": "mapping table lookup registry",
    "flag": "flag matches enabled done ready",
}
_KINDS = {  # of values, by node type or by TypeScript type
    **dict.fromkeys(("integer", "float", "number", "unary_operator", "unary_expression"), "number"),
    **dict.fromkeys(("string", "concatenated_string", "template_string"), "text"),
    **dict.fromkeys(("list", "list_comprehension", "tuple", "set", "array"), "list"),
    **dict.fromkeys(("dictionary", "dictionary_comprehension", "object"), "table"),
    **dict.fromkeys(("true", "false", "comparison_operator", "not_operator", "boolean"), "flag"),
    **dict.fromkeys(("array_type", "readonly_type", "tuple_type"), "list"),
}
_HEADS = ("name", "function", "constructor", "attribute", "property", "argument", "value", "object")
_SINGULAR = {"ies": "y", "sses": "ss", "xes": "x", "ches": "ch", "ss": "ss"}
_VERBS = "get fetch load read make create build find compute to from as is has new of use do"
_JAVASCRIPT = """
    abstract any arguments as async await boolean break case catch class const constructor continue
    console debugger declare default delete do document else enum eval event export extends false
    finally for from function get global if implements import in infer instanceof interface is keyof
    let module name namespace never new null number object of package private process protected
    public readonly require return self set static string super switch symbol this throw true try
    type typeof undefined unique unknown using var void while window with yield
"""
RESERVED = {  # names that a variable should not have, by whether it is Python
    True: frozenset([*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "self", "cls"]),
    False: frozenset(_JAVASCRIPT.split()),
}
# a name in prose, and what marks it as one: `name`, @param {type} name, "name (type): ..."
_MENTION = re.compile(
    r"(param\s+(?:\{[^}\n]*\}\s+)?\[?|`|^[ \t#*]*(?=[\w$]+(?: \([^)\n]*\))?:\s))?"
    r"(?<![\w$.])([^\W\d][\w$]*)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Renamed:
    """A function under other names; ``mapping`` has the new name of each old one."""

    text: str
    mapping: dict[str, str]


def rename(text: str, language: str, seed: str, *, keep: Collection[str] = ()) -> Renamed:
    """The function with other names for its variables, behaving as before to whoever calls it.

    Each old name gets one new name, also where several scopes have a variable of that name. Left
    as they are: those to ``keep``, what a caller or a reader of ``__name__`` can see (parameters in
    Python, inner functions and classes), imports without alias, and names that strings spell out.

    Raises:
        Unsuited: it does not parse, looks names up as text, or has no variable of its own.
    """
    tree = parse(text, language)
    names = names_of(tree)
    if names.dynamic:
        raise Unsuited("its names can be looked up as text")
    taken = {b.name for b in names.bindings} | names.free | RESERVED[tree.is_python]
    mapping: dict[str, str] = {}
    edits = []
    changed = [
        b
        for b in names.bindings
        if b.is_local and not (b.public or b.fixed or b.name in keep or b.name in ("self", "cls"))
    ]
    for binding in changed:
        old = binding.name
        if old not in mapping:
            proposed = _plausible(binding, Random(f"{seed}:{old}"))
            styled = (in_style_of(old, words, language) for words in proposed)
            mapping[old] = next(n for n in styled if n not in taken and n.isidentifier())
            taken.add(mapping[old])
        for use in binding.uses:
            text_before = f"{text_of(use)}: " if use.type.startswith("shorthand") else ""
            edits.append(Edit(use.start_byte, use.end_byte, text_before + mapping[old]))
    if not mapping:
        raise Unsuited("nothing in it to rename")
    others = {b.name for b in set(names.bindings).difference(changed)} | names.free
    told = {old: new for old, new in mapping.items() if old not in others}
    for comment in names.comments:
        said = text_of(comment)
        edits.append(Edit(comment.start_byte, comment.end_byte, mention(said, told)))
    return Renamed(tree.edited(edits).text, mapping)


def mask_variable(text: str, language: str, draw: Random, mask: str) -> tuple[str, str] | None:
    """A local variable of several words, and the function with ``mask`` wherever it stands.

    None where there is none, or its name can still be read somewhere: in a string, a comment, an
    attribute.
    """
    try:
        tree = parse(text, language)
    except Unsuited:
        return None
    bindings = [
        b
        for b in names_of(tree).bindings
        if b.is_local
        and b.role in ("variable", "loop", "context", "parameter")
        and len(split_words(b.name)) > 1
        and not b.fixed
    ]
    draw.shuffle(bindings)
    for binding in bindings:
        hidden = tree.text_with(Edit(use.start_byte, use.end_byte, mask) for use in binding.uses)
        if binding.name.lower() not in hidden.lower():
            return binding.name, hidden
    return None


def _plausible(binding: Binding, draw: Random) -> Iterator[list[str]]:
    """Names in words: of what the variable is bound to, or by its role; numbered in the end."""
    value = binding.value
    if value and value.type == "type_annotation":
        value = value.named_child(0)
    kind = _KINDS.get(text_of(value), _KINDS.get(value.type if value else "", binding.role))
    derived = list(_words_of(value))
    if binding.role == "loop":
        kind = "index" if derived[-1:] in (["range"], ["enumerate"], ["keys"]) else "loop"
        derived = [*derived[:-1], _singular(derived[-1])] if derived else []
    if len(binding.name) == 1 and kind == "number":
        kind = "index"
    fallback = _WORDS.get(kind, _WORDS["variable"]).split()
    draw.shuffle(fallback)
    options = [[word] for word in fallback]
    options[draw.choice((0, 0, 1)) : 0] = [derived, derived[-1:]] if derived else []
    yield from options
    yield from ([*options[0], str(i)] for i in count(2))


def _words_of(value: Node | None) -> list[str]:
    """The words of the name at the head of an expression, without the verb that leads them."""
    while value and value.type not in ("identifier", "property_identifier", "type_identifier"):
        fields = (value.child_by_field_name(name) for name in _HEADS)
        head = next(filter(None, fields), None)
        value = value.named_child(0) if value.type.startswith(("await", "paren")) else head
    words = split_words(text_of(value))
    words = words[1:] if words[:1] and words[0] in _VERBS.split() else words
    return words if len("".join(words)) > 1 else []


def _singular(word: str) -> str:
    for ending, instead in _SINGULAR.items():
        if word.endswith(ending):
            return word.removesuffix(ending) + instead
    return word.removesuffix("s") or word


def in_style_of(old: str, words: list[str], language: str) -> str:
    """The words written as ``old`` is: constant, class or variable, private or not."""
    private = "_" * (len(old) - len(old.lstrip("_")))
    if len(old) > 1 and old.isupper():
        return private + "_".join(words).upper()
    if language == "python" and not old.lstrip("_")[:1].isupper():
        return private + "_".join(words)
    joined = "".join(word.capitalize() for word in words)
    return private + (joined if old[:1].isupper() else joined[:1].lower() + joined[1:])


def mention(prose: str, mapping: Mapping[str, str]) -> str:
    """Prose with the new names; of one that could be a plain word only where it is marked."""

    def told(match: re.Match[str]) -> str:
        lead, name = match.groups("")
        plain = name.isalpha() and name.islower()
        return match[0] if plain and not lead else lead + mapping.get(name, name)

    return _MENTION.sub(told, prose)
