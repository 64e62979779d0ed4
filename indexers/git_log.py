"""A repository's commits and the contents of its files, each streamed from one git process.

The processes never see the repository's own configuration: they run in an empty repository of ours
that borrows its objects. So no setting, hook, replacement or attribute changes what is read, and
nothing that a partial clone lacks is fetched.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from hub.errors import HubError
from indexers.git import GitError, git_reason, kill_git, run_git, start_git

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

MAX_BLOB = 1_000_000  # bytes
REGULAR = frozenset({"100644", "100755"})
_MAX_FIELD = 1_000_000  # bytes of a message or path: what is longer is cut
_MAX_ENTRIES = 1000  # files kept of a commit; the rest are counted
_READ = 65536
_MAX_BARREN = 3  # commits in a row that git cannot read before the history counts as ended
_LOG = (
    "log", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-merges", "--no-color",
    "--encoding=UTF-8", "--format=%H%x00%at%x00%B",
)  # fmt: skip
_CONFIG = """[core]
    repositoryformatversion = {version}
    bare = true
[log]
    showRoot = false
[extensions]
{extensions}"""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file in a commit; an object name is all zeros where there is no file on that side."""

    status: str
    path: str
    old_mode: str
    new_mode: str
    old_blob: str
    new_blob: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that is no merge; ``time`` is the author's, in seconds since 1970.

    ``message`` is raw bytes. ``files`` holds the first thousand of ``file_count`` changes, and none
    where the parent is not there: of a first commit, or at the edge of a shallow clone.
    """

    hash: str
    time: bytes
    message: bytes
    files: tuple[FileChange, ...]
    file_count: int


class Missing(Exception):  # noqa: N818 - a result that most callers count
    """An object cannot be read; ``reason`` is a stable word for the count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class History:
    """A repository opened for reading its history, while the ``with`` block lasts.

    Raises:
        HubError: the folder is no repository, has no commit or cannot be read, or git is missing.
    """

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.unreadable = 0  # commits that git could not read
        self._stack = contextlib.ExitStack()
        self._objects, self._shallow, self._format, self.head = _facts(repository)

    def __enter__(self) -> History:
        folder = tempfile.TemporaryDirectory(
            prefix="patternhub-history-", ignore_cleanup_errors=True
        )
        self._git_dir = Path(self._stack.enter_context(folder))
        for name in ("refs", "objects"):
            (self._git_dir / name).mkdir()
        (self._git_dir / "HEAD").write_text("ref: refs/heads/main\n")
        extensions = "    objectFormat = sha256\n" if self._format == "sha256" else ""
        config = _CONFIG.format(version=1 if extensions else 0, extensions=extensions)
        (self._git_dir / "config").write_text(config)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def count(self, *, max_commits: int | None, since: date | None) -> int:
        """How many commits :meth:`commits` will give, short of what cannot be read."""
        arguments = ["rev-list", "--count", "--no-merges", *_bounds(max_commits, since), self.head]
        with contextlib.suppress(GitError):
            return int(run_git(arguments, cwd=self._git_dir, extra=self._environment()))
        return 0

    def commits(self, *, max_commits: int | None, since: date | None) -> Iterator[Commit]:
        """From the newest to the oldest; commits that git cannot read are stepped over."""
        done = barren = 0
        while barren < _MAX_BARREN:
            left = None if max_commits is None else max_commits - done
            if left == 0:
                return
            arguments = [*_LOG, *_bounds(left, since), f"--skip={done}", self.head, "--"]
            with self._git(arguments) as (process, errors):
                assert process.stdout is not None
                barren += 1
                for commit in _parse_log(process.stdout):
                    done += 1
                    barren = 0
                    yield commit
                if process.wait() == 0:
                    return
                self._refuse_killed(process, errors)
            done += 1
            self.unreadable += 1

    def blobs(self) -> Blobs:
        """The files' contents, by object name; it lives as long as the ``with`` block."""
        return Blobs(self)

    def _environment(self) -> dict[str, str]:
        shallow = {"GIT_SHALLOW_FILE": str(self._shallow)} if self._shallow.is_file() else {}
        return shallow | {
            "GIT_DIR": str(self._git_dir),
            "GIT_OBJECT_DIRECTORY": str(self._objects),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_COUNT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
        }

    @contextlib.contextmanager
    def _git(
        self, arguments: list[str], *, stdin: int = subprocess.DEVNULL
    ) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
        """A git process that ends with the block, whatever ends the block."""
        with tempfile.TemporaryFile() as errors:
            process = start_git(
                arguments, cwd=self._git_dir, extra=self._environment(), stdin=stdin, stderr=errors
            )
            try:
                yield process, errors
            finally:
                kill_git(process)
                _close(process)

    def _refuse_killed(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        """Git that fails has met a damaged object; git that was ended has read nothing wrong."""
        if process.returncode >= 0:
            return
        errors.seek(0)
        raise HubError(
            f"git was ended by signal {-process.returncode} while it read the history of"
            f" {self.repository}: {git_reason(errors.read(_READ))}. Run it again; if it was out of"
            " memory, with fewer commits."
        )


class Blobs:
    """Contents of files from one ``git cat-file``, which starts when it is first asked."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._open = contextlib.ExitStack()
        history._stack.push(self._open)
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, name: str) -> bytes:
        """The content of a blob.

        Raises:
            Missing: it is not there, damaged, no blob, or larger than ``MAX_BLOB``.
            HubError: git was killed.
        """
        if self._process is None:
            arguments = ["cat-file", "--batch"]
            started = self._history._git(arguments, stdin=subprocess.PIPE)
            self._process, self._errors = self._open.enter_context(started)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{name}\n".encode())
            self._process.stdin.flush()
        words = self._process.stdout.readline().split()
        if len(words) == 2:
            raise Missing("missing object")
        if len(words) < 3 or not words[2].isdigit():
            self._fail()
        content = _read_content(self._process.stdout, int(words[2]))
        if content is None:
            self._fail()
        if words[1] != b"blob":
            raise Missing("missing object")
        return content

    def _fail(self) -> NoReturn:
        """A damaged object ends git; the next question starts it anew."""
        process, errors = self._process, self._errors
        assert process is not None
        process.wait()
        self._history._refuse_killed(process, errors)
        self._process = None
        self._open.close()
        raise Missing("damaged object")


def _read_content(stream: IO[bytes], size: int) -> bytes | None:
    """The content and not the line feed after it; None if the stream ends before it.

    Raises:
        Missing: it is larger than ``MAX_BLOB``; it was read away.
    """
    if size <= MAX_BLOB:
        content = stream.read(size + 1)
        return content[:-1] if len(content) == size + 1 else None
    left = size + 1
    while left and (part := stream.read(min(left, _READ))):
        left -= len(part)
    if left:
        return None
    raise Missing("larger than 1 MB")


def _facts(repository: Path) -> tuple[Path, Path, str, str]:
    """Where the objects and the list of shallow commits are, the object format, and HEAD."""
    options = ["--git-path", "objects", "--git-path", "shallow", "--show-object-format"]
    try:
        folder = repository.expanduser().resolve(strict=True)
        answer = run_git(["rev-parse", *options], cwd=folder).decode("utf-8", "surrogateescape")
    except GitError as error:
        raise HubError(
            f"{repository} has no git history to read: {error.reason}. Name a checkout, a folder in"
            " one, or a bare repository."
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise HubError(
            f"{repository} cannot be read: {error}. Name a git repository that you may read."
        ) from error
    objects, shallow, format_ = answer.split("\n")[:3]
    try:
        head = run_git(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], cwd=folder)
    except GitError as error:
        raise HubError(
            f"{repository} has no commit that can be read: commit something, or check out a branch"
            " that has commits (git log must work there)."
        ) from error
    return folder / objects, folder / shallow, format_, head.decode().strip()


def _bounds(max_commits: int | None, since: date | None) -> list[str]:
    count = [] if max_commits is None else [f"--max-count={max_commits}"]
    return count if since is None else [*count, f"--since={since.isoformat()}T00:00:00Z"]


def _parse_log(stream: IO[bytes]) -> Iterator[Commit]:
    """Three fields a commit, then five columns and a path for each file."""
    fields = _fields(stream)
    name = next(fields, b"")
    while name:
        time, message = next(fields, b""), next(fields, None)
        if message is None:
            return
        files: list[FileChange] = []
        count = 0
        while (following := next(fields, b"").lstrip(b"\n")).startswith(b":"):
            path = next(fields, None)
            if path is None:
                return
            count += 1
            if count <= _MAX_ENTRIES:
                files.append(_file_change(following, path))
        yield Commit(name.decode(), time, message, tuple(files), count)
        name = following


def _file_change(columns: bytes, path: bytes) -> FileChange:
    old_mode, new_mode, old, new, status = columns[1:].decode().split(" ")
    text = path.decode("utf-8", "surrogateescape")
    return FileChange(status, text, old_mode, new_mode, old, new)


def _fields(stream: IO[bytes]) -> Iterator[bytes]:
    """What NUL bytes separate; no field grows beyond what memory should hold."""
    rest = b""
    while part := stream.read(_READ):
        *whole, rest = (rest + part).split(b"\0")
        yield from whole
        rest = rest[:_MAX_FIELD]
    yield rest


def _close(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes, and leave no zombie."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.wait()
