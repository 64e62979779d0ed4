"""Patterns to training examples: one small function for each task.

A task takes a pattern and the material around it and yields the examples it can make, none where
the pattern is not for it. What it draws at random it draws from the generator it is given, which
the build seeds with the pattern's id: the same index and seed give the same examples in any order.
"""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hub.curate.bugs import inject
from hub.curate.rename import mask_variable
from hub.curate.trees import Unsuited
from hub.dataset.infill import cut
from hub.documentation import plain, undocumented
from hub.syntax import PROSE, definition
from hub.types import Example, Message
from hub.words import split_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from random import Random

    from hub.curate.bugs import Bug
    from hub.types import Change, Infill, Pattern

    Task = Callable[["Pattern", "Material", "Random"], Iterator[Example]]

FUNCTIONS = frozenset({"function", "method"})
MIN_WORDS = 4  # of a description or an answer in prose: fewer say nothing that a name does not
MIN_LINES = 3  # of code that something is cut from
BLANK, MASK = "<blank>", "<name>"  # what the phrasings call a hole, and a name that is hidden
MAX_CONTEXT = 20  # lines of imports, or declarations, that a prompt shows
_WHOLE_NAME = r"(?<![\w$]){}(?![\w$])"
_CONSTANT = re.compile(
    r"^(?:export )?(?:const |final |static |public )*([A-Z][A-Z0-9]*_[A-Z0-9_]*)\b", re.M
)
_IMPORT = re.compile(r"(?:import|from|use|require|#include|using|const .*require)\b.*\S")
_STANDARD = re.compile(
    r"(?i)(?:^|/)(?:contributing|(?:code|coding|style)[-_ ]?(?:style|guide\w*)|standards?"
    r"|guidelines?|conventions?|adr|decisions)(?:[./-]|$)"
)
_BOILERPLATE = re.compile(
    r"(?i)(?:^|/)(?:change(?:s|log)|history|news|releases?|code.of.conduct|licen[sc]e|authors)[^/]*$"
    r"|(?i:issue|pull.request).template"
)
_COMMENT = re.compile(r"\s*(?:#|//|/?\*|--|[rRuUbB]?(?:\"\"\"|'{3}))")
_MODULE_DOC = {
    "python": re.compile(
        r"\A(?:#[^\n]*\n|\s)*[rRuU]?(?:\"\"\"(.*?)\"\"\"|'{3}(.*?)'{3})", re.DOTALL
    ),
    "rust": re.compile(r"\A\s*((?:[ \t]*//![^\n]*\n)+)"),
    "go": re.compile(r"(?:\A|\n\n)((?://[^\n]*\n)+)package "),
}
_DIRECTIVE = re.compile(  # of a tool; and a banner
    r"(?:es|ts|style)lint-|prettier-ignore|biome-ignore|noinspection|@ts-\w|\bnolint\b|\bnoqa\b"
    r"|istanbul ignore|c8 ignore|pragma:|\A\W*[-=*#~]{3,}"
)
_LICENCE = re.compile(r"(?i)copyright|licen[cs]ed? under|SPDX|all rights reserved")
_DESIGN = re.compile(r"(?i)(?:^|/)(?:readme|architecture|design|overview)[^/]*$")
_HEADING = re.compile(
    r"\A\s*(?:#{1,6}[^\n]*|(?:([^\w\s])\1+[ \t]*\n)?[^\n]+\n([^\w\s])\2{2,}[ \t]*)(?:\n|\Z)"
)
_LABELS = re.compile(r"(?:\n\.\. _[^\n]+:\s*)+\Z")  # of the section that follows, in reST


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a task may draw on beside its pattern.

    ``files`` has the patterns of each file in order, by ``(source, path)``; ``tests`` the ids of
    the tests that exercise a pattern, best first; ``changes`` what commits made of a pattern's
    file, by the same key.
    """

    patterns: Mapping[str, Pattern]
    files: Mapping[tuple[str, str], Sequence[Pattern]]
    tests: Mapping[str, Sequence[str]] = field(default_factory=dict)
    changes: Mapping[tuple[str, str], Sequence[Change]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        patterns: Iterable[Pattern],
        tests: Mapping[str, Sequence[str]],
        changes: Mapping[tuple[str, str], Sequence[Change]],
    ) -> Self:
        """The material that patterns are for each other, in the order of their files."""
        ordered = sorted(patterns, key=lambda p: (p.source, p.path, p.start_byte))
        files: dict[tuple[str, str], list[Pattern]] = defaultdict(list)
        for p in ordered:
            files[p.source, p.path].append(p)
        return cls(patterns={p.id: p for p in ordered}, files=files, tests=tests, changes=changes)


def implement(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """Description and signature to code."""
    description = _description(p)
    if p.kind in FUNCTIONS and not p.part and description:
        context = _imports_above(p, material)
        code = definition(p.text)
        yield _example("implement", p, code, draw, description=description, context=context)


def complete(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """Code with a hole to what fills it; cut at a syntax node or anywhere, half and half."""
    hole = cut(_code(p), p.language, draw) if _is_code(p) else None
    if hole and BLANK not in p.text:  # else there would be two
        shown = _fenced(f"{hole.prefix}{BLANK}{hole.suffix}", p.language)
        yield _example("complete", p, hole.middle, draw, infill=hole, code=shown)


def next_line(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """The beginning of a function to its next line."""
    lines = _code(p).splitlines() if _is_code(p) else []
    telling = [
        i
        for i, line in enumerate(lines)
        if i > 1
        and len(split_words(line)) >= MIN_WORDS
        and not _COMMENT.match(line)
        and not any(line.strip() in above for above in lines[:i])
    ]
    if telling:
        at = draw.choice(telling)
        shown = _fenced("\n".join(lines[:at]), p.language)
        yield _example("next_line", p, lines[at].strip(), draw, code=shown)


def next_import(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """The first imports of a file to the next one."""
    lines = [line for line in p.text.splitlines() if _imports(line, p.language)]
    if p.kind == "module" and len(lines) > MIN_LINES:
        at = draw.randrange(2, len(lines))
        shown = _fenced("\n".join(lines[max(0, at - MAX_CONTEXT) : at]), p.language)
        yield _example("next_import", p, lines[at], draw, code=shown)


def next_declaration(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """The declarations of a file so far to the signature that follows."""
    if p.kind not in FUNCTIONS or p.part > 1 or not p.signature:
        return
    above = [
        other.signature
        for other in material.files[p.source, p.path]
        if other.start_byte < p.start_byte and _declares(other)
    ][-MAX_CONTEXT:]
    if len(above) >= MIN_LINES:
        shown = _fenced("\n".join(above), p.language)
        yield _example("next_declaration", p, p.signature, draw, code=shown)


def tests(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """A function to the test that exercises it."""
    linked = [material.patterns[id_] for id_ in material.tests.get(p.id, ())]
    if not p.part and linked:
        shown = _fenced(definition(p.text), p.language)
        answer = definition(linked[0].text)
        yield _example("tests", p, answer, draw, answered_by=linked[0], code=shown)


def explain(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """Code to its documentation."""
    bare = undocumented(p) if p.kind in FUNCTIONS and not p.part and p.docstring else None
    if bare and len(split_words(_description(p))) >= 2 * MIN_WORDS:
        shown = _fenced(definition(bare.text), p.language)
        yield _example("explain", p, p.docstring.strip(), draw, code=shown)


def name(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """Code without a name to the name: of a function, a class, a constant or a variable."""
    if MASK in p.text:
        return
    hidden = None
    if p.kind in FUNCTIONS and not p.part:
        hidden = mask_variable(definition(p.text), p.language, draw, MASK)
    if hidden:
        shown = _fenced(hidden[1], p.language)
        yield _example("name", p, hidden[0], draw, variant="variable", kind="variable", code=shown)
    kind, called = p.kind, re.split(r"[.:#]", p.symbol)[-1]
    if kind == "module":
        found = _CONSTANT.findall(p.text)
        kind, called = "constant", draw.choice(found) if found else ""
    elif kind not in {*FUNCTIONS, "class"} or p.part:
        return
    if len(split_words(called)) < 2 or called.startswith("__"):
        return  # one word may be anything; what the language prescribes is no choice
    masked = re.sub(_WHOLE_NAME.format(re.escape(called)), MASK, definition(p.text))
    enough = len(split_words(masked)) >= 3 * MIN_WORDS
    if MASK in masked and called not in masked and enough:
        shown = _fenced(masked, p.language)
        yield _example("name", p, called, draw, kind=kind, code=shown)


def fix(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """A function with one bug to what is wrong, and the function without it."""
    if p.kind in FUNCTIONS and not p.part:
        try:
            bugs = inject(definition(p.text), p.language, str(draw.random()))
        except Unsuited:
            return
        yield fix_of(p, draw.choice(bugs), draw)


def fix_of(p: Pattern, bug: Bug, draw: Random) -> Example:
    """The example of a bug that was made in a pattern's code."""
    answer = f"{bug.explanation}\n\n{_fenced(definition(p.text), p.language)}"
    return _example("fix", p, answer, draw, code=_fenced(bug.text, p.language))


