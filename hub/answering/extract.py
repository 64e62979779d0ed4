"""An answer without a model: the best patterns, quoted and cited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.answering.records import Citation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.answering.records import Passage

SAID = (
    "No model is configured, so this is no answer in words: it quotes the patterns that are "
    "nearest to the question."
)
PASSAGES = 3  # that are quoted
LINES = 40  # of each


def quoted(passages: Sequence[Passage]) -> tuple[str, tuple[Citation, ...]]:
    """The first passages, each under its citation; and the citations.

    Places that the quoted code itself names are none.
    """
    shown = [_quoted(passage) for passage in passages[:PASSAGES]]
    citations = (Citation(location=place, known=True, supported=True) for place, _ in shown)
    return "\n\n".join([SAID, *(text for _, text in shown)]), tuple(citations)


def _quoted(passage: Passage) -> tuple[str, str]:
    """Where it stands, and its first lines."""
    lines = passage.text.strip("\n").split("\n")
    first = passage.start_line + len(passage.text) - len(passage.text.lstrip("\n"))
    shown = lines[:LINES]
    place = f"{passage.path}:{first}-{first + len(shown) - 1}"
    left = len(lines) - len(shown)
    more = f"\n(and {left} more lines)" if left else ""
    fence = "`" * max(3, 1 + _longest_run("\n".join(shown)))
    code = "\n".join(shown)
    return place, f"{place}\n{fence}{passage.language}\n{code}\n{fence}{more}"


def _longest_run(text: str) -> int:
    """Backticks in a row: a fence is longer than what it holds."""
    longest = run = 0
    for char in text:
        run = run + 1 if char == "`" else 0
        longest = max(longest, run)
    return longest
