"""Adapters as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.terminal.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hub.serving.pushing import PushReport
    from hub.types import Adapter
    from training.export import Exported

NONE = "no adapters yet: `patternhub train` makes one"


def adapters_table(adapters: Sequence[Adapter]) -> str:
    """A line for each."""
    if not adapters:
        return NONE
    wide = max(len(a.reference) for a in adapters)
    lines = [
        f"{'adapter':{wide}}  digest        created           gate        aliases, metrics, base"
    ]
    for a in adapters:
        said = "; ".join(filter(None, (", ".join(a.aliases), _metrics(a), a.base)))
        created = a.created[:16].replace("T", " ")
        lines.append(f"{a.reference:{wide}}  {a.digest[:12]}  {created}  {_gate(a):10}  {said}")
    return "\n".join(map(one_line, lines))


def adapter_text(adapter: Adapter, path: Path, promotions: Sequence[dict[str, Any]]) -> str:
    """Everything that is known of one."""
    lines = [
        adapter.reference,
        f"  digest    {adapter.digest}",
        f"  folder    {path}",
        f"  base      {adapter.base}",
        f"  dataset   {adapter.dataset[:12]}",
        f"  created   {adapter.created[:19].replace('T', ' ')} UTC",
        f"  run       {adapter.run or 'unknown'}",
        f"  parent    {adapter.parent[:12] or 'none'}",
        f"  metrics   {_metrics(adapter) or 'none'}",
        f"  gate      {_gate(adapter)}",
        f"  aliases   {', '.join(adapter.aliases) or 'none'}",
    ]
    for promotion in promotions:
        undone = f", rolled back {promotion['undone'][:16]}" if promotion["undone"] else ""
        why = f": {promotion['reason']}" if promotion["reason"] else ""
        lines.append(f"  promoted  {promotion['at'][:16]}{undone}{why}")
    return "\n".join(map(one_line, lines))


def verified_text(found: dict[str, Sequence[str]], ways_out: dict[str, str]) -> str:
    """A line for each adapter, and the command that puts it right where there is one."""
    lines = []
    for reference, wrong in found.items():
        lines.append(f"{reference}: {'; '.join(wrong) if wrong else 'every digest is right'}")
        if reference in ways_out:
            lines.append(f"  put it right with: {ways_out[reference]}")
    return "\n".join(map(one_line, lines)) or NONE


def push_summary(report: PushReport) -> str:
    """What was sent, what was there, and what stays here."""
    lines = [f"sent {reference} to {report.repository}" for reference in report.pushed]
    lines += [f"{reference} was there already" for reference in report.there]
    lines += [f"{name} stays here: {'; '.join(why)}" for name, why in report.damaged.items()]
    lines += [f"sent the newest checkpoint of {run}" for run in report.checkpoints]
    return "\n".join(map(one_line, lines)) or f"{report.repository} has every adapter"


def pulled_text(taken: Sequence[Adapter]) -> str:
    """What came."""
    lines = [f"took in {a.reference} ({a.digest[:12]})" for a in taken]
    return "\n".join(map(one_line, lines)) or "nothing there that is not here"


def exported_text(report: Exported) -> str:
    """What was written, and what to do with it."""
    sizes = sum(report.files.values())
    return (
        f"wrote {len(report.files)} files, {sizes / 1e6:.1f} MB, to {report.folder}\n{report.next}"
    )


def _metrics(adapter: Adapter) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in adapter.metrics.items())


def _gate(adapter: Adapter) -> str:
    if adapter.verdict is None:
        return "not judged"
    return "passed" if adapter.passed else "failed"
