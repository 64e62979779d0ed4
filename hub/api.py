"""The class Hub: everything a program can do with a hub, composed from the parts."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from hub.config import load_config
from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from hub.config import Mode, Tier
    from hub.dataset.export import ExportReport
    from hub.reporting import IndexReport, Progress
    from hub.search.retrieval import Retriever
    from hub.status import Status
    from hub.store.encoders import Encoders
    from hub.types import Pattern, SearchResult
    from hub.workspace import Workspace


class Hub:
    """A team's patterns: indexed once, then searched, shown and exported.

    >>> hub = Hub.open(".")
    >>> report = hub.index(["src"])
    >>> hits = hub.search("retry with backoff", limit=10, language="python")
    """

    def __init__(self, workspace: Workspace) -> None:
        """A hub of finished parts; :meth:`open` builds them."""
        self.workspace = workspace

    @classmethod
    def open(cls, folder: str | Path = ".", *, encoders: Encoders | None = None) -> Self:
        """The hub in ``folder``: its ``hub.toml`` if there is one, defaults otherwise.

        Raises:
            HubError: ``folder`` is missing, or ``hub.toml`` is wrong.
        """
        try:
            path = Path(folder).expanduser().resolve()
        except (RuntimeError, ValueError) as error:  # links in a circle, nobody's home, a null byte
            raise HubError(f"{folder} is not a folder: {error}") from error
        if not path.is_dir():
            raise HubError(f"{folder} is not a folder; a hub lives in one")
        config = load_config(path)
        if encoders is None:
            from hub.store.encoders import open_encoders

            encoders = open_encoders(config.embedding, path)
        from hub.workspace import Workspace

        return cls(Workspace(path, config, encoders))

    def index(
        self,
        locations: str | Path | Sequence[str | Path] = (),
        *,
        tier: Tier | None = None,
        progress: Progress | None = None,
    ) -> IndexReport:
        """Bring the index up to date with folders, files and git URLs.

        Nothing given: the sources in ``hub.toml`` and every source indexed before. ``tier`` "fast"
        stops when every pattern is searchable by static vectors. A source that cannot be read is
        in the report's ``failed``; the others are indexed.

        Raises:
            HubError: no source, or none that can be read; or the store cannot be written.
        """
        from hub.indexing import index

        if isinstance(locations, str | Path):
            locations = [locations]
        tier = tier or self.workspace.config.embedding.tier
        return index(self.workspace, locations, tier=tier, progress=progress)

    def forget(self, source: str) -> IndexReport:
        """Remove a source and its patterns.

        Raises:
            HubError: no source of that name; names the known ones.
        """
        from hub.indexing import forget

        return forget(self.workspace, source)

    def search(
        self,
        query: str,
        *,
        limit: int | None = None,
        language: str | None = None,
        kind: str | None = None,
        source: str | None = None,
        path: str | None = None,
        mode: Mode | None = None,
        tier: Tier | None = None,
    ) -> list[SearchResult]:
        """The patterns that answer ``query`` best, best first.

        Args:
            query: Words, a sentence, or an identifier.
            limit: How many hits; the default is in ``hub.toml``.
            language: Only this language, such as "python".
            kind: Only this kind, such as "function", "method", "class" or "section".
            source: Only this source, by name.
            path: Only paths that match this gitignore-style pattern, such as "src/**".
            mode: "hybrid", or one arm alone: "dense" or "lexical".
            tier: "fast" or "best"; by default the best tier that is complete.

        Raises:
            HubError: an empty query, an unknown filter value, or nothing indexed yet.
        """
        from hub.search.ranking import Filters

        defaults = self.workspace.config.search
        return self.retriever.search(
            query,
            limit=defaults.limit if limit is None else limit,
            mode=mode or defaults.mode,
            tier=tier,
            filters=Filters(language=language, kind=kind, source=source, path=path),
        )

    def get(self, id: str) -> Pattern:
        """The pattern with this id, or with the only id that starts so.

        Raises:
            HubError: no pattern, or several, have such an id.
        """
        full = self.retriever.full_id(id)
        found = self.workspace.store.get([full])
        if full not in found:
            raise HubError(f"id {id!r}: this pattern has just been removed")
        return found[full]

    def neighbours(self, pattern: Pattern) -> tuple[Pattern | None, Pattern | None]:
        """The patterns before and after this one in its file."""
        ids = [None, *self.retriever.file_of(pattern), None]
        if pattern.id not in ids:
            return None, None  # removed by a writer meanwhile
        at = ids.index(pattern.id)
        before, after = ids[at - 1], ids[at + 1]
        found = self.workspace.store.get([id_ for id_ in (before, after) if id_])
        return found.get(before or ""), found.get(after or "")

    def outline(self, pattern: Pattern) -> list[Pattern]:
        """The methods of a class in its file, in order; none for any other kind."""
        if pattern.kind != "class":
            return []
        ids = self.retriever.file_of(pattern)
        found = self.workspace.store.get(ids)
        members = [found[id_] for id_ in ids if id_ in found]
        prefix = f"{pattern.symbol}."
        return [p for p in members if p.kind == "method" and p.symbol.startswith(prefix)]

    def status(self) -> Status:
        """What the hub holds, what was skipped and why, and what has changed since."""
        from hub.status import status

        return status(self.workspace, self.retriever.current())

    def export(self, path: str | Path) -> ExportReport:
        """Write training examples (instruction to code) as JSON lines.

        Raises:
            HubError: nothing is indexed, or ``path`` cannot be written.
        """
        from hub.dataset.export import export

        return export(self.workspace.store, Path(path))

    @functools.cached_property
    def retriever(self) -> Retriever:
        """Search over the current generation."""
        from hub.search.retrieval import Retriever

        return Retriever(
            self.workspace.store,
            self.workspace.encoders,
            self.workspace.derived,
            exact_limit=self.workspace.config.search.exact_limit,
        )
