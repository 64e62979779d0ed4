"""What people decide of single examples: rejected ones leave every build from then on.

A correction is a hand-written example, and the rejection of the one it takes the place of.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hub.config import EXAMPLES
from hub.errors import HubError
from hub.lines import append_line

if TYPE_CHECKING:
    from pathlib import Path

REJECTED = f"{EXAMPLES}/rejected.jsonl"  # in the hub's folder: an id and a reason a line


def reject(folder: Path, id: str, reason: str) -> None:
    """Leave the example with this id out of the next builds of the hub in ``folder``.

    Raises:
        HubError: no reason is given, or the ledger cannot be written.
    """
    if not reason.strip():
        raise HubError("say why the example is rejected: whoever builds next will ask")
    path = folder / REJECTED
    append_line(path, {"id": id, "reason": reason.strip()})


def rejected(folder: Path) -> dict[str, str]:
    """Reasons by the ids of rejected examples; deleting a line takes its rejection back.

    Raises:
        HubError: a line is not what it should be; names it.
    """
    path = folder / REJECTED
    found = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            entry = json.loads(line)
            found[str(entry["id"])] = str(entry["reason"])
        except (ValueError, KeyError, TypeError) as error:
            raise HubError(
                f'{path}:{number}: expected {{"id": ..., "reason": ...}}; mend or delete the line'
            ) from error
    return found
