"""Git sources: whole or not there, current, and neither a checkout nor a server runs a program."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hub.errors import HubError
from indexers.files import list_files
from indexers.git import clone_or_update, is_git_url, mask_url

ROOT = Path(__file__).parent.parent
SECRET = "s3cr3t%40t0ken"
SECRETS = (SECRET, "s3cr3t@t0ken")


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "gc.auto=0")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(repository: Path, files: dict[str, str]) -> str:
    for path, content in files.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(content)
    git(repository, "add", "--", *files)
    git(repository, "commit", "-qm", "work")
    return git(repository, "rev-parse", "HEAD")


def tree(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    relative = ((path, path.relative_to(folder).as_posix()) for path in found)
    return {name: path.read_text() for path, name in relative if not name.startswith(".git/")}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose git configuration is ours to write."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return folder


@pytest.fixture
def remote(tmp_path: Path, home: Path) -> Path:
    repository = tmp_path / "remote"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    commit(repository, {"a.py": "one", "src/b.py": "two"})
    return repository


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A program that leaves a trace when it runs: ``trap.ran``."""
    program = tmp_path / "trap"
    program.write_text(f'#!/bin/sh\ntouch "{program}.ran"\ncat\n')
    program.chmod(0o755)
    return program


def ran(trap: Path) -> bool:
    return trap.with_suffix(".ran").exists()


class GitOverHttp(BaseHTTPRequestHandler):
    """git's own http-backend behind a login."""

    root: Path
    authorized: list[bool]

    def do_GET(self) -> None:
        login = self.headers.get("Authorization") is not None
        self.authorized.append(login)
        if not login:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        environment = os.environ | {
            "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": "ada",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }  # fmt: skip
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
        ).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in {**fields, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """host:port of a git server with a login, for the repositories in tmp_path."""
    handler = type("Handler", (GitOverHttp,), {"root": tmp_path, "authorized": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


# --- URLs


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://github.com/a/b", True), ("HTTP://host/a.git", True), ("ssh://git@host/a", True),
        ("git://host/a", True), ("file:///srv/a.git", True), ("git@github.com:a/b.git", True),
        ("ext::sh -c true", True), ("fd::17", True), ("src/a.py", False), ("/abs/path", False),
        (".", False), ("C:\\code", False), ("a@b", False), ("-u@host:x", False), ("host:x", False),
        ("ftp://host/a", False), ("", False), ("./user@host:x", False),
    ],
)  # fmt: skip
def test_a_url_is_told_from_a_path(location: str, expected: bool) -> None:
    assert is_git_url(location) is expected


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://host/a", "https://host/a"),
        ("https://ada:pw@host:8/a", "https://***@host:8/a"),
        ("https://token@host/a", "https://***@host/a"),
        ("https://ada:p@w@host/a", "https://***@host/a"),
        ("https://host/a?private_token=x#y", "https://host/a?***"),
        ("ssh://git@host/a", "ssh://git@host/a"),
        ("ssh://git:pw@host/a", "ssh://***@host/a"),
        ("git@host:a/b", "git@host:a/b"),
    ],
)
def test_a_masked_url_holds_no_secret(url: str, masked: str) -> None:
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% {trap}.ran", "fd::17", "foo::bar", "--upload-pack={trap}", "-x@host:a",
        "/srv/repository", "ftp://host/a", "https://host/a\nb", "https://[bad/a", "",
        "ssh://-oProxyCommand={trap}/a", "u@-oProxyCommand={trap}:a",
    ],
)  # fmt: skip
def test_a_dangerous_url_is_refused_by_name_and_runs_nothing(
    tmp_path: Path, home: Path, trap: Path, url: str
) -> None:
    with pytest.raises(HubError) as raised:
        clone_or_update(url.format(trap=trap), tmp_path / "copy")
    assert not ran(trap)
    assert not (tmp_path / "copy").exists()
    assert "refused" in str(raised.value) or "strange hostname" in str(raised.value)


def test_a_redirecting_configuration_cannot_bring_ext_back(
    tmp_path: Path, home: Path, trap: Path
) -> None:
    (home / ".gitconfig").write_text(
        f'[url "ext::{trap} "]\n insteadOf = https://host/\n[protocol "ext"]\n allow = always\n'
    )
    with pytest.raises(HubError, match="transport 'ext' not allowed"):
        clone_or_update("https://host/a", tmp_path / "copy")
    assert not ran(trap)


# --- clone and update


