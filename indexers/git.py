"""Git, run so that neither a checkout nor a server can make it run anything else.

Listing a checkout and keeping a shallow copy of a remote one. Every git process starts in
``start_git``: programs that a repository's own configuration names (hooks, filters, file system
monitors, transports) stay off, while the user's own configuration, credential helpers included,
stays in force.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hub.errors import HubError
from indexers.gitignore import parent_folders

# fmt: off
_SETTINGS = (
    "core.fsmonitor=false", f"core.hooksPath={os.devnull}", "protocol.ext.allow=never",
    "safe.directory=*", "submodule.recurse=false", "fetch.recurseSubmodules=false",
    "core.autocrlf=false", "core.logAllRefUpdates=false", "init.defaultBranch=main",
    "gc.autoDetach=false", "gc.pruneExpire=now", "http.lowSpeedLimit=1000", "http.lowSpeedTime=30",
)
# fmt: on
_KEPT_VARIABLES = re.compile(
    r"GIT_(?:SSH|SSH_COMMAND|SSH_VARIANT|ASKPASS|SSL_\w+|PROXY_\w+|EXEC_PATH|"
    r"CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+))"
)
_HARDENED_VARIABLES = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1",
    "GIT_EDITOR": ":",
    "GIT_PAGER": "cat",
    "LC_ALL": "C",
}
_NETWORK = "https:http:ssh:git:file"
_SSH_OPTIONS = "-o BatchMode=yes -o ConnectTimeout=15"
# Highest precedence: files arrive as they were committed, and no filter program runs.
_ATTRIBUTES = "* -text -ident -filter -diff !eol !working-tree-encoding\n"
_MARKER = "patternhub-checkout"
_LISTING_SECONDS = 600.0
_NOWHERE = "/"  # git looks for no repository around what it clones

_URL = re.compile(r"(?:https?|ssh|git|file)://.+", re.IGNORECASE | re.DOTALL)
_SCP_LIKE = re.compile(r"(?!-)[\w.+-]+@\w[\w.-]*:(?!:).+", re.DOTALL)
_TRANSPORT_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*::")
_USER_INFO = re.compile(r"(?<=://)[^/\s]*@")


class GitError(HubError):
    """A git command failed; ``reason`` is what git itself said."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"git {command} failed: {reason}")
        self.reason = reason


def is_git_url(location: str) -> bool:
    """Whether a source is a git URL and not a path; ``clone_or_update`` may still refuse it."""
    return any(form.match(location) for form in (_URL, _SCP_LIKE, _TRANSPORT_HELPER))


def mask_url(url: str) -> str:
    """The URL without its secrets, for messages and records."""
    scheme = url.partition("://")[0].lower()
    masked = _USER_INFO.sub(lambda info: _masked_user(scheme, info[0]), url)
    return re.sub(r"\?.*", "?***", masked, flags=re.DOTALL) if "://" in masked else masked


