"""A team's own conventions as rules: what its code must have, and what it must not.

Patterns and rules of ast-grep are those of https://ast-grep.github.io/reference/rule.html.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hub.curate.fragments import ALIASES, SURROUNDINGS
from hub.curate.rules import Problem, Rule
from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hub.config import Convention
    from hub.curate.rows import Row

    Find = Callable[[str, str], int | None]  # text, language -> the 0-based line of a match


def convention_rules(conventions: Iterable[Convention]) -> list[Rule]:
    """A rule for each convention, under its name.

    Raises:
        HubError: a regular expression or ast-grep rule that cannot be read; names it.
    """
    return [_rule(convention, _finder(convention)) for convention in conventions]


def _rule(convention: Convention, find: Find) -> Rule:
    def check(row: Row) -> Iterator[Problem]:
        if convention.category and convention.category != row.category:
            return
        for place, text, language, ahead in _texts(row, convention.language):
            line = find(text, language)
            if (line is None) == (convention.kind == "require"):
                shown = f"{place}:{max(1, (line or 0) + 1 + ahead)}"
                yield Problem(shown, told, "mend the code, or drop the row")

    asked = convention.ast_grep or convention.regex
    told = convention.message or f"{convention.kind}: {asked}"
    check.__doc__ = told
    return Rule(convention.name, convention.level, check)


def _texts(row: Row, language: str) -> Iterator[tuple[str, str, str, int]]:
    """Code in the convention's language, in its surroundings; whole answers where it names none."""
    if not language:
        yield from ((answer.place, answer.text, "", 0) for answer in row.answers)
    for code in row.code:
        if code.language == language:
            yield code.place, code.fragment.source, language, code.line - code.fragment.ahead


def _finder(convention: Convention) -> Find:
    if convention.language not in ("", *SURROUNDINGS):
        known = ", ".join(SURROUNDINGS)
        told = f"language {convention.language!r} has no grammar here; there are: {known}"
        raise HubError(f"convention {convention.name!r}: {told}")
    if convention.regex:
        try:
            pattern = re.compile(convention.regex, re.MULTILINE)
        except re.error as error:
            raise HubError(f"convention {convention.name!r}: regex: {error}") from error

        def search(text: str, _language: str) -> int | None:
            match = pattern.search(text)
            return text.count("\n", 0, match.start()) if match else None

        return search
    from ast_grep_py import SgRoot

    rule = _ast_grep_rule(convention.ast_grep)

    def find(text: str, language: str) -> int | None:
        node = SgRoot(text, ALIASES.get(language, language)).root().find(rule)
        return node.range().start.line if node else None

    try:
        find("", convention.language)
    except Exception as error:  # a bare one is what it raises
        told = " ".join(str(error).partition("\n\nStack backtrace")[0].split())
        raise HubError(f"convention {convention.name!r}: ast_grep: {told}") from error
    return find


def _ast_grep_rule(given: str | dict[str, Any]) -> Any:
    """A pattern, a rule, or all of a rule file, as the configuration that ast-grep takes."""
    if isinstance(given, str):
        import yaml

        loaded = yaml.safe_load(given) if "\n" in given else None
        given = loaded if isinstance(loaded, dict) else {"pattern": given}
    return given if "rule" in given else {"rule": given}
