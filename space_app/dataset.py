"""The tab from patterns to training data: what a dataset holds, lacks and repeats; examples that
people add, correct and reject; build and publish."""

from __future__ import annotations

import functools
import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from hub.config import MANIFEST, REPORT
from hub.errors import HubError
from space_app.code_view import COPY, card, message
from space_app.jobs import begun_html, job_html
from space_app.search import facts
from space_app.sign_in import members_only

if TYPE_CHECKING:
    from hub.reporting import Progress
    from space_app.context import Context

CLUSTERS = 200  # rows of the table
GAPS = 200
LARGEST = 20_000_000  # bytes of a report that a page shows
LONGEST = 200_000  # characters of a text that a form shows
SIDES = ("train", "validation", "test")


def dataset_tab(context: Context, page: gr.Blocks, tab: gr.Tab, timer: gr.Timer) -> None:
    """Lay out the tab and wire it; with each tick of ``timer`` it tells of running work.

    What is large is read once ``tab`` is chosen: a page is there without it.
    """
    with gr.Row(equal_height=True):
        what = "Folder or git address" if context.at_home else "Git address"
        code = gr.Textbox(
            "", label=f"{what} of code; empty: all that is indexed", elem_id="code", scale=3
        )
        index = gr.Button("Index", min_width=100, elem_id="index")
    with gr.Row(equal_height=True):
        folder = gr.Textbox("", label="Dataset folder", elem_id="dataset", scale=3)
        build = gr.Button("Build", variant="primary", min_width=100, elem_id="build")
    job, finished = gr.HTML(elem_id="job"), gr.State(0)
    with gr.Tabs():
        with gr.Tab("Overview"):
            overview = gr.HTML(elem_id="overview")
        with gr.Tab("Gaps") as gaps:
            _map(context, folder, gaps)
            _gaps(context, folder)
        with gr.Tab("Duplicates"):
            _duplicates(context)
        with gr.Tab("Examples"):
            _examples(context, folder)
        with gr.Tab("Publish"):
            _publish(context, folder)
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    index.click(members_only(lambda code: start_index(context, code)), code, job, **private)
    build.click(members_only(lambda out: start_build(context, out)), folder, job, **private)
    timer.tick(
        lambda: (job_html(context.jobs), context.jobs.finished), None, [job, finished], **private
    )
    shows = [tab.select, *_edits(folder), finished.change]
    gr.on(shows, functools.partial(overview_html, context), folder, overview, **private)
    page.load(lambda: last_dataset(context), None, folder, **private)


def _edits(field: gr.Textbox) -> list[Any]:
    """When a person has changed a field: what is pasted is no input to Gradio."""
    return [field.input, field.submit, field.blur]


def last_dataset(context: Context) -> str:
    """The folder that was built last, or where the first one would go."""
    try:
        return str(context.hub.last_dataset())
    except HubError:
        return str(context.folder.resolve() / "dataset")


def start_index(context: Context, code: str) -> str:
    """Begin to index what ``code`` names, or what is indexed already; returns what to show."""
    code = code.strip()
    if code and not context.at_home and not code.startswith("https://"):
        said = "of other machines' code the app takes git addresses alone: https://..."
        return message(said, alert=True)

    def work(progress: Progress) -> str:
        report = context.open_hub().index([code] if code else [], progress=progress)
        failed = "".join(f" {name} failed: {why}." for name, why in report.failed.items())
        came, went = report.patterns_added, report.patterns_removed
        return f"{report.patterns_total:,} patterns: {came:,} new, {went:,} gone.{failed}"

    return begun_html(context.jobs, f"Indexing {code or 'again'}", work)


def start_build(context: Context, out: str) -> str:
    """Begin to build into ``out``; returns what to show."""

    def work(progress: Progress) -> str:
        report = context.open_hub().build_dataset(out, progress=progress)
        if report.unchanged:
            return f"{out} is up to date."
        rows = ", ".join(f"{count:,} {side}" for side, count in report.rows.items() if count)
        return f"{rows} rows in {out}; validated, without a leak between the sides."

    return begun_html(context.jobs, f"Building {out or 'a dataset'}", work)


