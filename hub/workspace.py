"""The finished parts of one hub, as every operation on it needs them."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.config import STORE_DIR
from hub.errors import HubError
from hub.store.chroma import PatternStore

if TYPE_CHECKING:
    from pathlib import Path

    from hub.config import Config
    from hub.store.encoders import Encoders


@dataclass(frozen=True)
class Workspace:
    """A folder with its configuration, its encoders and its store."""

    folder: Path
    config: Config
    encoders: Encoders

    @property
    def store_folder(self) -> Path:
        """Where everything the hub writes lives."""
        return self.folder / STORE_DIR

    @property
    def derived(self) -> Path:
        """Where generations of derived columns live, apart for each store they derive from."""
        store = self.config.store
        place = (store.url, store.cloud, store.tenant, store.database, store.name)
        key = f"{place} {self.encoders.fast.digest}"
        return self.store_folder / "derived" / hashlib.sha256(key.encode()).hexdigest()[:8]

    @property
    def manifest_path(self) -> Path:
        return self.store_folder / "manifest.db"

    @functools.cached_property
    def store(self) -> PatternStore:
        """The Chroma collections.

        Raises:
            HubError: nothing was ever indexed here, or the store cannot be reached.
        """
        if not self.store_folder.is_dir():
            raise HubError(f"{self.folder} has no hub yet: run `patternhub index PATH` first")
        return PatternStore.from_config(
            self.config, self.store_folder, fast=self.encoders.fast, best=self.encoders.best
        )
