"""The files of a source: which ones to index, which ones not and why, and reading them.

A git checkout is listed by git itself. Any other folder is walked by the same ignore rules.
Nothing in a source is trusted: links are never followed, and a file that is not what was listed
is not read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hub.errors import HubError
from indexers.git import find_checkout, head_revision, is_ignored, listed_paths
from indexers.gitignore import IgnoreRules, parent_folders
from indexers.skip_rules import (
    reason_by_content,
    reason_by_name,
    reason_by_size,
    reason_not_text,
    vendored_folders,
)

HUB_FOLDER = b".patternhub"
_MAX_IGNORE_FILE = 10_000_000


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file to index; the numbers change whenever its content does.

    ``path`` is relative to the listing's root, with slashes. ``requested`` files were named by
    the user, so what they contain is not second-guessed.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    requested: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """A file that is not indexed, or a whole folder (its path ends in ``/``), and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source consists of: every path that git lists is a file, a skip or below a skip."""

    root: Path
    files: tuple[FileEntry, ...]
    skipped: tuple[Skip, ...]
    revision: str | None
    is_git: bool


def list_files(
    root: Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    max_bytes: int = 1_000_000,
) -> Listing:
    """List the files of a folder, of a git checkout or of a part of one; or one single file.

    Args:
        root: The folder; if it lies in a git checkout, what git lists below it counts. A folder
            that the checkout ignores as a whole is read as if it lay outside.
        include: Patterns as in a .gitignore; if given, only what they match is kept, and generated,
            minified and data files among it too. A vendored folder is kept if a pattern names it.
        exclude: Patterns of what to leave out, with git's own rules.
        max_bytes: Larger files are skipped without reading them.

    Raises:
        HubError: If ``root`` is missing, unreadable, a bare or a damaged repository.
    """
    target = _readable(root)
    if target.is_file():
        selection = _Selection.from_patterns([_literally(target.name)], (), max_bytes=max_bytes)
        own = [os.fsencode(target.name)]
        return _listing(target.parent, find_checkout(target.parent), own, selection)
    selection = _Selection.from_patterns(include, exclude, max_bytes=max_bytes)
    checkout = find_checkout(target)
    paths: Iterable[bytes | Skip] = listed_paths(checkout, target) if checkout else []
    if checkout and not paths and is_ignored(checkout, target):
        checkout = None  # the user named what a repository around it leaves out
    if checkout is None:
        paths = _walk(os.fsencode(target), selection.leaves_out_folder)
    return _listing(target, checkout, paths, selection)


def read_source(root: Path, entry: FileEntry) -> bytes | Skip:
    """The content of a listed file, which is valid UTF-8 (a byte order mark is kept)."""
    try:
        content = _read_unchanged(os.path.join(os.fsencode(root), entry.path.encode()), entry)
    except OSError:
        return Skip(entry.path, "unreadable")
    if content is None:
        return Skip(entry.path, "changed")
    reason = reason_not_text(content)
    if reason is None and not entry.requested:
        reason = reason_by_content(entry.path, content)
    return content if reason is None else Skip(entry.path, reason)


@dataclass(frozen=True, slots=True)
class _Selection:
    """What the user asked for, and the folders that are never a team's own code."""

    include: IgnoreRules | None
    exclude: IgnoreRules | None
    vendored: frozenset[bytes]
    max_bytes: int

    @classmethod
    def from_patterns(
        cls, include: Sequence[str], exclude: Sequence[str], *, max_bytes: int
    ) -> _Selection:
        return cls(
            IgnoreRules.from_patterns(include) if include else None,
            IgnoreRules.from_patterns(exclude) if exclude else None,
            frozenset(name.encode() for name in vendored_folders(include)),
            max_bytes,
        )

    def left_out(self, path: bytes) -> tuple[bytes, str] | None:
        """The topmost folder that leaves ``path`` out, or ``path`` itself, with the reason."""
        if self.exclude and (prefix := self.exclude.ignored_prefix(path)) is not None:
            return prefix, "excluded"
        for folder in parent_folders(path):
            if folder[folder.rfind(b"/") + 1 :] in self.vendored:
                return folder + b"/", "vendored"
        if self.include and not path.endswith(b"/") and not self.include.selects(path):
            return path, "excluded"
        return None

    def leaves_out_folder(self, path: bytes) -> bool:
        """Whether nothing below ``path``, which ends in a slash, can be listed."""
        return self.left_out(path) is not None


def _listing(
    folder: Path,
    checkout: Path | None,
    paths: Iterable[bytes | Skip],
    selection: _Selection,
) -> Listing:
    examination = _Examination(os.fsencode(folder), selection)
    files: list[FileEntry] = []
    skips: dict[str, Skip] = {}
    for path in paths:
        outcome = path if isinstance(path, Skip) else examination.examine(path)
        if isinstance(outcome, FileEntry):
            files.append(outcome)
        elif outcome is not None:
            skips[outcome.path] = outcome
    return Listing(
        root=folder,
        files=tuple(sorted(files, key=lambda file: file.path)),
        skipped=tuple(skips[path] for path in sorted(skips)),
        revision=head_revision(checkout) if checkout else None,
        is_git=checkout is not None,
    )


