"""What people preferred, arm against arm: a line a vote, with all it takes to use it later."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hub.errors import HubError
from hub.lines import append_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TIE, BAD = "tie", "all bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an arm did in the votes it took part in; ties and votes that all are bad are not won."""

    arm: str
    won: int
    shown: int


class Votes:
    """The votes in one file of JSON lines, only ever appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(
        self,
        *,
        question: str,
        answers: Mapping[str, Mapping[str, Any]],
        winner: str,
        shown_as: Sequence[str],
        blind: bool,
        model: str,
        adapter: str,
    ) -> None:
        """Keep a vote.

        Args:
            question: What was asked.
            answers: What each arm answered, with its sources, tokens and seconds.
            winner: An arm, :data:`TIE` or :data:`BAD`.
            shown_as: The arms in the order in which they were shown.
            blind: Whether their names were hidden.
            model: What answered.
            adapter: Its reference and digest; empty: none.

        Raises:
            HubError: the winner was not shown, an answer is incomplete, or it cannot be written.
        """
        if winner not in (*answers, TIE, BAD):
            raise HubError(
                f"{winner!r} was not shown; there are {', '.join(answers)}, {TIE}, {BAD}"
            )
        if broken := [arm for arm, answer in answers.items() if not answer.get("complete")]:
            raise HubError(f"{broken[0]} did not answer to the end: that is no vote against it")
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "question": question,
            "winner": winner,
            "shown_as": list(shown_as),
            "blind": blind,
            "model": model,
            "adapter": adapter,
            "answers": answers,
        }
        append_line(self.path, entry)

    def all(self) -> list[dict[str, Any]]:
        """Every vote, the first one first; a line that a kill cut is left out."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            with suppress(ValueError):  # of characters, too
                if isinstance(vote := json.loads(line), dict):
                    found.append(vote)
        return found

    def standings(self) -> list[Standing]:
        """How often each arm was the best of those that it was shown with, in order of arms."""
        shown: Counter[str] = Counter()
        won: Counter[str] = Counter()
        for vote in self.all():
            shown.update(vote["answers"].keys())
            won[vote["winner"]] += 1
        return [Standing(arm=arm, won=won[arm], shown=shown[arm]) for arm in sorted(shown)]
