"""The tab where arms answer one question side by side, people vote, and evaluations are read."""

from __future__ import annotations

import random
import time
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from hub.answering.arms import ARMS
from hub.errors import HubError
from hub.serving.votes import BAD, TIE
from space_app.answers import pane_html
from space_app.code_view import message
from space_app.jobs import begun_html, job_html
from space_app.sign_in import members_only
from training.metrics import wilson

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.answering.arms import ArmName
    from hub.answering.records import Answer
    from hub.reporting import Progress
    from space_app.context import Context

FRAME = 0.1  # seconds between two drawings of the panes, however fast arms answer
PEOPLE = 20  # who may be answered at the same time
LABELS = ("A", "B", "C", "D")  # of arms whose names are hidden
NO_ADAPTER = "none"


def compare_tab(context: Context, page: gr.Blocks, tab: gr.Tab, timer: gr.Timer) -> None:
    """Lay out the tab and wire it; with each tick of ``timer`` it tells of running work."""
    with gr.Row(equal_height=True):
        question = gr.Textbox("", label="Question", scale=3, elem_id="question")
        adapter = gr.Dropdown(
            [NO_ADAPTER], value=NO_ADAPTER, label="Adapter", min_width=160, elem_id="compared"
        )
        blind = gr.Checkbox(False, label="Blind", info="names after the vote", min_width=100)
        start = gr.Button("Ask all arms", variant="primary", min_width=120, elem_id="ask-all")
    told = gr.HTML(elem_id="told")
    with gr.Row():
        panes = [gr.HTML(elem_id=f"pane-{label}", min_width=260) for label in LABELS]
    with gr.Row():
        choice = gr.Radio([], label="Which answer is the best?", elem_id="choice")
        vote = gr.Button("Vote", interactive=False, elem_id="vote")
    standings = gr.HTML(elem_id="standings")
    asked = gr.State(None)
    with gr.Accordion("Evaluations", open=False):
        with gr.Row(equal_height=True):
            rows = gr.Number(
                100, label="Held-out rows", minimum=0, precision=0, elem_id="evaluated",
                info="drawn from the last dataset's test side; 0: all",
            )  # fmt: skip
            measure = gr.Button("Evaluate all arms on them", elem_id="evaluate")
        job, finished = gr.HTML(elem_id="evaluating"), gr.State(0)
        evaluations = gr.Dropdown([], label="Evaluation", elem_id="evaluations")
        report = gr.HTML(evaluation_html(context, None), elem_id="evaluation")
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def ask(question: str, adapter: str, blind: bool) -> Iterator[tuple[Any, ...]]:
        yield from _asked(context, question, adapter, blind=blind)

    def cast(asked: dict[str, Any] | None, choice: str | None) -> tuple[Any, ...]:
        try:
            told = _vote(context, asked, choice)
        except HubError as error:
            return message(str(error), alert=True), *(gr.skip(),) * 6
        shown = _panes(asked["answers"], asked["order"], named=True) if asked else []
        return message(told), *shown, gr.Button(interactive=False), standings_html(context)

    outputs = [told, *panes, choice, vote, asked]
    gr.on(
        [start.click, question.submit], ask, [question, adapter, blind], outputs,
        concurrency_limit=PEOPLE, **private,
    )  # fmt: skip
    vote.click(cast, [asked, choice], [told, *panes, vote, standings], **private)
    page.load(lambda: standings_html(context), None, standings, **private)
    page.load(lambda: _at_load(context), None, [adapter, evaluations], **private)
    tab.select(
        lambda: [gr.Dropdown(choices=adapters(context)), gr.Dropdown(choices=listed(context))],
        None, [adapter, evaluations], **private,
    )  # fmt: skip
    measure.click(
        members_only(lambda adapter, n: start_evaluation(context, adapter, n)),
        [adapter, rows], job, **private,
    )  # fmt: skip
    timer.tick(
        lambda: (job_html(context.jobs), context.jobs.finished), None, [job, finished], **private
    )
    finished.change(lambda: gr.Dropdown(choices=listed(context)), None, evaluations, **private)
    evaluations.change(lambda name: evaluation_html(context, name), evaluations, report, **private)


def start_evaluation(context: Context, adapter: str, n: float | None) -> str:
    """Begin to ask the arms what ``n`` held-out rows ask; returns what to show."""
    chosen = "" if adapter == NO_ADAPTER else adapter
    names = [arm for arm in ARMS if chosen or "adapter" not in arm]

    def work(progress: Progress) -> str:
        context.let_arms_go()  # two copies of a model may be too many
        done = context.open_hub().evaluate(
            arms=names, adapter=chosen, n=int(n or 0), progress=progress
        )
        whole = [f"{a.name} {len(a.rows) - a.incomplete}" for a in done.evaluation.arms]
        return f"Whole answers: {', '.join(whole)}. Choose {done.folder.name} to read its page."

    return begun_html(context.jobs, f"Evaluation of {', '.join(names)}", work)