@dataclass(slots=True)
class _Examination:
    """Decides path by path; remembers which folders are real and not links."""

    root: bytes
    selection: _Selection
    real_folders: dict[bytes, bool] = field(default_factory=dict)

    def examine(self, path: bytes) -> FileEntry | Skip | None:
        """What becomes of a path; None for one that is not there, or that is the hub's own."""
        if HUB_FOLDER in path.split(b"/"):
            return None
        if (left_out := self.selection.left_out(path)) is not None:
            return Skip(_shown(left_out[0]), left_out[1])
        if path.endswith(b"/"):
            return Skip(_shown(path), "submodule")
        try:
            text = path.decode("utf-8")
        except UnicodeDecodeError:
            return Skip(_shown(path), "name-not-utf8")
        try:
            return self._examine_file(path, text)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return Skip(text, "unreadable")

    def _examine_file(self, path: bytes, text: str) -> FileEntry | Skip:
        full = os.path.join(self.root, path)
        status = os.lstat(full)
        requested = self.selection.include is not None
        reason = (
            self._reason_by_kind(full, path, status.st_mode)
            or (None if requested else reason_by_name(text))
            or self._reason_by_size(text, status.st_size, requested=requested)
        )
        if reason is not None:
            return Skip(text + "/" if reason == "submodule" else text, reason)
        return FileEntry(
            path=text,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            inode=status.st_ino,
            requested=requested,
        )

    def _reason_by_kind(self, full: bytes, path: bytes, mode: int) -> str | None:
        if not self._is_in_real_folder(path):
            return "symlink"
        if stat.S_ISREG(mode):
            return None
        if stat.S_ISLNK(mode):
            return _symlink_reason(self.root, full)
        return "submodule" if stat.S_ISDIR(mode) else "special-file"

    def _reason_by_size(self, text: str, size: int, *, requested: bool) -> str | None:
        if size == 0:
            return "empty"
        if size > self.selection.max_bytes:
            return "too-large"
        return None if requested else reason_by_size(text, size)

    def _is_in_real_folder(self, path: bytes) -> bool:
        """False if a folder above ``path`` is a link: a hostile git index can list such paths."""
        parent = path[: max(path.rfind(b"/"), 0)]
        if parent not in self.real_folders:
            self.real_folders[parent] = not any(
                os.path.islink(os.path.join(self.root, folder))
                for folder in parent_folders(parent + b"/")
            )
        return self.real_folders[parent]


def _walk(root: bytes, leaves_out: Callable[[bytes], bool]) -> Iterator[bytes | Skip]:
    """The paths below ``root`` that no .gitignore ignores; folders left out end in a slash."""
    pending: list[tuple[bytes, tuple[tuple[int, IgnoreRules], ...]]] = [(b"", ())]
    while pending:
        folder, rules = pending.pop()
        try:
            entries = list(os.scandir(os.path.join(root, folder)))
        except OSError:
            yield Skip(_shown(folder), "unreadable")
            continue
        own = _ignore_file(os.path.join(root, folder, b".gitignore"))
        rules = ((len(folder), own), *rules) if own else rules
        for entry in entries:
            path, is_folder = folder + entry.name, entry.is_dir(follow_symlinks=False)
            if entry.name in (b".git", HUB_FOLDER) or _is_ignored(path, rules, is_folder=is_folder):
                continue
            if not is_folder:
                yield path
            elif leaves_out(path + b"/"):
                yield path + b"/"
            else:
                pending.append((path + b"/", rules))


def _is_ignored(path: bytes, rules: Iterable[tuple[int, IgnoreRules]], *, is_folder: bool) -> bool:
    """The verdict of the closest ignore file that has one; ``rules`` come closest first."""
    for start, own in rules:
        verdict = own.verdict(path[start:], is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def _ignore_file(path: bytes) -> IgnoreRules | None:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):  # git does not follow a linked one either
            return None
        with open(path, "rb") as file:
            return IgnoreRules.from_gitignore(file.read(_MAX_IGNORE_FILE))
    except OSError:
        return None


def _read_unchanged(path: bytes, entry: FileEntry) -> bytes | None:
    """The bytes of the very file that was listed; None if it is no longer that file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        now = os.fstat(descriptor)
        listed = (entry.size, entry.mtime_ns, entry.ctime_ns, entry.inode)
        if (now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino) != listed:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(entry.size + 1)
    finally:
        os.close(descriptor)
    return content if len(content) == entry.size else None


def _symlink_reason(root: bytes, link: bytes) -> str:
    try:
        target = os.path.realpath(link, strict=True)
    except OSError:
        return "broken-symlink"
    inside = os.path.join(target, b"").startswith(os.path.join(root, b""))
    return "symlink" if inside else "symlink-outside"


def _readable(root: Path) -> Path:
    """``root`` with links resolved, or an error that says what is wrong with it."""
    try:
        target = root.resolve(strict=True)
        if target.is_dir():
            os.scandir(target).close()
        elif not target.is_file():
            raise HubError(f"{root} is neither a folder nor a file: name one of these.")
    except PermissionError as error:
        raise HubError(f"{root} cannot be read: give yourself read access to it.") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise HubError(f"{root} does not lead to a folder or file: check the path.") from error
    return target


def _literally(name: str) -> str:
    """A pattern that matches ``name`` and nothing else."""
    return "/" + "".join("\\" + char if char in "*?[\\ " else char for char in name)


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
