"""Is everything here that a hub needs, does it work, and what would it index?"""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hub.api import Hub

PACKAGES = ("chromadb", "onnxruntime", "openvino", "tree-sitter", "tree-sitter-language-pack")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``detail`` says what was found, or what to do."""

    name: str
    ok: bool
    detail: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def checkup(folder: Path | None) -> Iterator[Check]:
    """Every check in order; one that fails does not stop the others."""
    from hub.api import Hub
    from hub.config import find_hub

    yield _checked("packages", _packages)
    yield _checked("grammars", _grammars)
    where = folder if folder is not None else find_hub(Path.cwd())
    try:
        hub = Hub.open(where)
    except HubError as error:
        yield Check("config", ok=False, detail=str(error))
        return
    yield Check("config", ok=True, detail=f"hub in {hub.workspace.folder}")
    yield _checked("model", lambda: _model(hub))
    if hub.workspace.store_folder.is_dir():
        yield _checked("store", lambda: _store(hub))
    else:
        yield Check("store", ok=True, detail="not there yet: `patternhub index` makes it")
    yield from _would_index(hub)


def _checked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, ok=True, detail=look())
    except HubError as error:
        return Check(name, ok=False, detail=str(error))


def _packages() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError as error:
            raise HubError(f"{package} is not installed: pip install pattern-hub") from error
    return ", ".join(found)


def _grammars() -> str:
    from indexers.code import chunk_file
    from indexers.languages import LANGUAGES

    for language in LANGUAGES:
        chunk_file("probe", b"x\n", language=language)
    return f"{len(LANGUAGES)} languages: {', '.join(LANGUAGES)}"


def _model(hub: Hub) -> str:
    from hub.store.minilm import MiniLMEncoder

    best = hub.workspace.encoders.best
    if not isinstance(best, MiniLMEncoder):
        vector = best.encode_queries(["probe"])
        return f"{best.name}, {vector.shape[1]} dimensions"
    best.verify()
    choices = "; ".join(
        f"{r.name} {r.tokens_per_second:,} tokens/s (cosine {r.cosine:.4f})"
        for r in best.runtimes()
    )
    return f"{best.name}, checksum verified; documents run on the first of: {choices}"


def _store(hub: Hub) -> str:
    state = hub.workspace.store.state()
    if state is None:
        return "empty"
    generation = hub.retriever.current()
    rows = len(generation.snapshot.rows)
    counts = hub.workspace.store.counts()
    if state.writing:
        raise HubError("an index run is at work or was stopped: `patternhub index` ends it")
    if any(count != rows for count in counts.values()) and generation.best_complete:
        raise HubError(f"collections hold {counts}, the index {rows}: run `patternhub index`")
    return f"generation {state.generation}: {rows} patterns, {generation.tier} tier"


def _would_index(hub: Hub) -> Iterator[Check]:
    from hub.sources import known_locations, list_source

    for location in known_locations(hub.workspace):
        try:
            listing = list_source(hub.workspace, location)
        except HubError as error:
            yield Check("source", ok=False, detail=f"{location}: {error}")
            continue
        size = sum(entry.size for entry in listing.files)
        reasons = Counter(skip.reason for skip in listing.skipped)
        shown = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        yield Check(
            "source",
            ok=True,
            detail=f"{location}: {len(listing.files)} files, {size / 1e6:.2f} MB would be read"
            + (f"; skipped: {shown}" if shown else ""),
        )
