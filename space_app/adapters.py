"""The tab of what was trained: versions, scores, verdicts, lineage; promotion and the way back."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from hub.errors import HubError
from space_app.code_view import message
from space_app.sign_in import members_only

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub.types import Adapter
    from space_app.context import Context

HEADERS = ["adapter", "aliases", "gate", "base", "loss", "created"]
WIDTHS = ["130px", "110px", "90px", "220px", "70px", "130px"]  # a phone scrolls them sideways


def adapters_tab(context: Context, page: gr.Blocks) -> None:
    """Lay out the tab and wire it."""
    refresh = gr.Button("Refresh", min_width=100, elem_id="refresh-adapters")
    table = gr.Dataframe(
        headers=HEADERS, column_widths=WIDTHS, interactive=False, wrap=True, elem_id="adapters"
    )
    told = gr.HTML(elem_id="adapters-told")
    with gr.Row(equal_height=True):
        chosen = gr.Dropdown([], label="Adapter", elem_id="adapter")
        judge = gr.Button("Judge by its newest evaluation", elem_id="judge")
        promote = gr.Button("Promote to production", variant="primary", elem_id="promote")
        back = gr.Button("Roll back", variant="stop", elem_id="rollback")
    with gr.Row():
        sure = gr.Checkbox(False, label="I am sure: this changes what is served", elem_id="sure")
        reason = gr.Textbox("", label="Reason, where the gate is passed over", elem_id="force")
    details = gr.HTML(elem_id="adapter-details")
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def show() -> tuple[Any, Any, str]:
        try:
            found = context.hub.adapters.list()
        except HubError as error:
            return [], gr.Dropdown(choices=[]), message(str(error), alert=True)
        none = "" if found else message("No adapter yet: the tab Train makes one.")
        references = [adapter.reference for adapter in found]
        return [_row(adapter) for adapter in found], gr.Dropdown(choices=references), none

    def act(change: Callable[[str, str], str]) -> Callable[..., tuple[Any, ...]]:
        def done(reference: str | None, sure: bool, reason: str) -> tuple[Any, ...]:
            try:
                if not reference:
                    raise HubError("choose an adapter first")
                if not sure:
                    raise HubError("this changes what is served: say that you are sure first")
                text, kept = message(change(reference, reason.strip())), ""
            except HubError as error:
                text, kept = message(str(error), alert=True), reason
            rows, choices, _ = show()
            return rows, choices, text, False, kept

        return done

    def promoted(reference: str, reason: str) -> str:
        found = context.hub.adapters.promote(reference, force=bool(reason), reason=reason)
        return f"{found.reference} is in production."

    def rolled_back(reference: str, _reason: str) -> str:
        found = context.hub.adapters.rollback(reference.partition("@")[0])
        return f"{found.reference} is in production again."

    def judged(reference: str | None) -> str:
        try:
            if not reference:
                raise HubError("choose an adapter first")
            verdict = context.hub.gate(reference)
        except HubError as error:
            return message(str(error), alert=True)
        if verdict.passed:
            return message(f"{reference} passes the gate.")
        return message(f"{reference} does not pass: {'; '.join(verdict.reasons)}", alert=True)

    page.load(show, None, [table, chosen, told], **private)
    refresh.click(show, None, [table, chosen, told], **private)
    # What was said of one adapter is not said of the next.
    chosen.change(
        lambda chosen: (details_html(context, chosen), False, ""), chosen,
        [details, sure, reason], **private,
    )  # fmt: skip
    judge.click(members_only(judged), chosen, told, **private)
    for button, change in ((promote, promoted), (back, rolled_back)):
        inputs, outputs = [chosen, sure, reason], [table, chosen, told, sure, reason]
        button.click(members_only(act(change)), inputs, outputs, **private)


def _row(adapter: Adapter) -> list[str]:
    verdict = "not judged" if adapter.verdict is None else "passed" if adapter.passed else "failed"
    loss = adapter.metrics.get("eval_loss", adapter.metrics.get("loss"))
    return [
        adapter.reference,
        ", ".join(adapter.aliases),
        verdict,
        "/".join(Path(adapter.base).parts[-2:]),
        "" if loss is None else f"{loss:.3f}",
        adapter.created[:16].replace("T", " "),
    ]


def details_html(context: Context, reference: str | None) -> str:
    """An adapter's digests, lineage, promotions, figures, verdict and settings."""
    if not reference:
        return ""
    try:
        registry = context.hub.adapters
        adapter = registry.get(reference)
        line = _lineage(adapter, {a.digest: a for a in registry.list()})
        own = [p for p in registry.promotions(adapter.name) if p["digest"] == adapter.digest]
    except HubError as error:
        return message(str(error), alert=True)
    facts = {
        "digest": adapter.digest,
        "base": adapter.base,
        "dataset": adapter.dataset,
        "run": adapter.run,
        "lineage": " from ".join(line),
        "aliases": ", ".join(adapter.aliases) or "none",
        "promoted": "; ".join(map(_promotion, own)) or "never",
        "metrics": json.dumps(adapter.metrics),
        "verdict": json.dumps(adapter.verdict) if adapter.verdict else "not judged",
    }
    rows = "".join(
        f"<tr><th>{escape(k)}<td style='overflow-wrap:anywhere'>{escape(v)}"
        for k, v in facts.items()
    )
    settings = escape(json.dumps(adapter.config, indent=1))
    return (
        f"<table>{rows}</table><details><summary>Settings of the run</summary>"
        f'<pre class="code" tabindex="0">{settings}</pre></details>'
    )


def _promotion(promotion: dict[str, Any]) -> str:
    reason = f", for the reason: {promotion['reason']}" if promotion["reason"] else ""
    undone = f", rolled back {promotion['undone']}" if promotion["undone"] else ""
    return f"{promotion['at']}{reason}{undone}"


def _lineage(adapter: Adapter, known: dict[str, Adapter]) -> list[str]:
    """An adapter and those before it, the oldest last."""
    line = [adapter.reference]
    while (parent := known.get(adapter.parent)) is not None:
        line.append(parent.reference)
        adapter = parent
    return line
