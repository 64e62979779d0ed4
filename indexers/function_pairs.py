"""Which functions of two versions of a file belong together, and which of the pairs can teach."""

from __future__ import annotations

import ast
import textwrap
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexers.functions import tokens
from indexers.intents import RENAME, intent_of_change, is_rename, is_test

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from indexers.functions import Function, ParsedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How large a change may be; what is larger is left out and counted.

    ``files`` are those of a commit that hold code, ``all_files`` of any kind; ``functions`` are
    those of a commit whose code changed. ``min_lines`` and ``max_lines`` bound a function on either
    side, ``changed_lines`` the lines that are only on one side.
    """

    all_files: int = 100
    files: int = 20
    functions: int = 15
    min_lines: int = 3
    max_lines: int = 120
    changed_lines: int = 60


@dataclass(frozen=True, slots=True)
class Pair:
    """Two versions of a function in one commit; ``intent`` is what the change alone shows."""

    path: str
    before: Function
    after: Function
    intent: str

    @property
    def is_test(self) -> bool:
        """Whether it tests others; Rust has its tests in a module beside them."""
        in_module = self.after.language == "rust" and self.after.symbol.startswith("test")
        return is_test(self.path, self.after.kind) or in_module


class Pairing:
    """Pairs within ``bounds``; the functions left out are counted in ``left_out`` by reason."""

    def __init__(self, bounds: Bounds, left_out: Counter[str]) -> None:
        self._bounds = bounds
        self._left_out = left_out

    def pairs(self, path: str, old: ParsedFile, new: ParsedFile) -> list[Pair]:
        """The functions that differ by more than layout and comments, in the file's order."""
        before, after = _by_symbol(old.functions), _by_symbol(new.functions)
        pairs = []
        for symbol in before.keys() & after.keys():
            versions = self._versions(before.pop(symbol), after.pop(symbol))
            pairs += [pair for a, b in versions if (pair := self._pair(path, a, b))]
        pairs += self._renamed(path, _flat(before), _flat(after))
        return sorted(pairs, key=lambda pair: pair.after.start)

    def _versions(
        self, before: list[Function], after: list[Function]
    ) -> Iterable[tuple[Function, Function]]:
        """Functions of one name pair in order, where nothing says that one of them came or went."""
        if len(before) == len(after):
            return zip(before, after, strict=True)
        if [function.code for function in before] != [function.code for function in after]:
            self._left_out["several of this name"] += 1
        return ()

    def _pair(self, path: str, before: Function, after: Function) -> Pair | None:
        if before.code == after.code:
            return None
        reason = self._reason_unfit(before, after)
        if not reason:
            old, new = tokens(before), tokens(after)
            if old.texts != new.texts:
                return Pair(path, before, after, intent_of_change(before, after, old, new))
            reason = "only comments or formatting changed"
        self._left_out[reason] += 1
        return None

    def _reason_unfit(self, before: Function, after: Function) -> str:
        old, new = before.text.split("\n"), after.text.split("\n")
        if min(len(old), len(new)) < self._bounds.min_lines:
            return "too short"
        if max(len(old), len(new)) > self._bounds.max_lines:
            return "too long"
        counts, others = Counter(old), Counter(new)
        if max((counts - others).total(), (others - counts).total()) > self._bounds.changed_lines:
            return "change too large"
        if not (before.parses and after.parses):
            return "does not parse"
        if after.language == "python" and not (_is_python(before.text) and _is_python(after.text)):
            return "not Python 3"
        return ""

    def _renamed(self, path: str, gone: list[Function], come: list[Function]) -> Iterator[Pair]:
        """Functions that only their own name, and its uses in them, tells apart."""
        left = {"function added": len(come), "function deleted": len(gone)}
        if gone and come and len(gone) * len(come) <= self._bounds.functions**2:
            for before in gone:
                for after in come:
                    if pair := self._renamed_pair(path, before, after):
                        left = {reason: count - 1 for reason, count in left.items()}
                        come = [function for function in come if function is not after]
                        yield pair
                        break
        self._left_out.update({reason: count for reason, count in left.items() if count})

    def _renamed_pair(self, path: str, before: Function, after: Function) -> Pair | None:
        if before.name == after.name or before.code.count(b"\n") != after.code.count(b"\n"):
            return None
        if self._reason_unfit(before, after):
            return None
        is_same = is_rename(tokens(before), tokens(after), before.name)
        return Pair(path, before, after, RENAME) if is_same else None


def _by_symbol(found: Iterable[Function]) -> dict[str, list[Function]]:
    by_symbol: dict[str, list[Function]] = {}
    for function in found:
        by_symbol.setdefault(function.symbol, []).append(function)
    return by_symbol


def _flat(groups: dict[str, list[Function]]) -> list[Function]:
    return [function for group in groups.values() for function in group]


def _is_python(text: str) -> bool:
    """The grammar knows Python 2 as well, which nobody should learn any more."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
