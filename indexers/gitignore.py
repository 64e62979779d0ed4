"""Git's ignore rules, for folders that are no git checkout and for the user's own patterns.

The translation follows git's dir.c and wildmatch.c, oddities included, because pathspec reads
escapes, character classes and ``**`` differently; a test compares it with git on random trees.
Paths are bytes throughout: git matches bytes, and a file name need not be text.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from hub.errors import HubError

_SLASH = ord("/")
_STAR = b"[^/]*?"
_LITERAL = re.compile(rb"[^*?\[\\]*")
_POSIX_CLASSES: dict[bytes, bytes] = {
    b"alnum": (string.ascii_letters + string.digits).encode(),
    b"alpha": string.ascii_letters.encode(),
    b"blank": b" \t",
    b"cntrl": bytes([*range(32), 127]),
    b"digit": string.digits.encode(),
    b"graph": bytes(range(33, 127)),
    b"lower": string.ascii_lowercase.encode(),
    b"print": bytes(range(32, 127)),
    b"punct": string.punctuation.encode(),
    b"space": b" \t\n\r",
    b"upper": string.ascii_uppercase.encode(),
    b"xdigit": string.hexdigits.encode(),
}


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One line of an ignore file; ``regex`` matches a whole path, or a name if ``by_name``."""

    regex: bytes
    negated: bool
    folders_only: bool
    by_name: bool


class IgnoreRules:
    """The patterns of one ignore file, relative to the folder it lies in."""

    def __init__(self, patterns: Sequence[_Pattern]) -> None:
        self._patterns = patterns

    @classmethod
    def from_gitignore(cls, content: bytes) -> IgnoreRules:
        """The rules of a ``.gitignore``; as in git, a malformed line matches nothing."""
        parsed = (_parse(line) for line in _pattern_lines(content))
        return cls([pattern for pattern in parsed if pattern is not None])

    @classmethod
    def from_patterns(cls, patterns: Iterable[str]) -> IgnoreRules:
        """The rules a user typed: one pattern each, and a malformed one is an error."""
        return cls([_parse_typed(pattern) for pattern in patterns])

    def verdict(self, path: bytes, *, is_folder: bool) -> bool | None:
        """Whether the last pattern that matches ``path`` ignores it; None when none matches.

        Folders above ``path`` are not looked at.
        """
        names, paths = self._for_folders if is_folder else self._for_files
        last = max(names.last_match(path[path.rfind(b"/") + 1 :]), paths.last_match(path))
        return None if last < 0 else not self._patterns[last].negated

    def ignored_prefix(self, path: bytes) -> bytes | None:
        """The topmost ignored folder above ``path`` (ending in ``/``), ``path`` itself, or None.

        What lies below an ignored folder cannot be re-included: git's rule.
        """
        for folder in parent_folders(path):
            if self.verdict(folder, is_folder=True):
                return folder + b"/"
        ignored = not path.endswith(b"/") and self.verdict(path, is_folder=False)
        return path if ignored else None

    def selects(self, path: bytes) -> bool:
        """Whether ``path`` or a folder above it is matched; the closest match decides."""
        steps = [self.verdict(folder, is_folder=True) for folder in parent_folders(path)]
        steps.append(self.verdict(path, is_folder=False))
        decided = [step for step in steps if step is not None]
        return bool(decided) and decided[-1]

    @cached_property
    def _for_files(self) -> tuple[_Alternatives, _Alternatives]:
        return self._compile(for_folders=False)

    @cached_property
    def _for_folders(self) -> tuple[_Alternatives, _Alternatives]:
        return self._compile(for_folders=True)

    def _compile(self, *, for_folders: bool) -> tuple[_Alternatives, _Alternatives]:
        applicable = [
            (index, pattern)
            for index, pattern in enumerate(self._patterns)
            if for_folders or not pattern.folders_only
        ]
        names = [(index, pattern.regex) for index, pattern in applicable if pattern.by_name]
        paths = [(index, pattern.regex) for index, pattern in applicable if not pattern.by_name]
        return _Alternatives(names), _Alternatives(paths)


class _Alternatives:
    """Numbered regexes as one: a single match tells the highest number that matches."""

    def __init__(self, numbered: Sequence[tuple[int, bytes]]) -> None:
        self._numbers = [number for number, _ in reversed(numbered)]
        joined = b"|".join(b"(" + regex + b")" for _, regex in reversed(numbered))
        self._regex = re.compile(joined, re.DOTALL) if numbered else None

    def last_match(self, text: bytes) -> int:
        """The highest number whose regex matches all of ``text``, or -1."""
        match = self._regex.fullmatch(text) if self._regex else None
        return self._numbers[match.lastindex - 1] if match and match.lastindex else -1


def parent_folders(path: bytes) -> Iterator[bytes]:
    """The folders on the way to ``path``, topmost first; ``path`` too if it ends in ``/``."""
    end = path.find(b"/")
    while end >= 0:
        yield path[:end]
        end = path.find(b"/", end + 1)


def _pattern_lines(content: bytes) -> Iterator[bytes]:
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if line and not line.startswith(b"#"):
            yield _without_trailing_spaces(line.removesuffix(b"\r").split(b"\0")[0])


def _without_trailing_spaces(line: bytes) -> bytes:
    """Git drops trailing spaces, but neither tabs nor a space behind a backslash."""
    kept = line.rstrip(b" ")
    backslashes = len(kept) - len(kept.rstrip(b"\\"))
    escapes_a_space = backslashes % 2 == 1 and len(kept) < len(line)
    return kept + b" " if escapes_a_space else kept


