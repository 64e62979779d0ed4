"""What a source consists of: complete, in agreement with git, and nothing read by accident."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hub.errors import HubError
from indexers.files import FileEntry, Listing, Skip, list_files, read_source

ROOT = Path(__file__).parent.parent


def git(folder: Path, *arguments: str) -> bytes:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "gc.auto=0")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def checkout(folder: Path, files: dict[str, str | bytes]) -> Path:
    write(folder, files)
    git(folder, "init", "-q")
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


def paths(listing: Listing) -> list[str]:
    return [file.path for file in listing.files]


def reasons(listing: Listing) -> dict[str, str]:
    return {skip.path: skip.reason for skip in listing.skipped}


def outcomes(listing: Listing) -> dict[str, str]:
    """Every path with why it is skipped at listing or at reading; "" for what is read."""
    read = {file.path: read_source(listing.root, file) for file in listing.files}
    content = {path: got.reason if isinstance(got, Skip) else "" for path, got in read.items()}
    return content | reasons(listing)


# --- which files


def test_a_checkout_lists_what_git_lists_less_what_was_deleted(tmp_path: Path) -> None:
    root = checkout(
        tmp_path, {"kept.py": "x", "gone.py": "x", "a/b.py": "x", ".gitignore": "*.log"}
    )
    write(root, {"new.py": "x", "noise.log": "x", "a/c.py": "x"})
    (root / "gone.py").unlink()
    listing = list_files(root)
    assert paths(listing) == [".gitignore", "a/b.py", "a/c.py", "kept.py", "new.py"]
    assert listing.is_git
    assert listing.revision == git(root, "rev-parse", "HEAD").decode().strip()
    assert not listing.skipped


def test_a_part_of_a_checkout_lists_what_git_lists_below_it(tmp_path: Path) -> None:
    root = checkout(tmp_path, {".gitignore": "*.log\n", "a/x.py": "x", "b/y.py": "y"})
    write(root, {"a/n.log": "x", "a/new.py": "x"})
    listing = list_files(root / "a")
    assert paths(listing) == ["new.py", "x.py"]
    assert listing.root == root / "a"
    assert listing.revision


def test_every_path_git_lists_is_a_file_a_skip_or_below_a_skip(tmp_path: Path) -> None:
    root = checkout(
        tmp_path,
        {
            "src/a.py": "x", "vendor/lib/a.go": "x", "node_modules/p/i.js": "x", "d.csv": "1,2",
            "empty.py": "", "go.sum": "x", "q\"uo'te.py": "x", "new\nline.py": "x",
            "sp ace.py": "x", "ünï.py": "x", "deep/third_party/x/y.c": "x",
        },
    )  # fmt: skip
    (root / os.fsdecode(b"latin-\xe9.py")).write_text("x")
    (root / "link.py").symlink_to("src/a.py")
    os.mkfifo(root / "pipe")
    listing = list_files(root)
    known = {*paths(listing), *reasons(listing)}
    output = git(root, "ls-files", "-co", "--exclude-standard", "-z")
    for raw in filter(None, output.split(b"\0")):
        path = raw.decode("utf-8", "backslashreplace")
        parents = {path[: i + 1] for i, char in enumerate(path) if char == "/"}
        assert len(({path} | parents) & known) == 1, path
    assert "new\nline.py" in paths(listing)
    assert reasons(listing)["latin-\\xe9.py"] == "name-not-utf8"


def test_a_repository_without_commits_is_listed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert list_files(tmp_path) == Listing(tmp_path, (), (), None, is_git=True)
    write(tmp_path, {"a.py": "x"})
    assert paths(list_files(tmp_path)) == ["a.py"]


def test_nested_repositories_and_submodules_are_counted_and_not_entered(tmp_path: Path) -> None:
    root = checkout(tmp_path / "root", {"a.py": "x"})
    checkout(root / "nested", {"inner.py": "x"})
    checkout(tmp_path / "other", {"b.py": "x"})
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", "../other", "sub")
    listing = list_files(root)
    assert paths(listing) == [".gitmodules", "a.py"]
    assert reasons(listing) == {"nested/": "submodule", "sub/": "submodule"}
    assert paths(list_files(root / "sub")) == ["b.py"]


def test_a_linked_worktree_is_a_checkout(tmp_path: Path) -> None:
    root = checkout(tmp_path / "root", {"a.py": "x"})
    git(root, "worktree", "add", "-q", "../tree")
    listing = list_files(tmp_path / "tree")
    assert (paths(listing), listing.is_git) == (["a.py"], True)


def test_a_tracked_file_that_became_a_folder_is_not_a_submodule(tmp_path: Path) -> None:
    root = checkout(tmp_path, {"a": "x"})
    (root / "a").unlink()
    write(root, {"a/b/c.py": "x"})
    listing = list_files(root)
    assert (paths(listing), listing.skipped) == (["a/b/c.py"], ())


def test_unmerged_files_are_listed_once(tmp_path: Path) -> None:
    root = checkout(tmp_path, {"a.py": "one"})
    git(root, "checkout", "-q", "-b", "side")
    write(root, {"a.py": "two"})
    git(root, "commit", "-qam", "two")
    git(root, "checkout", "-q", "-")
    write(root, {"a.py": "three"})
    git(root, "commit", "-qam", "three")
    with pytest.raises(subprocess.CalledProcessError):
        git(root, "merge", "side")
    assert paths(list_files(root)) == ["a.py"]


@pytest.mark.parametrize("is_git", [True, False])
def test_the_hubs_own_folder_is_never_listed(tmp_path: Path, is_git: bool) -> None:
    root = write(tmp_path, {"a.py": "x", ".patternhub/db.txt": "x", "b/.patternhub/x.py": "x"})
    if is_git:
        checkout(root, {})
    listing = list_files(root)
    assert (paths(listing), listing.skipped, listing.is_git) == (["a.py"], (), is_git)


def test_outside_git_vendored_folders_are_counted_once_and_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path, {"src/a.py": "x", ".gitignore": "/dist/\n", "dist/b.js": "x"})
    for number in range(300):
        write(root, {f"web/node_modules/p{number}/index.js": "x"})
    scanned: list[bytes] = []
    scandir = os.scandir

    def recording(path: str | bytes) -> object:
        scanned.append(os.fsencode(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", recording)
    listing = list_files(root)
    assert paths(listing) == [".gitignore", "src/a.py"]
    assert reasons(listing) == {"web/node_modules/": "vendored"}
    assert any(folder.endswith(b"/web/") for folder in scanned)
    assert not [folder for folder in scanned if b"node_modules" in folder]


def test_outside_git_a_git_folder_below_is_not_listed(tmp_path: Path) -> None:
    checkout(tmp_path / "one", {"a.py": "x"})
    write(tmp_path, {"two/.git": "gitdir: elsewhere", "two/b.py": "x"})
    assert paths(list_files(tmp_path)) == ["one/a.py", "two/b.py"]


# --- what the user asks for


def test_include_keeps_only_matches_and_overrides_the_guesses(tmp_path: Path) -> None:
    root = checkout(
        tmp_path, {"a.py": "x", "d.csv": "1", "api_pb2.py": "# Generated. DO NOT EDIT", "b.c": "x"}
    )
    listing = list_files(root, include=["*.csv", "/api_pb2.py"])
    assert outcomes(listing) == {
        "a.py": "excluded", "b.c": "excluded", "d.csv": "", "api_pb2.py": "",
    }  # fmt: skip


@pytest.mark.parametrize("is_git", [True, False])
def test_include_opens_a_vendored_folder_only_if_it_names_it(tmp_path: Path, is_git: bool) -> None:
    files = {"a.py": "x", "vendor/ours/b.py": "x", "vendor/theirs/c.py": "x"}
    root = (checkout if is_git else write)(tmp_path, dict(files))
    assert outcomes(list_files(root, include=["*.py"])) == {"a.py": "", "vendor/": "vendored"}
    assert paths(list_files(root, include=["vendor/ours/"])) == ["vendor/ours/b.py"]


@pytest.mark.parametrize("is_git", [True, False])
def test_exclude_wins_over_include_and_counts_a_folder_once(tmp_path: Path, is_git: bool) -> None:
    files = {"src/a.py": "x", "src/old/b.py": "x", "src/old/c.py": "x", "t.py": "x"}
    root = (checkout if is_git else write)(tmp_path, dict(files))
    listing = list_files(root, include=["src/"], exclude=["old/"])
    assert paths(listing) == ["src/a.py"]
    assert reasons(listing) == {"src/old/": "excluded", "t.py": "excluded"}


# --- what is skipped


def test_each_kind_of_file_that_is_not_source_has_its_reason(tmp_path: Path) -> None:
    header = "// Copyright\n" * 5
    expected: dict[str, tuple[str | bytes, str]] = {
        "keep.py": ("x = 1\n", ""),
        "bom.py": (b"\xef\xbb\xbfx = 1\n", ""),
        "dist/app.py": ("x = 1\n", ""),
        "marks.py": ('MARK = "@generated"\nEND = "Code generated by x. DO NOT EDIT."\n', ""),
        "openapi.json": ('{"paths": {}}' + " " * 200_000, ""),
        "small.json": ("{}", ""),
        "image.png": (b"\x89PNG\r\n\0\0", "binary"),
        "late.txt": (b"text" * 5000 + b"\0", "binary"),
        "latin.py": (b"# caf\xe9\n", "not-utf8"),
        "late.py": (b"x" * 50_000 + b"\xe9", "not-utf8"),
        "wide.txt": ("text".encode("utf-16"), "not-utf8"),
        "empty.py": ("", "empty"),
        "big.py": ("x" * 1_000_001, "too-large"),
        "app.min.js": ("x", "minified"),
        "bundle.js": (header + "var a=1;" * 3000, "minified"),
        "prose.md": ("long line " * 3000, ""),
        "api_pb2.py": ("x", "generated"),
        "zz_generated.deepcopy.go": ("x", "generated"),
        "yarn.lock": ("x", "generated"),
        "list.snap": ("x", "generated"),
        "gen.go": (header + "// Code generated by stringer; DO NOT EDIT.\n", "generated"),
        "gen.rs": ("// @generated by tool\n", "generated"),
        "gen.py": ("# This file was auto-generated.\n# Do not edit by hand.\n", "generated"),
        "rows.csv": ("1,2", "data"),
        "icon.svg": ("<svg/>", "data"),
        "big.json": ("[" + "1," * 60_000 + "1]", "data"),
        "weights.bin": (b"version https://git-lfs.github.com/spec/v1\noid x\n", "lfs-pointer"),
    }
    root = write(tmp_path, {path: content for path, (content, _) in expected.items()})
    assert outcomes(list_files(root)) == {path: reason for path, (_, reason) in expected.items()}


def test_the_repositorys_own_code_about_generated_files_is_kept() -> None:
    listing = list_files(ROOT / "indexers")
    assert {"files.py", "git.py", "skip_rules.py"} <= {
        path for path, reason in outcomes(listing).items() if not reason
    }


@pytest.mark.parametrize("is_git", [True, False])
def test_links_are_counted_and_never_followed(tmp_path: Path, is_git: bool) -> None:
    outside = write(tmp_path / "outside", {"secret.py": "x"})
    root = write(tmp_path / "root", {"a.py": "x", "d/b.py": "x"})
    for link, target in {
        "inside.py": "a.py", "folder": "d", "broken.py": "nowhere", "loop": "loop",
        "out.py": str(outside / "secret.py"), "outdir": "../outside",
    }.items():  # fmt: skip
        (root / link).symlink_to(target)
    os.mkfifo(root / "d" / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "d" / "s"))
    if is_git:
        checkout(root, {})
    special = {} if is_git else {"d/pipe": "special-file", "d/s": "special-file"}
    assert outcomes(list_files(root)) == special | {
        "a.py": "", "d/b.py": "", "inside.py": "symlink", "folder": "symlink",
        "broken.py": "broken-symlink", "loop": "broken-symlink", "out.py": "symlink-outside",
        "outdir": "symlink-outside",
    }  # fmt: skip


def test_a_hostile_index_cannot_reach_through_a_linked_folder(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"secret.py": "x"})
    root = checkout(tmp_path / "root", {"etc/secret.py": "x", "etc/in/secret.py": "x"})
    subprocess.run(["rm", "-r", root / "etc"], check=True)
    (root / "etc").symlink_to(outside)
    assert paths(list_files(root)) == []


# --- reading


def test_a_file_that_vanished_or_changed_since_the_listing_is_not_read(tmp_path: Path) -> None:
    root = write(tmp_path, {f"{name}.py": "x = 1\n" for name in ("gone", "new", "link", "dir")})
    write(tmp_path, {"same.py": "x = 1\n", "swap/f.py": "x = 1\n", "other/f.py": "x = 1\n"})
    listing = list_files(root)
    (root / "gone.py").unlink()
    write(root, {"new.py": "y = 2\n"})
    for name in ("link", "dir"):
        (root / f"{name}.py").unlink()
    (root / "link.py").symlink_to("same.py")
    (root / "dir.py").mkdir()
    (root / "swap").rename(root / "swapped")
    (root / "swap").symlink_to("other")
    assert outcomes(listing) == {
        "gone.py": "unreadable", "new.py": "changed", "link.py": "unreadable",
        "dir.py": "changed", "same.py": "", "swap/f.py": "changed", "other/f.py": "",
    }  # fmt: skip


def test_a_file_replaced_by_a_pipe_does_not_block(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "x"})
    (entry,) = list_files(tmp_path).files
    (tmp_path / "a.py").unlink()
    os.mkfifo(tmp_path / "a.py")
    assert read_source(tmp_path, entry) == Skip("a.py", "changed")


def test_what_may_not_be_read_is_counted() -> None:
    """As an ordinary user, because root may read everything."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from indexers.files import Skip, list_files, read_source\n"
        "os.getuid() or os.setuid(65534)\n"
        "listing = list_files(Path(sys.argv[1]))\n"
        "print(*[s.path + '=' + s.reason for s in listing.skipped])\n"
        "read = [read_source(listing.root, f) for f in listing.files]\n"
        "print(*[r.path + '=' + r.reason if isinstance(r, Skip) else r for r in read])\n"
        "try: list_files(Path(sys.argv[1], 'shut'))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        root = write(Path(folder), {"a.py": "x", "b.py": "x", "shut/c.py": "x"})
        root.chmod(0o755)
        (root / "a.py").chmod(0)
        (root / "shut").chmod(0)
        command = [sys.executable, "-c", script, folder]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        (root / "shut").chmod(0o755)
    skipped, read, error = run.stdout.splitlines()
    assert (skipped, read) == ("shut/=unreadable", "a.py=unreadable b'x'")
    assert error.startswith("HubError")
    assert "cannot be read" in error


