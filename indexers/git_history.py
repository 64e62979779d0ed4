"""Refactorings from git history: how a function looked before and after a commit that says why.

    report = HistoryReport()
    for change in read_changes(Path("repository"), max_commits=1000, report=report):
        print(change.intent, change.symbol)

A pair is kept if it can teach: a commit whose subject says in the imperative what it does, of a
size that a reader can follow, and a function whose code changed and parses on both sides; a test
only where the commit is about tests. Whatever is left out is counted in the report, by commits,
files and functions.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from hub.types import Change
from indexers.commit_messages import clean_message, is_about_code, reason_to_leave_out
from indexers.function_pairs import Bounds, Pair, Pairing
from indexers.functions import ParsedFile, parse_file
from indexers.git_log import REGULAR, FileChange, History, Missing
from indexers.intents import API_CHANGE, OTHER, PERFORMANCE, SECURITY, intent_of_message, is_test
from indexers.languages import GRAMMARS, detect_language
from indexers.skip_rules import (
    VENDORED_FOLDERS,
    reason_by_content,
    reason_by_name,
    reason_not_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date
    from pathlib import Path

    from indexers.commit_messages import Message
    from indexers.git_log import Blobs, Commit

_CACHED_BYTES = 4_000_000  # of source whose trees are kept; a tree takes some 10 times its source
_HEAD = 8192
_TYPES_OF_OTHERS = {"doc", "docs", "test", "tests", "ci", "build"}
_NOT_OF_TESTS = {API_CHANGE, PERFORMANCE, SECURITY}
_FOLLOWS = "test that follows a change"


@dataclass(slots=True)
class HistoryReport:
    """What was read and kept, and what was left out by reason."""

    commits: int = 0
    commits_total: int = 0
    pairs: int = 0
    by_intent: Counter[str] = field(default_factory=Counter)
    by_language: Counter[str] = field(default_factory=Counter)
    commits_left_out: Counter[str] = field(default_factory=Counter)
    files_left_out: Counter[str] = field(default_factory=Counter)
    functions_left_out: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        return {
            "commits": self.commits,
            "pairs": self.pairs,
            "by_intent": dict(+self.by_intent),
            "by_language": dict(+self.by_language),
            "left_out": {
                "commits": dict(+self.commits_left_out),
                "files": dict(+self.files_left_out),
                "functions": dict(+self.functions_left_out),
            },
        }


def read_changes(
    repository: Path,
    *,
    max_commits: int | None = None,
    since: date | None = None,
    bounds: Bounds | None = None,
    report: HistoryReport | None = None,
) -> Iterator[Change]:
    """The functions that a repository's commits changed, from the newest commit to the oldest.

    Merges are not followed into pairs: what they join is read commit by commit. Memory does not
    grow with the history. Closing the iterator ends the git processes.

    Args:
        repository: A checkout, a folder in one, or a bare repository; whole, shallow or partial.
        max_commits: Read this many commits at most, merges not counted.
        since: Read back to this day (UTC), by the committer's date.
        bounds: How large a change may be.
        report: Filled as the changes are read.

    Raises:
        HubError: There is no history to read, git is not installed, or it was killed.
    """
    if max_commits is not None and max_commits < 1:
        raise ValueError(f"max_commits must be at least 1, got {max_commits}")
    report = report if report is not None else HistoryReport()
    history = History(repository)
    with history:
        report.commits_total = history.count(max_commits=max_commits, since=since)
        reader = _Reader(history.blobs(), bounds or Bounds(), report)
        with closing(history.commits(max_commits=max_commits, since=since)) as commits:
            for commit in commits:
                report.commits += 1
                for change in reader.changes(commit):
                    report.pairs += 1
                    report.by_intent[change.intent] += 1
                    report.by_language[change.language] += 1
                    yield change
        if history.unreadable:
            report.commits_left_out["unreadable"] = history.unreadable


@dataclass(frozen=True, slots=True)
class _Side:
    """One version of a file."""

    path: str
    blob: str


class _Unfit(Exception):  # noqa: N818 - not an error: it carries the reason for the count
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Reader:
    """From one commit to its changes; remembers the files that it parsed last."""

    def __init__(self, blobs: Blobs, bounds: Bounds, report: HistoryReport) -> None:
        self._blobs = blobs
        self._bounds = bounds
        self._report = report
        self._pairing = Pairing(bounds, report.functions_left_out)
        self._parsed: OrderedDict[tuple[str, str], ParsedFile] = OrderedDict()
        self._parsed_bytes = 0

    def changes(self, commit: Commit) -> Iterator[Change]:
        try:
            message, raw = self._message(commit)
            pairs = self._pairs(commit, message)
        except _Unfit as unfit:
            self._report.commits_left_out[unfit.reason] += 1
            return
        said = intent_of_message(message, raw)
        for pair in pairs:
            yield Change(
                path=pair.path,
                language=pair.after.language,
                symbol=pair.after.symbol,
                before=pair.before.text,
                after=pair.after.text,
                before_line=pair.before.line,
                after_line=pair.after.line,
                subject=message.subject,
                body=message.body,
                intent=_intent(pair, said),
                commit=commit.hash,
                date=_date(commit.time),
            )

    def _message(self, commit: Commit) -> tuple[Message, str]:
        try:
            raw = commit.message.decode("utf-8")
        except UnicodeDecodeError:
            raise _Unfit("message is not UTF-8") from None
        message = clean_message(raw)
        if reason := reason_to_leave_out(message):
            raise _Unfit(reason)
        return message, raw

    def _pairs(self, commit: Commit, message: Message) -> list[Pair]:
        if commit.file_count > self._bounds.all_files:
            raise _Unfit("too many files")
        sides = self._sides(commit.files)
        if len(sides) > self._bounds.files:
            raise _Unfit("too many files")
        if not sides:
            raise _Unfit("no code changed" if commit.file_count else "nothing to compare with")
        code = [pair for pair in sides if not is_test(pair[1].path)]
        if code and (message.type in _TYPES_OF_OTHERS or not is_about_code(message.subject)):
            raise _Unfit("subject not about the code")
        pairs: list[Pair] = []
        for before, after in code or sides:
            try:
                pairs += self._file_pairs(before, after)
            except _Unfit as unfit:
                self._report.files_left_out[unfit.reason] += 1
            if len(pairs) > self._bounds.functions:
                raise _Unfit("too many functions")
        if code:  # the message is about it, and says nothing true of the tests that follow it
            self._report.files_left_out[_FOLLOWS] += len(sides) - len(code)
            pairs = self._without_tests(pairs)
        if not pairs:
            raise _Unfit("no function to learn from")
        return pairs

    def _without_tests(self, pairs: list[Pair]) -> list[Pair]:
        kept = [pair for pair in pairs if not pair.is_test]
        self._report.functions_left_out[_FOLLOWS] += len(pairs) - len(kept)
        return kept

    def _sides(self, changes: Iterable[FileChange]) -> list[tuple[_Side, _Side]]:
        """The two versions of each file of code; a file that moved keeps its name."""
        found: list[tuple[_Side, _Side]] = []
        deleted: dict[str, list[FileChange]] = {}
        added: dict[str, list[FileChange]] = {}
        for change in changes:
            name = PurePosixPath(change.path).name
            if reason := _reason_to_skip(change):
                self._report.files_left_out[reason] += 1
            elif change.status == "D":
                deleted.setdefault(name, []).append(change)
            elif change.status == "A":
                added.setdefault(name, []).append(change)
            else:
                old, new = _Side(change.path, change.old_blob), _Side(change.path, change.new_blob)
                found.append((old, new))
        for name in [name for name in deleted if name in added]:
            if len(deleted[name]) == len(added[name]) == 1:
                old_file, new_file = deleted.pop(name)[0], added.pop(name)[0]
                old = _Side(old_file.path, old_file.old_blob)
                found.append((old, _Side(new_file.path, new_file.new_blob)))
        for reason, files in (("file added", added), ("file deleted", deleted)):
            if files:
                self._report.files_left_out[reason] += sum(map(len, files.values()))
        return found

    def _file_pairs(self, old: _Side, new: _Side) -> list[Pair]:
        if old.blob == new.blob:
            raise _Unfit("file moved")
        after = self._parse(new)
        return self._pairing.pairs(new.path, self._parse(old, like=after), after)

    def _parse(self, side: _Side, like: ParsedFile | None = None) -> ParsedFile:
        """A file, parsed once: its version after one commit is that before another.

        The bounded cache holds trees, by content.
        """
        key = (side.blob, PurePosixPath(side.path).suffix)
        if key in self._parsed:
            self._parsed.move_to_end(key)
            return self._parsed[key]
        data = self._content(side)
        parsed = parse_file(data, detect_language(side.path, data[:_HEAD]), like)
        self._parsed[key] = parsed
        self._parsed_bytes += len(data)
        while self._parsed_bytes > _CACHED_BYTES and len(self._parsed) > 1:
            _, oldest = self._parsed.popitem(last=False)
            self._parsed_bytes -= len(oldest.data)
        return parsed

    def _content(self, side: _Side) -> bytes:
        """A file as text with line feeds, whatever its line ends are."""
        try:
            data = self._blobs.read(side.blob)
        except Missing as missing:
            raise _Unfit(missing.reason) from None
        if reason := reason_not_text(data) or reason_by_content(side.path, data):
            raise _Unfit(reason)
        return data.replace(b"\r\n", b"\n")


def _reason_to_skip(change: FileChange) -> str | None:
    """Why a file is no code of the repository's own; before it is read."""
    language = detect_language(change.path)
    if language not in GRAMMARS:
        return "not code"
    modes = {"A": {change.new_mode}, "D": {change.old_mode}}
    if not modes.get(change.status, {change.old_mode, change.new_mode}) <= REGULAR:
        return "no regular file"
    if not VENDORED_FOLDERS.isdisjoint(change.path.split("/")[:-1]):
        return "vendored"
    if not change.path.isprintable():
        return "unprintable path"
    return reason_by_name(change.path)


def _intent(pair: Pair, said: str) -> str:
    """What the commit says, else what the change shows; a test can be wrong, but not insecure."""
    shown = pair.intent
    if pair.is_test:
        said = "" if said in _NOT_OF_TESTS else said
        shown = OTHER if shown in _NOT_OF_TESTS else shown
    return said or shown


def _date(seconds: bytes) -> str:
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
