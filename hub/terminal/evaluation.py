"""Evaluations and verdicts as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.terminal.text import counted, one_line

if TYPE_CHECKING:
    from hub.evaluating import Evaluated
    from hub.serving.gate import Verdict
    from training.evaluate import ArmScores

MARKS = {True: "ok", False: "FAIL", None: "?"}


def evaluation_text(done: Evaluated) -> str:
    """A line an arm, the categories below, and what the gate would say."""
    evaluation = done.evaluation
    rows = len(evaluation.arms[0].rows)
    lines = [f"{rows} rows of {one_line(evaluation.dataset)}"]
    if evaluation.unusable:
        lines.append(f"  not asked  {counted(dict(evaluation.unusable))}")
    for arm in evaluation.arms:
        lines += _arm(arm)
    for verdict in done.verdicts:
        lines += ["", verdict_text(verdict)]
    return "\n".join([*lines, "", f"read {done.folder}/report.html"])


def _arm(arm: ArmScores) -> list[str]:
    overall = arm.overall
    if not overall.total:
        errors = counted({one_line(row.reply.error): 1 for row in arm.rows})
        return [f"{arm.name:>12}  no whole answer: {errors}"]
    low, high = overall.interval
    took = arm.values["latency"]
    line = (
        f"{arm.name:>12}  {overall.share:6.1%}  {overall.passed} of {overall.total} pass, 95% "
        f"interval {low:.1%} to {high:.1%}, {took['p50']:.1f} s an answer"
    )
    if arm.incomplete:
        line += f", {arm.incomplete} incomplete"
    return [line] + [
        f"{'':>12}  {share.share:6.1%}  {one_line(name)} ({share.passed} of {share.total})"
        for name, share in arm.categories.items()
        if share.total
    ]


def verdict_text(verdict: Verdict) -> str:
    """Passed or not, a line a criterion, and what it is worth."""
    lines = [f"the arm {verdict.arm} {'passes' if verdict.passed else 'does not pass'} the gate"]
    lines += [
        f"  {MARKS[c.passed]:>4}  {one_line(c.name)}: {one_line(c.told)}" for c in verdict.criteria
    ]
    return "\n".join([*lines, f"  {verdict.meaning}"])
