"""What is indexed, found and checked, as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hub.errors import HubError
from hub.terminal.text import counted, megabytes, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hub.doctor import Check
    from hub.reporting import IndexReport
    from hub.status import Status
    from hub.types import Pattern, SearchResult

SHOWN_LINES = 4  # of a hit's text


def index_summary(report: IndexReport) -> str:
    """What a run did, in a few lines."""
    lines = [
        f"{report.patterns_total} patterns in {', '.join(report.sources)} "
        f"({report.seconds:.1f} s, {report.tier} tier; "
        f"searchable after {report.fast_seconds:.1f} s)",
        f"  files     {report.files_added} new, {report.files_changed} changed, "
        f"{report.files_removed} removed, {report.files_unchanged} unchanged",
        f"  patterns  {report.patterns_added} added, {report.patterns_kept} kept, "
        f"{report.patterns_removed} removed",
        f"  vectors   {report.embedded} embedded, {report.reused} reused",
    ]
    if report.plain_text:
        lines.append(f"  no grammar for {report.plain_text} files: cut as plain text")
    if report.skipped:
        lines.append(f"  skipped   {counted(report.skipped)} (patternhub status --skipped)")
    return "\n".join(lines)


def hits_text(hits: list[SearchResult]) -> str:
    """Hits with the first lines of their text."""
    if not hits:
        return "no pattern matches; try other words, or fewer filters"
    parts = []
    for hit in hits:
        p = hit.pattern
        parts.append(
            one_line(f"{hit.rank:2}. {p.location}  {p.kind} {p.symbol}")
            + f"\n    {p.source}, {p.language}, score {hit.score:.2f}, id {p.id[:10]}\n"
            + _indented(p.text, SHOWN_LINES)
        )
    return "\n\n".join(parts) + f"\n\n{len(hits)} hit{'s' * (len(hits) > 1)}, {hits[0].tier} tier"


def pattern_text(
    pattern: Pattern, before: Pattern | None, after: Pattern | None, outline: list[Pattern]
) -> str:
    """A pattern whole, with what stands before and after it, and its methods, a line each."""
    facts = [
        one_line(f"{pattern.location}  {pattern.kind} {pattern.symbol}"),
        f"source {pattern.source}, {pattern.language}, id {pattern.id}",
    ]
    for name, other in (("before", before), ("after", after)):
        if other:
            facts.append(
                one_line(
                    f"{name:6} {other.location}  {other.kind} {other.symbol}  id {other.id[:10]}"
                )
            )
    facts += [one_line(f"method {p.location}  {p.signature}  id {p.id[:10]}") for p in outline]
    text = "\n".join(map(one_line, pattern.text.strip("\n").split("\n")))
    return "\n".join(facts) + "\n\n" + text


def status_text(status: Status, *, with_files: bool) -> str:
    """The state of a hub, a fact a line."""
    lines = [
        f"hub        {status.folder}",
        f"patterns   {status.patterns} (generation {status.generation}, {status.tier} tier)",
        f"model      {status.model}",
        f"kinds      {counted(status.kinds)}",
        f"languages  {counted(status.languages)}",
        f"on disk    {megabytes(status.sizes)}",
    ]
    if status.migration:
        lines.append(
            f"migration  from {status.migration.old} to {status.migration.new}: searches use the "
            "old vectors until `patternhub index` has completed the new ones"
        )
    elif status.writing:
        lines.append(
            "writing    an index run is at work, or was stopped: `patternhub index` ends it"
        )
    for source in status.sources:
        fresh = source.error or (f"{source.stale} files stale" if source.stale else "up to date")
        lines.append(
            f"source     {source.name}: {source.patterns} patterns of {source.files} files, "
            f"{fresh} ({source.location}{' @ ' + source.revision[:12] if source.revision else ''})"
        )
    if status.skipped:
        lines.append(f"skipped    {counted(status.skipped)}")
    if with_files:
        lines += [
            one_line(f"  {reason:16} {source}: {path}")
            for source, path, reason in status.skipped_files
        ]
    return "\n".join(lines)


def checks_text(checks: Iterable[Check]) -> str:
    return "\n".join(
        f"{'ok  ' if check.ok else 'FAIL'}  {check.name:10} {check.detail}" for check in checks
    )


def read_queries(path: Path) -> Iterator[str]:
    """The queries of a JSON lines file.

    Raises:
        HubError: the file cannot be read, or a line is no {"query": text}; names the line.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            query = json.loads(line)["query"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise HubError(
                f'{path}:{number}: expected {{"query": "..."}}, got {line[:80]}'
            ) from error
        if not isinstance(query, str) or not query.strip():
            raise HubError(f"{path}:{number}: the query is {query!r}, expected some text")
        yield query


def _indented(text: str, limit: int) -> str:
    lines = [line for line in text.strip("\n").splitlines() if line.strip()]
    shown = [f"    | {one_line(line[:110])}" for line in lines[:limit]]
    return "\n".join(
        shown + ([f"    | ... {len(lines) - limit} more lines"] if len(lines) > limit else [])
    )
