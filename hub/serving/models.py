"""``models.yaml``: the registry as a file, for backends that serve adapters.

It is derived: whoever changes the registry writes it anew, nobody reads it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from hub.serving.folder import BASE, TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hub.types import Adapter

FILE = "models.yaml"
HEAD = "# Written by Pattern Hub from the registry beside it; changes are lost.\n"


def write(folder: Path, adapters: Sequence[Adapter]) -> None:
    """Write the view of ``adapters`` into ``folder``, where it says something else."""
    listed = {"models": [_entry(folder.resolve(), adapter) for adapter in adapters]}
    text = HEAD + yaml.safe_dump(listed, sort_keys=False, allow_unicode=True)
    path = folder / FILE
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    partial = folder / f".{FILE}"
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _entry(folder: Path, adapter: Adapter) -> dict[str, Any]:
    path = folder / adapter.digest
    return {
        "name": adapter.name,
        "version": adapter.version,
        "aliases": list(adapter.aliases),
        "base": str(path / BASE) if (path / BASE).is_dir() else adapter.base,
        "adapter": str(path),
        "template": str(path / TEMPLATE),
        "digest": adapter.digest,
        "passed": adapter.passed,
    }
