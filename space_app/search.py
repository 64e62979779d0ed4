"""The tab where people look for patterns: a question, filters, hits, and a pattern's own page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from hub.errors import HubError
from space_app.answers import pane_html
from space_app.code_view import COPY, SHOWN_LINES, card, links, message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.types import Pattern, SearchResult
    from space_app.context import Context, Knowledge

ANY = "any"
SHOWN = 10  # hits
SIMILAR = 5
# Links to patterns open in place, and the address says what is shown: it can be sent to others.
OPEN_IN_PLACE = (
    COPY
    + """
element.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-pattern]');
  window.onpopstate = () => location.reload();
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    history.pushState(null, '', link.getAttribute('href'));
    trigger('select', {id: link.dataset.pattern});
    document.getElementById('pattern').scrollIntoView({block: 'start'});
  }
});
"""
)
KEEP_ADDRESS = """(...values) => {
  const names = ['q', 'source', 'language', 'kind', 'category', 'quality', 'path'];
  const given = names.map((name, at) => [name, values[at]]);
  // An endless question is no address that a server would take.
  const set = given.filter(([, value]) => value && value !== 'any' && `${value}`.length <= 2000);
  history.replaceState(null, '', set.length ? '?' + new URLSearchParams(set) : '.');
  return values;
}"""


def search_tab(context: Context, page: gr.Blocks) -> None:
    """Lay out the tab and wire it; ``page`` is loaded with what its address asks for."""
    with gr.Row(equal_height=True):
        query = gr.Textbox(
            label="How do we do this here?",
            placeholder="retry HTTP calls with a growing delay",
            autofocus=True,
            scale=4,
            elem_id="query",
        )
        find = gr.Button("Search", variant="primary", scale=1, min_width=100)
        ask = gr.Button("Ask", scale=1, min_width=100, elem_id="ask")
    with gr.Accordion("Filters", open=False), gr.Row():
        source = gr.Dropdown([ANY], value=ANY, label="Source", min_width=140)
        language = gr.Dropdown([ANY], value=ANY, label="Language", min_width=140)
        kind = gr.Dropdown([ANY], value=ANY, label="Kind", min_width=140)
        category = gr.Dropdown([ANY], value=ANY, label="Category", min_width=140)
        quality = gr.Slider(0, 1, value=0, step=0.05, label="Quality from", min_width=140)
        path = gr.Textbox("", label="Path", placeholder="src/**", min_width=140)
    greeting = gr.HTML(elem_id="greeting")
    answer = gr.HTML(elem_id="answer")
    opened = gr.HTML(js_on_load=OPEN_IN_PLACE, elem_id="pattern")
    hits = gr.HTML(js_on_load=OPEN_IN_PLACE, elem_id="hits")
    inputs = [query, source, language, kind, category, quality, path]

    def search(
        query: str, source: str, language: str, kind: str, category: str, quality: float, path: str
    ) -> str:
        """Find patterns by words, a sentence or an identifier; returns them as HTML."""
        source, path = _with_source(context, source, path.strip())
        chosen = {"source": source, "language": language, "kind": kind}
        return found_html(
            context,
            query,
            category=category,
            quality=quality,
            path=path or None,
            **{name: value for name, value in chosen.items() if value != ANY},
        )

    gr.on(
        [find.click, query.submit],
        search,
        inputs,
        hits,
        js=KEEP_ADDRESS,
        show_progress="hidden",
        api_visibility="private",
        queue=False,  # one request instead of three: what is typed is shown at once
        trigger_mode="always_last",
    )
    gr.on(
        [find.click, query.submit], None, None, [opened, greeting], js="() => ['', '']",
        api_visibility="private",
    )  # fmt: skip
    # What is pasted is no input to Gradio.
    changes = [*(choice.input for choice in inputs[1:]), path.submit, path.blur]
    for changed in changes:
        changed(
            search, inputs, hits, js=KEEP_ADDRESS, show_progress="hidden", queue=False,
            api_visibility="private", trigger_mode="always_last",
        )  # fmt: skip
    # Categories take a while to be found: a page may have been loaded before they were.
    category.focus(
        lambda: gr.Dropdown(choices=[ANY, *choices(context).get("category", [])]), None, category,
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip

    ask.click(
        lambda text: (yield from answered(context, text)), query, answer,
        show_progress="hidden", api_visibility="private", concurrency_limit=8,
    )  # fmt: skip

    def open_pattern(event: gr.EventData) -> str:
        return pattern_html(context, event.id)

    for shown in (hits, opened):
        shown.select(open_pattern, None, opened, api_visibility="private", show_progress="hidden")

    def load(request: gr.Request) -> tuple[Any, ...]:
        """Fill the filters, and show what the address asks for."""
        asked = dict(request.query_params)
        values = choices(context)
        text, wanted, path = (asked.get(name, "") for name in ("q", "pattern", "path"))
        chosen = {name: asked.get(name, ANY) for name in FILTERS}
        quality = _share(asked.get("quality", ""))
        fields = [
            gr.Dropdown(choices=_distinct([ANY, *values.get(name, []), value]), value=value)
            for name, value in chosen.items()
        ]
        source, language, kind, category = chosen.values()
        opened = pattern_html(context, wanted) if wanted else ""
        if not text:  # what was typed and found meanwhile stays
            return gr.skip(), *fields, quality, path, gr.skip(), opened, welcome(context)
        shown = search(text, source, language, kind, category, quality, path)
        return text, *fields, quality, path, shown, opened, ""

    page.load(
        load,
        None,
        [*inputs, hits, opened, greeting],
        api_visibility="private",
        show_progress="hidden",
    )


FILTERS = ("source", "language", "kind", "category")


def _with_source(context: Context, source: str, path: str) -> tuple[str, str]:
    """Source and path of what hits show as one: ``source/path``."""
    if source == ANY and path:
        for known in choices(context).get("source", []):
            if path.startswith(f"{known}/"):
                return known, path.removeprefix(f"{known}/")
    return source, path


def _distinct(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _share(text: str) -> float:
    """A number from 0 to 1 of an address that anybody may have written; else 0."""
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def choices(context: Context) -> dict[str, list[str]]:
    """What each filter can be set to; nothing where there is no hub."""
    try:
        values = {name: list(counts) for name, counts in context.hub.filters().items()}
        return values | {"category": context.knowledge().categories}
    except HubError:
        return {}


def welcome(context: Context) -> str:
    """What stands where there are no hits yet: what can be asked, or what is missing."""
    try:
        patterns = sum(context.hub.filters()["language"].values())
    except HubError as error:
        told = f"{error}\nThe tab Dataset has a button for that, too."
        return message(told, alert=True)
    return message(f"{patterns:,} patterns. Ask in words, or name a function.")


def found_html(
    context: Context, query: str, *, category: str = ANY, quality: float = 0, **filters: Any
) -> str:
    """The hits for ``query``, or in words why there are none."""
    if not query.strip():
        return welcome(context)
    try:
        ids = None
        if category != ANY or quality:
            known = context.knowledge()
            if not known.generation:
                return message("Categories and quality are being found; try again in a moment.")
            ids = [
                known_id
                for known_id, found in known.annotations.items()
                if found.quality >= quality and category in (ANY, found.category)
            ]
        hits = context.hub.search(query, limit=SHOWN, ids=ids, **filters)
    except HubError as error:
        return message(str(error), alert=True)
    if not hits:
        return message("Nothing matches. Fewer filters or other words may help.")
    known = context.knowledge()
    return "".join(
        card(hit.pattern, notes=why(known, query, hit), rank=hit.rank, lines=SHOWN_LINES)
        for hit in hits
    )


def answered(context: Context, question: str) -> Iterator[str]:
    """The answer from patterns with its citations, as it comes."""
    text = ""
    yield message("Answering ...")
    try:
        for _, part in context.answers(context.arms(""), question, ["rag"]):
            text = text + part if isinstance(part, str) else text
            yield pane_html("Answer", text if isinstance(part, str) else part)
    except HubError as error:
        yield message(str(error), alert=True)


def why(known: Knowledge, query: str, hit: SearchResult) -> list[str]:
    """What speaks for a hit: words it shares with the question, and what is known of it."""
    from hub.store.lexical import STOP_WORDS
    from hub.words import split_words

    p = hit.pattern
    words = {word.lower() for word in split_words(f"{p.symbol} {p.path} {p.text}")}
    telling = [w for w in split_words(query.lower()) if len(w) > 2 and w not in STOP_WORDS]
    shared = [w for w in dict.fromkeys(telling) if w in words]
    notes = [p.language, p.kind]
    notes.append(f"shares the words {', '.join(shared[:6])}" if shared else "alike in meaning")
    found = known.annotations.get(p.id)
    if found:
        notes += [found.category, f"quality {found.quality:.2f}", *found.technologies[:3]]
    return notes


def pattern_html(context: Context, id: str) -> str:
    """One pattern whole, with what is before and after it, what is similar, and its tests."""
    try:
        hub = context.hub
        pattern = hub.get(id)
        before, after = hub.neighbours(pattern)
        near = [p for p, _ in hub.similar(pattern, limit=SIMILAR)]
        known = context.knowledge()
        tests = hub.patterns(known.tests.get(pattern.id, ())[:SIMILAR])
    except HubError as error:
        return message(str(error), alert=True)
    return (
        card(pattern, notes=facts(context, pattern))
        + (links("Tests", tests) if known.generation else message("Tests are being looked for."))
        + links("Similar", near)
        + links("Beside it in its file", [p for p in (before, after) if p])
    )


def facts(context: Context, pattern: Pattern) -> list[str]:
    """What is known of a pattern beside its text."""
    found = context.knowledge().annotations.get(pattern.id)
    notes = [pattern.language, pattern.kind]
    if found:
        notes += [f"{found.category} ({found.reason})", f"quality {found.quality:.2f}"]
        notes += [found.intent] if found.intent else []
    return notes