def test_a_clone_is_shallow_and_an_update_follows_the_default_branch(
    tmp_path: Path, remote: Path
) -> None:
    url, copy = remote.as_uri(), tmp_path / "cache" / "copy"
    first = git(remote, "rev-parse", "HEAD")
    second = commit(remote, {"a.py": "changed"})
    assert clone_or_update(url, copy) == second != first
    assert tree(copy) == {"a.py": "changed", "src/b.py": "two"}
    assert git(copy, "rev-list", "--all", "HEAD", "--count") == "1"
    assert git(copy, "tag") == ""

    git(remote, "rm", "-q", "a.py")
    third = commit(remote, {"src/c.py": "three"})
    (copy / "src/b.py").write_text("local change")
    (copy / "untracked.py").write_text("x")
    assert clone_or_update(url, copy) == third
    assert tree(copy) == {"src/b.py": "two", "src/c.py": "three"}
    assert list_files(copy).revision == third

    git(remote, "checkout", "-q", "--orphan", "trunk")
    fourth = commit(remote, {"new.py": "x"})
    git(remote, "branch", "-q", "-D", "main")
    assert clone_or_update(url, copy) == fourth
    assert "new.py" in tree(copy)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_an_unchanged_remote_is_not_fetched_again_but_local_changes_go(
    tmp_path: Path, remote: Path
) -> None:
    copy = tmp_path / "copy"
    revision = clone_or_update(remote.as_uri(), copy)
    fetched = (copy / ".git/FETCH_HEAD").stat().st_mtime_ns
    (copy / "a.py").write_text("local change")
    (copy / "src/b.py").unlink()
    assert clone_or_update(remote.as_uri(), copy) == revision
    assert tree(copy) == {"a.py": "one", "src/b.py": "two"}
    assert (copy / ".git/FETCH_HEAD").stat().st_mtime_ns == fetched


def test_an_empty_remote_is_an_empty_source_until_it_has_commits(
    tmp_path: Path, home: Path
) -> None:
    remote, copy = tmp_path / "remote", tmp_path / "copy"
    remote.mkdir()
    git(remote, "init", "-q")
    for _ in range(2):
        assert clone_or_update(remote.as_uri(), copy) == ""
        listing = list_files(copy)
        assert (listing.files, listing.skipped, listing.revision) == ((), (), None)
    revision = commit(remote, {"a.py": "x"})
    assert clone_or_update(remote.as_uri(), copy) == revision
    shutil.rmtree(remote)
    remote.mkdir()
    git(remote, "init", "-q")
    assert clone_or_update(remote.as_uri(), copy) == ""
    assert tree(copy) == {}


def test_a_remote_whose_head_names_no_branch_is_an_error_that_says_so(
    tmp_path: Path, remote: Path
) -> None:
    git(remote, "symbolic-ref", "HEAD", "refs/heads/nowhere")
    with pytest.raises(HubError, match="HEAD names a branch that does not exist"):
        clone_or_update(remote.as_uri(), tmp_path / "copy")


def test_a_sha256_repository_is_cloned(tmp_path: Path, home: Path) -> None:
    remote = tmp_path / "remote"
    remote.mkdir()
    git(remote, "init", "-q", "--object-format=sha256")
    revision = commit(remote, {"a.py": "x"})
    assert clone_or_update(remote.as_uri(), tmp_path / "copy") == revision


@pytest.mark.parametrize("damage", ["HEAD", "objects", "index", "refs", "config", "index.lock"])
def test_a_damaged_copy_is_made_anew(tmp_path: Path, remote: Path, damage: str) -> None:
    copy = tmp_path / "copy"
    clone_or_update(remote.as_uri(), copy)
    target = copy / ".git" / damage
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.write_bytes(b"\0garbage")
    (copy / "a.py").write_text("local change")
    revision = commit(remote, {"c.py": "x"})
    assert clone_or_update(remote.as_uri(), copy) == revision
    assert tree(copy) == {"a.py": "one", "src/b.py": "two", "c.py": "x"}
    git(copy, "fsck", "--strict")