# --- roots


def test_a_single_file_is_a_source_and_is_taken_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, {"we[i]rd *.csv": "1,2", "other.py": "x"})
    listing = list_files(tmp_path / "we[i]rd *.csv")
    assert (listing.root, outcomes(listing)) == (tmp_path, {"we[i]rd *.csv": ""})


def test_a_linked_root_is_followed(tmp_path: Path) -> None:
    write(tmp_path, {"real/a.py": "x"})
    (tmp_path / "link").symlink_to("real")
    assert list_files(tmp_path / "link").root == tmp_path / "real"


def test_a_root_that_cannot_be_listed_is_an_error_that_names_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "bare"], check=True)
    checkout(tmp_path / "corrupt", {"a.py": "x"})
    (tmp_path / "corrupt/.git/HEAD").write_text("garbage")
    checkout(tmp_path / "torn", {"a.py": "x"})
    (tmp_path / "torn/.git/index").write_bytes(b"garbage")
    write(tmp_path, {"dangling/.git": "gitdir: /nowhere"})
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name, message in {
        "missing": "check the path", "bare": "bare git repository", "corrupt": "git fsck",
        "torn": "git fsck", "dangling": "git fsck", "pipe": "neither", "loop": "check the path",
    }.items():  # fmt: skip
        with pytest.raises(HubError, match=message) as raised:
            list_files(tmp_path / name)
        assert str(tmp_path / name) in str(raised.value)


