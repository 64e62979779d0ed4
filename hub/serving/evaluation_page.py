"""An evaluation as one HTML page: the verdict, the arms side by side, and every row to browse."""

from __future__ import annotations

import json
from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from hub.page import Markup, document, table
from hub.serving.gate import GB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.serving.gate import Criterion, Verdict
    from training.evaluate import ArmScores, Evaluation, Judged, Share
    from training.questions import Question

ROWS = 400  # that the page shows; rows.jsonl has all
CHARACTERS = 6000  # of one text
WIDTH, LINE, LEFT = 640, 26, 150  # of a plot, in its own units
COLOURS = {"base": "#8a8f98", "rag": "#4e79a7", "adapter": "#f28e2b", "rag+adapter": "#59a14f"}
OTHER = "#b07aa1"
MARKS = {True: "✓", False: "✗", None: "?"}
KINDS = {True: "good", False: "bad", None: "note"}
STYLE = """
body { max-width: 1180px } .good { color: var(--good) } .bad { color: var(--bad) }
.verdict { border: 1px solid var(--line); border-left: .4rem solid; background: var(--panel);
           padding: .2rem 1.2rem; margin: 1rem 0 }
.verdict h2 { margin: .6rem 0 } .verdict td, .verdict th, .verdict p { color: var(--text) }
svg { max-width: 640px; display: block; margin: .5rem 0 }
svg text { fill: var(--text); font-size: 12px }
svg line.grid { stroke: var(--line) } .wide { overflow-x: auto }
details.row { border-top: 1px solid var(--line); padding: .3rem 0 }
summary { cursor: pointer } summary span { margin-left: .8rem; white-space: nowrap }
pre { background: var(--panel); border: 1px solid var(--line); padding: .5rem; margin: .3rem 0;
      overflow: auto; max-height: 24rem; font-size: 13px; white-space: pre-wrap;
      overflow-wrap: anywhere }
.arms { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)) }
.arms > div { min-width: 0 } .arms small { display: block; color: var(--soft) }
h4 { margin: .6rem 0 0 } label { margin-right: 1rem }
body:has(#failed:checked) details.row:not(.failed),
body:has(#apart:checked) details.row:not(.apart),
body:has(#broken:checked) details.row:not(.broken) { display: none }
"""
FILTERS = (("every", "all"), ("failed", "some arm fails"), ("apart", "arms differ"),
           ("broken", "incomplete"))  # fmt: skip


def page(evaluation: Evaluation, verdicts: Sequence[Verdict]) -> str:
    """The whole page; ``verdicts`` are those of the gate, if an arm with an adapter was asked."""
    arms = evaluation.arms
    title = " against ".join(arm.name for arm in arms)
    parts = [
        f"<h1>{escape(title)}</h1>",
        *map(_verdict, verdicts),
        _best(arms),
        "<h2>The arms side by side</h2>",
        _plot([(arm.name, arm.name, arm.overall) for arm in arms]),
        f"<div class=wide>{_side_by_side(arms)}</div>",
        "<h2>By category</h2>",
        f"<div class=wide>{_by_category(arms)}</div>",
        _plot([
            (name if nth == 0 else "", arm.name, arm.categories[name])
            for name in _categories(arms)
            for nth, arm in enumerate(arms)
        ]),
        _key(arms),
        "<h2>Why answers did not pass</h2>",
        _reasons(evaluation),
        "<h2>Rows</h2>",
        *_rows(evaluation),
        "<h2>How it was measured</h2>",
        _method(evaluation),
    ]  # fmt: skip
    return document(title, parts, style=STYLE)


def _verdict(verdict: Verdict) -> str:
    said = "passes the gate" if verdict.passed else "does not pass the gate"
    if not verdict.passed and any(c.passed is None for c in verdict.criteria):
        said = "has no verdict" if all(c.passed is not False for c in verdict.criteria) else said
    rows = [(_mark(c.passed), c.name, c.told) for c in sorted(verdict.criteria, key=_first)]
    return (
        f"<div class='verdict {KINDS[verdict.passed]}'>"
        f"<h2>The arm {escape(verdict.arm)} {said}</h2>"
        f"{table(('', 'what', 'seen'), rows)}<p>{escape(verdict.meaning)}</p></div>"
    )


def _first(criterion: Criterion) -> int:
    """What fails comes first, then what cannot be said."""
    return (False, None, True).index(criterion.passed)


