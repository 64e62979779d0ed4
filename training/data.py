"""Rows of a dataset to tokens and labels; nothing is cut or left out without a count.

A row is a prompt and its completion, a conversation, an instruction and its output, a text, or
code with a hole. Each becomes one or more pairs of texts: what is given, and what is learned; only
the second carries labels, and it closes with the end token.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from training.config import Data
    from training.template import Messages, Template

IGNORED = -100  # a label that carries no loss
BATCH = 512  # rows that are tokenized at a time
NAMED = 5  # lines that a report names for each reason


class Pair(NamedTuple):
    """What is given and what is learned, as texts; ``plain`` text gets the tokenizer's own start
    token, a rendered conversation has it already."""

    given: str
    learned: str
    plain: bool = False


class Sequence(NamedTuple):
    """Token ids and labels of one length; labels are ``IGNORED`` where nothing is learned."""

    input_ids: Any
    labels: Any


@dataclass(slots=True)
class TokenReport:
    """What became of a file's rows; ``lines`` names the first lines of each reason.

    ``lengths`` are of the rows that were kept, in tokens and before a split.
    """

    path: str
    sha256: str = ""
    rows: int = 0
    kept: int = 0
    sequences: int = 0
    tokens: int = 0
    learned: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    lines: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    lengths: list[int] = field(default_factory=list)

    def drop(self, line: int, reason: str) -> None:
        self.dropped[reason] += 1
        if len(self.lines[reason]) < NAMED:
            self.lines[reason].append(line)

    def to_json(self) -> dict[str, Any]:
        shares = (0, 50, 95, 99, 100)
        cuts = np.percentile(self.lengths, shares, method="higher") if self.lengths else ()
        return {
            "path": self.path,
            "sha256": self.sha256,
            "rows": self.rows,
            "kept": self.kept,
            "sequences": self.sequences,
            "tokens": self.tokens,
            "learned": self.learned,
            "dropped": dict(self.dropped),
            "lines": dict(self.lines),
            "noted": dict(self.noted),
            "length": dict(zip(("min", "p50", "p95", "p99", "max"), map(int, cuts), strict=False)),
        }


class UnusableError(Exception):
    """Why a row cannot be learned."""


def tokenize(
    path: Path, tokenizer: Any, template: Template, data: Data
) -> tuple[list[Sequence], TokenReport]:
    """The rows of a JSONL file as sequences of at most ``data.max_length`` tokens, in their order.

    Raises:
        TrainingError: the file cannot be read.
    """
    report = TokenReport(str(path))
    sequences: list[Sequence] = []
    rows = _read(path, report)
    while batch := list(islice(rows, BATCH)):
        pairs, failures = _pairs_of(batch, data.format, tokenizer, template, report)
        learned: defaultdict[int, list[Sequence]] = defaultdict(list)
        for line, sequence in _encoded(pairs, tokenizer, report):
            if int(sequence.labels[-1]) not in _ends(tokenizer, template):
                failures[line].append("does not end in the end token")
            elif parts := _fitted(sequence, data, report):
                learned[line] += parts
                report.lengths.append(len(sequence.input_ids))
            else:
                failures[line].append(f"longer than data.max_length = {data.max_length} tokens")
        for line, _ in batch:
            sequences += learned[line]
            report.kept += bool(learned[line])
            for reason in failures[line]:
                if learned[line]:
                    report.noted[f"one of a row's answers: {reason}"] += 1
                else:
                    report.drop(line, reason)
                    break
    report.sequences = len(sequences)
    report.tokens = sum(len(s.input_ids) for s in sequences)
    report.learned = sum(int((s.labels != IGNORED).sum()) for s in sequences)
    return sequences, report


def _read(path: Path, report: TokenReport) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines that hold a JSON object, with their numbers from 1."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                digest.update(line)
                if not line.strip():
                    continue
                report.rows += 1
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    row = None
                if isinstance(row, dict) and has_lone_surrogate(line):
                    report.drop(number, "half of a surrogate pair: no text in any encoding")
                elif isinstance(row, dict):
                    yield number, row
                else:
                    report.drop(number, "not a JSON object")
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error
    report.sha256 = digest.hexdigest()


def has_lone_surrogate(line: bytes) -> bool:
    """Whether a JSON line escapes half a character, which no tokenizer takes."""
    if b"\\ud" not in line.lower():
        return False
    try:
        json.dumps(json.loads(line), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _pairs_of(
    batch: list[tuple[int, dict[str, Any]]],
    format: str,
    tokenizer: Any,
    template: Template,
    report: TokenReport,
) -> tuple[list[tuple[int, Pair]], defaultdict[int, list[str]]]:
    """What the rows teach, and why some teach nothing, each with the number of its line."""
    pairs: list[tuple[int, Pair]] = []
    failures: defaultdict[int, list[str]] = defaultdict(list)
    for line, row in batch:
        try:
            pairs += [(line, p) for p in _pairs(row, format, tokenizer, template, report)]
        except (UnusableError, TrainingError) as error:
            failures[line].append(str(error))
    return pairs, failures


def _ends(tokenizer: Any, template: Template) -> set[int]:
    return {tokenizer.convert_tokens_to_ids(template.end), tokenizer.eos_token_id}


def _pairs(
    row: dict[str, Any], format: str, tokenizer: Any, template: Template, report: TokenReport
) -> Iterator[Pair]:
    """One pair for each answer that the row teaches.

    Raises:
        UnusableError, TrainingError: why there is none.
    """
    kind = kind_of(row) if format == "auto" else format
    try:
        if kind == "fim":
            yield _infilling(row, tokenizer, report)
        elif kind == "text":
            yield from _of_text(row["text"], tokenizer, template, report)
        elif kind == "alpaca":
            yield _answered(*alpaca_messages(row), tokenizer, template)
        elif kind == "messages":
            yield from _conversation([], row["messages"], tokenizer, template)
        else:
            yield from _conversation(row["prompt"], row["completion"], tokenizer, template)
    except (KeyError, TypeError, AttributeError) as error:
        raise UnusableError(f"not a row of the format {kind}") from error


def kind_of(row: dict[str, Any]) -> str:
    if "messages" in row:
        return "messages"
    if "completion" in row:
        return "fim" if isinstance(row["completion"], str) else "prompt-completion"
    if "output" in row:
        return "alpaca"
    if "text" in row:
        return "text"
    raise UnusableError("columns of no known format")


def _conversation(
    given: Messages, taught: Messages, tokenizer: Any, template: Template
) -> Iterator[Pair]:
    """A pair for each of the assistant's turns in ``taught``, after all that stands before it."""
    answers = [at for at, turn in enumerate(taught) if turn["role"] == "assistant"]
    if not answers:
        raise UnusableError("no answer")
    for at in answers:
        yield _answered([*given, *taught[:at]], taught[at]["content"], tokenizer, template)