def test_an_empty_git_folder_does_not_make_a_checkout(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "x"})
    (tmp_path / ".git").mkdir()
    assert not list_files(tmp_path).is_git


def test_without_git_installed_only_checkouts_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout(tmp_path / "repo", {"a.py": "x"})
    write(tmp_path, {"plain/a.py": "x"})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert paths(list_files(tmp_path / "plain")) == ["a.py"]
    with pytest.raises(HubError, match="install git"):
        list_files(tmp_path / "repo")


# --- scale


def test_five_thousand_tracked_files_list_in_a_moment(tmp_path: Path) -> None:
    root = checkout(tmp_path, {f"p{n % 50}/f{n}.py": "x = 1\n" for n in range(5000)})
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        assert len(list_files(root).files) == 5000
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.5  # 0.05 s on a free machine; the bound leaves room for a loaded one


def test_listing_twice_gives_equal_listings(tmp_path: Path) -> None:
    root = write(tmp_path, {f"{name}/f.py": "x" for name in "zyxabc"})
    assert list_files(root) == list_files(root)
    assert isinstance(list_files(root).files[0], FileEntry)


def test_an_ignored_folder_that_is_named_is_read_as_if_it_lay_outside(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("lib/\n")
    (tmp_path / "lib/json").mkdir(parents=True)
    (tmp_path / "lib/json/decoder.py").write_text("x = 1\n")
    listing = list_files(tmp_path / "lib/json")
    assert [entry.path for entry in listing.files] == ["decoder.py"]
    assert not listing.is_git
    (tmp_path / "empty").mkdir()
    assert list_files(tmp_path / "empty").is_git
