"""A function's code without what its author could have written otherwise.

A copy in which variables were renamed, comments dropped and lines broken elsewhere is still the
same sequence of words: what it calls and reads, its keywords, operators and literals. Functions
that merely resemble each other, such as a getter and its neighbour, say other words.

Words are told apart by regular expressions, so that any language and any broken code will do, in
time linear in the text.
"""

from __future__ import annotations

import ast
import functools
import re
import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

HASH_COMMENTS = frozenset({"python", "ruby", "bash"})
TYPE_FIRST = frozenset({"java", "c", "cpp", "csharp", "dart", "groovy"})  # `int x`, not `x: int`
WITHOUT_DEFINER = frozenset({"javascript", "typescript", "tsx"})  # methods: `name(x) {`
_KEYWORDS = (
    "and as assert async await break case catch class const continue def default del do elif else "
    "except export extends extern false False final finally fn for from fun func function if impl "
    "implements import in instanceof interface is lambda let mut namespace new nil None nonlocal "
    "not null of or package pass private protected pub public raise readonly rescue return static "
    "struct super switch then this throw throws true True try typeof unless until using var void "
    "while with yield"
)
KEYWORDS = frozenset(_KEYWORDS.split())
# A string that is not closed goes on to the end, or to the line's, so that time is linear.
_INSIDE = r"(?:\\?(?s:.))*?"
_TRIPLE = rf"\"\"\"{_INSIDE}(?:\"\"\"|\Z)|'''{_INSIDE}(?:'''|\Z)"
_BACKTICKS = rf"`{_INSIDE}(?:`|\Z)"
_QUOTES = r'"(?:\\.|[^"\\\n])*+"?'
_APOSTROPHES = r"'(?:\\.|[^'\\\n])*+'?"
_CHARACTER = r"'(?:\\[^'\n]+|[^'\\\n])'"  # Rust's other apostrophes are lifetimes
_PREFIX = r"(?:\b[rRbBuUfF]{1,2}(?=[\"']))?"
_HASH_COMMENTS = rf"^[ \t]*[rRbBuU]{{0,2}}(?:{_TRIPLE})|\#.*"  # and docstrings
_SLASH_COMMENTS = r"/\*(?s:.*?)(?:\*/|\Z)|//.*"
_MARK = r"(?P<mark>\.\.\.|->|::|\?\.|[=!<>:]=|=>|[^\w\s])"
_NUMBER = r"\b\d[\w.]*(?:(?<=[eE])[-+]\d+)?"
_CODE = rf"(?P<line>(?<!,)\n)|(?P<number>{_NUMBER})|(?P<name>[^\W\d][\w$]*)|{_MARK}"
_INTERPOLATED = re.compile(r"\{[^{}]*\}")
_NAME = re.compile(r"[^\W\d]\w*")
_ACCESS = frozenset({".", "->", "::", "?."})
_DEFINERS = frozenset({"def", "func", "function", "fn", "fun", "lambda"})
_BINDERS = frozenset({"let", "const", "var", "mut", "class"})
_LOOPS = frozenset({"for", "const", "let", "var"})  # what stands before names and `in` or `of`
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_STARS = frozenset({"*", "&", "..."})
_BODY = frozenset({"{", "=>"})
_BETWEEN = frozenset("(),[]{}*&:")  # among names that are bound at once, and before a type
_TYPE_ENDS = frozenset(">]*&")
_AFTER_DECLARED = frozenset("=:;,)")
_SKIPPED = frozenset(",;()\n")  # what a formatter adds and drops
MANY, HEADER = 40, 400  # tokens in which they stand, and in which parameters do

Token = tuple[str, str]  # kind and text
OWN = "own name"  # stands for each of them; no other word has a blank and no quote


@dataclass(frozen=True, slots=True)
class Code:
    """A function's words: ``own[i]`` is the name behind :data:`OWN` and empty elsewhere.

    The body begins at word ``body``.
    """

    words: tuple[str, ...]
    own: tuple[str, ...]
    body: int

    @property
    def said(self) -> set[str]:
        """What the body names: no keyword, mark or name of its own."""
        words = set(self.words[self.body :]) - KEYWORDS - {OWN}
        return {word for word in words if word[0].isalnum() or word[0] in "_\"'"}


def code_of(text: str, *, language: str, symbol: str = "") -> Code:
    """The code of a function's text; ``symbol`` is its own name, which may be changed."""
    tokens = [
        (match.lastgroup or "", match.group())
        for match in _scanner(language).finditer(text)
        if match.lastgroup != "comment"
    ]
    bound = set(_declared(tokens) if language in TYPE_FIRST else _bound(tokens, language))
    own = {tokens[at][1] for at in bound} - {"_"}
    if language != "python":
        own = {name for name in own if not name[0].isupper()}  # that is a type
    *around, itself = symbol.split(".")  # its classes, and its own name where it is called
    own = own.union(around) - {itself}
    recursive = language not in TYPE_FIRST  # there another function of that name may be meant
    words: list[str] = []
    names: list[str] = []
    body, before = 0, ""
    opened: list[str] = []  # brackets that are not closed
    for at, (kind, token) in enumerate(tokens):
        if token in _OPENING:
            opened.append(token)
        elif token in _CLOSING and opened:
            opened.pop()
        if token == ")" and at and tokens[at - 1][1] == "(":  # a class, or a call of it
            words.append("()")
            names.append("")
        elif kind == "string" and before == "string":
            words[-1] += _said(token, own, language)  # two in a row are one
        elif token not in _SKIPPED:
            after = tokens[at + 1][1] if at + 1 < len(tokens) else ""
            inside = opened[-1] if opened else ""
            renamed = before not in _ACCESS and (
                (token in own and (at in bound or not _is_key(language, inside, before, after)))
                or (token == itself and (itself not in names or (recursive and after == "(")))
            )
            names.append(token if renamed else "")
            said = _quoted(token, own, language) if kind == "string" else token
            if kind == "number" and language == "python":
                said = _value(token) or token
            words.append(OWN if renamed else said)
        if not body and (token in _BODY or (language == "python" and token == ":" and not opened)):
            body = len(words)
        before = kind if kind == "string" else before if kind == "line" else token
    return Code(tuple(words), tuple(names), body or len(words))