def _at_load(context: Context) -> tuple[gr.Dropdown, gr.Dropdown]:
    there = adapters(context)
    return gr.Dropdown(choices=there, value=there[0]), gr.Dropdown(choices=listed(context))


def adapters(context: Context) -> list[str]:
    """What can be chosen as an adapter; first what hub.toml names, or none."""
    try:
        named = context.hub.workspace.config.answering.adapter or NO_ADAPTER
        there = [adapter.reference for adapter in context.hub.adapters.list()]
    except HubError:
        return [NO_ADAPTER]
    return [named, *(reference for reference in there if reference != named)]


def _asked(
    context: Context, question: str, adapter: str, *, blind: bool
) -> Iterator[tuple[Any, ...]]:
    """What every component shows, again and again while the arms answer."""
    nothing = (*("",) * len(LABELS), gr.Radio(choices=[], value=None), gr.Button(interactive=False))
    try:
        adapter = "" if adapter == NO_ADAPTER else adapter
        arms = context.arms(adapter)
        order: list[ArmName] = list(arms.names)
        if blind:
            random.shuffle(order)
        texts: dict[str, str] = dict.fromkeys(order, "")
        answers: dict[str, Answer] = {}
        yield message("Answering ..."), *nothing, None
        drawn = 0.0
        for arm, part in context.answers(arms, question, order):
            if isinstance(part, str):
                texts[arm] += part
            else:
                answers[arm] = part
            if time.monotonic() - drawn > FRAME:
                drawn = time.monotonic()
                shown = _panes(texts | answers, order, named=not blind)
                yield message("Answering ..."), *shown, *(gr.skip(),) * 3
        shown = _panes(texts | answers, order, named=not blind)
    except HubError as error:
        yield message(str(error), alert=True), *nothing, None
        return
    names = list(LABELS[: len(order)]) if blind else list(order)
    asked = {
        "question": question, "order": order, "answers": answers, "blind": blind,
        "model": arms.model, "adapter": context.named(adapter),
    }  # fmt: skip
    done = message(_lacking(order) or "Done.")
    can_vote = len(order) > 1
    choice = gr.Radio(choices=[*names, TIE, BAD] if can_vote else [], value=None)
    yield done, *shown, choice, gr.Button(interactive=can_vote), asked


def _lacking(arms: Sequence[str]) -> str:
    """Which arms did not answer, and what they need."""
    if missing := [arm for arm in ARMS if arm not in arms]:
        return (
            f"Not asked: {', '.join(missing)}. A model is named under [generator] or [answering] "
            "in hub.toml; an adapter is chosen above once one is trained."
        )
    return ""


def _panes(parts: dict[str, Any], order: Sequence[str], *, named: bool) -> list[str]:
    """A pane for each arm in this order; empty ones up to all labels."""
    shown = [
        pane_html(arm if named else label, parts[arm], blind=not named)
        for label, arm in zip(LABELS, order, strict=False)
    ]
    return shown + [""] * (len(LABELS) - len(shown))


def _vote(context: Context, asked: dict[str, Any] | None, choice: str | None) -> str:
    """Keep a vote; returns what to say.

    Raises:
        HubError: nothing was asked or chosen, or an arm did not answer to the end.
    """
    if not asked or not choice:
        raise HubError("ask a question and choose an answer first")
    order = asked["order"]
    winner = order[LABELS.index(choice)] if choice in LABELS else choice
    context.hub.votes.add(
        question=asked["question"],
        answers={arm: answer.to_json() for arm, answer in asked["answers"].items()},
        winner=winner,
        shown_as=order,
        blind=asked["blind"],
        model=asked["model"],
        adapter=asked["adapter"],
    )
    return f"Kept: {winner}."


def standings_html(context: Context) -> str:
    """How often each arm won, with Wilson's interval."""
    try:
        standings = context.hub.votes.standings()
    except HubError as error:
        return message(str(error), alert=True)
    if not standings:
        return message("No votes yet.")
    rows = ""
    for found in standings:
        low, high = wilson(found.won, found.shown)
        rows += (
            f"<tr><td>{escape(found.arm)}<td>{found.won} of {found.shown}"
            f"<td>{found.won / found.shown:.0%} (95%: {low:.0%} to {high:.0%})"
        )
    return f"<table><tr><th>arm<th>votes won<th>share{rows}</table>"


def listed(context: Context) -> list[tuple[str, str]]:
    """Evaluations to choose from, the newest first."""
    try:
        found = context.hub.evaluations.list()
    except HubError:
        return []
    return [
        (f"{scores['id']}: {', '.join(arm['arm'] for arm in scores['arms'])}", scores["id"])
        for scores in found
    ]


def evaluation_html(context: Context, id: str | None) -> str:
    """The page of an evaluation, in a frame where nothing of it runs."""
    if not id or id not in {known for _, known in listed(context)}:
        return message("Evaluate the arms, here or by `patternhub eval`, and choose an evaluation.")
    text = context.hub.evaluations.page(id).read_text(encoding="utf-8")
    return (
        f'<iframe class="report" title="Evaluation {escape(id)}" sandbox="" '
        f'srcdoc="{escape(text)}"></iframe>'
    )
