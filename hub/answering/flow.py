"""From a question to the passages that an answer may rest on, or to knowing that there are none.

Retrieve, put pieces of one function or section together again, keep within a budget of tokens, and
say whether anything is near at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hub.answering.abstaining import is_near
from hub.answering.orders import orders_in
from hub.answering.prompt import quoted_for_model
from hub.answering.records import Passage
from hub.answering.retriever import results_of
from hub.search.nearness import nearness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llama_index.core.base.base_retriever import BaseRetriever

    from hub.types import Pattern, SearchResult

CHARACTERS_A_TOKEN = 3  # where no model counts
MIN_LINES = 5  # of a passage that is cut: less says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What was found for a question: passages within the budget, and the hits in them, best first.

    ``near`` is False where none has to do with the question.
    """

    passages: tuple[Passage, ...]
    sources: tuple[SearchResult, ...]
    near: bool


class QueryFlow:
    """Retrieves for one hub."""

    def __init__(
        self,
        retriever: BaseRetriever,
        read: Callable[[Callable[[Any], Any]], Any],
        *,
        abstain: bool,
    ) -> None:
        """A flow of finished parts.

        Args:
            retriever: The hub's, see :meth:`hub.api.Hub.as_retriever`.
            read: Calls what it is given with the hub's search, over the vectors that answer now.
            abstain: Whether it may find that nothing is near.
        """
        self._retriever = retriever
        self._read = read
        self._abstain = abstain

    def gather(
        self, question: str, *, budget: int, count: Callable[[str], int] | None = None
    ) -> Gathered:
        """Passages for ``question`` of at most ``budget`` tokens, as ``count`` counts them.

        Raises:
            HubError: nothing is indexed.
        """
        results = results_of(self._retriever.retrieve(question))

        def look(retriever: Any) -> tuple[list[list[Pattern]], bool]:
            near = not self._abstain or is_near(nearness(retriever, question, results))
            return retriever.wholes([result.pattern for result in results]), near

        wholes, near = self._read(look)
        runs = _joined(wholes)
        chosen = _within(runs, budget, count or _characters)
        there = {p.id for _, kept in chosen for p in kept}
        return Gathered(
            passages=tuple(passage for passage, _ in chosen),
            sources=tuple(result for result in results if result.pattern.id in there),
            near=near and bool(chosen),
        )


def _characters(text: str) -> int:
    return -(-len(text) // CHARACTERS_A_TOKEN)


def _joined(wholes: Sequence[list[Pattern]]) -> list[list[Pattern]]:
    """Runs of patterns, those that follow each other in one construct as one; each pattern once."""
    runs: list[list[Pattern]] = []
    seen: set[str] = set()
    for whole in wholes:
        fresh = [p for p in whole if p.id not in seen]
        seen.update(p.id for p in fresh)
        if not fresh:
            continue
        for run in runs:
            if _follows(run[-1], fresh[0]):
                run.extend(fresh)
            elif _follows(fresh[-1], run[0]):
                run[:0] = fresh
            else:
                continue
            break
        else:
            runs.append(fresh)
    return runs


def _follows(one: Pattern, other: Pattern) -> bool:
    """Whether ``other`` begins where ``one`` ends, within one class, function or section."""
    same_file = (one.source, one.path) == (other.source, other.path)
    if not same_file or one.end_byte != other.start_byte:
        return False
    outer = one.symbol.rpartition(".")[0]
    return bool(one.symbol) and (
        one.symbol == other.symbol
        or other.symbol.startswith(f"{one.symbol}.")
        or (bool(outer) and outer == other.symbol.rpartition(".")[0])
    )


def _within(
    runs: Sequence[list[Pattern]], budget: int, count: Callable[[str], int]
) -> list[tuple[Passage, list[Pattern]]]:
    """Passages in order of rank as far as ``budget`` goes; a first one that is too long is cut."""
    chosen: list[tuple[Passage, list[Pattern]]] = []
    for run in runs:
        for kept in (run, run[:1]) if len(run) > 1 else (run,):
            passage = _passage(kept)
            cost = count(quoted_for_model(passage))
            if cost <= budget:  # else it need not be read for orders, which takes its time
                passage = _marked(passage)
                cost = count(quoted_for_model(passage)) if passage.orders else cost
            if cost <= budget:
                break
        else:
            cut = None if chosen else _cut(passage, budget, count)
            if cut is None:
                continue
            passage, cost = cut, budget
        chosen.append((passage, kept))
        budget -= cost
    return chosen


def _passage(run: Sequence[Pattern]) -> Passage:
    first = run[0]
    text = "".join(p.text for p in run)
    body = text.strip("\n")
    start = first.start_line + len(text) - len(text.lstrip("\n"))
    return Passage(
        source=first.source,
        path=first.path,
        start_line=start,
        end_line=start + body.count("\n"),
        language=first.language,
        symbol=first.symbol,
        text=body,
    )


def _marked(passage: Passage) -> Passage:
    return replace(passage, orders=orders_in(passage.text))


def _cut(passage: Passage, budget: int, count: Callable[[str], int]) -> Passage | None:
    """The first lines of a passage, as many as the budget holds."""
    lines = passage.text.split("\n")
    while len(lines) > MIN_LINES:
        lines = lines[: len(lines) * 3 // 4]
        end = passage.start_line + len(lines) - 1
        cut = _marked(replace(passage, text="\n".join(lines), end_line=end))
        if count(quoted_for_model(cut)) <= budget:
            return cut
    return None
