"""Patterns to training examples, as JSON lines that appear whole or not at all.

The first format: an instruction, and the code that follows it, as prompt and completion messages
(what TRL calls a conversational prompt-completion dataset), each row with where it came from. A row
with a forbidden term is dropped, secrets and personal data are replaced, and both are counted.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hub.curate.forbidden import find_terms, find_terms_in
from hub.curate.left_out import left_out
from hub.curate.privacy import redact_json, secrets_in
from hub.errors import HubError
from hub.store.cache import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hub.curate.forbidden import Hit
    from hub.store.chroma import PatternStore
    from hub.types import Pattern

KINDS = {"function", "method"}


@dataclass(slots=True)
class ExportReport:
    """Rows written, patterns left out by reason, and what was replaced, by kind.

    ``forbidden`` names every row that a forbidden term dropped; ``left_out`` counts it under the
    rule of its first term.
    """

    path: str
    written: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    redacted: Counter[str] = field(default_factory=Counter)
    forbidden: list[ForbiddenRow] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "written": self.written,
            "left_out": dict(self.left_out),
            "redacted": dict(self.redacted),
            "forbidden": [asdict(row) for row in self.forbidden],
        }


@dataclass(frozen=True, slots=True)
class ForbiddenRow:
    """A row that was dropped: where its pattern stands, and the first term in it."""

    source: str
    location: str
    rule: str
    term: str


def export(store: PatternStore, path: Path, *, folder: Path) -> ExportReport:
    """Write one example per documented function, in the order of source, path and position.

    ``folder`` is where the hub says which patterns are left out as duplicates.

    Raises:
        HubError: nothing is indexed, or by another model; or ``path`` cannot be written.
    """
    report = ExportReport(str(path))
    store.reopen()
    store.state()  # refuses what another model or version wrote
    patterns = [p for page, _ in store.pages() for p in page]
    patterns.sort(key=lambda p: (p.source, p.path, p.start_byte))
    duplicates = left_out(folder, {p.id for p in patterns})
    if duplicates:
        report.left_out["duplicate"] = len(duplicates)
        patterns = [p for p in patterns if p.id not in duplicates]
    write_rows(path, examples(patterns, report))
    return report


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as JSON lines, all of them or none.

    Raises:
        HubError: ``path`` cannot be written.
    """
    try:
        with _writable(path) as target, target.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n")
    except OSError as error:
        raise HubError(f"{path} cannot be written: {error}") from error


def _writable(path: Path) -> AbstractContextManager[Path]:
    """What to write to: a file that replaces ``path`` at the end, but a device or pipe itself."""
    if path.is_dir():
        raise HubError(f"{path} is a folder; name a file in it")
    in_dev = path.is_absolute() and path.parts[1:2] == ("dev",)
    if in_dev or (path.exists() and not path.is_file()):
        return nullcontext(path)
    return atomic_path(path.resolve())


def examples(patterns: Iterable[Pattern], report: ExportReport) -> Iterator[dict[str, Any]]:
    """Instruction to code, for every whole function that says what it does."""
    patterns = list(patterns)
    known: dict[str, str] = {}  # a secret that one pattern names stands bare in others
    for pattern in patterns:
        known |= secrets_in(pattern.text)
    for pattern in patterns:
        reason = _reason_to_leave_out(pattern)
        if reason:
            report.left_out[reason] += 1
            continue
        example = _example(pattern)
        hit = _first_forbidden(example, pattern.language)
        if hit:
            report.left_out[f"forbidden: {hit.rule}"] += 1
            row = ForbiddenRow(pattern.source, pattern.location, hit.rule, hit.term)
            report.forbidden.append(row)
            continue
        clean, findings = redact_json(example, known=known)
        report.redacted.update(finding.kind for finding in findings)
        report.written += 1
        yield clean


def _example(pattern: Pattern) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": instruction(pattern)}],
        "completion": [{"role": "assistant", "content": pattern.text.strip("\n")}],
        "provenance": {
            "id": pattern.id,
            "source": pattern.source,
            "path": pattern.path,
            "start_line": pattern.start_line,
            "end_line": pattern.end_line,
            "symbol": pattern.symbol,
            "language": pattern.language,
        },
    }


def _first_forbidden(example: dict[str, Any], language: str) -> Hit | None:
    """In the code's comments and strings, and anywhere in the rest of the row."""
    rest = {key: part for key, part in example.items() if key != "completion"}
    for hits in (
        find_terms(example["completion"][0]["content"], language=language),
        find_terms_in(rest),
    ):
        if hits:
            return hits[0]
    return None


def instruction(pattern: Pattern) -> str:
    """What the completion answers: the first paragraph of the documentation, and the signature."""
    intent = " ".join(pattern.docstring.split("\n\n")[0].split())
    return f"Write the {pattern.language} {pattern.kind} `{pattern.signature}`.\n\n{intent}"


def _reason_to_leave_out(pattern: Pattern) -> str:
    if pattern.kind not in KINDS:
        return f"kind {pattern.kind}"
    if pattern.part:
        return "part of a longer function"
    return "" if pattern.docstring.strip() else "undocumented"