def _best(arms: Sequence[ArmScores]) -> str:
    """A sentence: who is ahead, and whether that can be told from luck."""
    ranked = sorted((a for a in arms if a.overall.total), key=lambda a: -a.overall.share)
    if not ranked:
        return "<p>No arm gave a whole answer.</p>"
    best, shown = ranked[0], ", ".join(f"{a.name} {_percent(a.overall)}" for a in ranked)
    level = [a.name for a in ranked[1:] if a.overall.interval.high >= best.overall.interval.low]
    said = f"Rows that pass: {shown}."
    if level:
        said += f" The intervals of {best.name} and {', '.join(level)} overlap: on these rows they "
        said += "are not told apart."
    elif ranked[1:]:
        said += f" {best.name} is ahead of each other by more than its 95% interval."
    return f"<p>{escape(said)}</p>"


def _plot(lines: Sequence[tuple[str, str, Share]]) -> str:
    """Shares as dots with their intervals; each line is (label, arm, share)."""
    height = LINE * len(lines) + 24

    def x(share: float) -> str:
        return f"{LEFT + share * (WIDTH - LEFT - 20):.1f}"

    marks = [
        f'<line class=grid x1="{x(at / 4)}" x2="{x(at / 4)}" y1="0" y2="{height - 18}"/>'
        f'<text x="{x(at / 4)}" y="{height - 4}" text-anchor="middle">{at * 25}%</text>'
        for at in range(5)
    ]
    for nth, (label, arm, share) in enumerate(lines):
        y, colour = LINE * nth + LINE / 2, COLOURS.get(arm, OTHER)
        name = label if len(label) <= 20 else f"{label[:19]}…"
        low, high = share.interval
        marks.append(
            f'<g><title>{escape(label or arm)}, {escape(arm)}: {_percent(share)}</title>'
            f'<text x="0" y="{y + 4}">{escape(name)}</text>'
            f'<line x1="{x(low)}" x2="{x(high)}" y1="{y}" y2="{y}" stroke="{colour}" '
            f'stroke-width="3"/><circle cx="{x(share.share)}" cy="{y}" r="5" fill="{colour}"/></g>'
            if share.total
            else f'<text x="0" y="{y + 4}">{escape(name)}</text>'
        )  # fmt: skip
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="100%">{"".join(marks)}</svg>'


def _key(arms: Sequence[ArmScores]) -> str:
    colours = [(arm.name, COLOURS.get(arm.name, OTHER)) for arm in arms]
    spans = [f'<span><i style="color:{c}">&#9679;</i> {escape(n)}</span>' for n, c in colours]
    return f"<p class=key>{' '.join(spans)}</p>"


def _side_by_side(arms: Sequence[ArmScores]) -> str:
    """One column an arm."""
    rows: list[tuple[str, ...]] = [
        ("rows that pass", *(_percent(arm.overall) for arm in arms)),
        ("95% interval", *("{:.1%} to {:.1%}".format(*arm.overall.interval) for arm in arms)),
        ("without a whole answer", *(str(arm.incomplete) for arm in arms)),
    ]
    for name in dict.fromkeys(name for arm in arms for name in arm.checks):
        found = [arm.checks.get(name) for arm in arms]
        rows.append((f"pass {name}", *(_percent(share) if share else "" for share in found)))
    for name in dict.fromkeys(name for arm in arms for name in arm.values):
        found_values = [arm.values.get(name) for arm in arms]
        rows.append((
            f"{name}, median and 95%",
            *(f"{_unit(name, v['p50'])}, {_unit(name, v['p95'])}" if v else "not known"
              for v in found_values),
        ))  # fmt: skip
    return table(("", *(arm.name for arm in arms)), rows)


def _by_category(arms: Sequence[ArmScores]) -> str:
    rows = [(name, *(_percent(arm.categories[name]) for arm in arms)) for name in _categories(arms)]
    return table(("category", *(arm.name for arm in arms)), rows)


def _categories(arms: Sequence[ArmScores]) -> list[str]:
    return list(arms[0].categories) if arms else []


def _reasons(evaluation: Evaluation) -> str:
    """How many answers each scorer, or the similarity, kept from passing, by arm."""
    counts = {arm.name: Counter(_why(row, evaluation.threshold) for row in arm.rows)
              for arm in evaluation.arms}  # fmt: skip
    names = [n for n in dict.fromkeys(n for c in counts.values() for n in c) if n]
    if not names:
        return "<p class=note>Every answer passed.</p>"
    rows = [(name, *(counts[arm.name][name] for arm in evaluation.arms)) for name in sorted(names)]
    return table(("first reason", *counts), rows)


