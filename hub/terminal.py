"""How results look on a terminal, and how query files are read."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hub.curate.annotate import AnnotateReport, Annotation
    from hub.curate.duplicates import Cluster, DuplicatesReport
    from hub.curate.gaps import Gap
    from hub.dataset.build import BuildReport
    from hub.dataset.checking import ValidationReport
    from hub.dataset.export import ExportReport
    from hub.dataset.filling import Filled
    from hub.dataset.generating import GenerateReport
    from hub.dataset.importing import ImportReport
    from hub.dataset.publish import PublishReport
    from hub.dataset.varying import VaryReport
    from hub.doctor import Check
    from hub.reporting import IndexReport, Progress
    from hub.status import Status
    from hub.tuning.measure import Verdict
    from hub.tuning.tune import CompareReport, TuneReport
    from hub.types import Pattern, SearchResult
    from indexers.git_history import HistoryReport

SHOWN_LINES = 4  # of a hit's text
SHOWN_MEMBERS = 10  # of a cluster
SHOWN_LANGUAGES = 6  # columns of a table
SHOWN_PATTERNS = 20  # of a category
PLAIN_EVERY = 10.0  # seconds between two lines where there is no terminal
UNITS = {
    "patterns": "B of source",
    "validated": "B",
    "vectors": "vectors",
    "measuring": "tiers",
    "comparing": "levels",
    "commits": "commits",
}
STEPS = "steps"  # the unit of every other stage


@contextmanager
def index_progress() -> Iterator[Progress]:
    """A bar with rate and ETA on a terminal, a plain line every few seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _plain_progress()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    bars = Progress(
        TextColumn("{task.description:>9}"),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[unit]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}

    def show(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total, unit=UNITS.get(stage, STEPS))
        bars.update(tasks[stage], completed=done, total=total)

    with bars:
        yield show


