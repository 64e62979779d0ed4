"""What the hub knows of code, as scorers of answers: grammars, a team's rules, terms, secrets."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from hub.curate.conventions import convention_rules
from hub.curate.privacy import PERSONAL, find
from hub.curate.rows import read_row
from hub.curate.rules import RULES, forbidden_terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.config import Config, Forbidden
    from hub.curate.rows import Row
    from hub.curate.rules import Rule
    from training.metrics import Scorer
    from training.questions import Question

SYNTAX = tuple(rule for rule in RULES if rule.name in ("syntax", "truncated"))
FORBIDDEN, SECRETS = "forbidden", "secrets"  # scorers with which the gate has no patience


def scorers_of(config: Config) -> list[Scorer]:
    """All scorers, as ``config`` sets them.

    Raises:
        HubError: a convention that cannot be read.
    """
    from training.metrics import MEASURES, check

    conventions = [r for r in convention_rules(config.conventions) if r.level == "error"]
    kept = [*PERSONAL, *(["secrets"] if config.privacy.secrets == "keep" else [])]
    checks = {
        "syntax": functools.partial(_broken, SYNTAX),
        FORBIDDEN: functools.partial(_forbidden, config.forbidden),
        SECRETS: functools.partial(_secrets, frozenset(kept)),
    }
    if conventions:
        checks["conventions"] = functools.partial(_broken, conventions)
    return [*MEASURES, *(check(name, found) for name, found in checks.items())]


def _broken(rules: Sequence[Rule], question: Question, text: str) -> Iterator[str]:
    """The rules that an answer breaks."""
    row = _row(question, text)
    for rule in rules:
        for problem in rule.check(row):
            yield f"{rule.name}: {problem.message}"


def _forbidden(terms: Forbidden, question: Question, text: str) -> Iterator[str]:
    for hit in forbidden_terms(_row(question, text), terms):
        yield f"{hit.rule}: {hit.term!r} in line {hit.line}"


def _secrets(kept: frozenset[str], _question: Question, text: str) -> Iterator[str]:
    for found in find(text, kept):
        yield f"{found.kind} in line {found.line}"


def _row(question: Question, text: str) -> Row:
    """The answer as a row of a dataset, alone."""
    row = read_row(
        {
            "prompt": [],
            "completion": [{"role": "assistant", "content": text}],
            "task": question.task,
            "language": question.language,
            "category": question.category,
        }
    )
    assert row is not None
    return row
