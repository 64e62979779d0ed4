"""When nothing in a hub is near to a question, fitted on questions about four repositories.

Search finds something for any question; the scores of its hits do not say whether it has to do with
it. Cosines do, of a model whose cosines are known: unrelated code comes to .3 of each tier's, an
answer to .5. Of another model only the question's words are counted. How that does on
repositories that had no part in it is in tests/benchmarks/LOG.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.store.tuned import SHIPPED_NAME

if TYPE_CHECKING:
    from hub.search.nearness import Nearness

COVERED = 0.2  # what the words count beside a cosine
BOTH, FAST = 0.96, 0.50  # least evidence with both tiers' cosines, and with the fast one's alone
WORDS = 0.44  # least share of the question's words in one hit, where cosines are unknown


def is_near(found: Nearness) -> bool:
    """Whether the best of what was found has to do with the question at all."""
    if found.model != SHIPPED_NAME:
        return found.covered >= WORDS
    evidence = found.fast + found.best + COVERED * found.covered
    return evidence >= (BOTH if found.best else FAST)
