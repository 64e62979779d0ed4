"""What a retriever can learn from a hub: pairs of a question and the pattern that answers it.

A kind of pair is a function from a pattern to a pair or None. Cleaning is the same for all kinds:
a question that fits two answers teaches nothing, and an answer that was seen before is no news.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hub.documentation import SENTENCE, first_sentence, plain, undocumented
from hub.errors import HubError
from hub.words import content_text, split_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hub.types import Pattern

MIN_WORDS = 4  # a shorter question fits too many answers
MIN_CHARS = 40  # a shorter answer says nothing that its name does not
_FENCE = re.compile(r"^(```+|~~~+)[^\n]*\n(.*?)^\1", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A question, and the pattern that answers it, without what would give the answer away."""

    kind: str
    query: str
    answer: Pattern

    @property
    def document(self) -> str:
        """What a model reads; the first line is the qualified name in words, or empty."""
        return content_text(self.answer)

    @property
    def group(self) -> str:
        """The file: its pairs are never split between training and evaluation."""
        return f"{self.answer.source}/{self.answer.path}"


@dataclass(slots=True)
class PairReport:
    """Pairs kept, and candidates left out by reason."""

    kept: list[Pair] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def docs_pair(pattern: Pattern) -> Pair | None:
    """The first sentence of a function's documentation, and its code without it."""
    if pattern.kind not in ("function", "method") or pattern.part or not pattern.docstring:
        return None
    name = pattern.symbol.rpartition(".")[2]
    query = first_sentence(pattern.docstring, name)
    bare = undocumented(pattern)
    if not query or bare is None:
        return None
    return Pair(kind="docs", query=query, answer=bare)


def sections_pair(pattern: Pattern) -> Pair | None:
    """The heading and the prose of a section, and the code that it shows."""
    if pattern.kind != "section" or not (shown := _FENCE.search(pattern.text)):
        return None
    prose = plain(pattern.text[: shown.start()].partition("\n")[2])
    sentence = SENTENCE.match(prose)
    heading = pattern.symbol.rpartition(".")[2]
    return Pair(
        kind="sections",
        query=f"{heading}. {sentence[1] if sentence else prose}",
        answer=replace(pattern, symbol="", signature="", text=shown[2]),
    )


KINDS: dict[str, Callable[[Pattern], Pair | None]] = {
    "docs": docs_pair,
    "sections": sections_pair,
}


def collect_pairs(
    patterns: Iterable[Pattern], kinds: Sequence[str], *, held_out: frozenset[str] = frozenset()
) -> PairReport:
    """Clean pairs of these kinds, in the order of the patterns.

    ``held_out`` has :func:`fingerprint` of documents that must not be trained on.

    Raises:
        HubError: an unknown kind; names those there are.
    """
    report = PairReport()
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise HubError(f"no kind of pairs is called {unknown[0]!r}; there are: {', '.join(KINDS)}")
    makers = [KINDS[kind] for kind in kinds]
    found = [pair for p in patterns for make in makers if (pair := make(p)) is not None]
    asked = Counter(_normal(pair.query) for pair in found)
    seen: set[str] = set()
    for pair in found:
        mark = fingerprint(pair.document)
        reason = _reason_to_leave_out(pair, asked)
        if not reason and mark in held_out:
            reason = "in an evaluation set"
        if not reason and mark in seen:
            reason = "the same code again"
        if reason:
            report.left_out[reason] += 1
        else:
            seen.add(mark)
            report.kept.append(pair)
    return report


def fingerprint(document: str) -> str:
    """Equal for code that differs in nothing but white space and its qualified name."""
    code = "".join(document.partition("\n")[2].split())
    return hashlib.blake2b(code.encode(), digest_size=12).hexdigest()


def _reason_to_leave_out(pair: Pair, asked: Counter[str]) -> str:
    words = split_words(pair.query)
    if len(words) < MIN_WORDS:
        return "too short a question"
    if len(pair.answer.text.strip()) < MIN_CHARS:
        return "too short an answer"
    if asked[_normal(pair.query)] > 1:
        return "a question with several answers"
    if set(words) <= set(split_words(pair.answer.symbol)):
        return "a question that repeats the name"
    return ""


def _normal(query: str) -> str:
    return " ".join(split_words(query))
