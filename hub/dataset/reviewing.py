"""What people decide of single examples: rejected ones leave every build from then on.

A correction is a hand-written example, and the rejection of the one it takes the place of.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hub.config import EXAMPLES
from hub.dataset.handwritten import write_example
from hub.errors import HubError
from hub.lines import append_line

REJECTED = f"{EXAMPLES}/rejected.jsonl"  # in the hub's folder: an id and a reason a line


def reject(folder: Path, id: str, reason: str) -> None:
    """Leave the example with this id out of the next builds of the hub in ``folder``.

    Raises:
        HubError: no reason is given, or the ledger cannot be written.
    """
    if not reason.strip():
        raise HubError("say why the example is rejected: whoever builds next will ask")
    append_line(folder / REJECTED, {"id": id, "reason": reason.strip()})


def correct(folder: Path, id: str, reason: str, example: dict[str, str]) -> Path:
    """Put ``example`` in the place of the one with this id; returns its file.

    A correction that was made of it before is replaced.

    Raises:
        HubError: a field of it is empty, or a file cannot be written.
    """
    before = [e["example"] for e in _entries(folder) if e["id"] == id and "example" in e]
    path = write_example(folder, **example)
    entry = {"id": id, "reason": reason.strip() or "corrected", "example": path.name}
    append_line(folder / REJECTED, entry)
    for name in before[-1:]:  # a name may be another's by now, but for the last
        (folder / EXAMPLES / Path(name).name).unlink(missing_ok=True)
    return path


def rejected(folder: Path) -> dict[str, str]:
    """Reasons by the ids of rejected examples; deleting a line takes its rejection back.

    Raises:
        HubError: a line is not what it should be; names it.
    """
    return {str(entry["id"]): str(entry["reason"]) for entry in _entries(folder)}


def _entries(folder: Path) -> list[dict[str, Any]]:
    path = folder / REJECTED
    found = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            entry = json.loads(line)
            _ = entry["id"], entry["reason"]
            found.append(entry)
        except (ValueError, KeyError, TypeError) as error:
            raise HubError(
                f'{path}:{number}: expected {{"id": ..., "reason": ...}}; mend or delete the line'
            ) from error
    return found