def overview_html(context: Context, folder: str) -> str:
    """The build's own report, as it lies beside the rows, in a frame where nothing of it runs.

    A tab may be chosen before the page's load has named a folder: it is the last dataset then.
    """
    folder = folder or last_dataset(context)
    try:
        manifest = json.loads((Path(folder) / MANIFEST).read_text(encoding="utf-8"))
        path = Path(folder) / REPORT
        if (size := path.stat().st_size) > LARGEST:
            return message(f"{path} has {size / 1e6:.0f} MB: too much for this page", alert=True)
        report = path.read_text(encoding="utf-8")
        rows = {side: int(n) for side, n in manifest["rows"].items()}
    except FileNotFoundError:
        return message("No dataset lies there yet: press Build, or name another folder.")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return message(f"{folder} is no dataset of patternhub dataset build: {error}", alert=True)
    told = ", ".join(f"{n:,} {side}" for side, n in rows.items() if n)
    return (
        f"<p>{escape(told)} rows; private data found and handled: "
        f"{sum(manifest.get('private', {}).values()):,}</p>"
        f'<iframe class="report" title="Report of the build" sandbox="" srcdoc="{escape(report)}">'
        "</iframe>"
    )


# A point of the map is a pattern: a click shows it.
OPEN_POINT = """
element.addEventListener('click', (event) => {
  const point = event.target.closest('circle[data-pattern]');
  if (point) trigger('select', {id: point.dataset.pattern});
});
"""


def _map(context: Context, folder: gr.Textbox, tab: gr.Tab) -> None:
    drawn = gr.HTML(js_on_load=OPEN_POINT, elem_id="map")
    opened = gr.HTML(js_on_load=COPY, elem_id="point")

    def draw(out: str) -> str:
        try:
            known = context.knowledge().annotations
            shown = context.hub.map(out or last_dataset(context), annotations=known)
        except HubError as error:
            return message(str(error), alert=True)
        return shown if known else message("Categories are being found; the map is grey.") + shown

    def open_point(event: gr.EventData) -> str:
        try:
            pattern = context.hub.get(event.id)
        except HubError as error:
            return message(str(error), alert=True)
        return card(pattern, notes=facts(context, pattern))

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    gr.on([tab.select, *_edits(folder)], draw, folder, drawn, **private)
    drawn.select(open_point, None, opened, **private)


def _gaps(context: Context, folder: gr.Textbox) -> None:
    with gr.Row():
        find = gr.Button("Find gaps", elem_id="find-gaps")
        fill = gr.Button("Fill all", elem_id="fill-gaps")
        one = gr.Dropdown([], label="Category", allow_custom_value=True, elem_id="gap-category")
        fill_one = gr.Button("Fill this category")
    table = gr.Dataframe(
        headers=["what", "category", "task", "have", "missing", "why", "nearest"],
        interactive=False,
        wrap=True,
        elem_id="gaps",
    )
    told = gr.HTML()

    def show(out: str) -> tuple[Any, Any, str]:
        try:
            gaps = context.hub.gaps(out)[:GAPS]
        except HubError as error:
            return gr.Dropdown(), [], message(str(error), alert=True)
        rows = [
            [g.kind, g.category, g.task, g.have, g.missing, g.why,
             ", ".join(near.symbol or near.location for near in g.nearest)]
            for g in gaps
        ]  # fmt: skip
        categories = list(dict.fromkeys(gap.category for gap in gaps))
        none = "" if gaps else message("No gap: every target and category is covered.")
        return gr.Dropdown(choices=categories), rows, none

    def start(out: str, category: str | None = "") -> str:
        def work(progress: Progress) -> str:
            filled = context.open_hub().fill_gaps(out, category=category or "", progress=progress)
            made, short = sum(f.made for f in filled), sum(f.shortfall for f in filled)
            told = f"{made:,} examples for the next build; {short:,} are still missing."
            return f"{told} Build now." if made else told

        return begun_html(context.jobs, "Filling gaps", work)

    find.click(show, folder, [one, table, told], api_visibility="private")
    fill.click(members_only(start), folder, told, api_visibility="private")
    fill_one.click(members_only(start), [folder, one], told, api_visibility="private")


