"""Git history: pairs that can teach, nobody's name, and no repository that stops the reading."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from click.testing import CliRunner

from hub.cli import main
from hub.errors import HubError
from indexers.git_history import HistoryReport, read_changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hub.types import Change

ROOT = Path(__file__).parent.parent
BEFORE = "def total(rows):\n    n = 0\n    for row in rows:\n        n += row.price\n    return n\n"
AFTER = (
    "def total(rows):\n    n = 0\n    for row in rows:\n        n += row.price or 0\n    return n\n"
)
SUBJECT = "Count rows without a price as free"


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    identity = ("-c", "user.name=Ada Byron", "-c", "user.email=ada@example.org", "-c", "gc.auto=0")
    command = ["git", *identity, "-C", str(folder), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, input=stdin)
    return done.stdout.decode().strip()


def commit(
    repository: Path, files: Mapping[str, str | bytes | None], message: str = SUBJECT
) -> str:
    if not (repository / ".git").exists():
        repository.mkdir(parents=True, exist_ok=True)
        git(repository, "init", "-q", "-b", "main")
    for path, content in files.items():
        target = repository / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            target.unlink()
        else:
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
    git(repository, "add", "-A")
    options = ("-q", "--allow-empty", "--cleanup=verbatim", "-F", "-")
    git(repository, "commit", *options, stdin=message.encode())
    return git(repository, "rev-parse", "HEAD")


def read(repository: Path, **options: object) -> tuple[list[Change], HistoryReport]:
    report = HistoryReport()
    return list(read_changes(repository, report=report, **options)), report  # type: ignore[arg-type]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One pair: a function, and a commit that changes it."""
    root = tmp_path / "repository"
    commit(root, {"shop.py": BEFORE}, "Add the shop's total")
    commit(root, {"shop.py": AFTER}, f"fix(shop): {SUBJECT} (#12)\n\nSome rows are gifts.\n")
    return root


def test_a_pair_holds_both_sides_the_words_and_where_they_come_from(repository: Path) -> None:
    [change], report = read(repository)
    assert (change.before, change.after) == (BEFORE.rstrip(), AFTER.rstrip())
    assert (change.path, change.language, change.symbol) == ("shop.py", "python", "total")
    assert (change.subject, change.body) == (SUBJECT, "Some rows are gifts.")
    assert (change.before_line, change.after_line) == (1, 1)
    assert change.intent == "bug fix"
    assert change.commit == git(repository, "rev-parse", "HEAD")
    assert (report.pairs, report.commits, report.commits_total) == (1, 2, 2)


def test_no_field_names_the_author(repository: Path) -> None:
    trailers = "Co-authored-by: Ada Byron <ada@example.org>\nReviewed-by: Ada Byron\n"
    body = f"Why it is so.\n\nPatch by ada@example.org\n\n{trailers}"
    commit(repository, {"shop.py": BEFORE}, f"Count every row again\n\n{body}")
    changes, _ = read(repository)
    assert len(changes) == 2
    assert changes[0].body == "Why it is so."
    assert not re.search(r"ada|byron", repr(changes), re.IGNORECASE)


def test_a_file_that_moved_is_compared_with_where_it_was(tmp_path: Path) -> None:
    commit(tmp_path, {"shop.py": BEFORE}, "Add the first version")
    commit(tmp_path, {"shop.py": None, "store/shop.py": AFTER})
    commit(tmp_path, {"store/shop.py": None, "shop.py": AFTER}, "Move the shop back home")
    changes, report = read(tmp_path)
    assert [(change.path, change.after) for change in changes] == [
        ("store/shop.py", AFTER.rstrip())
    ]
    assert report.left_out["file: moved"] == 1


def test_tests_are_pairs_only_of_commits_about_tests(tmp_path: Path) -> None:
    test = "def test_total():\n    rows = []\n    assert total(rows) == 0\n"
    more = test.replace("[]", "[free]")
    commit(tmp_path, {"shop.py": BEFORE, "test_shop.py": test}, "Add the first version")
    commit(tmp_path, {"shop.py": AFTER, "test_shop.py": more})
    commit(tmp_path, {"test_shop.py": test}, "Test the total of nothing")
    changes, report = read(tmp_path)
    assert [change.symbol for change in changes] == ["test_total", "total"]
    assert report.left_out["file: test that follows a change"] == 1


