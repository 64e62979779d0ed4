"""Annotations, duplicates, gaps and datasets as text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hub.terminal.text import counted, one_line

if TYPE_CHECKING:
    from hub.curate.annotate import AnnotateReport, Annotation
    from hub.curate.duplicates import Cluster, DuplicatesReport
    from hub.curate.gaps import Gap
    from hub.dataset.build import BuildReport
    from hub.dataset.checking import ValidationReport
    from hub.dataset.filling import Filled
    from hub.dataset.generating import GenerateReport
    from hub.dataset.importing import ImportReport
    from hub.dataset.publish import PublishReport
    from hub.dataset.varying import VaryReport
    from hub.types import Pattern
    from indexers.git_history import HistoryReport

SHOWN_MEMBERS = 10  # of a cluster
SHOWN_LANGUAGES = 6  # columns of a table
SHOWN_PATTERNS = 20  # of a category


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
                    f"{one_line(category):{wide}}",
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
            one_line(f"{found.quality:.2f}  {p.location}  {p.kind} {p.symbol}  id {p.id[:10]}")
        )
        used = f"; uses {', '.join(found.technologies)}" if found.technologies else ""
        lines.append(
            one_line(f"      {found.intent}{used} ({found.confidence:.2f}: {found.reason})")
        )
    if len(rows) > SHOWN_PATTERNS:
        lines.append(f"... {len(rows) - SHOWN_PATTERNS} more; --json prints all")
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
        f"{len(report.clusters)} clusters: {counted(report.levels())}"
    )
    if report.applied:
        lines.append(f"datasets leave them out, until {report.applied} is deleted")
    elif report.dropped:
        lines.append("`patternhub dedup --apply` leaves them out of datasets")
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
    return one_line(f"{pattern.source}/{pattern.location} {pattern.kind} {pattern.symbol}")


def gaps_text(gaps: list[Gap]) -> str:
    """A line for each gap, with the patterns that could fill it and the command that does."""
    lines = [f"{len(gaps)} gaps"]
    for gap in gaps:
        what = " ".join(filter(None, (gap.category, gap.task, gap.language)))
        lines.append(
            one_line(f"  {gap.missing:7} missing  {what}: {gap.why}; there are {gap.have}")
        )
        lines += [one_line(f"  {'':16} {near.location}  {near.symbol}") for near in gap.nearest]
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
    lines = [f"{len(filled)} gaps; the next `patternhub dataset build` has, before its split:"]
    for gap in filled:
        what = " ".join(filter(None, (gap.category, gap.task, gap.language)))
        short = f"; {gap.shortfall} short" if gap.shortfall else ""
        lines.append(
            one_line(
                f"  {gap.made:7} of {gap.missing}  {what} ({gap.kind}), of {gap.patterns} "
                f"functions{short}"
            )
        )
    if any(gap.shortfall for gap in filled):
        lines.append("what stays short: patternhub augment --with MODEL, or examples new")
    return "\n".join(lines)


def build_summary(report: BuildReport) -> str:
    """What was built, what each step dropped, and what is short."""
    sides = ", ".join(f"{side} {count}" for side, count in report.rows.items() if count)
    stale = [one_line(f"  stale      {source}: {what}") for source, what in report.stale.items()]
    stale += ["  `patternhub index` first, and the dataset has it"] if stale else []
    if report.unchanged:
        return "\n".join([f"{report.out} is up to date: {sides}", *stale])
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
        ("rows to its share", report.side_shortfall),
        ("test rows", report.test_shortfall),
        ("examples to its floor", report.floor_shortfall),
    ):
        lines += [f"  short of     {count:7} {what}: {name}" for name, count in short.items()]
    return "\n".join([*lines, *stale, f"read {report.out}/report.html"])


def publish_summary(report: PublishReport, *, sent: bool) -> str:
    """What left the machine, or would."""
    size = sum(report.files.values())
    kind = "private" if report.private else "public"
    verb = "uploaded" if sent else "would upload"
    lines = [f"{verb} {len(report.files)} files, {size} bytes, to {report.repository} ({kind})"]
    lines += [f"  {count:10}  {name}" for name, count in report.files.items()]
    return "\n".join([*lines, f"  tag {report.tag}", *([report.url] if report.url else [])])


def validation_text(report: ValidationReport) -> str:
    """A line for each rule that was broken, with how often and where first; what was done."""
    lines = [f"{report.rows} rows, {report.failing} with errors"]
    for rule, count in report.findings.most_common():
        path, first = report.first[rule]
        where = f"{path}:{first.row}: {first.place}: {first.message} ({first.fix})"
        lines.append(one_line(f"  {first.level:7} {rule:15} {count:7}  {where}"))
    if report.is_fixed:
        lines.append(f"  repaired {report.repaired}, dropped {counted(report.dropped)}")
    return "\n".join(lines)


def import_summary(report: ImportReport) -> str:
    """What was kept, and what was not by the rule that it breaks."""
    return (
        f"kept {report.kept} of {report.rows} rows in {report.path}\n"
        f"  repaired {report.repaired}, dropped {counted(report.dropped)}"
    )


def history_summary(report: HistoryReport) -> str:
    """How many changes for which reason, and what was left out by reason."""
    lines = [
        f"{report.pairs} changes in {report.commits} commits, merges not counted",
        f"  intent     {counted(report.by_intent)}",
        f"  language   {counted(report.by_language)}",
    ]
    left_out = report.left_out.most_common()
    return "\n".join([*lines, *(f"  left out {count:6}  {reason}" for reason, count in left_out)])
