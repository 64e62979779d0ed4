"""Where patterns come from: folders, files and git URLs, each under a short unique name."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hub.config import COMPLIANCE, CONFIG_NAME, EXAMPLES, MANIFEST, REPORT
from hub.errors import HubError
from hub.store.manifest import Manifest, Source
from indexers.code import CHUNKER_VERSION
from indexers.files import Skip, list_files
from indexers.git import clone_or_update, is_git_url, mask_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hub.config import Config
    from hub.workspace import Workspace
    from indexers.files import Listing


@dataclass(frozen=True, slots=True)
class Located:
    """A source and what its files are now."""

    source: Source
    listing: Listing


def rules_digest(config: Config) -> str:
    """The identity of everything that decides how a file is cut or skipped."""
    key = f"{CHUNKER_VERSION} {config.chunks!r} {config.files!r}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def locate(
    workspace: Workspace, manifest: Manifest, locations: Sequence[str | Path]
) -> tuple[list[Located], dict[str, str]]:
    """List every source; (sources that can be read, error by location of those that cannot).

    Raises:
        HubError: there is no source at all, or none of them can be read.
    """
    wanted = _distinct(_canonical(workspace, str(location), Path.cwd()) for location in locations)
    wanted = wanted or _remembered(workspace, manifest)
    if not wanted:
        raise HubError(
            f"there is nothing to index: name a folder, file or git URL, or list sources in "
            f"{workspace.folder / CONFIG_NAME}"
        )
    taken = {source.name: source.location for source in manifest.sources()}
    located, failed = [], {}
    for location in wanted:
        recorded = _recorded(location)
        absolute = recorded if is_git_url(location) else str(workspace.folder / location)
        name = _name(absolute, recorded, taken)
        taken[name] = recorded
        try:
            located.append(_list(workspace, name, location))
        except HubError as error:
            failed[recorded] = str(error)
    if not located:
        raise HubError("\n".join(failed.values()))
    return located, failed


def known_locations(workspace: Workspace) -> list[str]:
    """What `patternhub index` without arguments would index."""
    if not (workspace.manifest_path).is_file():
        return [
            _canonical(workspace, location, workspace.folder)
            for location in workspace.config.sources
        ]
    manifest = Manifest(workspace.manifest_path)
    try:
        return _remembered(workspace, manifest)
    finally:
        manifest.close()


def _remembered(workspace: Workspace, manifest: Manifest) -> list[str]:
    """The sources in hub.toml, then those indexed before."""
    wanted = [
        _canonical(workspace, location, workspace.folder) for location in workspace.config.sources
    ]
    return _distinct([*wanted, *(source.location for source in manifest.sources())])


def _distinct(locations: Iterable[str]) -> list[str]:
    """Each place once: of two forms of a URL the first, which may hold a login."""
    found: dict[str, str] = {}
    for location in locations:
        found.setdefault(_recorded(location), location)
    return list(found.values())


def _recorded(location: str) -> str:
    """A location as it is stored and shown: without secrets."""
    return mask_url(location) if is_git_url(location) else location


def _canonical(workspace: Workspace, location: str, base: Path) -> str:
    """A location as it is remembered: relative to the hub where it lies below it.

    Raises:
        HubError: it cannot be a path: names nobody's home, or bytes that are not UTF-8.
    """
    if is_git_url(location):
        return location
    if not location.strip():
        raise HubError("'' is no source: give a folder, a file or a git URL; '.' is this folder")
    try:
        path = Path(os.path.realpath(base / Path(location).expanduser()))
        path.as_posix().encode()
    except (RuntimeError, ValueError) as error:
        raise HubError(f"{location!r} cannot be a source: {error}") from error
    if path.is_relative_to(workspace.folder):
        return path.relative_to(workspace.folder).as_posix()
    return path.as_posix()


def source_root(workspace: Workspace, location: str) -> Path:
    """The folder or file a source is read from; for a URL, where its checkout is kept."""
    if is_git_url(location):
        name = hashlib.sha256(mask_url(location).encode()).hexdigest()[:16]
        return workspace.store_folder / "sources" / name
    return workspace.folder / location


def list_source(workspace: Workspace, location: str) -> Listing:
    """The files of a source as they are now; a URL's as they were last fetched."""
    return _listing(workspace, source_root(workspace, location))


def _listing(workspace: Workspace, root: Path) -> Listing:
    files = workspace.config.files
    listing = list_files(
        root, include=files.include, exclude=files.exclude, max_bytes=files.max_bytes
    )
    return _without_own(listing, workspace.folder / EXAMPLES)


def _without_own(listing: Listing, examples: Path) -> Listing:
    """Without what is made of patterns: a dataset that is indexed would be made of itself."""
    listed = {entry.path for entry in listing.files} | {skip.path for skip in listing.skipped}
    datasets = [
        path.removesuffix(COMPLIANCE)
        for path in sorted(listed)
        if path.endswith(f"/{COMPLIANCE}")
        and {path.removesuffix(COMPLIANCE) + name for name in (MANIFEST, REPORT)} <= listed
    ]
    skipped = [Skip(folder, "dataset") for folder in datasets]
    files = []
    for entry in listing.files:
        path = listing.root / entry.path
        if path.suffix == ".md" and path.is_relative_to(examples) and _has_front_matter(path):
            skipped.append(Skip(entry.path, "example"))
        elif not entry.path.startswith(tuple(datasets)):
            files.append(entry)
    skipped += [skip for skip in listing.skipped if not skip.path.startswith(tuple(datasets))]
    return replace(
        listing, files=tuple(files), skipped=tuple(sorted(skipped, key=lambda skip: skip.path))
    )


def _has_front_matter(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(3) == b"---"
    except OSError:
        return False


def _list(workspace: Workspace, name: str, location: str) -> Located:
    root = source_root(workspace, location)
    revision = None
    if is_git_url(location):
        root.parent.mkdir(exist_ok=True)
        revision = clone_or_update(location, root)
    listing = _listing(workspace, root)
    return Located(Source(name, _recorded(location), revision or listing.revision or ""), listing)


def stale_files(workspace: Workspace, manifest: Manifest, source: Source) -> tuple[int, str]:
    """How many files of a source are new, changed or gone since they were indexed; or an error."""
    rules = rules_digest(workspace.config)
    known = manifest.files(source.name)
    try:
        listing = list_source(workspace, source.location)
    except HubError as error:
        return 0, str(error)
    entries = {entry.path: entry for entry in listing.files}
    changed = sum(
        record is None or not record.same_stat(entry, rules)
        for path, entry in entries.items()
        for record in [known.get(path)]
    )
    return changed + len(known.keys() - entries.keys()), ""


def _name(absolute: str, location: str, taken: dict[str, str]) -> str:
    """A short name for ``location``, whose full path or URL is ``absolute``.

    The last part of the path or URL; where another location is ``taken`` under that name (name to
    location), with one more part in front.
    """
    for name, known in taken.items():
        if known == location:
            return name
    whole = absolute.removesuffix("/").removesuffix(".git").replace(":", "/")
    parts = [part for part in whole.split("/") if part]
    for length in range(1, len(parts) + 1):
        name = "/".join(parts[-length:])
        if name not in taken:
            return name
    return location
