"""The index of the registry: a row for each adapter, written from its folder.

A row says what the folder says (``training.json``, and ``taken.json`` for its name), so that it can
be written again; only aliases, verdicts, promotions and pushes are here alone.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hub.errors import HubError
from hub.serving.folder import TAKEN, damage, origin
from hub.types import Adapter

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

COLUMNS = "digest, name, version, base, dataset, config, metrics, created, parent, run, verdict"
SCHEMA = """
PRAGMA synchronous=FULL;
CREATE TABLE IF NOT EXISTS adapter (
    id INTEGER PRIMARY KEY, digest TEXT UNIQUE NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,
    base TEXT NOT NULL, dataset TEXT NOT NULL, config TEXT NOT NULL, metrics TEXT NOT NULL,
    created TEXT NOT NULL, parent TEXT NOT NULL, run TEXT NOT NULL, verdict TEXT NOT NULL,
    UNIQUE (name, version)
);
CREATE TABLE IF NOT EXISTS alias (
    name TEXT, alias TEXT, digest TEXT NOT NULL, PRIMARY KEY (name, alias)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS promotion (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL, at TEXT NOT NULL,
    reason TEXT NOT NULL, undone TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS push (
    digest TEXT, repository TEXT, at TEXT NOT NULL, PRIMARY KEY (digest, repository)
) WITHOUT ROWID;
"""


def enter(db: sqlite3.Connection, folder: Path) -> None:
    """A row for a folder that has none, as the next version of the name it was taken in under.

    Raises:
        HubError: the folder is not the whole adapter that its name says.
    """
    if db.execute("SELECT 1 FROM adapter WHERE digest = ?", (folder.name,)).fetchone():
        return
    if wrong := damage(folder, folder.name):
        raise HubError(f"{folder} is not what was saved: {'; '.join(wrong)}")
    made, taken = origin(folder), taken_as(folder)
    query = "SELECT version, base, dataset, digest FROM adapter WHERE name = ?"
    others = sorted((numbers(v), *rest) for v, *rest in db.execute(query, (taken["name"],)))
    version = numbers(taken["version"]) if taken["version"] else ()
    if not version or version in {other[0] for other in others}:
        version = _next_version(others[-1], made) if others else (0, 1, 0)
    before = [other for other in others if other[0] < version]
    row = (
        folder.name,
        taken["name"],
        ".".join(map(str, version)),
        made["base"],
        made["dataset"],
        json.dumps(made["config"], ensure_ascii=False),
        json.dumps(made["metrics"]),
        taken["created"],
        before[-1][3] if before else "",
        taken["run"],
        "",
    )
    db.execute(f"INSERT INTO adapter ({COLUMNS}) VALUES ({', '.join('?' * len(row))})", row)


def _next_version(newest: Sequence[Any], made: dict[str, Any]) -> tuple[int, ...]:
    (major, minor, patch), base, dataset, _digest = newest
    if (base, dataset) != (made["base"], made["dataset"]):
        return major, minor + 1, 0
    return major, minor, patch + 1


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def point(db: sqlite3.Connection, name: str, alias: str, digest: str) -> None:
    db.execute("INSERT OR REPLACE INTO alias VALUES (?, ?, ?)", (name, alias, digest))


def adapter_of(row: Sequence[str], aliases: tuple[str, ...]) -> Adapter:
    fields: dict[str, Any] = dict(zip(COLUMNS.split(", "), row, strict=True))
    for name in ("config", "metrics"):
        fields[name] = json.loads(fields[name])
    fields["verdict"] = json.loads(fields["verdict"]) if fields["verdict"] else None
    return Adapter(**fields, aliases=aliases)


def taken_as(folder: Path) -> dict[str, str]:
    """Under which name a folder was taken in; one that was put there by hand says nothing."""
    try:
        taken = json.loads((folder / TAKEN).read_text(encoding="utf-8"))
        return {key: str(taken[key]) for key in ("name", "version", "run", "created")}
    except (OSError, ValueError, KeyError, TypeError):
        return {"name": "found", "version": "", "run": "", "created": now()}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
