"""Which dataset an adapter was made from."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST = "manifest.json"


def dataset_digest(folder: Path, files: Mapping[str, str]) -> str:
    """A digest that names the dataset: sha256 of the manifest that its build wrote.

    Where there is no manifest, or a file is not the one it lists any more, that of ``files``.

    Args:
        folder: Of the dataset; a second format lies in a folder of its own below the manifest.
        files: sha256 of each file that is learned from or evaluated by, by its name.
    """
    for place, prefix in ((folder, ""), (folder.resolve().parent, f"{folder.resolve().name}/")):
        try:
            text = (place / MANIFEST).read_bytes()
            listed = json.loads(text)["files"]
            if all(listed.get(prefix + name) == known for name, known in files.items()):
                return hashlib.sha256(text).hexdigest()
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()