def test_merges_are_read_commit_by_commit(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "side", "HEAD~1")
    commit(repository, {"other.py": BEFORE}, "Add another total of rows")
    commit(repository, {"other.py": AFTER}, "Count the others for free")
    git(repository, "checkout", "-q", "main")
    git(repository, "merge", "-q", "--no-ff", "-m", "Take in the other side", "side")
    changes, report = read(repository)
    assert {change.subject for change in changes} == {SUBJECT, "Count the others for free"}
    assert report.commits == 4


def test_commits_that_change_too_much_are_left_out(tmp_path: Path) -> None:
    files = {f"f{number}.py": BEFORE for number in range(21)}
    commit(tmp_path, files, "Add the first versions")
    commit(tmp_path, dict.fromkeys(files, AFTER))
    commit(tmp_path, dict.fromkeys(list(files)[:16], BEFORE), "Count every row as before")
    commit(tmp_path, dict.fromkeys(list(files)[:15], AFTER), "Count rows for free again")
    changes, report = read(tmp_path)
    assert len(changes) == 15
    assert report.left_out["commit: too many files"] == 1
    assert report.left_out["commit: too many functions"] == 1


def test_a_commit_of_5000_files_reads_none_of_them(tmp_path: Path) -> None:
    commit(tmp_path, {"shop.py": BEFORE}, "Add the first version")
    commit(tmp_path, {"shop.py": AFTER})
    blobs = [git(tmp_path, "rev-parse", f"HEAD{at}:shop.py") for at in ("~1", "")]
    for blob, subject in zip(blobs, ("Add many files at once", SUBJECT), strict=True):
        rows = "".join(f"100644 {blob}\tmany/f{i}.py\n" for i in range(5000))
        git(tmp_path, "update-index", "--add", "--index-info", stdin=rows.encode())
        git(tmp_path, "commit", "-q", "-m", subject)
    changes, report = read(tmp_path, count=1)
    assert changes == []
    assert report.left_out == {"commit: too many files": 1}  # no file was looked at
    assert len(read(tmp_path)[0]) == 1


def test_counts_and_dates_bound_what_is_read(repository: Path) -> None:
    assert read(repository, count=1)[1].commits == 1
    assert read(repository, since=date(2000, 1, 1))[1].commits == 2
    assert read(repository, since=date(2099, 1, 1))[1].commits == 0
    with pytest.raises(ValueError, match="count"):
        read(repository, count=0)


