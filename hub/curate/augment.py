"""What one function can become, by the names that settings and the command line use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.curate.bugs import inject
from hub.curate.layout import recomment, reformat
from hub.curate.rename import rename

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub.curate.bugs import Bug
    from hub.curate.layout import Relaid
    from hub.curate.rename import Renamed

# text, language and seed to variants; raises Unsuited, with the reason, where there are none
OPS: dict[str, Callable[[str, str, str], Sequence[Renamed | Relaid | Bug]]] = {
    "rename": lambda text, language, seed: [rename(text, language, seed)],
    "comments": lambda text, language, seed: [recomment(text, language, seed)],
    "format": lambda text, language, seed: [reformat(text, language, seed)],
    "bugs": inject,
}
