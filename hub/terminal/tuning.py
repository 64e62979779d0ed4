"""Verdicts on tuning as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.terminal.text import counted, one_line

if TYPE_CHECKING:
    from hub.tuning.measure import Verdict
    from hub.tuning.tune import CompareReport, TuneReport


def tune_summary(report: TuneReport) -> str:
    """What was learned from, and what came of it."""
    lines = [f"{counted(report.pairs)}: {sum(report.pairs.values())} pairs"]
    if report.left_out:
        lines.append(f"  left out  {counted(report.left_out)}")
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
        f"{one_line(what)}: {verdict.base:.3f} -> {verdict.tuned:.3f} on {verdict.questions} "
        f"questions, 95% interval of the difference {low:+.3f} to {high:+.3f} (vectors alone "
        f"{verdict.base_dense:.3f} -> {verdict.tuned_dense:.3f})"
    )