def _plain_progress() -> Progress:
    said: dict[str, float] = {}
    started: dict[str, float] = {}
    finished: set[str] = set()

    def show(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        begin = started.setdefault(stage, now)
        if (done < total and now - said.get(stage, begin) < PLAIN_EVERY) or stage in finished:
            return
        if done == total:
            finished.add(stage)
        said[stage] = now
        rate = done / (now - begin) if now > begin else 0
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        print(
            f"{stage}: {done}/{total} {UNITS.get(stage, STEPS)}{left}", file=sys.stderr, flush=True
        )

    return show


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
        lines.append(f"  skipped   {_counts(report.skipped)} (patternhub status --skipped)")
    return "\n".join(lines)


def hits_text(hits: list[SearchResult]) -> str:
    """Hits with the first lines of their text."""
    if not hits:
        return "no pattern matches; try other words, or fewer filters"
    parts = []
    for hit in hits:
        p = hit.pattern
        parts.append(
            _line(f"{hit.rank:2}. {p.location}  {p.kind} {p.symbol}")
            + f"\n    {p.source}, {p.language}, score {hit.score:.2f}, id {p.id[:10]}\n"
            + _indented(p.text, SHOWN_LINES)
        )
    return "\n\n".join(parts) + f"\n\n{len(hits)} hit{'s' * (len(hits) > 1)}, {hits[0].tier} tier"


def pattern_text(
    pattern: Pattern, before: Pattern | None, after: Pattern | None, outline: list[Pattern]
) -> str:
    """A pattern whole, with what stands before and after it, and its methods, a line each."""
    facts = [
        _line(f"{pattern.location}  {pattern.kind} {pattern.symbol}"),
        f"source {pattern.source}, {pattern.language}, id {pattern.id}",
    ]
    for name, other in (("before", before), ("after", after)):
        if other:
            facts.append(
                _line(f"{name:6} {other.location}  {other.kind} {other.symbol}  id {other.id[:10]}")
            )
    facts += [_line(f"method {p.location}  {p.signature}  id {p.id[:10]}") for p in outline]
    text = "\n".join(map(_line, pattern.text.strip("\n").split("\n")))
    return "\n".join(facts) + "\n\n" + text


def export_summary(report: ExportReport) -> str:
    """What was written, left out and replaced; every row that a forbidden term dropped."""
    lines = [f"wrote {report.written} examples to {report.path}"]
    for title, counts in (("left out", report.left_out), ("replaced", report.redacted)):
        lines += [f"  {title} {count:6}  {reason}" for reason, count in counts.most_common()]
    lines += [
        _line(f"  forbidden: {row.source}: {row.location}: {row.term}") for row in report.forbidden
    ]
    return "\n".join(lines)


def build_summary(report: BuildReport) -> str:
    """What was built, what each step dropped, and what is short."""
    sides = ", ".join(f"{side} {count}" for side, count in report.rows.items() if count)
    if report.unchanged:
        return f"{report.out} is up to date: {sides}"
    lines = [
        f"wrote {sum(report.rows.values())} examples to {report.out}: {sides}",
        f"  updated    {report.added + report.changed + report.removed} examples: "
        f"{report.added} added, {report.changed} changed, {report.removed} removed",
    ]
    for stage in report.stages:
        lines.append(f"  {stage.name:12} {stage.kept:7} kept")
        lines += [
            f"  {'':12} {count:7} dropped: {why}"
            for why, count in stage.dropped.most_common()
            if count
        ]
    lines += [f"  private      {count:7} found: {kind}" for kind, count in report.private.items()]
    for what, short in (
        ("test rows", report.test_shortfall),
        ("examples to its floor", report.floor_shortfall),
    ):
        lines += [f"  short of     {count:7} {what}: {name}" for name, count in short.items()]
    return "\n".join([*lines, f"read {report.out}/report.html"])


def gaps_text(gaps: list[Gap]) -> str:
    """A line for each gap, with the patterns that could fill it and the command that does."""
    lines = [f"{len(gaps)} gaps"]
    for gap in gaps:
        what = " ".join(filter(None, (gap.category, gap.task, gap.language)))
        lines.append(_line(f"  {gap.missing:7} missing  {what}: {gap.why}; there are {gap.have}"))
        lines += [_line(f"  {'':16} {near.location}  {near.symbol}") for near in gap.nearest]
        lines.append(f"  {'':16} {gap.command}")
    return "\n".join(lines)


def augment_summary(report: GenerateReport) -> str:
    """How many answers were kept, and why others were not."""
    lines = [f"{report.accepted} answers kept, {report.known} were there before"]
    lines += [f"  rejected {count:6}  {why}" for why, count in report.rejected.most_common()]
    lines += [f"  failed   {report.failed:6}  run again to ask them anew"] if report.failed else []
    return "\n".join(lines)


def vary_summary(report: VaryReport) -> str:
    """How many variants were made, and why others were not."""
    lines = [f"{report.accepted} variants made, {report.known} were there before"]
    lines += [f"  rejected {count:6}  {why}" for why, count in report.rejected.most_common()]
    return "\n".join([*lines, "the next `patternhub dataset build` has examples of them"])


def filled_text(filled: list[Filled]) -> str:
    """A line for each gap: how much of it the next build fills, and what stays short."""
    lines = [f"{len(filled)} gaps; the next `patternhub dataset build` has, before its checks:"]
    for gap in filled:
        what = " ".join(filter(None, (gap.category, gap.task, gap.language)))
        short = f"; {gap.shortfall} short" if gap.shortfall else ""
        lines.append(
            _line(
                f"  {gap.made:7} of {gap.missing}  {what} ({gap.kind}), of {gap.patterns} "
                f"functions{short}"
            )
        )
    if any(gap.shortfall for gap in filled):
        lines.append("what stays short: patternhub augment --with MODEL, or examples new")
    return "\n".join(lines)


def publish_summary(report: PublishReport, *, sent: bool) -> str:
    """What left the machine, or would."""
    size = sum(report.files.values())
    kind = "private" if report.private else "public"
    verb = "uploaded" if sent else "would upload"
    lines = [f"{verb} {len(report.files)} files, {size} bytes, to {report.repository} ({kind})"]
    lines += [f"  {count:10}  {name}" for name, count in report.files.items()]
    return "\n".join([*lines, f"  tag {report.tag}", *([report.url] if report.url else [])])


def history_summary(report: HistoryReport) -> str:
    """How many changes for which reason, and what was left out by reason."""
    lines = [
        f"{report.pairs} changes in {report.commits} commits, merges not counted",
        f"  intent     {_counts(report.by_intent)}",
        f"  language   {_counts(report.by_language)}",
    ]
    left_out = report.left_out.most_common()
    return "\n".join([*lines, *(f"  left out {count:6}  {reason}" for reason, count in left_out)])


def validation_text(report: ValidationReport) -> str:
    """A line for each rule that was broken, with how often and where first; what was done."""
    lines = [f"{report.rows} rows, {report.failing} with errors"]
    for rule, count in report.findings.most_common():
        path, first = report.first[rule]
        where = f"{path}:{first.row}: {first.place}: {first.message} ({first.fix})"
        lines.append(_line(f"  {first.level:7} {rule:15} {count:7}  {where}"))
    if report.is_fixed:
        lines.append(f"  repaired {report.repaired}, dropped {_counts(report.dropped)}")
    return "\n".join(lines)


def import_summary(report: ImportReport) -> str:
    """What was kept, and what was not by the rule that it breaks."""
    return (
        f"kept {report.kept} of {report.rows} rows in {report.path}\n"
        f"  repaired {report.repaired}, dropped {_counts(report.dropped)}"
    )


def annotation_table(report: AnnotateReport) -> str:
    """A line for each category: its patterns by language, and their mean quality."""
    counts, quality = report.counts(), report.quality()
    total = len(report.patterns)
    names = [*counts, "category"]
    totals: Counter[str] = sum((Counter(by) for by in counts.values()), Counter())
    languages = [name for name, _ in totals.most_common(SHOWN_LANGUAGES)]
    wide = max(len(name) for name in names)
    lines = [
        "  ".join(
            [f"{'category':{wide}}", f"{'all':>7}", *(f"{n:>10}" for n in languages), "quality"]
        )
    ]
    for category, by in counts.items():
        cells = [f"{by.get(name, 0) or '':>10}" for name in languages]
        lines.append(
            "  ".join(
                [
                    f"{_line(category):{wide}}",
                    f"{sum(by.values()):>7}",
                    *cells,
                    f"{quality[category]:>7.2f}",
                ]
            )
        )
    found = report.by()
    shares = ", ".join(
        f"{name} {found.get(name, 0) / total:.0%}" for name in ("rules", "vectors", "nothing")
    )
    lines.append(f"{total} patterns, taxonomy {report.taxonomy}; categories found by: {shares}")
    return "\n".join(lines)


def category_text(rows: list[tuple[Pattern, Annotation]]) -> str:
    """The patterns of a category with what spoke for it, a line or two each."""
    lines = []
    for p, found in rows[:SHOWN_PATTERNS]:
        lines.append(
            _line(f"{found.quality:.2f}  {p.location}  {p.kind} {p.symbol}  id {p.id[:10]}")
        )
        used = f"; uses {', '.join(found.technologies)}" if found.technologies else ""
        lines.append(_line(f"      {found.intent}{used} ({found.confidence:.2f}: {found.reason})"))
    if len(rows) > SHOWN_PATTERNS:
        lines.append(f"... {len(rows) - SHOWN_PATTERNS} more; --json prints all")
    return "\n".join(lines)


def tune_summary(report: TuneReport) -> str:
    """What was learned from, and what came of it."""
    lines = [f"{_counts(report.pairs)}: {sum(report.pairs.values())} pairs"]
    if report.left_out:
        lines.append(f"  left out  {_counts(report.left_out)}")
    how = f"each file held out in one of {report.folds} folds" if report.folds else "held-out files"
    lines.append(f"  trained   {report.trained}, judged by {report.held_out} ({how})")
    for tier, verdict in report.verdicts.items():
        lines.append(f"{_verdict(tier, verdict)}: {'kept' if verdict.kept else 'not kept'}")
    if report.model:
        more = (
            "`patternhub tune compare` says more"
            if report.comparable
            else "every file was learned from, so none is left for `patternhub tune compare`"
        )
        lines.append(f"hub.toml now names {report.model}; {more}")
    elif report.verdicts:
        lines.append("nothing was better beyond luck: the model stays as it was")
    return "\n".join(lines)


def compare_text(report: CompareReport) -> str:
    """A line for each tier and source."""
    lines = [f"{report.base} against {report.tuned}, MRR@10 of the fused search"]
    for tier, by_source in report.verdicts.items():
        for source, verdict in by_source.items():
            whole = " (held out whole)" if source in report.held_out_sources else ""
            lines.append(_verdict(f"{tier}, {source or 'all'}{whole}", verdict))
    return "\n".join(lines)


def _verdict(what: str, verdict: Verdict) -> str:
    low, high = verdict.interval
    return (
        f"{_line(what)}: {verdict.base:.3f} -> {verdict.tuned:.3f} on {verdict.questions} "
        f"questions, 95% interval of the difference {low:+.3f} to {high:+.3f} (vectors alone "
        f"{verdict.base_dense:.3f} -> {verdict.tuned_dense:.3f})"
    )


def status_text(status: Status, *, with_files: bool) -> str:
    """The state of a hub, a fact a line."""
    lines = [
        f"hub        {status.folder}",
        f"patterns   {status.patterns} (generation {status.generation}, {status.tier} tier)",
        f"model      {status.model}",
        f"kinds      {_counts(status.kinds)}",
        f"languages  {_counts(status.languages)}",
        f"on disk    {_megabytes(status.sizes)}",
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
        lines.append(f"skipped    {_counts(status.skipped)}")
    if with_files:
        lines += [
            _line(f"  {reason:16} {source}: {path}")
            for source, path, reason in status.skipped_files
        ]
    return "\n".join(lines)


def duplicates_text(report: DuplicatesReport, *, limit: int) -> str:
    """The largest ``limit`` clusters, and how much could go or went."""
    lines = []
    for cluster in report.clusters[:limit]:
        lines += [*_cluster_lines(cluster), ""]
    if len(report.clusters) > limit:
        lines += [f"... {len(report.clusters) - limit} smaller clusters (-n shows more)", ""]
    lines.append(
        f"{len(report.dropped)} of {report.total} patterns say what another says, in "
        f"{len(report.clusters)} clusters: {_counts(report.levels())}"
    )
    if report.applied:
        lines.append(f"exports and datasets leave them out, until {report.applied} is deleted")
    elif report.dropped:
        lines.append("`patternhub dedup --apply` leaves them out of exports and datasets")
    return "\n".join(lines)


def _cluster_lines(cluster: Cluster) -> list[str]:
    lines = [f"keep          {_named(cluster.kept)}, {cluster.reason}"]
    for m in cluster.members[:SHOWN_MEMBERS]:
        like = "" if m.like.id == cluster.kept.id else f", like {_named(m.like)}"
        lines.append(f"{m.level:8} {m.similarity:.2f} {_named(m.pattern)}{like}")
    if len(cluster.members) > SHOWN_MEMBERS:
        lines.append(f"... {len(cluster.members) - SHOWN_MEMBERS} more (--json has all)")
    return lines


def _named(pattern: Pattern) -> str:
    return _line(f"{pattern.source}/{pattern.location} {pattern.kind} {pattern.symbol}")


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


def _line(text: str) -> str:
    """One line that cannot steer a terminal, whatever a file is called or contains."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text).rstrip()


def _indented(text: str, limit: int) -> str:
    lines = [line for line in text.strip("\n").splitlines() if line.strip()]
    shown = [f"    | {_line(line[:110])}" for line in lines[:limit]]
    return "\n".join(
        shown + ([f"    | ... {len(lines) - limit} more lines"] if len(lines) > limit else [])
    )


def _counts(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in ordered) or "none"


def _megabytes(sizes: dict[str, int]) -> str:
    total = sum(sizes.values())
    parts = ", ".join(f"{n} {s / 1e6:.1f}" for n, s in sizes.items() if s >= 100_000)
    return f"{total / 1e6:.1f} MB ({parts})"
