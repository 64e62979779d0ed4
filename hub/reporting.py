"""What an index run tells while it works, and what it did in the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol


class Progress(Protocol):
    """How a run tells how far it is; ``total`` is in the stage's own unit."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(slots=True, kw_only=True)
class IndexReport:
    """What an index run did, counted in files, patterns and vectors."""

    sources: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    files_added: int = 0
    files_changed: int = 0
    files_removed: int = 0
    files_unchanged: int = 0
    patterns_added: int = 0
    patterns_kept: int = 0  # in changed files, the same as before
    patterns_removed: int = 0
    patterns_total: int = 0
    embedded: int = 0
    reused: int = 0  # vectors known from an earlier run or another place
    plain_text: int = 0  # files without a grammar, cut as text
    source_bytes: int = 0  # of the files that were cut
    skipped: dict[str, int] = field(default_factory=dict)
    tier: str = "fast"
    fast_seconds: float = 0.0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
