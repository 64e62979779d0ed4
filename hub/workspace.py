"""The finished parts of one hub, as every operation on it needs them."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hub.config import STORE_DIR, Embedding, load_config
from hub.errors import HubError, OtherModelError
from hub.store.chroma import PatternStore

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from hub.config import Config
    from hub.store.encoders import Encoders


@dataclass(frozen=True)
class Workspace:
    """A folder with its configuration, its encoders and its store."""

    folder: Path
    config: Config
    encoders: Encoders

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """The workspace that ``folder``'s hub.toml describes.

        Raises:
            HubError: hub.toml is wrong.
        """
        from hub.store.encoders import open_encoders

        config = load_config(folder)
        return cls(folder, config, open_encoders(config.embedding, folder))

    @property
    def store_folder(self) -> Path:
        """Where everything the hub writes lives."""
        return self.folder / STORE_DIR

    @property
    def derived(self) -> Path:
        """Where generations of derived columns live, apart for each store and model."""
        store = self.config.store
        place = (store.url, store.cloud, store.tenant, store.database, store.name)
        key = f"{place} {self.encoders.fast.digest} {self.encoders.best.digest}"
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

    def readable(self) -> Self:
        """The workspace whose vectors answer now: this one, or during a migration to its model the
        one with the model before.

        Raises:
            OtherModelError: no migration was started, or the model before is not there any more.
        """
        try:
            self.store.state()
        except OtherModelError:
            before = self._before()
            if before is None:
                raise
            return before
        return self

    def _before(self) -> Self | None:
        """The workspace of the model that this one's patterns are being migrated from."""
        from hub.store.encoders import open_encoders

        old = self.store.previous()
        if self.store.own_state() is None or old is None:
            return None
        embedding = Embedding.model_validate_json(old.embedding)
        try:
            encoders = open_encoders(embedding, self.folder)
        except HubError:  # a model that was moved, or damaged since
            return None
        if (encoders.fast.digest, encoders.best.digest) != (old.fast_digest, old.digest):
            return None
        config = self.config.model_copy(update={"embedding": embedding})
        return replace(self, config=config, encoders=encoders)