def _why(row: Judged, threshold: float) -> str:
    """The first reason why a row did not pass; empty where it did."""
    if row.passed is None:
        return "incomplete: not scored"
    failed = next((score.name for score in row.scores if score.passed is False), "")
    return "" if row.passed else failed or f"similarity below {threshold:g}"


def _rows(evaluation: Evaluation) -> Iterator[str]:
    arms = evaluation.arms
    together = list(zip(*(arm.rows for arm in arms), strict=True))
    yield "<p>" + "".join(
        f"<label><input type=radio name=shown id={kind}{' checked' if kind == 'every' else ''}> "
        f"{label}</label>"
        for kind, label in FILTERS
    ) + "</p>"  # fmt: skip
    for rows in together[:ROWS]:
        yield _row(rows, arms, evaluation.threshold)
    if len(together) > ROWS:
        yield f"<p class=note>{len(together) - ROWS:,} more rows are in rows.jsonl.</p>"


def _row(rows: Sequence[Judged], arms: Sequence[ArmScores], threshold: float) -> str:
    question = rows[0].question
    passed = [row.passed for row in rows]
    kinds = ["row", *(["failed"] if False in passed else []),
             *(["apart"] if len(set(passed)) > 1 else []),
             *(["broken"] if None in passed else [])]  # fmt: skip
    marks = "".join(
        f"<span class={KINDS[row.passed]}>{MARKS[row.passed]} {escape(arm.name)}</span>"
        for arm, row in zip(arms, rows, strict=True)
    )
    named = " · ".join(filter(None, (question.category, question.task, question.language)))
    answers = "".join(
        f"<div><h4>{escape(arm.name)} {_mark(row.passed)}</h4>{_pre(row.reply.text)}"
        f"<small>{escape(_scores(row, threshold))}</small></div>"
        for arm, row in zip(arms, rows, strict=True)
    )
    return (
        f'<details class="{" ".join(kinds)}"><summary>{question.line}. {escape(named)}{marks}'
        f"</summary>{_asked(question)}<h4>reference</h4>{_pre(question.reference)}"
        f"<div class=arms>{answers}</div></details>"
    )


def _asked(question: Question) -> str:
    return "".join(f"<h4>{escape(t['role'])}</h4>{_pre(t['content'])}" for t in question.messages)


def _scores(row: Judged, threshold: float) -> str:
    if row.passed is None:
        return f"incomplete: {row.reply.error}"
    said = [_why(row, threshold)] if not row.passed else []
    for score in row.scores:
        if score.passed is False:
            said.append(f"{score.name}: {score.reason}")
        elif score.value is not None:
            said.append(f"{score.name} {_unit(score.name, score.value)}")
    return "; ".join(said)


def _method(evaluation: Evaluation) -> str:
    unusable = ", ".join(f"{count} x {why}" for why, count in evaluation.unusable.items())
    rows = [
        ("dataset", evaluation.dataset),
        ("SHA-256", evaluation.sha256),
        ("rows that cannot be asked", unusable or "none"),
        ("a row passes", "if every yes/no scorer that applies passes and its similarity (chrF) is "
         f"{evaluation.threshold:g} or more"),
        ("intervals", "Wilson's, two-sided, 95%"),
        ("seed of the sample", str(evaluation.seed)),
        *((arm.name, json.dumps(dict(arm.identity), sort_keys=True)) for arm in evaluation.arms),
    ]  # fmt: skip
    return f"<div class=wide>{table(('', ''), rows)}</div>"


def _pre(text: str) -> str:
    left = len(text) - CHARACTERS
    more = f"\n… {left:,} more characters" if left > 0 else ""
    return f"<pre>{escape(text[:CHARACTERS])}{more}</pre>"


def _percent(share: Share) -> str:
    return f"{share.share:.1%} ({share.passed} of {share.total})" if share.total else "none judged"


def _unit(name: str, value: float) -> str:
    if name == "latency":
        return f"{value:.2f} s"
    return f"{value / GB:.2f} GB" if name == "memory" else f"{value:.2f}"


def _mark(passed: bool | None) -> Markup:
    return Markup(f"<span class={KINDS[passed]}>{MARKS[passed]}</span>")