def test_the_edge_of_a_shallow_clone_adds_nothing(repository: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    commit(repository, {"shop.py": BEFORE}, "Count every row as before")
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{repository}", str(shallow))
    changes, report = read(shallow)
    assert [change.subject for change in changes] == ["Count every row as before"]
    assert report.left_out == {"commit: nothing to compare with": 1}


def test_a_partial_clone_lacks_objects_and_fetches_none(repository: Path, tmp_path: Path) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    clone = ("clone", "-q", "--bare", "--filter=blob:none")
    git(tmp_path, *clone, f"file://{repository}", str(tmp_path / "partial"))
    changes, report = read(tmp_path / "partial")
    assert changes == []
    assert report.left_out["file: missing object"] == 1
    assert (
        git(tmp_path / "partial", "cat-file", "--batch-check", "--batch-all-objects").count("blob")
        == 0
    )


def loose(repository: Path, name: str) -> Path:
    path = repository / ".git" / "objects" / name[:2] / name[2:]
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("how", ["missing", "empty", "noise", "truncated"])
def test_an_object_that_cannot_be_read_costs_only_its_own_pairs(repository: Path, how: str) -> None:
    commit(repository, {"other.py": BEFORE}, "Add another total of rows")
    last = commit(repository, {"other.py": BEFORE + "\nx = 1\n"}, "Set x to one")
    commit(repository, {"other.py": AFTER}, "Count the others for free")
    path = loose(repository, git(repository, "rev-parse", f"{last}:other.py"))
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        path.write_bytes(b"" if how == "empty" else os.urandom(50))
    changes, report = read(repository)
    assert [change.path for change in changes] == ["shop.py"]
    damaged = report.left_out["file: missing object"] + report.left_out["file: damaged object"]
    assert damaged == 2


@pytest.mark.parametrize("what", ["tree", "commit"])
def test_a_lost_tree_or_commit_is_counted_and_ends_no_reading_before_it(
    repository: Path, what: str
) -> None:
    lost = commit(repository, {"other.py": BEFORE}, "Add another total of rows")
    commit(repository, {"other.py": AFTER}, "Count the others for free")
    commit(repository, {"other.py": AFTER + "\nx = 1\n"}, "Set x to one")
    commit(repository, {"other.py": BEFORE + "\nx = 1\n"}, "Count the others as before")
    loose(repository, git(repository, "rev-parse", f"{lost}^{{{what}}}")).unlink()
    changes, report = read(repository)
    assert changes[0].subject == "Count the others as before"
    assert report.left_out["commit: cannot be read"] >= 1
    if what == "tree":
        assert changes[-1].subject == SUBJECT  # before the loss


def test_broken_encodings_are_counted(tmp_path: Path) -> None:
    commit(tmp_path, {"shop.py": BEFORE, "b.py": BEFORE}, "Add the first version")
    commit(tmp_path, {"shop.py": AFTER.encode() + b"# \xff\xfe\n"}, "Count rows in Latin letters")
    raw = git(tmp_path, "cat-file", "commit", "HEAD").encode() + b" \xff\xfe\n"
    name = git(tmp_path, "hash-object", "-t", "commit", "-w", "--stdin", stdin=raw)
    git(tmp_path, "reset", "-q", "--hard", name)
    changes, report = read(tmp_path)
    assert changes == []
    assert report.left_out["commit: message is not UTF-8"] == 1
    git(tmp_path, "reset", "-q", "--hard", "HEAD~1")
    commit(tmp_path, {"shop.py": AFTER.encode() + b"# \xff\xfe\n"}, "Count rows in Latin letters")
    assert read(tmp_path)[1].left_out["file: not-utf8"] == 1


def test_links_binaries_and_huge_files_are_no_code(tmp_path: Path) -> None:
    files: dict[str, str | bytes | None] = {"bin.py": b"a\0b", "huge.py": "x = 1\n", "s.py": BEFORE}
    commit(tmp_path, files, "Add the first version")
    (tmp_path / "link.py").symlink_to("s.py")
    commit(tmp_path, {}, "Link to the shop once")
    (tmp_path / "link.py").unlink()
    (tmp_path / "link.py").symlink_to("t.py")
    huge = "x = 1\n" * 200_000
    commit(tmp_path, {"bin.py": b"b\0c", "huge.py": huge, "s.py": AFTER})
    changes, report = read(tmp_path)
    assert [change.path for change in changes] == ["s.py"]
    for reason in ("no regular file", "binary", "larger than 1 MB"):
        assert report.left_out[f"file: {reason}"] >= 1


def test_submodules_and_vendored_files_are_not_the_repositorys_own(tmp_path: Path) -> None:
    commit(tmp_path, {"vendor/a.py": BEFORE, "b.py": BEFORE}, "Add the first version")
    commit(tmp_path, {"vendor/a.py": AFTER, "b.py": AFTER})
    for name in (git(tmp_path, "rev-parse", "HEAD~1"), git(tmp_path, "rev-parse", "HEAD")):
        git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{name},sub.py")
        git(tmp_path, "commit", "-q", "-m", "Move the part to another commit")
    changes, report = read(tmp_path)
    assert [change.path for change in changes] == ["b.py"]
    assert report.left_out["file: no regular file"] == 2
    assert report.left_out["file: vendored"] == 1


def test_names_of_files_in_any_bytes_are_read_past(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\n.py")
    commit(tmp_path, {"shop.py": BEFORE, name: BEFORE, "ü b.py": BEFORE}, "Add the first version")
    commit(tmp_path, {"shop.py": AFTER, name: AFTER, "ü b.py": AFTER})
    changes, report = read(tmp_path)
    assert {change.path for change in changes} == {"shop.py", "ü b.py"}
    assert report.left_out["file: unprintable path"] == 1


def test_no_setting_of_repository_or_user_changes_what_is_read(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = read(repository)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "log.follow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "x")
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {trap}.ran\n")
    trap.chmod(0o755)
    (home / ".gitconfig").write_text("[log]\n\tshowSignature = true\n[color]\n\tui = always\n")
    with (repository / ".git" / "config").open("a") as file:
        file.write(
            f"[diff]\n\texternal = {trap}\n\torderFile = /nowhere\n\trenames = copies\n"
            "\tnoprefix = true\n\trelative = true\n"
            f"[core]\n\tfsmonitor = {trap}\n\tpager = {trap}\n\tworktree = /nowhere\n"
            "[log]\n\tshowSignature = true\n\tdate = relative\n"
            f'[gpg]\n\tprogram = {trap}\n[diff "x"]\n\ttextconv = {trap}\n'
            "[i18n]\n\tlogOutputEncoding = latin1\n"
        )
    (repository / ".gitattributes").write_text("*.py diff=x\n")
    assert read(repository)[0] == expected
    assert not trap.with_suffix(".ran").exists()


def test_any_form_of_a_repository_and_a_folder_in_one_do(repository: Path, tmp_path: Path) -> None:
    expected, _ = read(repository)
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(tmp_path / "bare"))
    git(tmp_path, "clone", "-q", "--shared", str(repository), str(tmp_path / "shared"))
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    (repository / "deep" / "folder").mkdir(parents=True)
    for place in ("bare", "shared", "tree", "repository/deep/folder"):
        assert read(tmp_path / place)[0] == expected


def test_sha256_repositories_are_read(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256")
    commit(tmp_path, {"shop.py": BEFORE}, "Add the first version")
    commit(tmp_path, {"shop.py": AFTER})
    changes, _ = read(tmp_path)
    assert [len(change.commit) for change in changes] == [64]


def test_what_is_no_history_is_refused_with_place_and_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    plain, empty = tmp_path / "plain", tmp_path / "empty"
    plain.mkdir()
    empty.mkdir()
    git(empty, "init", "-q")
    (tmp_path / "file").touch()
    for place, words in (
        (plain, "not a git repository"),
        (empty, "no git history"),
        (tmp_path / "none", "cannot be read"),
        (tmp_path / "file", "cannot be read"),
    ):
        with pytest.raises(HubError, match=words) as caught:
            read(place)
        assert str(place) in str(caught.value)


def children() -> int:
    return len(psutil.Process().children(recursive=True))


@pytest.fixture
def long_history(tmp_path: Path) -> Path:
    """Enough commits to fill every pipe: 3,000 of one function."""
    root = tmp_path / "long"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    parts = []
    for number in range(3000):
        text = BEFORE.replace("n = 0", f"n = {number}").encode()
        message = f"Start counting the rows at {number}".encode()
        parts.append(
            b"commit refs/heads/main\ncommitter A <a@b> %d +0000\ndata %d\n%s\n"
            b"M 100644 inline shop.py\ndata %d\n%s\n"
            % (1_600_000_000 + number, len(message), message, len(text), text)
        )
    git(root, "fast-import", "--quiet", stdin=b"".join(parts))
    return root


def test_stopping_early_leaves_no_process_and_no_folder(
    long_history: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = children()
    changes = read_changes(long_history)
    next(changes)
    assert children() == before + 2
    assert list(scratch.iterdir())
    changes.close()
    assert children() == before
    assert not list(scratch.iterdir())
    changes = read_changes(long_history)
    next(changes)
    del changes
    gc.collect()
    assert children() == before


@pytest.mark.parametrize("which", ["log", "cat-file"])
def test_a_killed_git_is_an_error_and_no_short_answer(long_history: Path, which: str) -> None:
    changes = read_changes(long_history)
    next(changes)
    [process] = [c for c in psutil.Process().children() if which in c.cmdline()]
    process.send_signal(signal.SIGKILL)
    with pytest.raises(HubError, match="signal 9"):
        list(changes)
    assert not [c for c in psutil.Process().children() if "git" in c.name()]


def test_the_command_prints_the_report_and_writes_the_pairs(
    repository: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pairs.jsonl"
    result = CliRunner().invoke(main, ["history", str(repository), "--json", "--output", str(out)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["by_intent"] == {"bug fix": 1}
    [row] = map(json.loads, out.read_text().splitlines())
    assert (row["symbol"], row["intent"], row["subject"]) == ("total", "bug fix", SUBJECT)
    result = CliRunner().invoke(main, ["history", str(repository), "--count", "1"])
    assert result.stdout.startswith("1 changes in 1 commits")


def test_any_process_reads_the_same_and_counts_the_same(tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(9)]
    commit(tmp_path, {"shop.py": "\n\n".join(map(BEFORE.replace("total", "{}").format, names))})
    commit(tmp_path, {"shop.py": "\n\n".join(map(AFTER.replace("total", "{}").format, names))})
    command = [sys.executable, "-m", "hub.cli", "history", str(tmp_path), "--json", "--output"]
    answers = {
        subprocess.run(
            [*command, "/dev/stdout"], check=True, capture_output=True, cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(answers) == 1
    assert b'"other": 9' in answers.pop()


def test_a_failed_run_leaves_the_file_of_the_last_one(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.jsonl"
    out.write_text("before")
    result = CliRunner().invoke(main, ["history", str(tmp_path / "none"), "--output", str(out)])
    assert result.exit_code == 2
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".pairs")] == []