def _duplicates(context: Context) -> None:
    find = gr.Button("Find duplicates", elem_id="find-duplicates")
    table = gr.Dataframe(
        headers=["patterns", "kept", "where", "why"], interactive=False, elem_id="duplicates"
    )
    members = gr.HTML(js_on_load=COPY, elem_id="cluster")
    found = gr.State([])

    def show() -> tuple[Any, Any, str]:
        try:
            clusters = context.hub.duplicates().clusters[:CLUSTERS]
        except HubError as error:
            return [], [], message(str(error), alert=True)
        rows = [[len(c), c.kept.symbol or c.kept.kind, c.kept.location, c.reason] for c in clusters]
        none = "" if clusters else message("No pattern says what another says.")
        return rows, [c.ids for c in clusters], none

    def open_cluster(clusters: list[list[str]], event: gr.SelectData) -> str:
        patterns = context.hub.patterns(clusters[event.index[0]])
        return "".join(card(p, notes=[p.language, p.kind], lines=24) for p in patterns)

    find.click(show, None, [table, found, members], api_visibility="private")
    table.select(open_cluster, found, members, api_visibility="private")


def _examples(context: Context, folder: gr.Textbox) -> None:
    with gr.Row():
        side = gr.Dropdown(list(SIDES), value="train", label="Side", min_width=120)
        number = gr.Number(1, label="Row", precision=0, min_width=120, elem_id="row")
        category = gr.Textbox("", label="Category", min_width=160, elem_id="category")
        task = gr.Textbox("implement", label="Task", min_width=120)
        language = gr.Textbox("python", label="Language", min_width=120)
    prompt = gr.Textbox("", label="Prompt", lines=6, max_lines=20, elem_id="prompt")
    completion = gr.Textbox("", label="Completion", lines=8, max_lines=30, elem_id="completion")
    findings = gr.HTML(elem_id="findings")
    with gr.Row():
        reason = gr.Textbox("", label="Why it is rejected or corrected", scale=2, elem_id="reason")
        add = gr.Button("Add as a new example", elem_id="add")
        correct = gr.Button("Correct this row", elem_id="correct")
        reject = gr.Button("Reject this row", variant="stop", elem_id="reject")
    fields = [category, task, language, prompt, completion]
    row_id = gr.State("")

    def show(out: str, side: str, number: float | None) -> tuple[Any, ...]:
        try:
            row = read_example(Path(out), side, number)
        except HubError as error:
            return ("", *(gr.skip(),) * 5, message(str(error), alert=True))
        return (row["id"], *(row[name] for name in FIELDS), "")

    def check(*values: str) -> str:
        return check_html(context, dict(zip(FIELDS, values, strict=True)))

    def act(verb: str, id: str, why: str, *values: str) -> str:
        try:
            return message(decide(context, verb, id, why, dict(zip(FIELDS, values, strict=True))))
        except HubError as error:
            return message(str(error), alert=True)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    gr.on(
        [number.change, side.change, folder.change],
        show, [folder, side, number], [row_id, *fields, findings], **private,
    )  # fmt: skip
    texts = [prompt.change, completion.change]
    gr.on(texts, check, fields, findings, trigger_mode="always_last", **private)
    for button, verb in ((add, "add"), (correct, "correct"), (reject, "reject")):
        chosen = gr.State(verb)
        button.click(members_only(act), [chosen, row_id, reason, *fields], findings, **private)


FIELDS = ("category", "task", "language", "prompt", "completion")


