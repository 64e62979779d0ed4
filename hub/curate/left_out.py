"""What `patternhub dedup --apply` decided: which patterns are left out for which.

The patterns stay in the hub, and a file beside the store names those that nothing is made of.
Deleting the file takes the decision back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hub.errors import HubError
from hub.store.cache import atomic_path

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

RECORD = "duplicates.json"


def leave_out(folder: Path, dropped: Mapping[str, str]) -> Path:
    """Write in ``folder`` what is left out, each id with that of the pattern that stands for it.

    The file, which is returned, takes the place of the one before.

    Raises:
        HubError: the file cannot be written.
    """
    path = folder / RECORD
    try:
        with atomic_path(path) as target:
            target.write_text(json.dumps(dropped, indent=0, sort_keys=True), encoding="utf-8")
    except OSError as error:
        raise HubError(f"{path} cannot be written: {error}") from error
    return path


def left_out(folder: Path, ids: Collection[str]) -> dict[str, str]:
    """Those of the patterns ``ids`` that are left out, with the id of what stands for each.

    A pattern whose stand-in is not among ``ids``, because its file was changed since, is not left
    out: it is the only one now.

    Raises:
        HubError: the file cannot be read.
    """
    path = folder / RECORD
    try:
        known = json.loads(path.read_bytes())
        return {id_: of for id_, of in known.items() if id_ in ids and of in ids}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise HubError(
            f"{path} does not say what is left out ({error}): `patternhub dedup --apply` writes it "
            "anew; without the file nothing is left out"
        ) from error