def test_a_folder_that_is_not_a_copy_is_never_overwritten(tmp_path: Path, remote: Path) -> None:
    for name in ("plain", "checkout"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious.py").write_text("x")
    git(tmp_path / "checkout", "init", "-q")
    for name in ("plain", "checkout"):
        with pytest.raises(HubError, match="move it out of the way"):
            clone_or_update(remote.as_uri(), tmp_path / name)
        assert tree(tmp_path / name) == {"precious.py": "x"}


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(
    tmp_path: Path, remote: Path
) -> None:
    (tmp_path / "file").write_text("x")
    for dest in (tmp_path / "file", tmp_path / "file" / "copy"):
        with pytest.raises(HubError, match="cannot hold a copy") as raised:
            clone_or_update(remote.as_uri(), dest)
        assert str(dest) in str(raised.value)


def test_an_unreachable_remote_leaves_the_copy_as_it_was(tmp_path: Path, remote: Path) -> None:
    copy = tmp_path / "copy"
    clone_or_update(remote.as_uri(), copy)
    before = tree(copy)
    remote.rename(tmp_path / "moved")
    with pytest.raises(HubError, match="does not appear to be a git repository") as raised:
        clone_or_update(remote.as_uri(), copy)
    assert remote.as_uri() in str(raised.value)
    assert tree(copy) == before


def test_a_killed_clone_leaves_nothing_that_looks_whole(tmp_path: Path, remote: Path) -> None:
    revision = commit(remote, {f"many/{n}.py": "x = 1\n" * 50 for n in range(400)})
    script = (
        "import sys; from pathlib import Path; from indexers.git import clone_or_update\n"
        "print('go', flush=True); clone_or_update(sys.argv[1], Path(sys.argv[2]))"
    )
    killed = 0
    for step in range(10):
        copy = tmp_path / "cache" / str(step)
        process = subprocess.Popen(
            [sys.executable, "-c", script, remote.as_uri(), str(copy)],
            cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        time.sleep(step * 0.02)
        process.kill()
        process.wait()
        process.stdout.close()
        killed += process.returncode == -signal.SIGKILL
        if copy.exists():
            assert list_files(copy).revision == revision
            assert len(list_files(copy).files) == 402
    assert killed >= 3
    copy = tmp_path / "cache" / "3"
    assert clone_or_update(remote.as_uri(), copy) == revision
    assert len(list_files(copy).files) == 402
    assert not list(copy.parent.glob("3.*"))


@pytest.mark.parametrize("scheme", ["http", "git"])
def test_a_server_that_never_answers_is_an_error_in_bounded_time(
    tmp_path: Path, home: Path, scheme: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/a.git"
        started = time.monotonic()
        with pytest.raises(HubError, match="no answer within") as raised:
            clone_or_update(url, tmp_path / "copy", answer_timeout=0.5)
        assert time.monotonic() - started < 5
        assert url in str(raised.value)


# --- secrets and the user's own configuration


def test_a_url_with_credentials_works_and_is_stored_nowhere(
    tmp_path: Path, remote: Path, home: Path, web: str
) -> None:
    (home / ".gitconfig").write_text("[credential]\n helper = store\n")
    copy = tmp_path / "copy"
    url = f"http://ada:{SECRET}@{web}/remote/.git"
    for content in ("second", "third"):
        revision = commit(remote, {"a.py": content})
        assert clone_or_update(url, copy) == revision
    for folder in (copy, home):
        for path in folder.rglob("*"):
            if path.is_file():
                assert not any(secret.encode() in path.read_bytes() for secret in SECRETS), path


@pytest.mark.parametrize("path", ["missing/.git", "remote/.git?private_token=" + SECRET])
def test_an_error_about_a_url_with_credentials_does_not_print_them(
    tmp_path: Path, remote: Path, web: str, path: str
) -> None:
    for login in (f"ada:{SECRET}", SECRET):
        with pytest.raises(HubError) as raised:
            clone_or_update(f"http://{login}@{web}/{path}", tmp_path / "copy")
        assert not any(secret in str(raised.value) for secret in SECRETS)
        assert f"http://***@{web}/" in str(raised.value)


def test_the_users_credential_helper_logs_in(
    tmp_path: Path, remote: Path, home: Path, web: str
) -> None:
    (home / ".gitconfig").write_text(
        '[credential]\n helper = "!f() { echo username=ada; echo password=pw; }; f"\n'
    )
    assert clone_or_update(f"http://{web}/remote/.git", tmp_path / "copy")


def test_without_credentials_git_fails_instead_of_asking(
    tmp_path: Path, remote: Path, web: str
) -> None:
    with pytest.raises(HubError, match="terminal prompts disabled"):
        clone_or_update(f"http://{web}/remote/.git", tmp_path / "copy")


def test_ssh_never_asks_and_the_users_own_ssh_command_is_used(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$0 $@" >> {tmp_path}/calls\nexit 255\n')
    program.chmod(0o755)
    shutil.copy(program, tmp_path / "my-ssh")
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    for configuration in ("", f"[core]\n sshCommand = {tmp_path}/my-ssh -v\n"):
        (home / ".gitconfig").write_text(configuration)
        with pytest.raises(HubError):
            clone_or_update("git@host.invalid:a/b.git", tmp_path / "copy")
    default, *own = (tmp_path / "calls").read_text().splitlines()
    assert "BatchMode=yes" in default
    assert "ConnectTimeout=15" in default
    assert own
    assert all(call.startswith(f"{tmp_path}/my-ssh -v") for call in own)


# --- hostile checkouts and servers


def hostile_configuration(trap: Path) -> str:
    return f"""
[core]
    fsmonitor = {trap}
    hooksPath = {trap.parent}/hooks
    sshCommand = {trap}
    gitProxy = {trap}
    editor = {trap}
    pager = {trap}
    alternateRefsCommand = {trap}
    attributesFile = {trap.parent}/attributes
    worktree = /
[filter "evil"]
    clean = {trap}
    smudge = {trap}
    process = {trap}
    required = true
[diff "evil"]
    textconv = {trap}
    command = {trap}
[merge "evil"]
    driver = {trap}
[credential]
    helper = !{trap}
[protocol "ext"]
    allow = always
[uploadpack]
    packObjectsHook = {trap}
[extensions]
    partialClone = origin
[remote "origin"]
    url = ext::{trap}
    promisor = true
    uploadpack = {trap}
"""


HOOKS = ("post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman")


def test_listing_a_hostile_checkout_runs_nothing_and_stays_inside(
    tmp_path: Path, remote: Path, trap: Path
) -> None:
    (tmp_path / "hooks").mkdir()
    for name in HOOKS:
        shutil.copy(trap, tmp_path / "hooks" / name)
        shutil.copy(trap, remote / ".git" / "hooks" / name)
    (remote / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    with (remote / ".git/config").open("a") as config:
        config.write(hostile_configuration(trap))
    for objects in (remote / ".git/objects").iterdir():
        shutil.rmtree(objects)  # whatever git wants to read, it would have to fetch
    os.utime(remote / "a.py", (1, 1))
    listing = list_files(remote)
    assert [file.path for file in listing.files] == [".gitattributes", "a.py", "src/b.py"]
    assert not ran(trap)


def test_the_trap_works(tmp_path: Path, remote: Path, trap: Path) -> None:
    """The counter-check: plain git does run what the tests above plant."""
    git(remote, "config", "core.fsmonitor", str(trap))
    git(remote, "ls-files", "-co", "--exclude-standard")
    git(remote, "status")
    assert ran(trap)


def test_a_hostile_repository_runs_no_filter_or_hook_on_clone_or_update(
    tmp_path: Path, remote: Path, home: Path, trap: Path
) -> None:
    """Even the filters of the user's own configuration, which .gitattributes may name."""
    (tmp_path / "hooks").mkdir()
    for name in HOOKS:
        shutil.copy(trap, tmp_path / "hooks" / name)
    template = tmp_path / "template" / "hooks"
    shutil.copytree(tmp_path / "hooks", template)
    expected = {"a.py": "one", "ident.py": "# $Id$\n", "utf8.py": "# é\n"}
    commit(remote, expected)
    attributes = "*.py filter=evil diff=evil ident working-tree-encoding=ISO-8859-1 eol=crlf\n"
    submodule = f'[submodule "s"]\n path = s\n url = ext::{trap}\n update = !{trap}\n'
    commit(remote, {".gitattributes": attributes, ".gitmodules": submodule})
    configuration, aside = home / ".gitconfig", home / "aside"
    configuration.write_text(
        f"[init]\n templateDir = {template.parent}\n[submodule]\n recurse = true\n"
        f'[core]\n hooksPath = {tmp_path}/hooks\n fsmonitor = {trap}\n[filter "evil"]\n'
        f" clean = {trap}\n smudge = {trap}\n process = {trap}\n required = true\n"
    )
    copy = tmp_path / "copy"
    clone_or_update(remote.as_uri(), copy)
    (copy / "a.py").write_text("local change")
    configuration.rename(aside)
    revision = commit(remote, {"more.py": "x"})
    aside.rename(configuration)
    assert clone_or_update(remote.as_uri(), copy) == revision
    assert (expected | {"more.py": "x"}).items() <= tree(copy).items()
    assert not ran(trap)


def test_inherited_git_variables_do_not_redirect_a_listing(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pre-commit hook runs with these set."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    commit(other, {"wrong.py": "x"})
    expected = list_files(remote)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    assert list_files(remote) == expected
    copy = tmp_path / "copy"
    assert clone_or_update(remote.as_uri(), copy) == expected.revision


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_checkout_owned_by_another_user_is_listed(remote: Path) -> None:
    subprocess.run(["chown", "-R", "65534:65534", remote], check=True)
    with pytest.raises(subprocess.CalledProcessError):
        git(remote, "status")
    assert len(list_files(remote).files) == 2


def test_a_listing_leaves_no_trace_in_the_checkout(remote: Path) -> None:
    os.utime(remote / "a.py", (1, 1))
    before = {path: path.stat().st_mtime_ns for path in remote.rglob("*")}
    list_files(remote)
    assert {path: path.stat().st_mtime_ns for path in remote.rglob("*")} == before
