"""Layout and wiring: one page with a tab a task, served by FastAPI.

    python -m space_app.app          # as a Space runs it
    patternhub ui                    # at home

A page loads nothing from another host, and a policy that browsers enforce says so.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from fastapi import FastAPI

from hub.errors import HubError
from space_app.adapters import adapters_tab
from space_app.code_view import styles
from space_app.compare import compare_tab
from space_app.context import Context
from space_app.dataset import dataset_tab
from space_app.search import search_tab
from space_app.train import train_tab
from space_app.worker import worker_tab

if TYPE_CHECKING:
    from fastapi import Request, Response
    from starlette.middleware.base import RequestResponseEndpoint

    from space_app.worker import Worker

POLL = 1.0  # seconds between two looks at what runs
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Gradio's own need both
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "frame-ancestors 'self' https://huggingface.co",  # where a Space is shown
    )
)


def build(context: Context) -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="Pattern Hub", analytics_enabled=False) as page:
        gr.Markdown("# Pattern Hub")
        timer = gr.Timer(POLL, active=False)
        watching, other = [], []  # tabs; what nobody looks at is not asked for each second
        with gr.Tabs():
            with gr.Tab("Search", id="search") as tab:
                other.append(tab)
                search_tab(context, page)
            with gr.Tab("Dataset", id="dataset") as tab:
                watching.append(tab)
                dataset_tab(context, page, tab, timer)
            if context.worker:
                with gr.Tab("This Space", id="space") as tab:
                    watching.append(tab)
                    worker_tab(context.worker, page, timer)
            with gr.Tab("Train", id="train") as tab:
                watching.append(tab)
                train_tab(context, page, timer)
            with gr.Tab("Compare", id="compare") as tab:
                other.append(tab)
                compare_tab(context, page)
            with gr.Tab("Adapters", id="adapters") as tab:
                other.append(tab)
                adapters_tab(context, page)
        for tabs, active in ((watching, True), (other, False)):
            gr.on(
                [tab.select for tab in tabs], functools.partial(gr.Timer, active=active), None,
                timer, show_progress="hidden", api_visibility="private",
            )  # fmt: skip
    return page


def theme() -> gr.themes.Default:
    """Gradio's default in fonts that every machine has, with contrast that WCAG AA asks for."""
    red = gr.themes.colors.red
    return gr.themes.Default(
        primary_hue="indigo",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_text_color_subdued="*neutral_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_cancel_background_fill=red.c600,
        button_cancel_background_fill_hover=red.c700,
        input_placeholder_color="*neutral_500",
    )


def create_app(context: Context, *, password: str = "") -> FastAPI:
    """The app over the hub of ``context``; with ``password``, for the user "team" alone."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def keep_to_itself(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    context.warm()
    gr.mount_gradio_app(
        app,
        build(context),
        path="/",
        auth=("team", password) if password else None,
        theme=theme(),
        css=styles(),
        ssr_mode=False,
    )
    return app


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    password: str = "",
    worker: Worker | None = None,
) -> None:
    """Serve until interrupted; ``worker`` trains, where this is a Space.

    Raises:
        HubError: ``host`` is not this machine alone, and there is no password.
    """
    import uvicorn

    if host not in LOCAL and not password:
        raise HubError(
            f"host {host} can be reached from other machines: set PATTERNHUB_PASSWORD, or listen "
            "on 127.0.0.1"
        )
    uvicorn.run(
        create_app(Context(folder, worker), password=password),
        host=host,
        port=port,
        log_level="warning",
    )


if __name__ == "__main__":
    serve(
        Path(os.environ.get("PATTERNHUB_HUB", ".")),
        host="0.0.0.0" if os.environ.get("PATTERNHUB_PASSWORD") else "127.0.0.1",
        port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
        password=os.environ.get("PATTERNHUB_PASSWORD", ""),
    )
