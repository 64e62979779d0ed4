"""What of a function's code its author could not have written otherwise.

A copy in which variables were renamed, comments dropped and lines broken elsewhere still has the
same shape (keywords, marks, and the places of names and literals), and still names the same things:
what it calls, the attributes it reads, its types and constants. Functions that merely resemble each
other, such as a getter and its neighbour, share the shape and not the names.

Tokens are told apart by regular expressions, so that any language and any broken code will do.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hub.curate.shingles import shingles, text_hash, token_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.curate.shingles import Hashes

HASH_COMMENTS = frozenset({"python", "ruby", "bash"})
_KEYWORDS = (
    "abstract and as assert async await begin break case catch chan class const continue def "
    "default defer del delete do elif else elsif end ensure enum except export extends extern "
    "fallthrough false False final finally fn for foreach from fun func function global go goto "
    "guard if impl implements import in instanceof interface internal is lambda let loop match "
    "mod move mut namespace new nil None nonlocal not null or override package pass private "
    "protected pub public raise range readonly ref require rescue return select self Self "
    "sizeof static struct super switch template then this throw throws trait true True try type "
    "typeof union unless unsafe until use using val var virtual void when where while with "
    "yield"
)
KEYWORDS = frozenset(_KEYWORDS.split())
_INSIDE = r"(?:\\(?s:.)|[^\\])*?"  # what is not closed goes on to the end, so that time is linear
_TRIPLE = rf"(?:\"\"\"{_INSIDE}(?:\"\"\"|\Z)|'''{_INSIDE}(?:'''|\Z))"
_BACKTICKS = rf"`{_INSIDE}(?:`|\Z)"
_QUOTES = r'"(?:\\.|[^"\\\n])*"'
_APOSTROPHES = r"'(?:\\.|[^'\\\n])*'"
_CHARACTER = r"'(?:\\[^'\n]+|[^'\\\n])'"  # Rust's other apostrophes are lifetimes
_HASH_COMMENTS = rf"^[ \t]*[rRbBuU]{{0,2}}{_TRIPLE}|\#.*"  # and docstrings
_SLASH_COMMENTS = r"/\*(?s:.*?)(?:\*/|\Z)|//.*"
_MARK = r"(?P<mark>->|::|\?\.|[=!<>:]=|=>|[^\w\s])"
_CODE = rf"(?P<line>\n)|(?P<number>\b\d[\w.]*)|(?P<name>[^\W\d][\w$]*)|{_MARK}"
_INTERPOLATED = re.compile(r"\{[^{}]*\}")
_ACCESS = frozenset({".", "->", "::", "?."})
_OPERATORS = frozenset([*"<>!+-*/%&|^~?@", "==", "!=", "<=", ">="])
_LOGIC = "and or not is in None nil null True true False false await"
_OPERATING = _OPERATORS | frozenset(_LOGIC.split())
_DEFINERS = frozenset(["def", "func", "function", "fn", "fun", "lambda"])
_BINDERS = frozenset(["let", "const", "var", "mut", "as", "class", "catch"])
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_BODY = frozenset(["{", ":", "=>"])
_BEFORE_PARAMETER = frozenset("(,*&")
_BETWEEN = frozenset("(),[]{}*&:")  # among names that are bound at once, and before a type
MANY, HEADER = 40, 400  # tokens in which they stand, and in which parameters do
_SKIPPED = frozenset(",;\n")  # what a formatter adds and drops

Token = tuple[str, str]  # kind and text


@dataclass(frozen=True, slots=True)
class Shape:
    """Code without its author's choices.

    ``form`` hashes the shingles of the tokens with every name and literal as one, ``names`` what is
    named, said and computed, each with how often, and ``code`` the whole with its own names
    numbered: two functions have the same where renaming makes one of the other.
    """

    form: Hashes
    names: Hashes
    code: int
    length: int  # in tokens


def shape_of(text: str, *, language: str, symbol: str = "") -> Shape:
    """The shape of a function's text; ``symbol`` is its own name, which may be changed."""
    tokens = [
        (match.lastgroup or "", match.group())
        for match in _scanner(language).finditer(text)
        if match.lastgroup != "comment"
    ]
    own = dict.fromkeys([symbol.rpartition(".")[2], *_own_names(tokens)])
    numbers: dict[str, str] = {}
    form, code = [], []
    names: Counter[str] = Counter()
    before = ""
    for kind, token in tokens:
        if token in _SKIPPED:
            continue
        is_name = kind == "name" and token not in KEYWORDS
        form.append(token if kind == "mark" or token in KEYWORDS else kind)
        if is_name and token in own and before not in _ACCESS:
            code.append(numbers.setdefault(token, f"name {len(numbers)}"))
        else:
            said = _said(token) if kind == "string" else token
            code.append(said)
            if kind in ("string", "number") or is_name or token in _OPERATING:
                names[said] += 1
        before = token
    counted = [f"{name}\0{i}" for name, count in names.items() for i in range(count)]
    hashes = np.array([token_hash(each) for each in counted], dtype=np.uint64)
    whole = text_hash("\0".join([language, *code]))
    return Shape(shingles([language, *form]), hashes, whole, len(form))


