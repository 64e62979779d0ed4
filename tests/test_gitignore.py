"""The ignore rules agree with git, measured on random trees and on the corners of the format."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from hub.errors import HubError
from indexers.files import list_files
from indexers.gitignore import IgnoreRules

TREES = 300
NAMES = [
    *("a", "b", "ab", "abc", "foo", "bar", "foobar", "x.py", "a.txt", "b.log", "é", "ü.py"),
    *("#x", "!y", "a b", "sp ", "tab\t", "back\\slash", "[z]", "q?", "st*r", "A", "-", "]"),
    *("^", "a]b", "n\nl", "0", "9.md", ".hidden", "fo", "oo", "x-y", "{a,b}"),
]
GLOBS = [
    *("*", "**", "***", "?", "??", "*.py", "*.log", "a*", "*b", "f*o", "*o*", "**o", "a**", "fo**"),
    *("[ab]", "[a-c]*", "[!a]", "[^a]*", "[]]", "[]a]", "[!]]", "[a-]", "[--0]", "[\\]]", "[\\\\]"),
    *("[[:alpha:]]", "[[:digit:]]*", "[![:space:]]*", "[[:upper:][:digit:]]", "[[:bad:]]", "[[:]"),
    *("[[:punct:]]*", "[a", "[", "[!", "[a-", "[[:alpha:]", "[z-a]", "[\\a-\\c]", "[a\\-c]"),
    *("\\#x", "\\!y", "\\a", "a\\", "\\\\", "back\\\\slash", "\\*", "st\\*r", "q\\?", "\\[z]"),
    *("#x", "!y", "a b", "a\\ b", "sp\\ ", "sp ", "tab\t", "sp\\  ", "é", "?.py", "{a,b}", "./a"),
    *("[z]", ".*", "*.*", "a]b", "*[b]", "?oo", "[f]oo", "foo*", "*foo", "*\\a", "[", "[a/b]"),
]


@pytest.fixture(scope="module")
def git_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository through which git looks at any folder."""
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", "--bare", "--template=", folder], check=True)
    return folder


def lists_as_git_does(folder: Path, git_directory: Path) -> bool:
    """Whether the walk and git list the same untracked files."""
    walked = list_files(folder)
    assert not walked.is_git
    skipped = {os.fsencode(skip.path) for skip in walked.skipped}  # empty ones
    ours = {os.fsencode(file.path) for file in walked.files} | skipped
    located = [f"--git-dir={git_directory}", f"--work-tree={folder}", "-c", "core.bare=false"]
    listing = ["-c", "core.excludesFile=/dev/null", "ls-files", "-oz", "--exclude-standard"]
    command = ["git", *located, *listing]
    output = subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout
    return ours == {path for path in output.split(b"\0") if path}


def random_pattern(rng: random.Random) -> str:
    segments = [
        rng.choice(NAMES) if rng.random() < 0.4 else rng.choice(GLOBS)
        for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4]))
    ]
    pattern = "/".join(segments)
    pattern = ("!" if rng.random() < 0.3 else "") + ("/" if rng.random() < 0.25 else "") + pattern
    pattern += "/" if rng.random() < 0.25 else ""
    return pattern + rng.choice(["", "", "", "", "", " ", "  ", "\t", "\\ ", "/", "\r"])


def write_random_tree(folder: Path, rng: random.Random, *, depth: int = 0) -> None:
    """A few files and folders, in about half of the folders a .gitignore."""
    for name in rng.sample(NAMES, rng.randint(3, 6)):
        if depth < 3 and rng.random() < 0.4:
            (folder / name).mkdir()
            write_random_tree(folder / name, rng, depth=depth + 1)
        else:
            (folder / name).write_text("text")
    if depth == 0 or rng.random() < 0.4:
        lines = [random_pattern(rng) for _ in range(rng.randint(1, 6))]
        start = rng.choice(["", "", "", "\ufeff", "# comment\n", "\n"])
        content = start + "\n".join(lines) + rng.choice(["", "\n"])
        (folder / ".gitignore").write_bytes(content.encode())


def test_random_trees_of_rules_list_exactly_as_git_does(git_directory: Path) -> None:
    first = int(os.environ.get("GITIGNORE_SEED", "0"))
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # thousands of small files
    for seed in range(first, first + TREES):
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            write_random_tree(Path(folder), random.Random(seed))
            assert lists_as_git_does(Path(folder), git_directory), f"GITIGNORE_SEED={seed}"


@pytest.fixture(scope="module")
def every_name(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few nested folders, each with a file of every name."""
    folder = tmp_path_factory.mktemp("every_name")
    for path in ("foo/a/b", "foo/foo", "ab/b"):
        (folder / path).mkdir(parents=True)
    for parent in (folder, *folder.rglob("*")):
        for name in NAMES:
            if not (parent / name).exists():
                (parent / name).touch()
    return folder


@pytest.mark.parametrize("glob", sorted(set(GLOBS)))
def test_every_glob_matches_what_git_matches(
    every_name: Path, git_directory: Path, glob: str
) -> None:
    for form in ["{}", "/{}", "{}/", "foo/{}", "foo/**/{}", "{}/**", "{}/b", "fo**/{}"]:
        # Ignore all and re-include: then an over-eager translation shows as well as a timid one.
        pattern = form.format(glob)
        (every_name / ".gitignore").write_bytes(f"*\n!*/\n!{pattern}\n".encode())
        assert lists_as_git_does(every_name, git_directory), pattern


def test_a_file_below_an_ignored_folder_is_not_reincluded() -> None:
    rules = IgnoreRules.from_patterns(["build/", "!build/keep.py"])
    assert rules.ignored_prefix(b"build/keep.py") == b"build/"


def test_the_closest_match_decides_what_is_selected() -> None:
    rules = IgnoreRules.from_patterns(["src/", "!src/old/", "*.md"])
    paths = [b"src/a.py", b"src/old/a.py", b"docs/a.md", b"docs/a.py", b"src/old/a.md"]
    assert [rules.selects(path) for path in paths] == [True, False, True, False, True]


@pytest.mark.parametrize("pattern", ["[a", "a\\", "", "/", "[[:nope:]]"])
def test_a_typed_pattern_that_can_never_match_is_an_error_that_names_it(pattern: str) -> None:
    with pytest.raises(HubError, match="can never match"):
        IgnoreRules.from_patterns([pattern])


def test_hostile_patterns_match_in_bounded_time() -> None:
    rules = IgnoreRules.from_patterns(["*a" * 60 + "b", "**/a/" * 30 + "b", "?*" * 60 + "b"])
    started = time.perf_counter()
    assert rules.verdict(b"a" * 250, is_folder=False) is None
    assert rules.verdict(b"a/" * 1000 + b"a", is_folder=False) is None
    assert time.perf_counter() - started < 1