def _answered(asked: Messages, answer: str, tokenizer: Any, template: Template) -> Pair:
    if not answer.strip():
        raise UnusableError("no answer")
    if template.end in answer:
        raise UnusableError(f"the answer holds the end token {template.end}")
    given = template.render(tokenizer, asked, answer=True)
    whole = template.render(tokenizer, [*asked, {"role": "assistant", "content": answer}])
    # Some templates open an answer otherwise than they show one; what is served counts.
    rest = whole[len(given) :] if whole.startswith(given) else answer.strip()
    return Pair(given, _closed(rest, template.end))


def _closed(answer: str, end: str) -> str:
    """``answer`` up to its end token, which is put there where the template has none."""
    return answer.partition(end)[0] + end


def alpaca_messages(row: dict[str, Any]) -> tuple[Messages, str]:
    question = "\n\n".join(part for part in (row["instruction"], row.get("input")) if part)
    system = [{"role": "system", "content": row["system"]}] if row.get("system") else []
    return [*system, {"role": "user", "content": question}], row["output"]


def _infilling(row: dict[str, Any], tokenizer: Any, report: TokenReport) -> Pair:
    given, answer = row["prompt"], row["completion"]
    if not answer.strip():
        raise UnusableError("no answer")
    known = [token.content for token in tokenizer.added_tokens_decoder.values()]
    if not any(token in given for token in known if token != tokenizer.bos_token):
        report.noted["the base has none of the row's fill-in-the-middle tokens"] += 1
    return Pair(given, answer + tokenizer.eos_token, plain=True)


def _of_text(text: str, tokenizer: Any, template: Template, report: TokenReport) -> Iterator[Pair]:
    """Answers are what stands between the template's opening and its end token."""
    if not text.strip():
        raise UnusableError("no text")
    opening = template.opening.rstrip(" ")
    starts, at = [], text.find(opening)
    while at >= 0:
        starts.append(at + len(opening))
        at = text.find(opening, starts[-1])
    if not starts:
        report.noted["no answer found in the text: all of it is learned"] += 1
        yield Pair("", text.removesuffix(tokenizer.eos_token) + tokenizer.eos_token, plain=True)
    for start in starts:
        if not text[start:].partition(template.end)[0].strip():
            raise UnusableError("no answer")
        yield Pair(text[:start], _closed(text[start:], template.end))


def _encoded(
    pairs: list[tuple[int, Pair]], tokenizer: Any, report: TokenReport
) -> Iterator[tuple[int, Sequence]]:
    """Tokens as serving will see them: those of what is given alone come first, unchanged."""

    def ids(texts: Iterable[str], plain: bool) -> list[list[int]]:
        found = tokenizer(list(texts), add_special_tokens=plain, verbose=False)["input_ids"]
        end = tokenizer.eos_token_id
        return [row[:-1] if plain and row and row[-1] == end else row for row in found]

    for plain in (False, True):
        chosen = [(line, pair) for line, pair in pairs if pair.plain == plain]
        if not chosen:
            continue
        givens = ids((pair.given for _, pair in chosen), plain)
        wholes = ids((pair.given + pair.learned for _, pair in chosen), plain)
        for (line, pair), given, whole in zip(chosen, givens, wholes, strict=True):
            learned = whole[len(given) :]
            if whole[: len(given)] != given or not learned:
                report.noted["prompt and answer tokenized apart"] += 1
                learned = tokenizer(pair.learned, add_special_tokens=False)["input_ids"]
            if plain and learned[-1] != tokenizer.eos_token_id:
                learned = [*learned, tokenizer.eos_token_id]
            labels = [IGNORED] * len(given) + learned
            yield line, Sequence(np.array(given + learned, np.int32), np.array(labels, np.int32))


def _fitted(sequence: Sequence, data: Data, report: TokenReport) -> list[Sequence]:
    """The sequence itself, or by ``data.too_long`` its windows, or none.

    Each token that is learned is learned once; a window after the first opens with half a context
    of what stands before.
    """
    length, size = len(sequence.input_ids), data.max_length
    if length <= size:
        return [sequence]
    if data.too_long == "drop":
        return []
    report.noted["split into windows"] += 1
    windows = []
    at = int(np.argmax(sequence.labels != IGNORED))
    while at < length:
        start = 0 if at <= size // 2 else at - size // 2
        labels = sequence.labels[start : start + size].copy()
        labels[: at - start] = IGNORED
        windows.append(Sequence(sequence.input_ids[start : start + size], labels))
        at = start + size
    return windows
