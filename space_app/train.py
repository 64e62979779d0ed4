"""The tab that trains: what a run needs is checked first, then its curve is drawn as it goes.

A run is a process of its own, and how it goes is read from its folder: a reload, a second tab or a
restart of the app finds it again.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from hub.errors import HubError
from hub.runs import MEASURED
from space_app.code_view import message
from space_app.places import JOB, LOCAL, SPACE, own_space, place_of, places, runs_at
from space_app.sign_in import members_only

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.run import Run
    from hub.runs import Runs
    from space_app.context import Context
    from training.config import Config
    from training.runlog import Event

POINTS = 400  # of a curve
WIDTH, HEIGHT = 900, 220
FAINT, STRONG = 'stroke-opacity="0.35"', 'stroke-width="2"'
SMOOTH = 0.9  # of the running mean, kept at each point
TAIL = 12  # lines of the log
NEWEST = "newest"


def train_tab(context: Context, page: gr.Blocks, tab: gr.Tab, timer: gr.Timer) -> None:
    """Lay out the tab and wire it; with each tick of ``timer`` it shows how the run goes."""
    offered = [place for place in places(context) if not place.missing]
    with gr.Row():
        dataset = gr.Textbox("", label="Dataset folder", elem_id="train-dataset", scale=2)
        preset = gr.Dropdown(presets(), value="scratch-tiny", label="Preset", elem_id="preset")
        base = gr.Textbox("", label="Base", placeholder="the preset's", elem_id="base")
        name = gr.Textbox("", label="Name of the adapter", placeholder="team", elem_id="name")
    where = gr.Radio(
        [(place.label, place.where) for place in offered],
        value=offered[0].where if offered else None, label="Where", elem_id="where",
    )  # fmt: skip
    gr.HTML(_not_offered(context), elem_id="not-offered")
    with gr.Row(visible=bool(offered) and offered[0].where != LOCAL) as elsewhere:
        space = gr.Textbox(
            "", label="Space", placeholder="organisation/name; hub.toml's",
            info="its organisation pays for a Job", visible=not own_space(), elem_id="space",
        )  # fmt: skip
        hardware = gr.Textbox("", label="Hardware", placeholder="hub.toml's", elem_id="hardware")
        minutes = gr.Number(
            0, label="Minutes at most", minimum=0, info="0: hub.toml's", elem_id="minutes"
        )
    more = gr.Textbox(
        "", label="Further settings, one a line", placeholder="train.epochs=1", lines=2,
        elem_id="settings",
    )  # fmt: skip
    with gr.Row():
        check = gr.Button("Check", elem_id="check")
        start = gr.Button("Train", variant="primary", interactive=False, elem_id="start")
        stop = gr.Button("Stop with a checkpoint", variant="stop", elem_id="stop")
        resume = gr.Button("Resume", elem_id="resume")
    checks = gr.HTML(elem_id="checks")
    told = gr.HTML(elem_id="train-told")
    chosen = gr.Dropdown([NEWEST], value=NEWEST, label="Run", elem_id="run")
    shown = gr.HTML(elem_id="curve")
    there = [where, space, hardware, minutes]
    inputs = [*there, dataset, preset, base, more]
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def checked(*values: Any) -> Iterator[tuple[str, Any]]:
        yield message("Checking ..."), gr.Button(interactive=False)
        yield _checked(context, *values)

    def begin(name: str, *values: Any) -> tuple[str, Any]:
        try:
            run = start_run(context, name, *values)
        except HubError as error:
            return message(str(error), alert=True), gr.skip()
        return message(f"{run.id} has begun."), gr.Dropdown(choices=_runs(context), value=NEWEST)

    def end(id: str) -> str:
        try:
            run = _chosen(context.hub.runs, id)
            return message(f"Asked {context.hub.runs.stop(run.id).id} to stop after its step.")
        except HubError as error:
            return message(str(error), alert=True)

    def go_on(id: str, space: str, hardware: str, minutes: float | None) -> str:
        try:
            with context.starting:
                _nothing_runs(context.hub.runs)
                run = _chosen(context.hub.runs, id)
                runs = runs_at(context, place_of(run), _limits(space, hardware, minutes))
                return message(f"{runs.resume(run.id).id} goes on.")
        except HubError as error:
            return message(str(error), alert=True)

    check.click(checked, inputs, [checks, start], **private)
    for field in inputs:  # what was checked is what is trained
        field.change(lambda: gr.Button(interactive=False), None, start, **private)
    where.change(lambda where: gr.Row(visible=where != LOCAL), where, elsewhere, **private)
    start.click(members_only(begin), [name, *inputs], [told, chosen], **private)
    stop.click(members_only(end), chosen, told, **private)
    resume.click(members_only(go_on), [chosen, space, hardware, minutes], told, **private)
    timer.tick(lambda run: run_html(context, run), chosen, shown, **private)
    page.load(lambda: _at_load(context), None, [dataset, chosen, shown], **private)
    tab.select(lambda: gr.Dropdown(choices=_runs(context)), None, chosen, **private)


def _not_offered(context: Context) -> str:
    """Which ways to train are not offered, and what each lacks."""
    lacking = [place for place in places(context) if place.missing]
    return "".join(message(f"Not offered: {place.label}. {place.missing}") for place in lacking)


def presets() -> list[str]:
    """The shipped ones."""
    from training.config import presets as shipped

    return shipped()


def _at_load(context: Context) -> tuple[Any, ...]:
    try:
        dataset = str(context.hub.last_dataset())
    except HubError:
        dataset = ""
    return dataset, gr.Dropdown(choices=_runs(context)), run_html(context, NEWEST)


def _runs(context: Context) -> list[str]:
    """What can be shown."""
    try:
        return [NEWEST, *(run.id for run in context.hub.runs.list())]
    except HubError:
        return [NEWEST]


def _limits(space: str, hardware: str, minutes: float | None) -> dict[str, Any]:
    return {"space": space.strip(), "hardware": hardware.strip(), "minutes": minutes}


def _asked(
    context: Context,
    where: str,
    space: str,
    hardware: str,
    minutes: float | None,
    dataset: str,
    preset: str,
    base: str,
    more: str,
) -> tuple[Runs, Config]:
    """What starts the run that the form describes, and its settings."""
    runs = runs_at(context, where, _limits(space, hardware, minutes))
    given = [line.strip() for line in more.splitlines() if line.strip()]
    folder = Path(dataset.strip()) if dataset.strip() else None
    return runs, runs.config(folder, preset=preset, base=base.strip(), settings=given)


def start_run(context: Context, name: str, where: Any, *values: Any) -> Run:
    """Start what the form describes, unless something runs: two people may press Train.

    Raises:
        HubError: a run is going on, or this one cannot start.
    """
    with context.starting:
        _nothing_runs(context.hub.runs)
        runs, config = _asked(context, where, *values)
        return runs.start(config, name=name.strip(), preset=values[4], where=where)


def _checked(context: Context, where: str, *values: Any) -> tuple[str, Any]:
    """The pre-flight as a table, and the button that works once all has passed."""
    try:
        runs, config = _asked(context, where, *values)
        found = runs.preflight(config, where=where, steps=MEASURED)
    except HubError as error:
        return message(str(error), alert=True), gr.Button(interactive=False)
    rows = "".join(
        f"<tr><td>{'ok' if each.passed else 'FAILS'}<td>{escape(each.name)}"
        f"<td>{escape(each.detail)}"
        for each in found
    )
    passed = all(each.passed for each in found)
    return f"<table>{rows}</table>", gr.Button(interactive=passed)


def _nothing_runs(runs: Runs) -> None:
    """The app trains one adapter at a time, wherever it does.

    Raises:
        HubError: a run is going on; names it.
    """
    going = [run.id for run in runs.list() if run.state == "running"]
    if going:
        raise HubError(f"{going[0]} is running: wait until it has ended, or stop it")


def _chosen(runs: Runs, id: str) -> Run:
    if id != NEWEST:
        return runs.get(id)
    found = runs.list()
    if not found:
        raise HubError("no run yet: check the settings, then press Train")
    return found[0]


def run_html(context: Context, id: str) -> str:
    """How a run stands: its figures, its curve, the end of its log."""
    from training.runlog import line_of

    try:
        runs = context.hub.runs
        run = _chosen(runs, id)
        events = runs.log(run.id)
    except HubError as error:
        return message(str(error))
    lines = "\n".join(line_of(event) for event in events[-TAIL:])
    reason = f": {run.reason}" if run.reason else ""
    place = {SPACE: " on a Space", JOB: " as a Job"}.get(place_of(run), "")
    taken = f"; in the registry as {run.adapter}" if run.adapter else ""
    head = (
        f"{run.id}{place}: {run.state}{reason}, {run.phase}, step {run.step} of {run.steps}{taken}"
    )
    return (
        f'<p role="status"><strong>{escape(head)}</strong></p>{_figures(events)}'
        f'{curve(events)}<pre class="code" tabindex="0">{escape(lines)}</pre>'
    )


def _figures(events: Sequence[Event]) -> str:
    last = next((e for e in reversed(events) if e["event"] == "step"), None)
    if last is None:
        return ""
    told = (
        f"loss {last['loss']:.4f} · learning rate {last['learning_rate']:.2e} · "
        f"{last['tokens_per_second']:.0f} tokens/s · {last['eta_seconds']} s left · "
        f"peak {last['peak_bytes'] / 1e9:.2f} GB"
    )
    return f"<p>{escape(told)}</p>"


def curve(events: Sequence[Event]) -> str:
    """Training loss as a faint line with its running mean, evaluations as dots.

    The base's own training comes before.
    """
    steps = {e["step"]: e["loss"] for e in events if e["event"] == "step"}
    title = "loss of the adapter by step"
    if not steps:
        steps = {e["step"]: e["loss"] for e in events if e["event"] == "base"}
        title = "loss of the base by step"
    if len(steps) < 2:
        return ""
    marks = {e["step"]: e["loss"] for e in events if e["event"] == "evaluation"}
    every = -(-len(steps) // POINTS)
    points = sorted(steps.items())[::every]
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
    values = [loss for _, loss in points] + list(marks.values())
    low, high = min(values), max(values)

    def place(step: float, loss: float) -> tuple[float, float]:
        x = 10 + (step - first) / (last - first) * (WIDTH - 20)
        return x, 10 + (high - loss) / max(high - low, 1e-9) * (HEIGHT - 20)

    def line(points: Sequence[tuple[int, float]], style: str) -> str:
        at = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        return f'<polyline fill="none" stroke="#4e79a7" {style} points="{at}"/>'

    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#f28e2b"><title>evaluation at step {step}: '
        f"{loss:.4f}</title></circle>"
        for step, loss in sorted(marks.items())
        for x, y in [place(step, loss)]
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="100%" role="img" aria-label="{title}, from '
        f'{points[0][1]:.3f} to {points[-1][1]:.3f}">{line(points, FAINT)}'
        f"{line(_running_mean(points), STRONG)}{dots}</svg>"
        f"<p>{title}, {low:.3f} to {high:.3f}, and its running mean; steps {first} to {last}</p>"
    )


def _running_mean(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Exponentially weighted, and not drawn to the first value: single batches say little."""
    total, weight, smoothed = 0.0, 0.0, []
    for step, loss in points:
        total = SMOOTH * total + (1 - SMOOTH) * loss
        weight = SMOOTH * weight + (1 - SMOOTH)
        smoothed.append((step, total / weight))
    return smoothed