def _parse_typed(pattern: str) -> _Pattern:
    anchored = pattern[1:] if pattern.startswith("./") else pattern
    parsed = _parse(anchored.encode("utf-8", "surrogateescape"))
    if parsed is None:
        raise HubError(
            f"The pattern {pattern!r} can never match a file: write it as in a .gitignore,"
            " for example 'src/', '*.py' or '/docs/**/*.md'."
        )
    return parsed


def _parse(line: bytes) -> _Pattern | None:
    """One pattern, or None for one that git too never matches."""
    negated = line.startswith(b"!")
    body = line[negated:]
    folders_only = body.endswith(b"/")
    body = body.removesuffix(b"/")
    by_name = b"/" not in body
    body = body.removeprefix(b"/")
    regex = _translate(body) if body else None
    return None if regex is None else _Pattern(regex, negated, folders_only, by_name)


def _translate(glob: bytes) -> bytes | None:
    """The regex of a glob, or None if a bracket or an escape in it is malformed.

    Git compares the part before the first special character literally and starts to read the
    glob behind it; therefore ``**`` counts as spanning folders right behind a literal too.
    """
    literal = _LITERAL.match(glob)
    start = literal.end() if literal else 0
    rest = _translate_special(glob[start:])
    return None if rest is None else re.escape(glob[:start]) + rest


def _translate_special(glob: bytes) -> bytes | None:
    """Gaps (``*``, ``**``) and what stands between them, as a regex that cannot backtrack far."""
    spans: list[tuple[bytes, bytes]] = []  # what ** separates
    gap, pieces = b"", [(b"", b"")]  # what * separates, in the current span
    at = 0
    while at < len(glob):
        if glob[at] == ord("*"):
            end = _end_of_stars(glob, at)
            if _spans_folders(glob, at, end):
                spans.append((gap, _chain(pieces)))
                slash = glob[end : end + 1] == b"/"
                gap, pieces = (b"(?:.*?/)?" if slash else b".*?"), [(b"", b"")]
                end += slash
            else:
                pieces.append((_STAR, b""))
            at = end
            continue
        single = _single(glob, at)
        if single is None:
            return None
        regex, at = single
        pieces[-1] = (pieces[-1][0], pieces[-1][1] + regex)
    return _chain([*spans, (gap, _chain(pieces))])


def _chain(pieces: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Gap, fixed, gap, fixed, ...: the earliest place for all but the last is always right.

    Atomic groups say so to ``re``; otherwise ``*a*a*a*b`` would take polynomial time.
    """
    *early, (gap, fixed) = pieces
    return b"".join(b"(?>" + before + part + b")" for before, part in early) + gap + fixed


def _end_of_stars(glob: bytes, at: int) -> int:
    return len(glob) - len(glob[at:].lstrip(b"*"))


def _spans_folders(glob: bytes, at: int, end: int) -> bool:
    """Two or more stars that fill a path segment match across slashes; others are one star."""
    if end - at < 2 or (at > 0 and glob[at - 1] != _SLASH):
        return False
    return end == len(glob) or glob[end] == _SLASH or glob.startswith(b"\\/", end)


def _single(glob: bytes, at: int) -> tuple[bytes, int] | None:
    """The regex of the one-byte item at ``at`` and where it ends."""
    char = glob[at : at + 1]
    if char == b"?":
        return b"[^/]", at + 1
    if char == b"[":
        return _bracket(glob, at + 1)
    if char == b"\\":
        at += 1
        if at == len(glob):
            return None
    return re.escape(glob[at : at + 1]), at + 1


def _bracket(glob: bytes, at: int) -> tuple[bytes, int] | None:
    """A bracket expression whose ``[`` is just before ``at``: its regex and where it ends."""
    negated = glob[at : at + 1] in (b"!", b"^")
    at += negated
    accepted: set[int] = set()
    range_start = 0
    while True:
        member = _bracket_member(glob, at, range_start)
        if member is None:
            return None
        matched, range_start, at = member
        accepted.update(matched)
        if glob[at : at + 1] == b"]":
            break
    chosen = (set(range(256)) - accepted if negated else accepted) - {_SLASH}
    members = b"".join(b"\\x%02x" % byte for byte in sorted(chosen))
    return (b"[" + members + b"]" if chosen else b"(?!)"), at + 1


def _bracket_member(glob: bytes, at: int, range_start: int) -> tuple[bytes, int, int] | None:
    """The bytes one member accepts, the byte a range may start from, and where it ends."""
    if at >= len(glob):
        return None
    if glob[at] == ord("-") and range_start and glob[at + 1 : at + 2] not in (b"", b"]"):
        at += 1 + (glob[at + 1] == ord("\\"))
        return None if at >= len(glob) else (bytes(range(range_start, glob[at] + 1)), 0, at + 1)
    if glob.startswith(b"[:", at):
        end = glob.find(b"]", at + 2)
        if end < 0:
            return None
        if end > at + 2 and glob[end - 1] == ord(":"):
            accepted = _POSIX_CLASSES.get(glob[at + 2 : end - 1])
            return None if accepted is None else (accepted, 0, end + 1)
    at += glob[at] == ord("\\")
    return None if at >= len(glob) else (glob[at : at + 1], glob[at], at + 1)
