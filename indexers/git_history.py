"""Refactorings from git history: how a function looked before and after a commit that says why.

    report = HistoryReport()
    for change in read_changes(Path("repository"), count=1000, report=report):
        print(change.intent, change.symbol)

A pair is kept if it can teach: a commit whose subject says in the imperative what it does, of a
size that a reader can follow, and a function whose code changed and parses on both sides; a test
only where the commit is about tests. Whatever is left out is counted in the report.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hub.types import Change
from indexers.commit_messages import clean_message, reason_to_leave_out
from indexers.file_versions import parse_version
from indexers.function_pairs import changed_functions
from indexers.git_log import MAX_FILES, LeftOut, open_history
from indexers.intents import API_CHANGE, OTHER, PERFORMANCE, SECURITY, intent_of
from indexers.languages import GRAMMARS, detect_language
from indexers.skip_rules import (
    VENDORED_FOLDERS,
    reason_by_content,
    reason_by_name,
    reason_not_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from indexers.commit_messages import Message
    from indexers.file_versions import Function, Version
    from indexers.function_pairs import Pair
    from indexers.git_log import Commit, FileChange, History

    Contents = dict[str, bytes | LeftOut]

MAX_CODE_FILES = 20  # of a commit
MAX_FUNCTIONS = 15  # of a commit whose code changed
_CACHED_BYTES = 2_000_000  # of source whose trees are kept; a tree takes some 20 times its source
_REGULAR = {"100644", "100755", "000000"}
_TEST_PATH = re.compile(
    r"(?:^|/)(?:tests?|testing|testdata|__tests__|__mocks__|specs?|fixtures|benches|benchmarks?)/"
    r"|(?:^|/)(?:test_[^/]*|conftest)\.py$|_test\.(?:py|go|rs)$|[.-](?:test|spec|bench|test-d)\.\w+$"
    r"|Tests?\.(?:java|kt|cs|swift)$|_(?:spec|test)\.rb$|(?:^|/)tests?\.rs$",
    re.IGNORECASE,
)
_FOLLOWS = "test that follows a change"
_NOT_OF_TESTS = {API_CHANGE, PERFORMANCE, SECURITY}


@dataclass(slots=True)
class HistoryReport:
    """What was read and kept, and what was left out by reason.

    ``commits`` of ``commits_total`` are read so far; merges are not counted. ``left_out`` counts
    by "commit: reason", "file: reason" and "function: reason".
    """

    commits: int = 0
    commits_total: int = 0
    pairs: int = 0
    by_intent: Counter[str] = field(default_factory=Counter)
    by_language: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        return {
            "commits": self.commits,
            "pairs": self.pairs,
            "by_intent": dict(self.by_intent),
            "by_language": dict(self.by_language),
            "left_out": dict(self.left_out),
        }


def read_changes(
    repository: Path,
    *,
    count: int | None = None,
    since: date | None = None,
    report: HistoryReport | None = None,
) -> Iterator[Change]:
    """The functions that a repository's commits changed, from the newest commit to the oldest.

    What a merge joins is read commit by commit. Memory does not grow with the history. Closing the
    iterator ends the git processes.

    Args:
        repository: A checkout, a folder in one, or a bare repository; whole, shallow or partial.
        count: Read this many commits at most, merges not counted.
        since: Read back to this day (UTC), by the committer's date.
        report: Filled as the changes are read.

    Raises:
        HubError: There is no history to read, git is not installed, or it was killed.
    """
    if count is not None and count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    report = report if report is not None else HistoryReport()
    with open_history(repository) as history:
        report.commits_total = history.size(count=count, since=since)
        reader = _Reader(history, report)
        for commit in history.commits(count=count, since=since):
            report.commits += 1
            try:
                changes = reader.changes(commit)
            except LeftOut as reason:
                report.left_out[f"commit: {reason}"] += 1
                continue
            report.pairs += len(changes)
            report.by_intent.update(change.intent for change in changes)
            report.by_language.update(change.language for change in changes)
            yield from changes
        if history.unreadable:
            report.left_out["commit: cannot be read"] += history.unreadable


class _Reader:
    """From one commit to its changes; remembers the files that it parsed last."""

    def __init__(self, history: History, report: HistoryReport) -> None:
        self.history = history
        self.left_out = report.left_out
        self.parsed: OrderedDict[tuple[str, str], Version] = OrderedDict()
        self.parsed_bytes = 0

    def changes(self, commit: Commit) -> list[Change]:
        """What can be learned from a commit.

        Raises:
            LeftOut: nothing, and why.
        """
        message = _message(commit)
        if len(commit.files) > MAX_FILES:
            raise LeftOut("too many files")
        files = self._files(commit.files)
        code = [file for file in files if not is_test_path(file.path)]
        if len(files) > MAX_CODE_FILES:
            raise LeftOut("too many files")
        if not files:
            raise LeftOut("no code changed" if commit.files else "nothing to compare with")
        if code and not message.is_about_code:
            raise LeftOut("subject not about the code")
        contents = self._contents(code or files)
        found: list[tuple[str, Pair]] = []
        for file in code or files:
            found += [(file.path, pair) for pair in self._pairs(file, contents)]
            if len(found) > MAX_FUNCTIONS:
                raise LeftOut("too many functions")
        if code:  # the message is about it, and says nothing true of the tests that follow it
            kept = [(path, pair) for path, pair in found if not _is_test(path, pair.after)]
            self.left_out.update([f"file: {_FOLLOWS}"] * (len(files) - len(code)))
            self.left_out.update([f"function: {_FOLLOWS}"] * (len(found) - len(kept)))
            found = kept
        if not found:
            raise LeftOut("no function to learn from")
        body = message.body
        return [_change(commit, message, body, path, pair) for path, pair in found]

    def _files(self, changes: list[FileChange]) -> list[FileChange]:
        files = []
        for file in changes:
            if reason := _reason_to_skip(file):
                self.left_out[f"file: {reason}"] += 1
            else:
                files.append(file)
        return files

    def _pairs(self, file: FileChange, contents: Contents) -> list[Pair]:
        try:
            new = self._version(file.new_blob, file.path, contents)
            old = self._version(file.old_blob, file.path, contents, like=new)
            return changed_functions(old, new, self.left_out)
        except LeftOut as unfit:
            self.left_out[f"file: {unfit}"] += 1
            return []

    def _contents(self, files: list[FileChange]) -> Contents:
        """What is not known of both versions of the files; only here, known ones are forgotten."""
        while self.parsed_bytes > _CACHED_BYTES:
            self.parsed_bytes -= len(self.parsed.popitem(last=False)[1].data)
        sides = [(blob, file.path) for file in files for blob in (file.new_blob, file.old_blob)]
        return self.history.read(
            blob for blob, path in sides if (blob, detect_language(path)) not in self.parsed
        )

    def _version(
        self, blob: str, path: str, contents: Contents, like: Version | None = None
    ) -> Version:
        """A file, parsed once: its version after one commit is that before another."""
        key = (blob, detect_language(path))
        if key in self.parsed:
            self.parsed.move_to_end(key)
            return self.parsed[key]
        data = contents[blob]
        if isinstance(data, LeftOut):
            raise data
        if unfit := reason_not_text(data) or reason_by_content(path, data):
            raise LeftOut(unfit)
        version = parse_version(data.replace(b"\r\n", b"\n"), key[1], like)
        self.parsed[key] = version
        self.parsed_bytes += len(version.data)
        return version


def _message(commit: Commit) -> Message:
    try:
        message = clean_message(commit.message.decode("utf-8"))
    except UnicodeDecodeError:
        raise LeftOut("message is not UTF-8") from None
    if reason := reason_to_leave_out(message):
        raise LeftOut(reason)
    return message


def _reason_to_skip(change: FileChange) -> str | None:
    """Why a file is not compared; before it is read."""
    if detect_language(change.path) not in GRAMMARS:
        return "not code"
    if not {change.old_mode, change.new_mode} <= _REGULAR:
        return "no regular file"
    if not VENDORED_FOLDERS.isdisjoint(change.path.split("/")[:-1]):
        return "vendored"
    if not change.path.isprintable():
        return "unprintable path"
    if change.status in "AD":
        return "added" if change.status == "A" else "deleted"
    return "moved" if change.old_blob == change.new_blob else reason_by_name(change.path)


def _change(commit: Commit, message: Message, body: str, path: str, pair: Pair) -> Change:
    intent = intent_of(message, pair.shows)
    if _is_test(path, pair.after) and intent in _NOT_OF_TESTS:
        intent = OTHER  # a test can be wrong, but not insecure
    return Change(
        path=path,
        language=pair.after.language,
        symbol=pair.after.symbol,
        before=pair.before.text,
        after=pair.after.text,
        before_line=pair.before.line,
        after_line=pair.after.line,
        subject=message.subject,
        body=body,
        intent=intent,
        commit=commit.hash,
    )


def is_test_path(path: str) -> bool:
    """Whether a file tests others, by its name and folders."""
    return _TEST_PATH.search(path) is not None


def _is_test(path: str, function: Function) -> bool:
    """Rust has its tests in a module beside what they test."""
    in_module = function.language == "rust" and function.symbol.startswith("test")
    return function.kind == "test" or in_module or is_test_path(path)
