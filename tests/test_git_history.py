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
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cli import main
from hub.errors import HubError
from indexers.commit_messages import clean_message, clean_subject, reason_to_leave_out
from indexers.function_pairs import Bounds
from indexers.functions import parse_file, tokens
from indexers.git_history import HistoryReport, read_changes

if TYPE_CHECKING:
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
    repository: Path, files: dict[str, str | bytes | None], message: str | bytes = SUBJECT
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
    raw = message if isinstance(message, bytes) else message.encode()
    git(repository, "commit", "-q", "--allow-empty", "--cleanup=verbatim", "-F", "-", stdin=raw)
    return git(repository, "rev-parse", "HEAD")


def read(repository: Path, **options: object) -> tuple[list[Change], HistoryReport]:
    report = HistoryReport()
    return list(read_changes(repository, report=report, **options)), report  # type: ignore[arg-type]


def left_out(report: HistoryReport) -> dict[str, int]:
    return dict(report.commits_left_out + report.files_left_out + report.functions_left_out)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One pair: a function, and a commit that changes it."""
    root = tmp_path / "repository"
    commit(root, {"shop.py": BEFORE}, "Add the shop's total")
    commit(root, {"shop.py": AFTER}, f"fix(shop): {SUBJECT} (#12)\n\nSome rows are gifts.\n")
    return root


def change_to(
    tmp_path: Path, before: str, after: str, subject: str = SUBJECT, path: str = "shop.py"
) -> tuple[list[Change], HistoryReport]:
    """What is read of one change of one file."""
    commit(tmp_path, {path: before}, "Add the first version")
    commit(tmp_path, {path: after}, subject)
    return read(tmp_path)


# --- what a pair is


def test_a_pair_holds_both_sides_the_words_and_where_they_come_from(repository: Path) -> None:
    [change], report = read(repository)
    assert (change.before, change.after) == (BEFORE.rstrip(), AFTER.rstrip())
    assert (change.path, change.language, change.symbol) == ("shop.py", "python", "total")
    assert (change.subject, change.body) == (SUBJECT, "Some rows are gifts.")
    assert (change.before_line, change.after_line) == (1, 1)
    assert change.intent == "bug fix"
    assert change.commit == git(repository, "rev-parse", "HEAD")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", change.date)
    assert (report.pairs, report.commits, report.commits_total) == (1, 2, 2)


def test_no_field_names_the_author(repository: Path) -> None:
    trailers = "Co-authored-by: Ada Byron <ada@example.org>\nReviewed-by: Ada Byron\n"
    body = f"Why it is so.\n\nPatch by ada@example.org\n\n{trailers}"
    commit(repository, {"shop.py": BEFORE}, f"Count every row again\n\n{body}")
    changes, _ = read(repository)
    assert len(changes) == 2
    assert changes[0].body == "Why it is so."
    assert not re.search(r"ada|byron", repr(changes), re.IGNORECASE)


def test_added_deleted_and_unchanged_functions_are_no_pairs(tmp_path: Path) -> None:
    other = "\ndef gone():\n    a = 1\n    return a\n"
    new = "\ndef fresh(b):\n    for c in b:\n        yield c\n"
    same = "\ndef same():\n    b = 2\n    return b\n"
    changes, report = change_to(tmp_path, BEFORE + same + other, AFTER + same + new)
    assert [change.symbol for change in changes] == ["total"]
    assert +report.functions_left_out == {"function added": 1, "function deleted": 1}


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("a.py", BEFORE, BEFORE.replace("n = 0", "n = 0  # so far")),
        ("a.py", BEFORE, BEFORE.replace("rows):", 'rows):\n    """All of it."""')),
        ("a.py", BEFORE, BEFORE.replace("(rows)", "(\n    rows,\n)")),
        (
            "a.py",
            "def f(x):\n    y = 'a'\n    return y\n",
            'def f(x):\n    y = "a"\n    return y\n',
        ),
        ("a.go", "func F() {\n\ta := 1\n\tG(a)\n}\n", "func F() {\n\ta  :=  1\n\n\tG(a) // b\n}\n"),
        ("a.ts", "function f() {\n  a = 1\n  g(a)\n}\n", "function f() {\n  a = 1;\n  g(a);\n}\n"),
        (
            "a.rs",
            "fn f() {\n    g(1);\n    h()\n}\n",
            "/// Doc.\nfn f() {\n    g( 1 );\n    h()\n}\n",
        ),
        ("a.py", BEFORE, BEFORE.replace("\n", "\r\n")),
    ],
)
def test_comments_layout_and_line_ends_are_no_change(
    tmp_path: Path, path: str, before: str, after: str
) -> None:
    changes, report = change_to(tmp_path, before, after, path=path)
    assert changes == []
    if "\r" not in after:
        assert +report.functions_left_out == {"only comments or formatting changed": 1}


def test_indentation_is_a_change_where_it_is_syntax(tmp_path: Path) -> None:
    after = BEFORE.replace("    return n", "        return n")
    changes, _ = change_to(tmp_path, BEFORE, after)
    assert len(changes) == 1


def test_a_change_inside_a_string_is_a_change() -> None:
    one, other = (
        parse_file(f'def f():\n    x = "{text}"\n    return x\n'.encode(), "python").functions[0]
        for text in ("a\\nb", "a\\nc")
    )
    assert tokens(one).texts != tokens(other).texts


@settings(deadline=None, max_examples=60)
@given(edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60), st.sampled_from(
    ["", "x", "\n", "    ", "def f():\n    pass\n", "'", '"""', "(", "\u00e9"])), max_size=3),
    tail=st.sampled_from(["", "\n", "\nx"]))  # fmt: skip