def refactor(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """A function before a commit, and why it was changed, to the function after it."""
    for change in material.changes.get((p.source, p.path), ()):
        if p.part < 2 and change.symbol == p.symbol:
            shown = _fenced(definition(change.before), p.language)
            yield _example(
                "refactor",
                p,
                definition(change.after),
                draw,
                commit=change.commit,
                subject=change.subject.rstrip("."),
                intent=change.intent.replace("other", "maintenance"),
                code=shown,
            )


def design(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """What a README or architecture document sets out to do, to its outline."""
    sections = material.files[p.source, p.path]
    if p.kind != "section" or p is not sections[0] or not _DESIGN.search(p.path):
        return
    titled = [s for s in sections if s.symbol and s.part < 2]
    intro = next((text for s in titled[:2] if len((text := _prose(s)).split()) >= 12), "")
    lines = [_outline_line(s) for s in titled[1:]]
    if intro and len(lines) >= MIN_LINES:
        yield _example("design", p, "\n".join(lines), draw, description=intro)


def outline(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """What a module is for to the signatures it declares."""
    members = material.files[p.source, p.path]
    if p.kind != "module" or p is not members[0]:
        return
    lines = [f"{_indent(m.text)}{m.signature}" for m in members if _declares(m)]
    if (description := _module_description(p)) and MIN_LINES <= len(lines) <= 2 * MAX_CONTEXT:
        answer = _fenced("\n".join(lines), p.language)
        yield _example("outline", p, answer, draw, description=description)


def standard(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """A question about a rule to what the guidelines say."""
    if _STANDARD.search(p.path):
        yield from _from_section("standard", p, draw)


def answer(p: Pattern, material: Material, draw: Random) -> Iterator[Example]:
    """A heading of the documentation to its text."""
    if not _STANDARD.search(p.path) and not _BOILERPLATE.search(p.path):
        yield from _from_section("answer", p, draw)


TASKS: dict[str, Task] = {
    task.__name__: task
    for task in (
        implement, complete, next_line, next_import, next_declaration, tests, explain, name,
        fix, refactor, design, outline, standard, answer,
    )
}  # fmt: skip


@functools.cache
def phrasings() -> dict[str, list[str]]:
    """The ways in which each task asks."""
    text = Path(__file__).with_name("phrasings.toml").read_text(encoding="utf-8")
    return {task: table["user"] for task, table in tomllib.loads(text).items()}


def _example(
    task: str,
    p: Pattern,
    completion: str,
    draw: Random,
    *,
    answered_by: Pattern | None = None,
    infill: Infill | None = None,
    commit: str = "",
    variant: str = "",
    **fields: str,
) -> Example:
    told = {"language": p.language, "kind": p.kind, "signature": p.signature}
    told |= {"symbol": p.symbol, "path": p.path} | fields
    prompt = draw.choice(phrasings()[task]).format_map(told)
    stands = answered_by or p
    return Example(
        task=task,
        prompt=(Message("user", prompt),),
        completion=(Message("assistant", completion),),
        language=p.language,
        infill=infill,
        source=stands.source,
        path=stands.path,
        start_line=stands.start_line,
        end_line=stands.end_line,
        symbol=p.symbol,
        files=tuple(dict.fromkeys(f"{shown.source}/{shown.path}" for shown in (stands, p))),
        patterns=tuple(dict.fromkeys((stands.id, p.id))),
        commit=commit,
        variant=variant,
    )


def _is_code(p: Pattern) -> bool:
    return p.kind in {*FUNCTIONS, "class", "test"} and p.part < 2 and p.language not in PROSE


def _code(p: Pattern) -> str:
    """The definition with its documentation: what is completed is read with it."""
    return definition(p.text)


def _fenced(code: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def _description(p: Pattern) -> str:
    """The first paragraph of the documentation in plain words; "" where it says too little."""
    text = plain(p.docstring.strip().split("\n\n")[0])
    return text if len(split_words(text)) >= MIN_WORDS and not _DIRECTIVE.search(text) else ""


def _module_description(p: Pattern) -> str:
    """The first paragraph of what a module's head says it is for."""
    found = _MODULE_DOC[p.language].search(p.text) if p.language in _MODULE_DOC else None
    said = next((text for text in found.groups() if text), "") if found else ""
    if p.language != "python":
        said = re.sub(r"^[ \t]*//!?[ ]?", "", said, flags=re.MULTILINE)
    paragraph = plain(said.strip().split("\n\n")[0])
    if _LICENCE.search(paragraph):
        return ""
    return paragraph if len(split_words(paragraph)) >= 2 * MIN_WORDS else ""


def _declares(p: Pattern) -> bool:
    return bool(p.signature) and p.part < 2 and p.kind != "test"


def _indent(text: str) -> str:
    """How far the first line that is not blank is indented."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return line[: len(line) - len(line.lstrip())]


def _imports_above(p: Pattern, material: Material) -> str:
    """The imports of the file whose names the function uses."""
    head = material.files[p.source, p.path][0]
    if head.kind != "module":
        return ""
    used = set(re.findall(r"[A-Za-z_$][\w$]*", p.text))
    lines = [
        line.strip()
        for line in head.text.splitlines()
        if _imports(line, p.language)
        and used & set(re.findall(r"[A-Za-z_$][\w$]*", line)) - _KEYWORDS
    ][:MAX_CONTEXT]
    return f"\n\nThe file imports:\n\n{_fenced(chr(10).join(lines), p.language)}" if lines else ""


def _imports(line: str, language: str) -> bool:
    """Whether a line is an import, all of it, and not the beginning of a sentence."""
    whole = all(line.count(a) == line.count(b) for a, b in ("()", "{}", "[]"))
    if not _IMPORT.match(line) or not whole or line.endswith("\\"):
        return False
    if language != "python":
        return True
    try:
        return all(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(line).body)
    except (SyntaxError, ValueError):
        return False


_KEYWORDS = frozenset("import from use using require const as include static type".split())  # noqa: SIM905


def _from_section(task: str, p: Pattern, draw: Random) -> Iterator[Example]:
    """A section's heading, under the one above it where there is one, and the text between."""
    body = _LABELS.sub("", _HEADING.sub("", p.text)).strip()
    if p.kind == "section" and p.symbol and not p.part and len(_prose(p).split()) >= 3 * MIN_WORDS:
        above, topic = ["", *p.symbol.split(" > ")][-2:]
        topic = plain(topic).rstrip("?!.: ") + (f" ({plain(above)})" if above else "")
        yield _example(task, p, body, draw, topic=topic)


def _prose(p: Pattern) -> str:
    """The first paragraph under a heading, in plain words."""
    body = _HEADING.sub("", p.text).strip()
    return plain(body.split("\n\n")[0]) if not body.startswith(("```", "~~~", "<", "|")) else ""


def _outline_line(p: Pattern) -> str:
    depth = p.symbol.count(" > ")
    said = _prose(p).split(". ")[0].rstrip(".")
    title = p.symbol.split(" > ")[-1]
    return f"{'  ' * max(depth - 1, 0)}- {title}" + (f": {said}" if said else "")
