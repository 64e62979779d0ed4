"""Annotations and links from tests of a large hub, found in a process of its own: it takes minutes,
and what answers people must not wait for its interpreter meanwhile.

    python -m space_app.finding HUB    # pickled, to standard output
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

from hub.api import Hub
from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hub.curate.annotate import Annotation

    Found = tuple[Mapping[str, Annotation], Mapping[str, tuple[str, ...]]]

LARGE = 5000  # patterns from which a process of its own is worth its beginning


def find(hub: Hub, folder: Path) -> Found:
    """Annotations by pattern id, and for each pattern the ids of its tests.

    Raises:
        HubError: nothing is indexed.
    """
    if sum(hub.filters()["language"].values()) < LARGE:
        return hub.annotate().annotations, hub.link_tests()
    done = subprocess.run(
        [sys.executable, "-m", "space_app.finding", str(folder)], stdout=subprocess.PIPE
    )
    if done.returncode:
        raise HubError(f"annotations of {folder} were not found: see the log")
    found: Found = pickle.loads(done.stdout)
    return found


def main() -> None:
    """Find them at a low priority."""
    os.nice(10)
    hub = Hub.open(sys.argv[1])
    found = hub.annotate().annotations, hub.link_tests()
    sys.stdout.buffer.write(pickle.dumps(found))


if __name__ == "__main__":
    main()