def test_a_file_parsed_with_another_version_at_hand_is_parsed_the_same(
    edits: list[tuple[int, int, str]], tail: str
) -> None:
    old = f"class Shop:\n{_indented(BEFORE)}\n{AFTER}" * 3
    new = old + tail
    for start, length, text in edits:
        new = new[:start] + text + new[start + length :]
    fresh = parse_file(new.encode(), "python")
    known = parse_file(new.encode(), "python", like=parse_file(old.encode(), "python"))
    assert str(known.tree.root_node) == str(fresh.tree.root_node)
    assert [(f.symbol, f.text) for f in known.functions] == [
        (f.symbol, f.text) for f in fresh.functions
    ]


def test_both_sides_parse(tmp_path: Path) -> None:
    changes, report = change_to(tmp_path, BEFORE, BEFORE.replace("n += row.price", "n += += )"))
    assert changes == []
    assert +report.functions_left_out == {"does not parse": 1}


def test_python_2_is_no_python(tmp_path: Path) -> None:
    changes, report = change_to(tmp_path, BEFORE, BEFORE.replace("return n", "print n"))
    assert changes == []
    assert +report.functions_left_out == {"not Python 3": 1}


def test_functions_of_one_name_pair_in_order_if_none_came_or_went(tmp_path: Path) -> None:
    twice = f"if fast:\n{_indented(BEFORE)}else:\n{_indented(BEFORE)}"
    changed = f"if fast:\n{_indented(BEFORE)}else:\n{_indented(AFTER)}"
    commit(tmp_path, {"shop.py": twice}, "Add the first version")
    commit(tmp_path, {"shop.py": changed})
    commit(tmp_path, {"shop.py": changed + BEFORE}, "Count the rows a third time")
    changes, report = read(tmp_path)
    assert [change.before_line for change in changes] == [8]
    assert +report.functions_left_out == {"several of this name": 1}


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def test_methods_are_named_with_their_class_and_keep_decorators(tmp_path: Path) -> None:
    before = f"class Shop:\n    @cached\n{_indented(BEFORE)}"
    changes, _ = change_to(tmp_path, before, before.replace("row.price", "row.cost"))
    assert [change.symbol for change in changes] == ["Shop.total"]
    assert changes[0].after.startswith("    @cached\n    def total")
    assert changes[0].after_line == 2


