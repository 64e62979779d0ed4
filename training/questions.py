"""Rows of a held-out file as questions with the answer that a person wrote."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Messages = list[dict[str, str]]

UNCLASSIFIED = "unclassified"
ROLES = {"system", "user", "assistant"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and ``reference``, an answer that is known to be right.

    ``messages`` end with the user's turn. ``line`` is the row's in its file, from 1. ``files`` are
    those that the row shows parts of, where it says so.
    """

    id: str
    line: int
    messages: Messages
    reference: str
    category: str = UNCLASSIFIED
    task: str = ""
    language: str = ""
    files: tuple[str, ...] = ()


@dataclass(slots=True)
class Questions:
    """A file's questions in its order, and why other rows are none; ``sha256`` is the file's."""

    path: str
    sha256: str
    rows: list[Question]
    unusable: Counter[str] = field(default_factory=Counter)


class _UnusableError(Exception):
    """Why a row asks nothing."""


def read_questions(path: Path) -> Questions:
    """The rows of a JSONL file: prompt and completion, a conversation, or instruction and output.

    A conversation asks for its last turn.

    Raises:
        TrainingError: the file cannot be read, or no row of it can be asked; names the reasons.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror or error}") from error
    found = Questions(str(path), hashlib.sha256(data).hexdigest(), [])
    for line, text in enumerate(data.splitlines(), 1):
        if text.strip():
            try:
                found.rows.append(_question(text, line))
            except _UnusableError as error:
                found.unusable[str(error)] += 1
    if not found.rows:
        told = ", ".join(f"{count} x {why}" for why, count in found.unusable.items())
        raise TrainingError(f"{path} has no row that can be asked: {told or 'it is empty'}")
    return found


def sample(questions: Sequence[Question], n: int, *, seed: int = 0) -> list[Question]:
    """``n`` questions, each category by its share and with one at least; 0, or too many: all.

    Seats go to categories by the method of Huntington and Hill, and within a category to the rows
    whose hash with ``seed`` is lowest. So a larger sample holds every smaller one, and answers that
    were given are not asked for again. The order stays.
    """
    if not 0 < n < len(questions):
        return list(questions)
    categories = defaultdict(list)
    for question in questions:
        drawn = hashlib.sha256(f"{seed} {question.id} {question.line}".encode()).hexdigest()
        categories[question.category].append((drawn, question.line))
    seats = []
    for rows in categories.values():
        for taken, (drawn, line) in enumerate(sorted(rows)):
            seats.append((math.sqrt(taken * (taken + 1)) / len(rows), drawn, line))
    chosen = {line for *_, line in sorted(seats)[:n]}
    return [question for question in questions if question.line in chosen]


def _question(text: bytes, line: int) -> Question:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _UnusableError("not JSON") from error
    if not isinstance(row, dict):
        raise _UnusableError("not a JSON object")
    turns = _turns(row)
    roles = [turn["role"] for turn in turns]
    if set(roles) - ROLES:
        raise _UnusableError("roles other than system, user and assistant")
    if roles[-2:] != ["user", "assistant"] or "system" in roles[1:]:
        raise _UnusableError("turns that do not end in a question and its answer")
    if not turns[-1]["content"].strip():
        raise _UnusableError("a blank answer")
    origin = row.get("provenance")
    files = origin.get("files") if isinstance(origin, dict) else None
    asked = hashlib.sha256(json.dumps(turns).encode()).hexdigest()[:16]
    return Question(
        id=_said(row, "id") or asked,
        line=line,
        messages=turns[:-1],
        reference=turns[-1]["content"],
        category=_said(row, "category") or UNCLASSIFIED,
        task=_said(row, "task"),
        language=_said(row, "language").lower(),
        files=tuple(map(str, files)) if isinstance(files, list) else (),
    )


def _turns(row: dict[str, Any]) -> Messages:
    """The whole conversation."""
    if "messages" in row:
        given = row["messages"]
    elif "prompt" in row and "completion" in row:
        given = [*_spoken(row["prompt"], "user"), *_spoken(row["completion"], "assistant")]
    elif "instruction" in row and "output" in row:
        asked = "\n\n".join(str(row[k]) for k in ("instruction", "input") if row.get(k))
        given = [*_spoken(asked, "user"), *_spoken(row["output"], "assistant")]
        given = _spoken(row["system"], "system") + given if row.get("system") else given
    else:
        raise _UnusableError("columns of no known form")
    if not isinstance(given, list) or not all(map(_is_turn, given)):
        raise _UnusableError("messages without a role and a text")
    return [{"role": turn["role"], "content": turn["content"]} for turn in given]


def _spoken(value: Any, role: str) -> list[Any]:
    return value if isinstance(value, list) else [{"role": role, "content": value}]


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and all(
        isinstance(turn.get(key), str) for key in ("role", "content")
    )


def _said(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""
