"""When nothing in a hub is near to a question: a rule fitted on questions about repositories."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub.search.nearness import Nearness


def is_near(found: Nearness) -> bool:
    """Whether the best of what was found has to do with the question at all."""
    return found.fast + found.best > 0