def test_a_file_that_moved_is_compared_with_where_it_was(tmp_path: Path) -> None:
    commit(tmp_path, {"shop.py": BEFORE}, "Add the first version")
    commit(tmp_path, {"shop.py": None, "store/shop.py": AFTER})
    commit(tmp_path, {"store/shop.py": None, "shop.py": AFTER}, "Move the shop back home")
    changes, report = read(tmp_path)
    assert [(change.path, change.after) for change in changes] == [
        ("store/shop.py", AFTER.rstrip())
    ]
    assert +report.files_left_out == {"file moved": 1}


def test_tests_are_pairs_only_of_commits_about_tests(tmp_path: Path) -> None:
    test = "def test_total():\n    rows = []\n    assert total(rows) == 0\n"
    more = test.replace("[]", "[free]")
    commit(tmp_path, {"shop.py": BEFORE, "test_shop.py": test}, "Add the first version")
    commit(tmp_path, {"shop.py": AFTER, "test_shop.py": more})
    commit(tmp_path, {"test_shop.py": test}, "Test the total of nothing")
    changes, report = read(tmp_path)
    assert [change.symbol for change in changes] == ["test_total", "total"]
    assert report.files_left_out["test that follows a change"] == 1


# --- why it was changed


@pytest.mark.parametrize(
    ("subject", "after", "intent"),
    [
        ("perf: Keep the sum in a register", AFTER, "performance"),
        ("refactor!: Count rows in one place", AFTER, "readability"),
        ("fix(sec): Escape names (CVE-2020-1234)", AFTER, "security"),
        ("Prevent path traversal in file names", AFTER, "security"),
        ("Fix crash on rows without price", AFTER, "bug fix"),
        ("Avoid TypeError for missing prices", AFTER, "bug fix"),
        ("Speed up the sum of rows", AFTER, "performance"),
        ("Simplify how rows are counted", AFTER, "readability"),
        ("Rename the price of rows", AFTER, "rename"),
        ("Fix compiler warnings about rows", AFTER, "readability"),
        ("Accept a currency argument in total", AFTER, "API change"),
        ("Call the sum by name", BEFORE.replace("rows", "orders"), "rename"),
        ("Let callers choose a start", BEFORE.replace("(rows)", "(rows, start)"), "API change"),
        ("Count rows without a price", AFTER, "other"),
        ("Use the other one of the two", BEFORE.replace("row.price", "row.n"), "other"),
    ],
)  # fmt: skip
def test_intent_is_said_by_type_then_words_then_the_change(
    tmp_path: Path, subject: str, after: str, intent: str
) -> None:
    [change], report = change_to(tmp_path, BEFORE, after, subject)
    assert change.intent == intent
    assert report.by_intent == {intent: 1}


def test_a_function_that_only_got_another_name_is_a_rename(tmp_path: Path) -> None:
    changes, report = change_to(tmp_path, BEFORE, BEFORE.replace("total", "price_of"))
    assert [(change.symbol, change.intent) for change in changes] == [("price_of", "rename")]
    assert not left_out(report).get("function added")


# --- which commits


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ('Revert "Count rows"', "revert"),
        ("revert: count rows twice", "revert"),
        ("Bump version to 1.2.3", "version bump"),
        ("Release version 2.0", "version bump"),
        ("chore(deps): Bump left-pad from 1.0 to 2.0", "dependency update"),
        ("Update dependencies of the shop", "dependency update"),
        ("style: Put spaces around signs", "formatting"),
        ("Run black on the code", "formatting"),
        ("Fix flake8 complaints in shop", "formatting"),
        ("Merge branch 'main' into shop", "merge"),
        ("fixup! Count rows without price", "work in progress"),
        ("Rows are counted without price", "subject not imperative"),
        ("Fixed counting of rows", "subject not imperative"),
        ("Fix total", "subject says too little"),
        ("Fix the sum of rows when th\u2026", "subject cut off"),
        ("Count " + "very " * 40 + "much", "subject too long"),
        ("Signed-off-by: Ada Byron", "no subject"),
        ("Add more tests for the sum", "subject not about the code"),
        ("docs: Explain how rows count", "subject not about the code"),
    ],
)
def test_a_commit_that_teaches_nothing_is_left_out_with_its_reason(
    tmp_path: Path, subject: str, reason: str
) -> None:
    changes, report = change_to(tmp_path, BEFORE, AFTER, subject)
    assert changes == []
    assert report.commits_left_out[reason] == 1