def _is_key(language: str, inside: str, before: str, after: str) -> bool:
    """Whether a name is also that of a call's argument, or of a field: it is not the function's."""
    if language == "python":
        return inside == "(" and before in ("(", ",") and after == "="
    shorthand = language == "rust" or language in WITHOUT_DEFINER
    return shorthand and inside == "{" and before in ("{", ",") and after in (",", "}")


def _declared(tokens: Sequence[Token]) -> Iterator[int]:
    """Places of parameters and variables where a declaration says the type first."""
    code = [(at, *token) for at, token in enumerate(tokens) if token[0] != "line"]
    for (_, _, of_type), (at, kind, name), (_, _, after) in zip(
        code, code[1:], code[2:], strict=False
    ):
        if kind == "name" and name not in KEYWORDS:
            is_type = of_type in _TYPE_ENDS or (of_type[0].isalpha() and of_type not in KEYWORDS)
            if after == "->" or (is_type and after in _AFTER_DECLARED):
                yield at


def _bound(tokens: Sequence[Token], language: str) -> Iterator[int]:
    """Places of parameters, variables and inner functions where the name comes first."""
    depth = 0
    if language in WITHOUT_DEFINER:
        yield from _parameters(tokens, 0)
    for at, ((_, token), (kind, after)) in enumerate(pairwise(tokens)):
        depth += (token in _OPENING - {"{"}) - (token in _CLOSING - {"}"})
        if token in _DEFINERS:
            yield from _parameters(tokens, at + 1)
        elif token in _BINDERS or (token == "as" and language == "python"):
            if kind == "name" and after not in KEYWORDS:
                yield at + 1
        elif token in ("=", ":=", "=>", "in", "of"):
            places, stopped_at = _bound_before(tokens, at)
            if token in (":=", "=>") or (not depth if token == "=" else stopped_at in _LOOPS):
                yield from places


def _parameters(tokens: Sequence[Token], start: int) -> Iterator[int]:
    """Places of names that follow a bracket or a comma, up to where the body begins."""
    depth, outer, before = 0, "", "," if start else ""
    for at, (kind, token) in enumerate(tokens[start : start + HEADER], start):
        if kind == "line" or (token in _STARS and before in ("(", ",")):
            continue
        if depth < 0 or (depth == 0 and (token in _BODY or token == ":")):
            return
        if depth == 0 and token in _OPENING:
            outer = token
        depth += (token in _OPENING) - (token in _CLOSING)
        listed = depth == 0 or (depth == 1 and outer == "(")
        if kind == "name" and listed and before in ("(", ","):
            yield at
        before = token


def _bound_before(tokens: Sequence[Token], end: int) -> tuple[list[int], str]:
    """Places of the names right before ``end``, alone or in a list, and the token before them.

    Fields, items and types are left out.
    """
    found: list[int] = []
    depth = 0
    after = ""
    for at in range(end - 1, max(end - MANY, 0) - 1, -1):
        kind, token = tokens[at]
        depth += (token in _CLOSING) - (token in _OPENING)
        is_name = kind == "name" and token not in KEYWORDS
        if kind == "line" and depth:
            continue
        if token in _ACCESS or (is_name and after == "["):
            found.clear()
        elif depth < 0 or (is_name and after == "name") or not (is_name or token in _BETWEEN):
            return found, token  # of the line before: the statement begins here
        elif is_name and after not in _ACCESS:
            found.append(at)
        after = kind if is_name and after != "[" else token
    return found, ""


def _said(string: str, own: Collection[str], language: str) -> str:
    """A string literal without its quotes, and with own names replaced where it interpolates."""
    if language == "python" and (value := _value(string)) is not None:
        return value
    quote = next(char for char in string if char in "\"'`")
    prefix = string.partition(quote)[0]
    mark = quote * (3 if string[len(prefix) :].startswith(quote * 3) else 1)
    said = string[len(prefix) + len(mark) :].removesuffix(mark)

    def replaced(inside: re.Match[str]) -> str:
        return _NAME.sub(lambda name: OWN if name[0] in own else name[0], inside[0])

    return _INTERPOLATED.sub(replaced, said)


@functools.lru_cache(maxsize=1 << 16)
def _value(literal: str) -> str | None:
    """What a literal of Python stands for, however it is written; None of an f-string."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that mean nothing
            value = ast.literal_eval(literal)
    except (SyntaxError, ValueError, MemoryError):
        return None
    return value if isinstance(value, str) else repr(value)


def _quoted(string: str, own: Collection[str], language: str) -> str:
    """A string literal with one quote in front, in which a character is told from a text."""
    alike = language == "python" or language in WITHOUT_DEFINER
    return ('"' if alike else string[0]) + _said(string, own, language)


@functools.cache
def _scanner(language: str) -> re.Pattern[str]:
    comment = _HASH_COMMENTS if language in HASH_COMMENTS else _SLASH_COMMENTS
    apostrophes = _CHARACTER if language == "rust" else _APOSTROPHES
    prefix = _PREFIX if language == "python" else ""
    string = f"{prefix}(?:{_TRIPLE}|{_QUOTES}|{apostrophes}|{_BACKTICKS})"
    return re.compile(f"(?P<comment>{comment})|(?P<string>{string})|{_CODE}", re.MULTILINE)