def _own_names(tokens: Sequence[Token]) -> Iterator[str]:
    """Names that the text itself brings in: parameters, variables, inner functions."""
    depth = 0
    yield from _parameters(tokens, 0)
    for at, (_, token) in enumerate(tokens):
        depth += (token in _OPENING - {"{"}) - (token in _CLOSING - {"}"})
        if token in _DEFINERS:
            yield from _parameters(tokens, at + 1)
        elif token in _BINDERS:
            yield from (name for kind, name in tokens[at + 1 : at + 2] if kind == "name")
        elif token == ":=" or (token == "=" and not depth):
            yield from _bound_before(tokens, at)[0]
        elif token in ("in", "of", "=>"):
            names, stopped_at = _bound_before(tokens, at)
            if token == "=>" or stopped_at == "for":
                yield from names


def _parameters(tokens: Sequence[Token], start: int) -> Iterator[str]:
    """Names that follow a bracket, a comma or a star, up to where the body begins."""
    depth, before = 0, "," if start else ""
    for kind, token in tokens[start : start + HEADER]:
        if kind == "line":
            continue
        if depth < 0 or (depth == 0 and token in _BODY):
            return
        depth += (token in _OPENING) - (token in _CLOSING)
        if kind == "name" and depth <= 1 and before in _BEFORE_PARAMETER:
            yield token
        before = token


def _bound_before(tokens: Sequence[Token], end: int) -> tuple[list[str], str]:
    """The names right before ``end``, alone or in a list, and the token in front of them."""
    names: list[str] = []
    depth = 0
    after = ""
    for kind, token in reversed(tokens[max(end - MANY, 0) : end]):
        depth += (token in _CLOSING) - (token in _OPENING)
        is_name = kind == "name" and token not in KEYWORDS
        if kind == "line" and depth:
            continue
        if depth < 0 or (is_name and after == "name") or not (is_name or token in _BETWEEN):
            return names, token  # of the line before: the statement begins here
        if is_name:
            names.append(token)
        after = kind
    return names, ""


def _said(string: str) -> str:
    """A string literal without its quotes, and without the names that it interpolates."""
    return _INTERPOLATED.sub("{}", string.strip("\"'`"))


@functools.cache
def _scanner(language: str) -> re.Pattern[str]:
    comment = _HASH_COMMENTS if language in HASH_COMMENTS else _SLASH_COMMENTS
    apostrophes = _CHARACTER if language == "rust" else _APOSTROPHES
    strings = "|".join((_TRIPLE, _BACKTICKS, _QUOTES, apostrophes))
    return re.compile(f"(?P<comment>{comment})|(?P<string>{strings})|{_CODE}", re.MULTILINE)
