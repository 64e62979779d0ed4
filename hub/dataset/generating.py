"""Examples that a model writes: what to ask for a function, or a test of it.

Every answer goes to a ledger at once, accepted or rejected with its reason, so that a run that was
stopped, or whose endpoint failed, goes on where it was and pays for nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from hub.curate.forbidden import find_terms
from hub.curate.shingles import shingles, tokens
from hub.errors import HubError
from hub.generator import collect
from hub.syntax import definition, parse
from hub.types import Decoding, Example, Message, Prompt
from hub.words import split_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hub.reporting import Progress
    from hub.types import Generator, Pattern

GENERATED = "examples/generated.jsonl"  # the ledger, in the hub's folder
FAILURES = 5  # of the endpoint in a row, after which it is taken to be gone
MIN_WORDS, MAX_WORDS = 6, 120  # of an instruction
LEAK = 0.3  # share of an instruction's shingles that stand in the code it asks for
DECODING = Decoding(temperature=0.2)  # what is kept has to validate: little variety is wanted
SYSTEM = "You write training data for a coding assistant. Answer with what is asked for alone."


class Job(NamedTuple):
    """What is asked of the model, what makes an answer wrong, and the example of a right one."""

    ask: str
    wrong: Callable[[str, Pattern], str]
    example: Callable[[str, Pattern], tuple[str, str]]  # prompt and completion


@dataclass(slots=True)
class GenerateReport:
    """Answers accepted in this run and before, and what was not by reason."""

    accepted: int = 0
    known: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "accepted": self.accepted,
            "known": self.known,
            "rejected": dict(self.rejected),
            "failed": self.failed,
        }


def generate(
    patterns: Sequence[Pattern],
    generator: Generator,
    ledger: Path,
    *,
    jobs: Sequence[str],
    progress: Progress,
) -> GenerateReport:
    """Ask for every job of every pattern that the ledger has no answer to.

    Raises:
        HubError: the endpoint failed :data:`FAILURES` times in a row; what it answered is kept.
    """
    for name in jobs:
        if name not in JOBS:
            raise HubError(f"no job is called {name!r}; there are: {', '.join(JOBS)}")
    report = GenerateReport()
    known = {entry["key"] for entry in _entries(ledger)}
    report.known = len(known)
    wanted = [(p, job) for p in patterns for job in jobs]
    in_a_row = 0
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open("a", encoding="utf-8") as file:
        if known:
            file.write("\n")  # a killed run may have left half a line
        for done, (p, name) in enumerate(wanted):
            progress("generating", done, len(wanted))
            key = _key(p, name, generator.name)
            if key in known:
                continue
            asked = JOBS[name].ask.format(language=p.language, code=definition(p.text))
            prompt = Prompt((Message("system", SYSTEM), Message("user", asked)))
            (answer,) = collect(generator.stream([prompt], DECODING))
            if not answer.complete:
                report.failed += 1
                in_a_row += 1
                if in_a_row >= FAILURES:
                    raise HubError(
                        f"{answer.error}; {report.accepted} answers are kept, the same command "
                        "goes on"
                    )
                continue
            in_a_row = 0
            text = _unfenced(answer.text)
            reason = JOBS[name].wrong(text, p)
            if reason:
                report.rejected[reason] += 1
            else:
                report.accepted += 1
            entry = {"key": key, "job": name, "pattern": p.id, "model": generator.name}
            entry |= {"text": text, "rejected": reason}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()
    return report


def generated(ledger: Path, patterns: Sequence[Pattern]) -> Iterator[Example]:
    """The accepted answers as examples; those whose pattern has changed since are left out."""
    by_id = {p.id: p for p in patterns}
    for entry in _entries(ledger):
        p = by_id.get(entry["pattern"])
        if p is None or entry["rejected"]:
            continue
        prompt, completion = JOBS[entry["job"]].example(entry["text"], p)
        yield Example(
            task="implement" if entry["job"] == "instruction" else "tests",
            prompt=(Message("user", prompt),),
            completion=(Message("assistant", completion),),
            language=p.language,
            source=p.source,
            path=p.path,
            start_line=p.start_line,
            end_line=p.end_line,
            symbol=p.symbol,
            files=(f"{p.source}/{p.path}",),
            patterns=(p.id,),
        )


def _no_instruction(text: str, p: Pattern) -> str:
    words = len(text.split())
    if not MIN_WORDS <= words <= MAX_WORDS:
        return f"not {MIN_WORDS} to {MAX_WORDS} words"
    if "```" in text or "\n\n\n" in text:
        return "holds code"
    code = set(shingles(tokens(p.text)).tolist())
    said = shingles(tokens(text)).tolist()
    if sum(shingle in code for shingle in said) > LEAK * len(said):
        return "repeats the code"
    return "a forbidden term" if find_terms(text) else ""


def _no_test(text: str, p: Pattern) -> str:
    tree = parse(text, p.language)
    if not text or tree is None or tree.has_error:
        return "does not parse"
    name = re.split(r"[.:#]", p.symbol)[-1]
    if name not in text:
        return "does not name what it tests"
    if not {"assert", "expect", "require", "equal"} & set(split_words(text)):
        return "checks nothing"
    return "a forbidden term" if find_terms(text, language=p.language) else ""


JOBS = {
    "instruction": Job(
        "Which request of a developer would this {language} code answer? Say what it has to do, "
        "not how it does it.\n\n{code}",
        _no_instruction,
        lambda text, p: (text, definition(p.text)),
    ),
    "tests": Job(
        "Write one test of this {language} code, in the usual framework of the language.\n\n{code}",
        _no_test,
        lambda text, p: (f"Write a test of this code.\n\n{definition(p.text)}", text),
    ),
}


def _unfenced(answer: str) -> str:
    """The code in an answer that is one fenced block, or the answer itself."""
    fenced = re.fullmatch(r"\s*```[^\n]*\n(.*?)\n?```\s*", answer, re.DOTALL)
    return (fenced[1] if fenced else answer).strip()


def _key(p: Pattern, job: str, model: str) -> str:
    made_of = json.dumps([p.id, p.text, job, model])
    return hashlib.blake2b(made_of.encode(errors="surrogatepass"), digest_size=10).hexdigest()


def _entries(ledger: Path) -> list[dict[str, Any]]:
    """What was answered so far; a line that a killed run left unfinished is none."""
    entries = []
    if ledger.is_file():
        for line in ledger.read_text(encoding="utf-8").split("\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            entries.append(entry)
    return entries
