"""Every adapter that was ever finished: kept by its content, named by versions and aliases.

    registry = hub.adapters
    adapter = registry.take(Path("runs/1/adapter"), name="team")     # team@0.1.0
    registry.set_verdict(adapter, {"passed": True})
    registry.promote("team@0.1.0")                                   # team@production

An adapter's folder is named by its digest and never changes; the index beside it is SQLite. The
order of taking one in is what a kill relies on: the files under a hidden name, the rename, then the
row. A folder without a row gets one when the registry is opened, so that from the folders alone the
index comes back, with the same versions; aliases and verdicts are in it alone.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from hub.errors import FailedCheckError, HubError
from hub.serving import index, models
from hub.serving.folder import TAKEN, copy, damage, digest_of, listed, problems, sync
from hub.store.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from hub.types import Adapter

INDEX, LOCK = "index.db", ".lock"
PARTIAL = ".taking-"
PRODUCTION, CANDIDATE = "production", "candidate"
VERSION = re.compile(r"(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){2}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
FOLDER = re.compile(r"[0-9a-f]{64}")
SHORTEST = 6  # characters of a digest that name an adapter


class Registry:
    """The adapters in one folder; several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        """A registry in ``folder``, which need not be there yet; :meth:`open` finds what a killed
        process left."""
        self.folder = folder

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The registry in ``folder``, whole again after a kill.

        Raises:
            HubError: it cannot be read or written.
        """
        registry = cls(folder)
        if folder.is_dir():
            registry._recover()
        return registry

    def take(self, adapter: Path, *, name: str, run: str = "", version: str = "") -> Adapter:
        """Keep a copy of an adapter's folder as the next version of ``name``.

        The same content is the same adapter, whatever it is called the second time; a kept copy
        that was damaged since is put right. A new dataset or base raises the minor version, new
        settings the patch; ``version`` is kept instead, if it is free.

        Raises:
            HubError: it is no adapter, is not as it was saved, or cannot be kept here.
        """
        check_name(name)
        if version and not VERSION.fullmatch(version):
            raise HubError(f"{version!r} is no semantic version, such as 1.2.0")
        files = listed(adapter)
        if wrong := problems(adapter, files):
            raise HubError(f"{adapter} is not as it was saved: {'; '.join(wrong)}")
        digest = digest_of(files)
        with self._changing() as db:
            target = self.folder / digest
            if damage(target, digest):
                taken = {"name": name, "version": version, "run": run, "created": index.now()}
                self._place(adapter, files, target, taken)
            index.enter(db, target)
        return self.get(digest)

    def list(self, name: str = "") -> list[Adapter]:
        """All adapters, or those of one name, the oldest version first."""
        rows = self._rows(f"SELECT {index.COLUMNS} FROM adapter WHERE ? IN ('', name)", (name,))
        aliases = self._rows("SELECT digest, alias FROM alias ORDER BY alias")
        found = [index.adapter_of(row, tuple(a for d, a in aliases if d == row[0])) for row in rows]
        return sorted(found, key=lambda adapter: (adapter.name, index.numbers(adapter.version)))

    def get(self, reference: str) -> Adapter:
        """The adapter that ``name`` (its newest version), ``name@version``, ``name@alias`` or the
        beginning of a digest means.

        Raises:
            HubError: there is none, or more than one digest begins so.
        """
        name, at, which = reference.partition("@")
        adapters = self.list()
        found = [
            a for a in adapters if a.name == name and (not at or which in (a.version, *a.aliases))
        ]
        if found:
            return found[-1]
        if not at and len(name) >= SHORTEST:
            found = [a for a in adapters if a.digest.startswith(name)]
        if len(found) == 1:
            return found[0]
        wrong = "means several adapters" if found else "is no adapter"
        shown = ", ".join(a.reference for a in found or adapters) or "none yet; train one"
        raise HubError(f"{reference!r} {wrong}; there are: {shown}")

    def path(self, adapter: Adapter) -> Path:
        """The folder of its files."""
        return self.folder / adapter.digest

    def verify(self, reference: str = "") -> dict[str, Sequence[str]]:
        """What is wrong, by reference, with one adapter or with all and with stray folders; an
        empty list: it is whole and unchanged.

        Raises:
            HubError: there is no such adapter.
        """
        if reference:
            adapter = self.get(reference)
            return {adapter.reference: damage(self.path(adapter), adapter.digest)}
        adapters = self.list()
        found: dict[str, Sequence[str]] = {
            a.reference: damage(self.path(a), a.digest) for a in adapters
        }
        for digest in sorted(self._folders() - {a.digest for a in adapters}):
            found[digest] = ["it is no whole adapter, and not in the index"]
        return found

    def set_alias(self, adapter: Adapter, alias: str) -> None:
        """Let ``name@alias`` mean this adapter, and no other of its name.

        Raises:
            HubError: ``alias`` is "production", which :meth:`promote` alone gives, or no name.
        """
        check_name(alias)
        if alias == PRODUCTION:
            raise HubError(f"{PRODUCTION!r} is given by `patternhub adapters promote` alone")
        if alias[0].isdigit():
            raise HubError(f"the alias {alias!r} could be a version: begin it with a letter")
        with self._changing() as db:
            index.point(db, adapter.name, alias, adapter.digest)

    def set_verdict(self, adapter: Adapter, verdict: dict[str, Any]) -> None:
        """Keep what the gate says; ``verdict["passed"]`` decides whether it may be promoted."""
        with self._changing() as db:
            text = json.dumps(verdict, ensure_ascii=False)
            db.execute("UPDATE adapter SET verdict = ? WHERE digest = ?", (text, adapter.digest))

    def promote(self, reference: str, *, force: bool = False, reason: str = "") -> Adapter:
        """Put an adapter into production; the one that was there can be rolled back to.

        Raises:
            FailedCheckError: the gate did not let it pass, and ``force`` is not given.
            HubError: no such adapter, a damaged one, or force without a reason.
        """
        adapter = self.get(reference)
        if not adapter.passed and not force:
            said = "did not pass the gate" if adapter.verdict else "was not judged by the gate"
            raise FailedCheckError(
                f"{adapter.reference} {said}: run `patternhub gate {adapter.reference}`, or give "
                "--force with a --reason, which is kept"
            )
        if not adapter.passed and not reason.strip():
            raise HubError("to promote past the gate takes a reason, which is kept: --reason TEXT")
        self._require_whole(adapter)
        if PRODUCTION not in adapter.aliases:
            with self._changing() as db:
                values = (adapter.name, adapter.digest, index.now(), reason.strip())
                db.execute(
                    "INSERT INTO promotion (name, digest, at, reason, undone) "
                    "VALUES (?, ?, ?, ?, '')",
                    values,
                )
                index.point(db, adapter.name, PRODUCTION, adapter.digest)
        return self.get(adapter.digest)

    def rollback(self, name: str) -> Adapter:
        """Put back what was in production before the last promotion.

        Raises:
            HubError: nothing was in production before, or it is damaged.
        """
        standing = [p for p in self.promotions(name) if not p["undone"]]
        if len(standing) < 2:
            raise HubError(f"nothing of {name!r} was in production before: promote another version")
        before = self.get(standing[-2]["digest"])
        self._require_whole(before)
        with self._changing() as db:
            db.execute(
                "UPDATE promotion SET undone = ? WHERE id = ?", (index.now(), standing[-1]["id"])
            )
            index.point(db, name, PRODUCTION, before.digest)
        return self.get(before.digest)

    def promotions(self, name: str) -> Sequence[dict[str, Any]]:
        """What was put into production, oldest first; ``undone`` is when it was rolled back."""
        columns = ("id", "digest", "at", "reason", "undone")
        query = f"SELECT {', '.join(columns)} FROM promotion WHERE name = ? ORDER BY id"
        return [dict(zip(columns, row, strict=True)) for row in self._rows(query, (name,))]

    def pushed(self, repository: str) -> set[str]:
        """The digests of what a repository on the Hub has."""
        query = "SELECT digest FROM push WHERE repository = ?"
        return {digest for (digest,) in self._rows(query, (repository,))}

    def repositories(self, adapter: Adapter) -> Sequence[str]:
        """Where on the Hub an adapter is, the last push first."""
        query = "SELECT repository FROM push WHERE digest = ? ORDER BY at DESC"
        return [repository for (repository,) in self._rows(query, (adapter.digest,))]

    def note_pushed(self, adapter: Adapter, repository: str) -> None:
        """Remember that a repository on the Hub has an adapter."""
        with self._changing() as db:
            values = (adapter.digest, repository, index.now())
            db.execute("INSERT OR REPLACE INTO push VALUES (?, ?, ?)", values)

    def _require_whole(self, adapter: Adapter) -> None:
        if wrong := damage(self.path(adapter), adapter.digest):
            raise HubError(
                f"{adapter.reference} is damaged ({'; '.join(wrong)}): `patternhub adapters take "
                f"FOLDER --name {adapter.name}` puts it right, from what its run or the Hub has"
            )

    def _place(
        self, adapter: Path, files: dict[str, str], target: Path, taken: dict[str, str]
    ) -> None:
        """Copy under a hidden name, look at the copy, and rename it."""
        partial = self.folder / f"{PARTIAL}{target.name}"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            copy(adapter, files, partial)
            if wrong := problems(partial, files):
                raise HubError(f"{adapter} changed while it was copied: {'; '.join(wrong)}")
            (partial / TAKEN).write_text(json.dumps(taken) + "\n", encoding="utf-8")
            sync(partial / TAKEN)
            if target.exists():
                target.rename(self.folder / f"{PARTIAL}old-{target.name}")
            partial.rename(target)
            sync(self.folder)
        finally:
            for left in self.folder.glob(f"{PARTIAL}*"):
                shutil.rmtree(left, ignore_errors=True)

    def _recover(self) -> None:
        """Give each folder without a row one; remove what a killed process was copying."""
        try:
            with self._changing(timeout=0) as db:
                for left in self.folder.glob(f"{PARTIAL}*"):
                    shutil.rmtree(left, ignore_errors=True)
                known = {digest for (digest,) in db.execute("SELECT digest FROM adapter")}
                stray = [self.folder / digest for digest in self._folders() - known]
                for folder in sorted(stray, key=lambda f: (index.taken_as(f)["created"], f.name)):
                    with suppress(HubError):  # verify() names it
                        index.enter(db, folder)
        except Timeout:
            return  # another process is writing: it leaves everything as it should be

    def _folders(self) -> set[str]:
        if not self.folder.is_dir():
            return set()
        return {path.name for path in self.folder.iterdir() if FOLDER.fullmatch(path.name)}

    def _rows(self, query: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
        """What the index says; nothing where nothing was ever kept."""
        if not self.folder.is_dir():
            return []
        with self._explained(), self._index() as database:
            return database.rows(query, parameters)

    @contextmanager
    def _changing(self, timeout: float = -1) -> Iterator[sqlite3.Connection]:
        """One writer at a time, in one transaction; then the view is written anew."""
        with self._explained():
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / LOCK, timeout=timeout):
                (self.folder / ".gitignore").write_text("*\n", encoding="utf-8")
                with self._index() as database, database.writing() as db:
                    yield db
                models.write(self.folder, self.list())

    def _index(self) -> closing[Database]:
        way_out = f"delete it; the adapters in {self.folder} get another, without their aliases"
        return closing(Database(self.folder / INDEX, index.SCHEMA, way_out=way_out))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except Timeout:
            raise
        except (OSError, sqlite3.Error) as error:
            raise HubError(
                f"the registry {self.folder} cannot be used: {error}; what was kept before is "
                "still there, and the same command can be run again"
            ) from error


def check_name(name: str) -> None:
    """Refuse what cannot name an adapter.

    Raises:
        HubError: it has other characters, or too many.
    """
    if not NAME.fullmatch(name):
        raise HubError(
            f"{name!r} cannot name an adapter: letters, digits, dots, hyphens and underscores, "
            "a letter or digit first"
        )