def find_checkout(folder: Path) -> Path | None:
    """The top folder of the git checkout that ``folder`` (resolved) lies in, if any.

    Raises:
        HubError: If ``folder`` is a bare repository, which has no files to list.
    """
    for top in (folder, *folder.parents):
        if _is_repository(top / ".git"):
            return top
    if (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir():
        raise HubError(
            f"{folder} is a bare git repository, without files: index a checkout of it"
            f" (git clone {folder}) or its URL (file://{folder})."
        )
    return None


def _is_repository(mark: Path) -> bool:
    """Whether a ``.git`` counts; like git, ignore an empty folder. Git judges what is in others."""
    try:
        with os.scandir(mark) as entries:
            return any(entries)
    except FileNotFoundError:
        return False
    except OSError:  # a file that names the real folder; or unreadable, which git will say
        return True


def listed_paths(top: Path, folder: Path) -> list[bytes]:
    """What git tracks below ``folder``, and what it neither tracks nor ignores; unsorted.

    A nested repository is one path that ends in a slash. Deleted files are still listed, except
    where a folder has taken their name.
    """
    arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        output = _run_in_checkout(top, [*arguments, "--exclude=.patternhub"], cwd=folder)
    except GitError as error:
        raise HubError(
            f"{top} cannot be listed as a git checkout: {error.reason}. Repair it (git fsck), or"
            " remove its .git folder to index the plain files."
        ) from error
    paths = dict.fromkeys(path for path in output.split(b"\0") if path)
    now_folders = {folder for path in paths for folder in parent_folders(path.rstrip(b"/"))}
    return [path for path in paths if path not in now_folders]


def is_ignored(top: Path, folder: Path) -> bool:
    """Whether the checkout at ``top`` ignores ``folder`` as a whole."""
    try:
        _run_in_checkout(top, ["check-ignore", "--quiet", "--", str(folder)])
    except GitError:
        return False
    return True


def head_revision(top: Path) -> str | None:
    """The commit that is checked out, or None before the first commit."""
    try:
        return _run_in_checkout(top, ["rev-parse", "--verify", "--quiet", "HEAD"]).decode().strip()
    except GitError:
        return None


def clone_or_update(
    url: str, dest: Path, *, timeout: float = 1800.0, answer_timeout: float = 60.0
) -> str:
    """Make ``dest`` a shallow checkout of the URL's default branch, and return its commit.

    Args:
        url: The repository; credentials in it are used, and neither stored nor printed.
        dest: The checkout, made or brought up to date; a damaged one is made anew.
        timeout: Seconds that one transfer may take.
        answer_timeout: Seconds within which the server has to answer at all.

    Returns:
        The commit, or "" for a repository that has none yet.

    Raises:
        HubError: If the URL is refused or does not answer, or ``dest`` holds something else.
    """
    _refuse_unsafe(url)
    dest = dest.resolve()
    try:
        _refuse_foreign(dest)
        revision = _remote_head(url, timeout=answer_timeout)
        if (dest / ".git").is_dir() and revision:
            # A copy that is damaged, or was interrupted at a bad moment, is made anew below.
            with contextlib.suppress(GitError, OSError):
                return _check_out(url, dest, revision, timeout=timeout)
        return _clone(url, dest, revision, timeout=timeout)
    except GitError as error:
        raise HubError(
            f"{mask_url(url)} could not be fetched: {error.reason}. Check the address, your access"
            " to it (git ls-remote must work without a prompt) and the network."
        ) from error
    except OSError as error:
        raise HubError(
            f"{dest} cannot hold a copy of {mask_url(url)}: {error.strerror}. Check its"
            " permissions and the free space."
        ) from error


def _refuse_foreign(dest: Path) -> None:
    """Updating overwrites and deletes: only in a folder that was made here."""
    made_here = (dest / ".git" / _MARKER).is_file()
    if dest.exists() and not made_here and any(dest.iterdir()):
        raise HubError(f"{dest} is not a checkout that Pattern Hub made: move it out of the way.")


def _refuse_unsafe(url: str) -> None:
    helper = _TRANSPORT_HELPER.match(url)
    if helper or not is_git_url(url) or not url.isprintable() or not _can_be_split(url):
        what = f"the transport '{helper[0]}'" if helper else "it"
        raise HubError(
            f"The git URL {mask_url(url)!r} is refused: {what} is not one of https://, http://,"
            " ssh://, git://, file:// or user@host:path."
        )


def _can_be_split(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True


def _remote_head(url: str, *, timeout: float) -> str:
    """The commit the remote's HEAD names, or "" if the remote has no commit."""
    for line in _run_remote(["ls-remote", "--", url, "HEAD"], url, timeout=timeout).splitlines():
        revision, _, name = line.decode().partition("\t")
        if name == "HEAD":
            return revision
    if _run_remote(["ls-remote", "--", url], url, timeout=timeout).strip():
        raise GitError("ls-remote", "its HEAD names a branch that does not exist")
    return ""


def _clone(url: str, dest: Path, revision: str, *, timeout: float) -> str:
    """Check out next to ``dest`` and rename: whatever interrupts this, ``dest`` is whole."""
    partial, replaced = (dest.with_name(f"{dest.name}.{role}") for role in ("partial", "replaced"))
    dest.parent.mkdir(parents=True, exist_ok=True)
    for leftover in (partial, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    object_format = "sha256" if len(revision) == 64 else "sha1"
    init = ["init", "--quiet", "--template=", f"--object-format={object_format}", "--"]
    run_git([*init, str(partial)], cwd=_NOWHERE)
    (partial / ".git" / _MARKER).touch()
    commit = _check_out(url, partial, revision, timeout=timeout) if revision else ""
    if dest.exists():
        dest.rename(replaced)
    partial.rename(dest)
    shutil.rmtree(replaced, ignore_errors=True)
    return commit


def _check_out(url: str, checkout: Path, revision: str, *, timeout: float) -> str:
    """Bring a checkout to the remote's HEAD, whatever was in it before."""
    info = checkout / ".git" / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text(_ATTRIBUTES)
    if head_revision(checkout) != revision:
        fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules"]
        _run_remote([*fetch, "--force", "--", url, "HEAD"], url, timeout=timeout, top=checkout)
        revision = _run_in_checkout(checkout, ["rev-parse", "FETCH_HEAD"]).decode().strip()
    _run_in_checkout(checkout, ["reset", "--quiet", "--hard", revision], timeout=timeout)
    _run_in_checkout(checkout, ["clean", "--quiet", "-ffdx"], timeout=timeout)
    return revision


def _run_in_checkout(
    top: Path, arguments: list[str], *, cwd: Path | None = None, timeout: float = _LISTING_SECONDS
) -> bytes:
    """Run git, offline, on the repository whose files lie in ``top``, whoever owns it."""
    return run_git([*_locate(top), *arguments], cwd=cwd or top, timeout=timeout)


def _run_remote(
    arguments: list[str], url: str, *, timeout: float, top: Path | None = None
) -> bytes:
    """Run git with the network; what it says comes back without the URL's secrets."""
    own_credentials = [] if urlsplit(url).password is None else ["-c", "credential.helper="]
    located = [*own_credentials, *(_locate(top) if top else []), *arguments]
    environment = {"GIT_ALLOW_PROTOCOL": _NETWORK, **_ssh_variables()}
    try:
        return run_git(located, cwd=_NOWHERE, timeout=timeout, extra=environment)
    except GitError as error:
        raise GitError(arguments[0], _without_secrets(error.reason, url)) from None


def _locate(top: Path) -> list[str]:
    """Naming both folders overrules what a hostile ``core.worktree`` or ``core.bare`` says."""
    return [f"--git-dir={top / '.git'}", f"--work-tree={top}"]


def run_git(
    arguments: list[str],
    *,
    cwd: Path | str,
    timeout: float = _LISTING_SECONDS,
    extra: dict[str, str] | None = None,
) -> bytes:
    """The standard output of a hardened git process, which cannot outlive ``timeout``."""
    name = next(word for word in arguments if not word.startswith("-") and "=" not in word)
    with start_git(arguments, cwd=cwd, extra=extra, stderr=subprocess.PIPE) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException as error:
            kill_git(process)
            if isinstance(error, subprocess.TimeoutExpired):
                raise GitError(name, f"no answer within {timeout:g} seconds") from None
            raise
    if process.returncode != 0:
        raise GitError(name, _reason(errors))
    return output


def start_git(
    arguments: list[str],
    *,
    cwd: Path | str,
    extra: dict[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """A hardened git process in a session of its own; ``extra`` adds to its environment."""
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    try:
        return subprocess.Popen(
            ["git", "--no-pager", *settings, *arguments],
            cwd=cwd,
            env=_environment() | (extra or {}),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise HubError(
            "git is not installed, and this source needs it: install git (https://git-scm.com)."
        ) from error


def kill_git(process: subprocess.Popen[bytes]) -> None:
    """End a git process with the transports that it started, if it still runs."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """The user's environment without what describes another repository, and hardened."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or _KEPT_VARIABLES.fullmatch(name)
    }
    return inherited | _HARDENED_VARIABLES | {"GIT_ALLOW_PROTOCOL": ""}


def _ssh_variables() -> dict[str, str]:
    """Make ssh fail instead of asking, unless the user chose how git runs it."""
    if "GIT_SSH" in os.environ or "GIT_SSH_COMMAND" in os.environ:
        return {}
    try:
        run_git(["config", "--get", "core.sshCommand"], cwd=_NOWHERE)
    except GitError:
        return {"GIT_SSH_COMMAND": f"ssh {_SSH_OPTIONS}"}
    return {}


def _reason(errors: bytes) -> str:
    """What git gave as the cause, on one line that cannot steer a terminal."""
    lines = [line.strip() for line in errors.decode("utf-8", "backslashreplace").splitlines()]
    causes = [line for line in lines if line.startswith(("fatal:", "error:", "ssh:"))] or lines
    text = "; ".join(line.removeprefix("fatal: ") for line in causes if line)
    return "".join(char if char.isprintable() else "?" for char in text)[:500] or "no reason given"


def _masked_user(scheme: str, info: str) -> str:
    """An ssh user name is no secret; with https it can be a token."""
    return info if scheme == "ssh" and ":" not in info else "***@"


def _without_secrets(text: str, url: str) -> str:
    parts = urlsplit(url)
    token = None if parts.scheme == "ssh" else parts.username
    for secret in filter(None, (parts.password or token, parts.query)):
        text = text.replace(secret, "***").replace(unquote(secret), "***")
    return _USER_INFO.sub("***@", text)
