"""What may leave the machine: forbidden terms and private data, and the report of what was found.

Patterns are cleaned before tasks cut them or join their lines, because half of a key is no key to
any rule; examples are cleaned again, for what people wrote and what stands together only there.

The report names what is private by a keyed hash: without a key, an address or a phone number is
found by hashing all there are. The key is made of everything that is indexed: the same index gives
the same report, and only who has all of the code, with the values in it, can hash a guess.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hub.curate.forbidden import EXTRA, find_terms
from hub.curate.privacy import SECRETS, groups_in, redact, redact_json, redact_pattern, secrets_in
from hub.curate.rows import read_row
from hub.curate.rules import forbidden_terms
from hub.dataset.formats import Options, as_row, turns
from hub.types import Infill, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hub.config import Forbidden, Privacy
    from hub.curate.licences import Licence
    from hub.curate.privacy import Finding
    from hub.types import Example, Pattern

    Check = Callable[[Example], Example | str]


class Found(NamedTuple):
    """One finding: ``where`` names the code or the row, ``place`` the text in it, ``line`` from 1.

    ``value`` is a forbidden term as it reads; the keyed hash of what is private, and of a term of
    hub.toml.
    """

    where: str
    place: str
    line: int
    rule: str
    value: str

    def __str__(self) -> str:
        shown = "" if self.rule == EXTRA else f" {self.value!r}"
        return f"{self.where}: {self.place}, line {self.line}: {self.rule}{shown}"


@dataclass(slots=True)
class Compliance:
    """All that was found, in order, what becomes of it, and the licences of the sources."""

    actions: dict[str, Any]
    private: list[Found] = field(default_factory=list)
    forbidden: list[Found] = field(default_factory=list)
    licences: Mapping[str, Iterable[Licence]] = field(default_factory=dict)

    def private_kinds(self) -> dict[str, int]:
        return dict(sorted(Counter(found.rule for found in self.private).items()))

    def to_json(self) -> dict[str, Any]:
        return {
            "actions": self.actions,
            "private": [found._asdict() for found in self.private],
            "private_kinds": self.private_kinds(),
            "forbidden": [found._asdict() for found in self.forbidden],
            "licences": {
                source: [licence._asdict() for licence in licences]
                for source, licences in sorted(self.licences.items())
            },
        }


class Screen:
    """Drops or mends what may not leave the machine, as hub.toml says, and remembers it."""

    def __init__(
        self, privacy: Privacy, forbidden: Forbidden, patterns: Iterable[Pattern] = ()
    ) -> None:
        """Of ``patterns`` comes the key of the report's hashes."""
        actions = privacy.model_dump()
        self.terms = forbidden
        self.compliance = Compliance(actions)
        self._keep = frozenset(group for group, action in actions.items() if action == "keep")
        self._drop = frozenset(group for group, action in actions.items() if action == "drop")
        self._known: dict[str, str] = {}
        self._tainted: dict[str, Found] = {}  # by the pattern's id
        key = hashlib.blake2b()
        for p in patterns:
            key.update(p.text.encode("utf-8", "surrogatepass"))
        self._key = key.digest()

    def learn(self, texts: Iterable[str]) -> None:
        """Know the secrets in texts: what is told by its name here is found without one there."""
        if SECRETS not in self._keep:
            for text in texts:
                self._known |= secrets_in(text)

    @property
    def knows(self) -> tuple[str, ...]:
        """The secrets that were learnt."""
        return tuple(sorted(self._known))

    def path(self, path: str) -> str:
        """A path as :meth:`pattern` has it."""
        return redact(path, self._keep, self._known)[0]

    def pattern(self, p: Pattern) -> Pattern:
        """The pattern without private data; one with a forbidden term drops what is made of it."""
        clean, findings = redact_pattern(p, self._keep, self._known)
        where = f"{clean.source}/{clean.location}"
        self._record(where, findings)
        hits = find_terms(
            p.text,
            language=p.language,
            everywhere=self.terms.everywhere,
            extra=tuple(self.terms.terms),
        )
        if hits:
            self._tainted[p.id] = self._term(
                where, "text", hits[0].line, hits[0].rule, hits[0].term
            )
        return clean

    def is_tainted(self, p: Pattern) -> bool:
        """Whether :meth:`pattern` found a forbidden term in it."""
        return p.id in self._tainted

    def forbidden(self, example: Example) -> Example | str:
        """Drops an example with a forbidden term in any string, or made of a pattern with one."""
        row, where = read_row(as_row(example, "prompt-completion", Options())), _named(example)
        found = [
            self._term(where, hit.place, hit.line, hit.rule, hit.term)
            for hit in (forbidden_terms(row, self.terms) if row else ())
        ]
        made_of = (self._tainted[id_] for id_ in example.patterns if id_ in self._tainted)
        found = found or [each._replace(where=f"{where}, of {each.where}") for each in made_of]
        self.compliance.forbidden += found
        return f"forbidden: {found[0].rule}" if found else example

    def private(self, example: Example) -> Example | str:
        """Puts placeholders where private data stands, or drops the example for one."""
        whole = {
            "prompt": turns(example.prompt),
            "completion": turns(example.completion),
            "infill": example.infill._asdict() if example.infill else {},
            "path": example.path,
            "symbol": example.symbol,
            "files": example.files,
        }
        clean, findings = redact_json(whole, self._keep, self._known)
        if findings:
            self._record(_named(example), findings)
            example = replace(
                example,
                prompt=tuple(Message(**turn) for turn in clean["prompt"]),
                completion=tuple(Message(**turn) for turn in clean["completion"]),
                infill=Infill(**clean["infill"]) if example.infill else None,
                path=clean["path"],
                symbol=clean["symbol"],
                files=tuple(clean["files"]),
            )
        if self._drop:
            texts = [turn.content for turn in example.prompt + example.completion]
            if hole := example.infill:
                texts.append(hole.prefix + hole.middle + hole.suffix)
            texts += [example.path, example.symbol]
            dropped = sorted(set().union(*map(groups_in, texts)) & self._drop)
            if dropped:
                return f"private: {dropped[0]}"
        return example

    def _record(self, where: str, findings: Iterable[Finding]) -> None:
        self.compliance.private += [
            Found(where, f.place, f.line, f.kind, self._hash(f.digest)) for f in findings
        ]

    def _term(self, where: str, place: str, line: int, rule: str, term: str) -> Found:
        return Found(where, place, line, rule, self._hash(term) if rule == EXTRA else term)

    def _hash(self, value: str) -> str:
        return hashlib.blake2b(value.encode(), key=self._key, digest_size=8).hexdigest()


def in_turn(checks: Sequence[Check]) -> Check:
    """All checks in one: what they make of an example, or the first reason to drop it."""

    def check(example: Example) -> Example | str:
        for each in checks:
            found = each(example)
            if isinstance(found, str):
                return found
            example = found
        return example

    return check


def _named(example: Example) -> str:
    lines = f"{example.start_line}-{example.end_line}"
    return f"{example.source}/{example.path}:{lines} ({example.task})"
