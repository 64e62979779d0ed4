"""What an answer is made of and comes with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub.types import SearchResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Lines of one file that an answer may rest on: a pattern, or several that follow each other.

    ``start_line`` and ``end_line`` are 1-based and inclusive. ``orders`` says what in the text
    reads as if it were meant for whoever answers; empty: nothing does.
    """

    source: str
    path: str
    start_line: int
    end_line: int
    language: str
    symbol: str
    text: str
    orders: tuple[str, ...] = ()

    @property
    def location(self) -> str:
        """``path:start-end``, as answers cite it."""
        return f"{self.path}:{self.start_line}-{self.end_line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A place that an answer names.

    ``known``: it lies in what was retrieved; otherwise it is made up. ``supported``: the lines
    share text or syntax with the answer.
    """

    location: str
    known: bool
    supported: bool

    @property
    def holds(self) -> bool:
        return self.known and self.supported


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one arm answers.

    ``text`` has a mark at each citation that does not hold. ``sources`` are the patterns that it
    rests on, best first; ``marked`` the passages among them with text that reads like orders.
    ``extractive``: no model wrote it, it quotes. ``abstained``: nothing was near, and no model was
    asked. ``complete`` is False where the answer broke off, for the reason in ``error``: it says
    nothing about the arm and must not be scored. ``seconds`` run from the question on.
    """

    arm: str
    text: str
    citations: tuple[Citation, ...] = ()
    sources: tuple[SearchResult, ...] = ()
    marked: tuple[str, ...] = ()
    extractive: bool = False
    abstained: bool = False
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    complete: bool = True
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """The answer as the command line prints it."""
        return {
            "arm": self.arm,
            "text": self.text,
            "citations": [
                {"location": c.location, "known": c.known, "supported": c.supported}
                for c in self.citations
            ],
            "sources": [result.to_json() for result in self.sources],
            "marked": list(self.marked),
            "extractive": self.extractive,
            "abstained": self.abstained,
            "prompt_tokens": self.prompt_tokens,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
            "complete": self.complete,
            "error": self.error,
        }
