"""Every rule over every row of a dataset, ours or another's."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import TYPE_CHECKING, Any

from hub.config import Forbidden, Privacy
from hub.curate.conventions import convention_rules
from hub.curate.privacy import find
from hub.curate.rows import SHAPES, read_row
from hub.curate.rules import RULES, Finding, Problem, Rule, forbidden_terms
from hub.errors import HubError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from hub.config import Config, Dataset
    from hub.curate.rows import Row

    Count = Callable[[Row], int]  # tokens of a row

BEFORE = ("forbidden", "private")
FORMS = [" ".join(shape.columns) for shape in SHAPES]


class Validator:
    """The rules, and what they remember of the rows before: a dataset has one of its own."""

    def __init__(
        self,
        limits: Dataset,
        conventions: Sequence[Rule],
        count: Count | None,
        terms: Forbidden | None = None,
        privacy: Privacy | None = None,
    ) -> None:
        """Check lengths against ``limits``, by ``count`` where there is one."""
        self.limits, self.count, self.terms = limits, count, terms or Forbidden()
        actions = (privacy or Privacy()).model_dump()
        self.private_kept = frozenset(kind for kind, action in actions.items() if action == "keep")
        self.seen: dict[bytes, str] = {}
        self.place = ""  # of the row at hand
        forbidden = Rule("forbidden", "error", self._forbidden)
        length = Rule("length", "error", self._length)
        private = Rule("private", "error", self._private)
        self.rules = (forbidden, private, *RULES, length, *conventions)

    @classmethod
    def from_config(cls, config: Config, folder: Path) -> Self:
        """The rules of ``config``; a relative tokenizer is looked up in ``folder``.

        Raises:
            HubError: a tokenizer that is not there, or a convention that cannot be read.
        """
        name = config.dataset.tokenizer
        count = token_counter(name, folder) if name else None
        rules = convention_rules(config.conventions)
        return cls(config.dataset, rules, count, config.forbidden, config.privacy)

    def findings(self, data: Any, number: int, file: str = "") -> list[Finding]:
        """What is wrong with a JSON value, row ``number`` of a file, in the order of the rules."""
        row = read_row(data)
        if row is None:
            had = f"columns {', '.join(data)[:100]}" if isinstance(data, dict) else "no object"
            fix = f"write the columns of one form: {'; '.join(FORMS)}"
            return [Finding(number, "structure", "error", "row", had, fix)]
        self.place = f"row {number}" + (f" of {file}" if file else "")
        return [
            Finding(number, rule.name, rule.level, *problem)
            for rule in (*self.rules, Rule("duplicate", "error", self._duplicate))
            for problem in rule.check(row)
        ]

    def broken_rule(self, data: Any) -> str:
        """The first error-level rule that a row of ours breaks by itself; "" if it breaks none.

        Forbidden terms and private data are looked for before, in what it was made of as well.
        """
        row = read_row(data)
        assert row is not None, data
        rules = (r for r in self.rules if r.level == "error" and r.name not in BEFORE)
        return next((rule.name for rule in rules if any(rule.check(row))), "")

    def _forbidden(self, row: Row) -> Iterator[Problem]:
        """No string of the row says who or what wrote the code."""
        for hit in forbidden_terms(row, self.terms):
            place = re.sub(r"\.(\d+)", r"[\1]", hit.place)
            yield Problem(f"{place}:{hit.line}", f"{hit.rule}: {hit.term!r}", "drop the row")

    def _private(self, row: Row) -> Iterator[Problem]:
        """No secret, address or phone number, but for the kinds that hub.toml keeps."""
        for turn in row.turns:
            for found in find(turn.text, self.private_kept):
                fix = f"write {found.placeholder} instead"
                yield Problem(f"{turn.place}:{found.line}", f"private: {found.kind}", fix)

    def _length(self, row: Row) -> Iterator[Problem]:
        """A row is no longer than the model can read."""
        fix = "shorten it, or drop the row"
        size, limit, unit = sum(len(t.text) for t in row.turns), self.limits.max_chars, "characters"
        if self.count:
            try:
                size, limit, unit = self.count(row), self.limits.max_tokens, "tokens"
            except ValueError as error:
                yield Problem("row", str(error), fix)
                return
        if size > limit:
            yield Problem("row", f"{size} {unit}, at most {limit}", fix)

    def _duplicate(self, row: Row) -> Iterator[Problem]:
        """No two rows say the same."""
        said = "\0".join(f"{turn.role}\0{turn.text}" for turn in row.turns)
        digest = hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        first = self.seen.setdefault(digest, self.place)
        if first != self.place:
            yield Problem("row", f"the same as {first}", "drop one")


def token_counter(name: str, folder: Path) -> Count:
    """Counts a row's tokens as it is trained on, in the chat template where there is one.

    Raises:
        MissingExtraError: transformers is not installed.
        HubError: there is no such tokenizer on this machine.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError(f"dataset.tokenizer = {name!r}", "train") from error
    local = folder / name
    where = str(local) if local.exists() else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise HubError(
            f"dataset.tokenizer = {name!r} is neither a folder in {folder} nor a model downloaded "
            f"before: run `hf download {name}`, or leave it empty to count characters"
        ) from error
    return functools.partial(_tokens, tokenizer)


def _tokens(tokenizer: Any, row: Row) -> int:
    """The length of a row; ValueError where the model's chat template refuses it."""
    from jinja2 import TemplateError

    if not (tokenizer.chat_template and row.is_conversation):
        return len(tokenizer("".join(turn.text for turn in row.turns), verbose=False).input_ids)
    turns = [{"role": turn.role, "content": turn.text} for turn in row.turns]
    try:
        return len(tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False))
    except TemplateError as error:
        raise ValueError(f"the chat template refuses the row: {error}") from error
