"""Layout and wiring: one page with a tab a task, served by FastAPI.

    patternhub ui                    # at home
    python space_app/on_space.py     # as a Space runs it

A page loads nothing from another host, and a policy that browsers enforce says so.
"""

from __future__ import annotations

import functools
import socket
from typing import TYPE_CHECKING, Any

import gradio as gr
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware

from hub.answering.tools import Tools, raising, server_with
from hub.errors import HubError
from space_app.adapters import adapters_tab
from space_app.code_view import message, styles
from space_app.compare import compare_tab
from space_app.dataset import dataset_tab
from space_app.search import search_tab
from space_app.sign_in import LOCAL, LOGOUT, gates
from space_app.train import train_tab
from space_app.worker import worker_tab

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from space_app.context import Context
    from space_app.sign_in import Provider

POLL = 1.0  # seconds between two looks at what runs
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


SHARED: dict[str, Any] = {
    "theme": theme(),
    "css": styles(),
    "ssr_mode": False,
    "max_file_size": "1mb",  # no form takes a file
    "run_history": False,  # what was asked stays out of the browser's storage
}


def build(context: Context, provider: Provider | None = None) -> gr.Blocks:
    """The page; with ``provider`` people can sign out."""
    with gr.Blocks(title="Pattern Hub", analytics_enabled=False) as page:
        public_functions(context)  # first: the names are theirs
        gr.Markdown("# Pattern Hub")
        if provider:
            gr.HTML(f'<a href="{LOGOUT}">Sign out</a>')
        for note in context.notes:
            gr.HTML(message(note, alert=True))
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
                train_tab(context, page, tab, timer)
            with gr.Tab("Compare", id="compare") as tab:
                watching.append(tab)
                compare_tab(context, page, tab, timer)
            with gr.Tab("Adapters", id="adapters") as tab:
                other.append(tab)
                adapters_tab(context, page)
        for tabs, active in ((watching, True), (other, False)):
            gr.on(
                [tab.select for tab in tabs], functools.partial(gr.Timer, active=active), None,
                timer, show_progress="hidden", api_visibility="private",
            )  # fmt: skip
    return page


def tools_of(context: Context) -> Tools:
    """What programs and agents may ask of the hub of ``context``."""
    return Tools(lambda: context.hub, lambda: context.arms(""))


def public_functions(context: Context) -> None:
    """The functions that programs may call, and agents where they are served as tools."""
    told = functools.partial(gr.Error, print_exception=False)
    for tool in tools_of(context).all:
        gr.api(raising(told, _as_data(tool)), api_name=tool.__name__, concurrency_limit=8)


def _as_data(tool: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """``tool`` with ``file`` for ``path``: Gradio's client would download what has a path."""

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {"file" if k == "path" else k: renamed(v) for k, v in value.items()}
        return [renamed(each) for each in value] if isinstance(value, list) else value

    @functools.wraps(tool)
    def called(*arguments: Any, **options: Any) -> dict[str, Any]:
        return {name: renamed(value) for name, value in tool(*arguments, **options).items()}

    return called


class Policy:
    """Says in each answer what a page may load, and what it tells other hosts: nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        await self.app(scope, receive, stated)


def create_app(
    context: Context, *, password: str = "", provider: Provider | None = None, mcp: bool = False
) -> FastAPI:
    """The app over the hub of ``context``.

    Args:
        context: The hub, and who trains.
        password: For the user "team" alone; for everyone, where it is empty.
        provider: Signs people in, in place of the password.
        mcp: Serve the public functions as tools for agents, at ``/mcp``. Gradio's own way to do
            so asks the app as nobody, and fails where that is refused.
    """
    server = server_with(tools_of(context), guarded=bool(password)) if mcp else None
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[Middleware(Policy), *gates(provider, password)],
        routes=list(server.streamable_http_app().routes) if server else [],
        lifespan=(lambda _: server.session_manager.run()) if server else None,
    )
    context.warm()
    gr.mount_gradio_app(
        app,
        build(context, provider),
        path="/",
        auth=("team", password) if password and not provider else None,
        mcp_server=False,
        **SHARED,
    )
    return app


def launch(context: Context, *, password: str = "", provider: Provider | None = None) -> None:
    """Serve by Gradio's own launch, which ZeroGPU waits for, until interrupted."""
    context.warm()
    build(context, provider).launch(
        server_name="0.0.0.0",
        auth=("team", password) if password and not provider else None,
        app_kwargs={"middleware": [Middleware(Policy), *gates(provider, password)]},
        **SHARED,
    )


def serve(
    context: Context,
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    password: str = "",
    provider: Provider | None = None,
    mcp: bool = False,
    listening: Callable[[str], None] = lambda _url: None,
) -> None:
    """Serve until interrupted; ``listening`` is told the address, with the port that 0 has chosen.

    Raises:
        HubError: ``host`` is not this machine alone, and there is neither a password nor a sign-in;
            or it cannot be listened on.
    """
    import uvicorn

    check_closed(host, password, provider)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise HubError(
            f"{host}:{port} cannot be listened on: {error}; choose another --port"
        ) from error
    app = create_app(context, password=password, provider=provider, mcp=mcp)
    name = f"[{host}]" if ":" in host else host
    listening(f"http://{name}:{listener.getsockname()[1]}")
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


def check_closed(host: str, password: str, provider: Provider | None) -> None:
    """Refuse to listen beyond this machine without asking who it is.

    Raises:
        HubError: there is neither a password nor a sign-in.
    """
    if host not in LOCAL and not password and not provider:
        raise HubError(
            f"host {host} can be reached from other machines: set PATTERNHUB_PASSWORD, or listen "
            "on 127.0.0.1; a Space can sign people in with `hf_oauth: true` in its README.md"
        )
