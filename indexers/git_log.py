"""A repository's commits and the contents of its files, each streamed from one git process.

The processes run in an empty repository of ours that borrows the other one's objects. So none of
its settings, hooks, replacements or attributes changes what is read, and nothing that a partial
clone lacks is fetched.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, NamedTuple

from hub.errors import HubError
from indexers.git import GitError, kill_git, run_git, start_git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date
    from pathlib import Path

MAX_FILES = 100  # of a commit
MAX_BLOB = 1_000_000  # bytes
_MAX_FIELD = 1_000_000  # bytes of a message or path: what is longer is cut
_READ = 65536
_MAX_FAILURES = 3  # a lost tree is missed by its own commit and by the next one
_LOG = (
    "-c", "log.showRoot=false", "log", "--no-merges", "--raw", "-z", "--no-abbrev",
    "--find-renames", f"-l{MAX_FILES}", "--no-color", "--encoding=UTF-8", "--format=%H%x00%B",
)  # fmt: skip
# What git keeps of packed files by default is more than all of ours.
_CAT_FILE = ["-c", "core.deltaBaseCacheLimit=16m", "cat-file", "--batch"]


class FileChange(NamedTuple):
    """A file in a commit, by the path that it has after it.

    ``status`` is git's letter: Added, Deleted, Modified, Renamed, Type changed. An object name is
    all zeros where there is no file on that side.
    """

    status: str
    path: str
    old_mode: str
    new_mode: str
    old_blob: str
    new_blob: str


class Commit(NamedTuple):
    """A commit that is no merge.

    ``files`` holds no more than ``MAX_FILES`` + 1 changes, and none where the parent is not there:
    of a first commit, or at the edge of a shallow clone.
    """

    hash: str
    message: bytes
    files: list[FileChange]


class LeftOut(Exception):  # noqa: N818 - a result that callers count
    """Something is not used; the message is the reason, in words that do not vary."""


@contextmanager
def open_history(repository: Path) -> Iterator[History]:
    """A repository's history, readable while the ``with`` block lasts.

    Raises:
        HubError: the folder is no repository, has no commit or cannot be read, or git is missing.
    """
    paths = ["--git-path", "objects", "--git-path", "shallow", "--show-object-format"]
    try:
        place = repository.expanduser().resolve(strict=True)
        answer = run_git(["rev-parse", *paths, "HEAD^{commit}"], cwd=place)
    except GitError as error:
        raise HubError(
            f"{repository} has no git history to read ({error.reason}). Name a checkout with"
            " commits, a folder in one, or a bare repository; git log must work there."
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise HubError(
            f"{repository} cannot be read: {error}. Name a git repository that you may read."
        ) from error
    objects, shallow, object_format, head = os.fsdecode(answer).split("\n")[:4]
    environment = {
        "GIT_OBJECT_DIRECTORY": str(place / objects),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
    if (place / shallow).is_file():
        environment["GIT_SHALLOW_FILE"] = str(place / shallow)
    scratch = TemporaryDirectory(prefix="patternhub-history-", ignore_cleanup_errors=True)
    with scratch as ours, ExitStack() as processes:
        init = ["init", "--quiet", "--bare", "--template=", f"--object-format={object_format}"]
        run_git([*init, "--", ours], cwd=ours)
        environment["GIT_DIR"] = ours
        yield History(place, environment, head, processes)


@dataclass(slots=True)
class History:
    """What :func:`open_history` opens: commits from the newest on, and blobs by name."""

    place: Path
    environment: dict[str, str]
    head: str
    processes: ExitStack
    unreadable: int = 0  # commits that git could not read
    reader: subprocess.Popen[bytes] | None = None

    def size(self, *, count: int | None, since: date | None) -> int:
        """How many commits there are to read; 0 where git cannot say."""
        arguments = ["rev-list", "--count", "--no-merges", *_bounds(count, since), self.head]
        with suppress(GitError):
            return int(run_git(arguments, cwd=self.environment["GIT_DIR"], extra=self.environment))
        return 0

    def commits(self, *, count: int | None, since: date | None) -> Iterator[Commit]:
        """From the newest to the oldest; commits that git cannot read are stepped over.

        Raises:
            HubError: git was killed.
        """
        read = failures = 0
        while failures < _MAX_FAILURES and (count is None or read < count):
            bounds = _bounds(count and count - read, since)
            git = self._start([*_LOG, *bounds, f"--skip={read}", self.head, "--"])
            failures += 1
            assert git.stdout is not None
            for commit in _parse_log(git.stdout):
                read += 1
                failures = 0
                yield commit
            if self._end_of(git) == 0:
                return
            read += 1
            self.unreadable += 1

    def read(self, blobs: Iterable[str]) -> dict[str, bytes | LeftOut]:
        """The contents of a commit's files by name, or why there is none.

        Raises:
            HubError: git was killed.
        """
        found: dict[str, bytes | LeftOut] = {}
        waiting = list(dict.fromkeys(blobs))
        while waiting:
            if self.reader is None:
                self.reader = self._start(_CAT_FILE, stdin=subprocess.PIPE)
            assert self.reader.stdin is not None
            with suppress(BrokenPipeError):
                os.write(self.reader.stdin.fileno(), "".join(f"{b}\n" for b in waiting).encode())
            while waiting and self.reader is not None:
                found[waiting.pop(0)] = self._answer(self.reader)
        return found

    def _answer(self, git: subprocess.Popen[bytes]) -> bytes | LeftOut:
        assert git.stdout is not None
        words = git.stdout.readline().split()
        if words[-1:] == [b"missing"]:
            return LeftOut("missing object")
        size = int(words[2]) if words else 0
        if size > MAX_BLOB:  # rather than read it, start anew
            kill_git(git)
            self.reader = None
            return LeftOut("larger than 1 MB")
        content = git.stdout.read(size + 1)
        if len(content) <= size:  # git ends where it meets a damaged object
            self._end_of(git)
            self.reader = None
            return LeftOut("damaged object")
        return content[:-1]

    def _start(
        self, arguments: list[str], *, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        git = start_git(
            arguments, cwd=self.environment["GIT_DIR"], extra=self.environment, stdin=stdin
        )
        self.processes.enter_context(git)
        self.processes.callback(kill_git, git)
        return git

    def _end_of(self, git: subprocess.Popen[bytes]) -> int:
        """The exit status of a git that has ended; one that was killed gave a short answer."""
        if (status := git.wait()) < 0:
            raise HubError(
                f"git was ended by signal {-status} while it read the history of {self.place}."
                " Run it again; if it was out of memory, with fewer commits."
            )
        return status


def _bounds(count: int | None, since: date | None) -> list[str]:
    bounds = [] if count is None else [f"--max-count={count}"]
    return bounds if since is None else [*bounds, f"--since={since.isoformat()}T00:00:00Z"]


def _parse_log(stream: IO[bytes]) -> Iterator[Commit]:
    """Two fields a commit, then five columns and a path for each file."""
    fields = _fields(stream)
    commit = next(fields, b"")
    while commit:
        message = next(fields, None)
        if message is None:
            return
        files: list[FileChange] = []
        while (following := next(fields, b"").lstrip(b"\n")).startswith(b":"):
            old_mode, new_mode, old, new, status = following[1:].decode().split(" ")
            path = next(fields, b"")
            if status[0] == "R":
                path = next(fields, b"")
            if len(files) <= MAX_FILES:
                name = os.fsdecode(path)
                files.append(FileChange(status[0], name, old_mode, new_mode, old, new))
        yield Commit(commit.decode(), message, files)
        commit = following


def _fields(stream: IO[bytes]) -> Iterator[bytes]:
    """What NUL bytes separate; no field grows beyond what memory should hold."""
    rest = b""
    while part := stream.read(_READ):
        *whole, rest = (rest + part).split(b"\0")
        yield from whole
        rest = rest[:_MAX_FIELD]
    yield rest