def test_merges_are_read_commit_by_commit(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "side", "HEAD~1")
    commit(repository, {"other.py": BEFORE}, "Add another total of rows")
    commit(repository, {"other.py": AFTER}, "Count the others for free")
    git(repository, "checkout", "-q", "main")
    git(repository, "merge", "-q", "--no-ff", "-m", "Take in the other side", "side")
    changes, report = read(repository)
    assert {change.subject for change in changes} == {SUBJECT, "Count the others for free"}
    assert report.commits == 4


def test_bounds_leave_out_what_is_too_large(tmp_path: Path) -> None:
    many = {f"f{i}.py": BEFORE for i in range(8)}
    commit(tmp_path, many, "Add the first versions")
    commit(tmp_path, dict.fromkeys(many, AFTER))
    assert len(read(tmp_path)[0]) == 8
    for bounds, reason in (
        (Bounds(files=7), "too many files"),
        (Bounds(functions=7), "too many functions"),
        (Bounds(max_lines=4), "too long"),
        (Bounds(min_lines=6), "too short"),
        (Bounds(changed_lines=0), "change too large"),
    ):
        changes, report = read(tmp_path, bounds=bounds)
        assert changes == []
        assert left_out(report)[reason]


def test_a_commit_of_5000_files_reads_none_of_them(tmp_path: Path) -> None:
    commit(tmp_path, {"shop.py": BEFORE}, "Add the first version")
    commit(tmp_path, {"shop.py": AFTER})
    blobs = [git(tmp_path, "rev-parse", f"HEAD{at}:shop.py") for at in ("~1", "")]
    for blob, subject in zip(blobs, ("Add many files at once", SUBJECT), strict=True):
        rows = "".join(f"100644 {blob}\tmany/f{i}.py\n" for i in range(5000))
        git(tmp_path, "update-index", "--add", "--index-info", stdin=rows.encode())
        git(tmp_path, "commit", "-q", "-m", subject)
    changes, report = read(tmp_path, max_commits=1)
    assert changes == []
    assert report.commits_left_out == {"too many files": 1}
    assert not +report.files_left_out  # no file was looked at
    assert len(read(tmp_path)[0]) == 1


def test_counts_and_dates_bound_what_is_read(repository: Path) -> None:
    assert read(repository, max_commits=1)[1].commits == 1
    assert read(repository, since=date(2000, 1, 1))[1].commits == 2
    assert read(repository, since=date(2099, 1, 1))[1].commits == 0
    with pytest.raises(ValueError, match="max_commits"):
        read(repository, max_commits=0)


# --- trouble