def read_example(folder: Path, side: str, number: float | None) -> dict[str, str]:
    """Row ``number``, from 1, of a side: its id and :data:`FIELDS` as texts.

    Raises:
        HubError: there is no such row, or it is not a prompt and its completion.
    """
    from hub.dataset.checking import read_lines

    path = folder / f"{side}.jsonl"
    if number is None:
        raise HubError("choose a row: they are numbered from 1")
    if not path.is_file():
        raise HubError(f"{path} is not there: build the dataset, or choose another side")
    for line in read_lines(path):
        if line.number == number:
            break
    else:
        raise HubError(f"{path} has no row {number:g}")
    try:
        row = line.data
        turns = {name: str(row[name][-1]["content"]) for name in ("prompt", "completion")}
        found = {name: str(row[name]) for name in ("id", "category", "task", "language")} | turns
    except (KeyError, TypeError, IndexError) as error:
        raise HubError(f"{path}:{number} is not a prompt and its completion") from error
    if (length := max(map(len, found.values()))) > LONGEST:
        raise HubError(f"{path}:{number} has {length:,} characters: too many to be shown here")
    return found


def check_html(context: Context, example: dict[str, str]) -> str:
    """What the rules say of an example as it stands in the form."""
    try:
        findings = context.hub.check_row(as_row(example))
    except HubError as error:
        return message(str(error), alert=True)
    broken = any(finding.level == "error" for finding in findings)
    rows = "".join(
        f"<li>{escape(f.level)}: {escape(f.rule)}, {escape(f.place)}: {escape(f.message)}; "
        f"{escape(f.fix)}</li>"
        for f in findings
    )
    told = "This would not be kept." if broken else "No rule is broken."
    return message(told) + f"<ul>{rows}</ul>"


def as_row(example: dict[str, str]) -> dict[str, Any]:
    """The form's fields as a row of a dataset."""
    return {
        "prompt": [{"role": "user", "content": example["prompt"]}],
        "completion": [{"role": "assistant", "content": example["completion"]}],
        **{name: example[name] for name in ("category", "task", "language")},
    }


def decide(context: Context, verb: str, id: str, reason: str, example: dict[str, str]) -> str:
    """Add, correct or reject an example; returns what was done.

    Raises:
        HubError: it breaks a rule, no row is chosen, or no reason is given.
    """
    from hub.dataset.handwritten import write_example
    from hub.dataset.reviewing import correct, reject

    if verb != "add" and not id:
        raise HubError("choose a row first")
    if verb == "reject":
        reject(context.folder, id, reason)
        return f"Rejected {id}: the next build leaves it out."
    broken = [f for f in context.hub.check_row(as_row(example)) if f.level == "error"]
    if broken:
        raise HubError(f"not kept, it breaks {broken[0].rule}: {broken[0].message}")
    if verb == "correct":
        path = correct(context.folder, id, reason, example)
    else:
        path = write_example(context.folder, **example)
    return f"Wrote {path}: the next build has it."


def _publish(context: Context, folder: gr.Textbox) -> None:
    with gr.Row(equal_height=True):
        repository = gr.Textbox("", label="Repository", placeholder="team/patterns", scale=2)
        private = gr.Checkbox(True, label="Private")
        dry = gr.Button("What would leave this machine?", elem_id="dry-run")
        send = gr.Button("Publish", variant="stop", interactive=False, elem_id="publish")
    told = gr.HTML(elem_id="published")

    def list_files(out: str, name: str, private: bool) -> tuple[str, Any]:
        from hub.dataset.publish import publish

        try:
            report = publish(Path(out), name, private=private, dry_run=True)
        except HubError as error:
            return message(str(error), alert=True), gr.Button(interactive=False)
        rows = "".join(f"<li>{escape(n)}: {size:,} bytes</li>" for n, size in report.files.items())
        to = f"{'private' if private else 'PUBLIC'} {name}"
        return f"<p>To {escape(to)}:</p><ul>{rows}</ul>", gr.Button(interactive=bool(name))

    def start(out: str, name: str, private: bool) -> str:
        from hub.dataset.publish import publish

        def work(_progress: Progress) -> str:
            return f"{publish(Path(out), name, private=private).url}"

        return begun_html(context.jobs, f"Publishing to {name}", work)

    inputs = [folder, repository, private]
    dry.click(list_files, inputs, [told, send], api_visibility="private")
    send.click(members_only(start), inputs, told, api_visibility="private")
