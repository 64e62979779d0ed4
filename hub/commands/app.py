"""The verb that opens the app in a browser."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import click

from hub.errors import MissingExtraError


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--mcp", is_flag=True, help="Serve tools for agents too, at /mcp.")
@click.pass_obj
def ui(folder: Path | None, port: int, host: str, mcp: bool) -> None:
    """Serve the app: search, datasets, training, comparison and adapters in a browser.

    Beyond this machine it asks for the user "team" and the password in PATTERNHUB_PASSWORD.
    """
    from hub.config import find_hub

    try:
        from space_app.app import serve
        from space_app.context import Context
        from space_app.sign_in import LOCAL
    except ModuleNotFoundError as error:
        if error.name not in ("gradio", "fastapi", "uvicorn"):
            raise
        raise MissingExtraError("the app", "app") from error
    password = os.environ.get("PATTERNHUB_PASSWORD", "")
    folder = folder if folder is not None else find_hub(Path.cwd())
    # With a password it may be asked through a proxy, by people who are elsewhere.
    serve(
        Context(folder, at_home=host in LOCAL and not password),
        host=host,
        port=port,
        password=password,
        mcp=mcp,
        listening=functools.partial(click.echo, err=True),
    )
