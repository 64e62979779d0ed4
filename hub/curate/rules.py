"""What makes a row unfit for training, a small function for each rule.

A rule takes a row and yields what is wrong with it, each with its place in the row: a column, a
message, and after a colon the line of the text.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hub.curate.forbidden import find_terms_in
from hub.curate.fragments import DOUBTFUL
from hub.curate.rows import PROSE, fences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tree_sitter import Node

    from hub.config import Forbidden
    from hub.curate.forbidden import Hit
    from hub.curate.rows import Code, Row

    Check = Callable[["Row"], "Iterator[Problem]"]

Level = Literal["error", "warning"]


class Problem(NamedTuple):
    """What is wrong, where, and how it can be put right."""

    place: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A check by its name; what it finds at level "error" keeps a row out of a dataset."""

    name: str
    level: Level
    check: Check

    @property
    def about(self) -> str:
        return (self.check.__doc__ or "").split("\n")[0]


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of one row, numbered from 1, by the rule that found it."""

    row: int
    rule: str
    level: Level
    place: str
    message: str
    fix: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


SHINGLE, SHARED = 5, 0.8  # tokens; share of an answer's shingles in its prompt that gives it away
SHOWN = 40  # characters of what a message quotes
_TOKEN = re.compile(r"\w+|[^\w\s]")
_EDITS = re.compile(r"refactor|fix|bug|document|format|rename")  # tasks that repeat the prompt
_ORDER = {"prompt-completion": re.compile(r"s?u(au)*\|a(ua)*"), "": re.compile(r"s?u(au)*a")}
# A replacement character within a word, or beside another, is what a wrong encoding leaves behind;
# one that stands alone is meant: code may well deal with them.
_UNREADABLE = re.compile("[\x00\ud800-\udfff]|(?<=\\w)\ufffd|\ufffd(?=[\\w\ufffd])")
# Of chat templates and of filling in: <|im_end|>, <fim_prefix>, and DeepSeek's own bars.
_CONTROL = re.compile("<\\|\\w+\\|>|<fim_\\w+>|<\uff5c[\\w\u2581]+\uff5c>")
_NAMES = {"\x00": "a null character", "\ufffd": "a replacement character"}
_ELIDED = re.compile(
    r"(?:^|\n)[ \t]*(?:#|//|--|/\*|<!--)[ \t]*(?:\.\.\.|…)[^\n]*\Z|\w ?(?<!etc)(?:\.\.\.|…)\Z"
)
_STAND_IN = re.compile(
    r"(?i)\b(?:your|insert|add|put|write)(?: your)? (?:code|implementation|logic) here\b"
    r"|\bimplementation goes here\b|\brest of (?:the|your) (?:code|implementation)\b"
    r"|(?:\.\.\.|…)[ ]?(?:existing|remaining|rest of|previous) (?:the )?code\b"
    r"|\A\W*(?:todo|tbd|fixme|n/?a|placeholder|xxx)\W*\Z"
)
_FILLER = re.compile(r"(?i)\blorem ipsum\b")  # in code it is test data
_UNWRITTEN = re.compile(
    r"(?i)\s*(?:pass|\.\.\.|raise NotImplementedError.*|return NotImplemented"
    r"|(?:throw|panic|fatalError|raise|die)\b.*(?:not.?(?:yet.?)?implemented|unimplemented|todo).*"
    r"|(?:todo|unimplemented)!?\(.*\)[;\s]*)\Z", re.DOTALL,
)  # fmt: skip
_LATER = re.compile(r"(?i)\b(?:todo|fixme|implement)")
_FUNCTION = re.compile(r"function|method|constructor")
_TYPE = re.compile(r"(?m)^[ \t]*(?:[a-z]+ )*(?:class|interface|trait|protocol|impl)\b")
_BODY = re.compile(r"body|block|compound_statement")
_ASSERTS = re.compile(
    r"(?i)assert|\bexpect\w*[(!]|\bshould|\braises\b|\bverify\(|\bt\.(?:error|fatal|run|is|equal)"
    r"|\brequire\.|\brun \w|\bXCT\w+"
)
_SWALLOWED = re.compile(
    r"except(?: (?:Base)?Exception(?: as \w+)?)?:\s*(?:#[^\n]*\n\s*)*pass\b"
    r"|catch\s*(?:\([^()]*\))?\s*\{\s*\}|if err != nil \{\s*\}|rescue(?: => \w+)?\s+end\b"
)


def forbidden_terms(row: Row, settings: Forbidden) -> list[Hit]:
    """The terms that say who or what wrote the code; in code, names of variables are none."""
    code = (
        ()
        if row.task in PROSE
        else tuple(re.sub(r"\[(\d+)\]", r".\1", a.place) for a in row.answers)
    )
    return find_terms_in(
        row.data,
        language=row.language,
        code=code,
        everywhere=settings.everywhere,
        extra=tuple(settings.terms),
    )


def structure(row: Row) -> Iterator[Problem]:
    """Turns are texts, by known roles, in an order that chat templates take."""
    turns = row.all_turns
    for turn in turns:
        if not isinstance(turn.text, str):
            told = f"is {json.dumps(turn.text)[:SHOWN]}, expected a text"
            yield Problem(turn.place, told, "write the text, or drop the row")
    if row.shape.name in ("text", "fim"):
        return
    wrong = [turn for turn in turns if turn.role not in ("system", "user", "assistant")]
    for turn in wrong:
        told = f"role {turn.role[:SHOWN]!r}, expected system, user or assistant"
        yield Problem(turn.place, told, "name the role, or drop the row")
    order = "".join(turn.role[:1] for turn in turns)
    if row.shape.name == "prompt-completion":
        asked = sum(turn.place.startswith("prompt") for turn in turns)
        order = f"{order[:asked]}|{order[asked:]}"
        if type(row.data["prompt"]) is not type(row.data["completion"]):
            told = "one is a list of messages and the other is not"
            yield Problem("prompt, completion", told, "write both as lists of messages")
    if not wrong and not _ORDER.get(row.shape.name, _ORDER[""]).fullmatch(order):
        told = f"roles are {', '.join(turn.role for turn in turns)[:SHOWN] or 'none'}"
        fix = "an optional system turn, then user and assistant in turns, the assistant last"
        yield Problem(next(iter(row.shape.columns)), told, fix)


def fields(row: Row) -> Iterator[Problem]:
    """No columns and no keys of messages but the known ones."""
    for place, extra in row.extra():
        yield Problem(place, f"unknown: {', '.join(extra)}"[:200], "--fix drops them")


def encoding(row: Row) -> Iterator[Problem]:
    """No lone surrogates, null characters or replacement characters, in no string of a row."""
    for place, text in _strings(row.data, ""):
        if match := _UNREADABLE.search(text):
            name = _NAMES.get(match[0], f"a lone surrogate U+{ord(match[0]):04X}")
            fix = (
                "read the source in its own encoding" if match[0] == "\ufffd" else "--fix drops it"
            )
            yield Problem(f"{place}:{_line(text, match.start())}", f"has {name}", fix)


def control_tokens(row: Row) -> Iterator[Problem]:
    """No text spells a token that ends a turn or marks a hole: a model would read it as one."""
    is_raw = row.shape.name in ("text", "fim") or isinstance(row.data.get("prompt"), str)
    for turn in () if is_raw else row.turns:
        if match := _CONTROL.search(turn.text):
            place = f"{turn.place}:{_line(turn.text, match.start())}"
            yield Problem(place, f"has the control token {match[0]}", "drop the row")


def whitespace(row: Row) -> Iterator[Problem]:
    """Lines end in a line feed alone, and an answer in no white space."""
    for turn in row.turns:
        at = turn.text.find("\r")
        if at >= 0:
            told = "a carriage return ends a line"
            yield Problem(f"{turn.place}:{_line(turn.text, at)}", told, "--fix replaces it")
    for answer in row.answers if row.is_whole else ():
        if answer.text != answer.text.rstrip():
            yield Problem(answer.place, "ends in white space", "--fix drops it")


def syntax(row: Row) -> Iterator[Problem]:
    """Code parses, alone or as a member of a class."""
    for code in row.code:
        if not (code.loose or code.language in DOUBTFUL):
            yield from _wrong(code)


def snippet(row: Row) -> Iterator[Problem]:
    """Code parses where that can be doubted: quoted in prose, in C, C++ and Swift."""
    for code in row.code:
        if code.loose or code.language in DOUBTFUL:
            yield from _wrong(code)


def truncated(row: Row) -> Iterator[Problem]:
    """An answer goes on to its end: brackets, quotes and fences are closed, nothing is elided."""
    fix = "put back what is missing, or drop the row"
    for code in row.code:
        node = code.fragment.unbalanced
        if node and not code.loose:
            yield Problem(_place(code, node), f"{_text(node)[:3]} without its other half", fix)
    for answer in row.answers if row.is_whole else ():
        if any(not closed for *_, closed in fences(answer.text)):
            yield Problem(answer.place, "a fence is never closed", fix)
        elif _ELIDED.search(answer.text.rstrip()[-200:]):
            last = _line(answer.text, len(answer.text.rstrip()))
            yield Problem(f"{answer.place}:{last}", "ends in an ellipsis", fix)


def empty(row: Row) -> Iterator[Problem]:
    """No turn is blank, and an answer has at least three letters or digits."""
    fix = "write it, or drop the row"
    for turn in row.turns if row.shape.name != "fim" else row.answers:
        if not turn.text.strip():
            yield Problem(turn.place, f"the {turn.role}'s turn is blank", fix)
        elif (
            turn.role == "assistant" and row.is_whole and not re.search(r"(?:\w\W*){3}", turn.text)
        ):
            yield Problem(turn.place, f"says nothing: {turn.text.strip()[:SHOWN]!r}", fix)


def placeholder(row: Row) -> Iterator[Problem]:
    """No answer stands in for one: a TODO, a body of `pass`, "your code here", lorem ipsum."""
    fix = "write what is left open, or drop the row"
    is_prose = row.is_whole and not row.code
    for answer in row.answers:
        match = _STAND_IN.search(answer.text) or (is_prose and _FILLER.search(answer.text))
        if match:
            place = f"{answer.place}:{_line(answer.text, match.start())}"
            yield Problem(place, f"a placeholder: {match[0][:SHOWN]!r}", fix)
    for code in (each for each in row.code if not each.loose):
        bodies = [_body(node) for node in _functions(code.fragment.root)]
        of_class = _TYPE.search(code.text)  # an interface, or an abstract class, may be meant so
        if bodies and not of_class and all(body and _is_unwritten(body) for body in bodies):
            node = bodies[0] or code.fragment.root
            yield Problem(_place(code, node), "nothing is implemented", fix)


def leak(row: Row) -> Iterator[Problem]:
    """A prompt does not hold its answer: not whole, and not 80% of its shingles of 5 tokens."""
    said = ""
    for turn in row.turns:
        text = turn.text.strip()
        if turn.role == "assistant" and text:
            share = _share(text, said, row)
            if share >= SHARED:
                told = f"{share:.0%} of the answer stands in the prompt"
                yield Problem(turn.place, told, "take it out of the prompt, or drop the row")
        said = f"{said}\n{turn.text}" if turn.role != "system" else said


def tests(row: Row) -> Iterator[Problem]:
    """A test asserts something."""
    if row.task == "tests":
        for code in row.code:
            if not _ASSERTS.search(code.text):
                yield Problem(_place(code), "asserts nothing", "say what is expected")


def error_handling(row: Row) -> Iterator[Problem]:
    """Errors are not swallowed."""
    for code in row.code:
        if match := _SWALLOWED.search(code.text):
            place = f"{code.place}:{_line(code.text, match.start()) + code.line}"
            yield Problem(place, "swallows an error", "handle it, or let it pass")


def type_hints(row: Row) -> Iterator[Problem]:
    """Parameters of Python and TypeScript functions have types; those of tests need none."""
    for code in row.code:
        if code.language in ("python", "typescript", "tsx") and row.task != "tests":
            for node in _functions(code.fragment.root):
                names = [name for name in _untyped(node) if name not in ("self", "cls")]
                if names:
                    told = f"no type: {', '.join(names)}"[:200]
                    yield Problem(_place(code, node), told, "annotate the parameters")


RULES = (
    Rule("structure", "error", structure),
    Rule("encoding", "error", encoding),
    Rule("control-token", "error", control_tokens),
    Rule("syntax", "error", syntax),
    Rule("truncated", "error", truncated),
    Rule("empty", "error", empty),
    Rule("placeholder", "error", placeholder),
    Rule("leak", "error", leak),
    Rule("fields", "warning", fields),
    Rule("whitespace", "warning", whitespace),
    Rule("snippet", "warning", snippet),
    Rule("tests", "warning", tests),
    Rule("error-handling", "warning", error_handling),
    Rule("type-hints", "warning", type_hints),
)


def _wrong(code: Code) -> Iterator[Problem]:
    """What the parser stumbled over, unless it is that something was left open."""
    node = code.fragment.error
    if node and (code.loose or not code.fragment.unbalanced):
        near = " ".join(_text(node).split())[:SHOWN]
        told = (
            f"{node.type} is missing" if node.is_missing else f"no {code.language} here: {near!r}"
        )
        yield Problem(_place(code, node), told, "mend the code, or drop the row")


def _place(code: Code, node: Node | None = None) -> str:
    return f"{code.place}:{code.line + (code.fragment.line(node) if node else 1)}"


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _strings(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every string of a JSON value with the way to it; keys as well."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield f"{place} key".strip(), key
            yield from _strings(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _strings(inner, f"{place}[{number}]")


def _share(text: str, said: str, row: Row) -> float:
    """How much of an answer was said before; code around a hole may well repeat itself."""
    if row.task == "name":
        return float(bool(re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said)))
    words = _TOKEN.findall(text) if row.is_whole else []
    if len(words) < SHINGLE:
        return 0.0
    if text in said:
        return 1.0
    known = [] if _EDITS.search(row.task) else _TOKEN.findall(said)
    shingles = set(zip(*(words[i:] for i in range(SHINGLE)), strict=False))
    if len(known) < SHARED * len(shingles):
        return 0.0
    return len(shingles & set(zip(*(known[i:] for i in range(SHINGLE)), strict=False))) / len(
        shingles
    )


def _functions(root: Node) -> Iterator[Node]:
    """The outermost functions that have a body."""
    stack = [root]
    while stack:
        node = stack.pop()
        if _FUNCTION.search(node.type) and _body(node):
            yield node
        else:
            stack.extend(reversed(node.children))


def _body(function: Node) -> Node | None:
    body = function.child_by_field_name("body")
    return body or next((each for each in function.children if _BODY.search(each.type)), None)


def _is_unwritten(body: Node) -> bool:
    """Whether a body does nothing but say so; one that is merely empty may be meant."""
    inner = body.named_children if _BODY.search(body.type) else [body]
    said = [node for node in inner if "comment" in node.type or node.type == "string"]
    done = [node for node in inner if node not in said and _text(node)[:1] not in "\"'"]
    if not done:
        return any(_LATER.search(_text(node)) for node in said)
    return len(done) == 1 and bool(_UNWRITTEN.match(_text(done[0])))


def _untyped(function: Node) -> Iterator[str]:
    """The parameters without a type, but for those of callbacks, whose types are inferred."""
    parameters = function.child_by_field_name("parameters")
    if parameters is None or function.type == "arrow_function":
        return
    for each in parameters.named_children:
        typed = each.child_by_field_name("type") or each.child_by_field_name("value")
        if each.type in ("identifier", "required_parameter", "optional_parameter") and not typed:
            yield _text(each)
        elif each.type in ("default_parameter", "list_splat_pattern", "dictionary_splat_pattern"):
            yield _text(each).split("=")[0]


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")
