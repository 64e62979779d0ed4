"""What every example passes before it may be trained on.

A check returns the example, mended where it had to be, or the reason to drop it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hub.curate.forbidden import find_terms, find_terms_in
from hub.curate.privacy import redact
from hub.types import Infill

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from hub.types import Example, Message

    Check = Callable[[Example], Example | str]


def forbidden(example: Example) -> Example | str:
    """Drops an example with a forbidden term: in comments and strings of code, and in all else."""
    answer = "\n\n".join(turn.content for turn in example.completion)
    asked: dict[str, Any] = {"prompt": [turn.content for turn in example.prompt]}
    hits = find_terms(answer, language=example.language) or find_terms_in(
        asked | {"path": example.path, "symbol": example.symbol}
    )
    return f"forbidden: {hits[0].rule}" if hits else example


def private(counts: Counter[str]) -> Check:
    """Puts placeholders where secrets and personal data stand, counted by kind."""

    def clean(text: str) -> str:
        cleaned, findings = redact(text)
        counts.update(finding.kind for finding in findings)
        return cleaned

    def turns(conversation: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(turn._replace(content=clean(turn.content)) for turn in conversation)

    def check(example: Example) -> Example | str:
        found = turns(example.prompt), turns(example.completion)
        if found == (example.prompt, example.completion):
            return example
        hole = example.infill
        if hole and clean(hole.prefix + hole.middle + hole.suffix) != "".join(
            (hole.prefix, hole.middle, hole.suffix)
        ):
            hole = Infill(clean(hole.prefix), clean(hole.suffix), clean(hole.middle))
        return replace(example, prompt=found[0], completion=found[1], infill=hole)

    return check
