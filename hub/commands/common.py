"""What every verb needs: the hub that is meant, and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hub.api import Hub


def open_hub(folder: Path | None) -> Hub:
    """The hub that ``--hub`` names, else the nearest one."""
    from hub.api import Hub
    from hub.config import find_hub

    return Hub.open(folder if folder is not None else find_hub(Path.cwd()))


def listed(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