def test_the_edge_of_a_shallow_clone_adds_nothing(repository: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    commit(repository, {"shop.py": BEFORE}, "Count every row as before")
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{repository}", str(shallow))
    changes, report = read(shallow)
    assert [change.subject for change in changes] == ["Count every row as before"]
    assert report.commits_left_out == {"nothing to compare with": 1}
    assert not +report.files_left_out


def test_a_partial_clone_lacks_objects_and_fetches_none(repository: Path, tmp_path: Path) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    clone = ("clone", "-q", "--bare", "--filter=blob:none")
    git(tmp_path, *clone, f"file://{repository}", str(tmp_path / "partial"))
    changes, report = read(tmp_path / "partial")
    assert changes == []
    assert +report.files_left_out == {"missing object": 1}
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
    damaged = report.files_left_out["missing object"] + report.files_left_out["damaged object"]
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
    assert report.commits_left_out["unreadable"] >= 1
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
    assert report.commits_left_out["message is not UTF-8"] == 1
    git(tmp_path, "reset", "-q", "--hard", "HEAD~1")
    commit(tmp_path, {"shop.py": AFTER.encode() + b"# \xff\xfe\n"}, "Count rows in Latin letters")
    assert read(tmp_path)[1].files_left_out["not-utf8"] == 1


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
        assert report.files_left_out[reason] >= 1


def test_submodules_and_vendored_files_are_not_the_repositorys_own(tmp_path: Path) -> None:
    commit(tmp_path, {"vendor/a.py": BEFORE, "b.py": BEFORE}, "Add the first version")
    commit(tmp_path, {"vendor/a.py": AFTER, "b.py": AFTER})
    for name in (git(tmp_path, "rev-parse", "HEAD~1"), git(tmp_path, "rev-parse", "HEAD")):
        git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{name},sub.py")
        git(tmp_path, "commit", "-q", "-m", "Move the part to another commit")
    changes, report = read(tmp_path)
    assert [change.path for change in changes] == ["b.py"]
    assert report.files_left_out["no regular file"] == 2
    assert report.files_left_out["vendored"] == 1


def test_a_subject_with_control_characters_is_data(tmp_path: Path) -> None:
    subject = "Count \x1b[31mrows\x1b[0m for free"
    [change], report = change_to(tmp_path, BEFORE, AFTER, subject)
    assert change.subject == subject
    assert report.pairs == 1


def test_names_of_files_in_any_bytes_are_read_past(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\n.py")
    commit(tmp_path, {"shop.py": BEFORE, name: BEFORE, "ü b.py": BEFORE}, "Add the first version")
    commit(tmp_path, {"shop.py": AFTER, name: AFTER, "ü b.py": AFTER})
    changes, report = read(tmp_path)
    assert {change.path for change in changes} == {"shop.py", "ü b.py"}
    assert +report.files_left_out == {"unprintable path": 1}


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


def test_a_bare_repository_a_worktree_and_a_folder_in_a_checkout_all_do(
    repository: Path, tmp_path: Path
) -> None:
    expected, _ = read(repository)
    git(tmp_path, "clone", "-q", "--bare", str(repository), str(tmp_path / "bare"))
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    (repository / "deep" / "folder").mkdir(parents=True)
    for place in (tmp_path / "bare", tmp_path / "tree", repository / "deep" / "folder"):
        assert read(place)[0] == expected


def test_objects_in_another_store_are_found(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--shared", str(repository), str(tmp_path / "shared"))
    assert read(tmp_path / "shared")[0] == read(repository)[0]


def test_sha256_repositories_are_read(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256")
    changes, _ = change_to(tmp_path, BEFORE, AFTER)
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
        (empty, "no commit"),
        (tmp_path / "none", "cannot be read"),
        (tmp_path / "file", "cannot be read"),
    ):
        with pytest.raises(HubError, match=words) as caught:
            read(place)
        assert str(place) in str(caught.value)


def test_a_machine_without_git_is_told_so(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HubError, match="git is not installed"):
        read(repository)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_may_not_be_read_is_refused(repository: Path) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from hub.errors import HubError\n"
        "from indexers.git_history import read_changes\n"
        "os.setuid(65534)\n"
        "try:\n    list(read_changes(pathlib.Path(sys.argv[1])))\n"
        "except HubError as error:\n    print(error)\n"
    )
    repository.chmod(0o700)
    done = subprocess.run(
        [sys.executable, "-c", program, str(repository)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert str(repository) in done.stdout
    assert "cannot be read" in done.stdout


# --- processes


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


# --- messages


TRAILERS = [
    "Co-authored-by: Ada Byron <ada@example.org>", "co-authored-by: someone", "Signed-off-by: A",
    "Reviewed-by: A. Byron", "Acked-by: b", "Tested-By: C", "Reported by: D", "Suggested-by: E",
    "Co\u2011authored\u2011by: A <a@b.org>", "Co-\u200bauthored-by: A", "Change-Id: I0123",
    "\U0001f916 Generated with [Some Tool](https://example.org)", "Generated by a tool",
    "(cherry picked from commit 0123)", "git-svn-id: https://svn.example.org/x@1",
    "  Signed-off-by: indented", "* Co-authored-by: in a list",
]  # fmt: skip
PROSE = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
LEAK = re.compile(
    r"-by:|authored|Generated (?:with|by)|cherry picked|git-svn-id|Change-Id|@example"
)


@settings(deadline=None, max_examples=150)
@given(lines=st.lists(PROSE, max_size=6), trailers=st.lists(st.sampled_from(TRAILERS), max_size=4),
       data=st.data())  # fmt: skip
def test_trailers_never_enter_wherever_they_stand(
    lines: list[str], trailers: list[str], data: st.DataObject
) -> None:
    for trailer in trailers:
        lines.insert(data.draw(st.integers(0, len(lines))), trailer)
    message = clean_message("\n".join(lines))
    for text in (message.subject, message.body):
        assert not LEAK.search(text)


PREFIXES = st.sampled_from(
    ["fix: ", "feat(a b)!: ", "[ABC-12] ", "ABC-12: ", "net/http: ", "#12: ", ":bug: ", "[x] ", ""]
)


@settings(deadline=None, max_examples=200)
@given(prefixes=st.lists(PREFIXES, max_size=3), text=PROSE, suffix=st.sampled_from(
    ["", " (#12)", ".", " (GH-3)", " [ABC-1]", ", fixes #4"]))  # fmt: skip
def test_cleaning_a_subject_twice_is_cleaning_it_once(
    prefixes: list[str], text: str, suffix: str
) -> None:
    once = clean_subject("".join(prefixes) + text + suffix)
    assert clean_subject(once) == once


@settings(deadline=None, max_examples=150)
@given(lines=st.lists(st.one_of(PROSE, st.sampled_from(TRAILERS)), max_size=8))
def test_cleaning_a_body_twice_is_cleaning_it_once(lines: list[str]) -> None:
    once = clean_message("Fix it all\n\n" + "\n".join(lines)).body
    assert clean_message("Fix it all\n\n" + once).body == once


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        ("feat(parser)!: Read nested lists (#123)", "Read nested lists"),
        ("[ABC-12] Read nested lists.", "Read nested lists"),
        ("ABC-12: Read nested lists", "Read nested lists"),
        ("ABC-12 Read nested lists", "Read nested lists"),
        ("net/http: read nested lists", "read nested lists"),
        ("api, parser: Read nested lists", "Read nested lists"),
        ("fix: parser: Read nested lists, fixes #12", "Read nested lists"),
        ("\U0001f41b Read nested lists", "Read nested lists"),
        ("gh-123: Read nested lists (GH-456)", "Read nested lists"),
        ("Bug 12: Read nested lists", "Read nested lists"),
        ("Read nested\nlists\n\nBody", "Read nested lists"),
        ("Fix UTF-8 names: read them as bytes", "Fix UTF-8 names: read them as bytes"),
        ("Make `a: b` work as a type", "Make `a: b` work as a type"),
        ("UTF-8 names are broken", "UTF-8 names are broken"),
    ],
)
def test_prefixes_and_references_are_no_part_of_the_subject(raw: str, subject: str) -> None:
    assert clean_message(raw).subject == subject


def test_prose_that_mentions_a_colon_or_a_generator_stays() -> None:
    body = "Note: names are generated by the parser.\n\nThis fixes: all of it, sorted by key."
    assert clean_message(f"Fix it all\n\n{body}").body == body
    assert reason_to_leave_out(clean_message("Fix names generated by the parser")) == ""


# --- the command


def test_the_command_prints_the_report_and_writes_the_pairs(
    repository: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pairs.jsonl"
    result = CliRunner().invoke(main, ["history", str(repository), "--json", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["by_intent"] == {"bug fix": 1}
    [row] = map(json.loads, out.read_text().splitlines())
    assert (row["symbol"], row["intent"], row["subject"]) == ("total", "bug fix", SUBJECT)
    result = CliRunner().invoke(main, ["history", str(repository), "--max-commits", "1"])
    assert result.stdout.startswith("1 pairs in 1 commits")


def test_a_failed_run_leaves_the_file_of_the_last_one(repository: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.jsonl"
    out.write_text("before")
    result = CliRunner().invoke(main, ["history", str(tmp_path / "none"), "--out", str(out)])
    assert result.exit_code == 2
    assert out.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".pairs")] == []
