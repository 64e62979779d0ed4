"""A dataset on disk, checked row by row: files larger than memory, and files that are broken."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from hub.curate.rows import read_row, repaired
from hub.curate.rules import Finding
from hub.curate.validate import FORMS
from hub.errors import HubError
from hub.store.cache import atomic_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hub.curate.validate import Validator
    from hub.reporting import Progress
    from hub.types import Example

# Columns of HumanEval, MBPP and their like, which are no form to be trained on.
SOLUTIONS = ("canonical_solution", "code", "solution")
LAST_BUILD = "last-build"  # in the hub's store: the folder that was built last
MAX_LINE = 64 << 20  # bytes: what is longer is no row
SPLITS = ("train.jsonl", "validation.jsonl", "test.jsonl")


class Line(NamedTuple):
    """A line of a file: its number from 1, its bytes, and the JSON in it or why there is none."""

    number: int
    raw: bytes
    data: Any
    error: Finding | None


@dataclass(slots=True)
class ValidationReport:
    """Rows that were read, findings by rule, and what ``--fix`` did.

    ``failing`` counts the rows that an error keeps out; ``first`` is the first finding of a rule.
    """

    rows: int = 0
    failing: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[str, Finding]] = field(default_factory=dict)
    repaired: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    is_fixed: bool = False

    @property
    def ok(self) -> bool:
        return self.is_fixed or not self.failing

    def add(self, path: Path, found: list[Finding]) -> None:
        self.rows += 1
        self.failing += any(finding.level == "error" for finding in found)
        for finding in found:
            self.findings[finding.rule] += 1
            self.first.setdefault(finding.rule, (str(path), finding))

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "failing": self.failing,
            "findings": dict(self.findings),
            "repaired": self.repaired,
            "dropped": dict(self.dropped),
            "ok": self.ok,
        }


def example_check(validator: Validator) -> Callable[[Example], Example | str]:
    """A check for a build: the example, or the error-level rule that it breaks."""

    def check(example: Example) -> Example | str:
        row = {
            "prompt": [turn._asdict() for turn in example.prompt],
            "completion": [turn._asdict() for turn in example.completion],
            "task": example.task,
            "category": example.category,
            "language": example.language,
        }
        return validator.broken_rule(row) or example

    return check


def dataset_files(dataset: Path) -> list[Path]:
    """A file itself; of a folder the splits in it and below, or else every file of JSON lines.

    Raises:
        HubError: there is none.
    """
    if dataset.is_file():
        return [dataset]
    found = sorted(dataset.rglob("*.jsonl"))
    files = [path for path in found if path.name in SPLITS] or found
    if not files:
        raise HubError(f"{dataset} is no file of JSON lines, and no folder with one")
    return files


def answers_of(dataset: Path) -> list[str]:
    """What the assistant says in a dataset, and its plain texts.

    Raises:
        HubError: there is none, it cannot be read, or a line is no row of one; names the line.
    """
    answers: list[str] = []
    for path in dataset_files(dataset):
        try:
            for line in read_lines(path):
                solved = _solutions(line.data)
                row = None if solved else read_row(line.data)
                if row is None and not solved:
                    told = f"no row of a known form: {'; '.join([*FORMS, *SOLUTIONS])}"
                    raise HubError(
                        f"{path}:{line.number}: {line.error.message if line.error else told}"
                    )
                answers += solved
                if row:
                    answers += [t.text for t in row.turns if t.role in ("assistant", "text")]
        except OSError as error:
            raise HubError(f"{path} cannot be read: {error.strerror or error}") from error
    return answers


def _solutions(data: Any) -> list[str]:
    """What a benchmark's row says is right."""
    row = data if isinstance(data, dict) else {}
    return [row[name] for name in SOLUTIONS if isinstance(row.get(name), str)]


def last_build(store: Path) -> Path:
    """The dataset that was built last in the hub with this store.

    Raises:
        HubError: none was.
    """
    from pathlib import Path

    try:
        return Path((store / LAST_BUILD).read_text(encoding="utf-8").strip())
    except OSError as error:
        raise HubError("no dataset was built here yet: name a file or a folder") from error


def check_dataset(
    dataset: Path,
    validator: Validator,
    *,
    fix: bool,
    on_finding: Callable[[Path, Finding], None],
    progress: Progress,
) -> ValidationReport:
    """Check all rows of a dataset; ``fix`` writes each file anew, with what is sound or mended.

    Raises:
        HubError: there is no dataset, or a file that cannot be read or written; that one stays.
    """
    report = ValidationReport(is_fixed=fix)
    files, folder = dataset_files(dataset), None
    total, done = sum(path.stat().st_size for path in files), 0

    def advance(size: int) -> None:
        nonlocal done
        done += size
        progress("validated", min(done, total), total)

    for path in files:
        if path.parent != folder:  # the same examples in another format
            validator.seen.clear()
            folder = path.parent
        _check_file(path, validator, report, on_finding, advance)
    return report


def _check_file(
    path: Path,
    validator: Validator,
    report: ValidationReport,
    on_finding: Callable[[Path, Finding], None],
    advance: Callable[[int], None],
) -> None:
    def judge(data: Any, number: int) -> list[Finding]:
        return validator.findings(data, number, path.name)

    def rows() -> Iterator[bytes]:
        for line in read_lines(path):
            found = [line.error] if line.error else judge(line.data, line.number)
            report.add(path, found)
            for finding in found:
                on_finding(path, finding)
            if report.is_fixed:
                yield _kept(line, found, judge, report)
            advance(len(line.raw))

    try:
        if not report.is_fixed:
            for _ in rows():
                pass
            return
        with atomic_path(path.resolve()) as target, target.open("wb") as file:
            file.writelines(rows())
    except BrokenPipeError:
        raise  # of standard output: the reader of findings has gone
    except OSError as error:
        raise HubError(f"{path}: {error.strerror or error}; nothing in it was changed") from error


def _kept(
    line: Line,
    found: list[Finding],
    judge: Callable[[Any, int], list[Finding]],
    report: ValidationReport,
) -> bytes:
    """The row as it is to be written; empty where it is dropped."""
    raw = line.raw.rstrip(b"\r\n") + b"\n"
    row = read_row(line.data) if found else None
    if row and (mended := repaired(row)) != line.data:
        found = judge(mended, line.number)
        raw = json.dumps(mended, ensure_ascii=False).encode() + b"\n"
        report.repaired += not _first_error(found)
    if rule := _first_error(found):
        report.dropped[rule] += 1
        return b""
    return raw


def _first_error(found: list[Finding]) -> str:
    return next((finding.rule for finding in found if finding.level == "error"), "")


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file that are not blank, one at a time.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE):
            number += 1
            if len(raw) == MAX_LINE and not raw.endswith(b"\n"):
                while (more := file.readline(MAX_LINE)) and not more.endswith(b"\n"):
                    pass
                yield _broken(number, b"", f"byte {MAX_LINE}", "the line goes on and on")
            elif raw.strip():
                yield _parsed(number, raw)


def _parsed(number: int, raw: bytes) -> Line:
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        return Line(number, raw, json.loads(text, parse_constant=_refuse), None)
    except UnicodeDecodeError as error:
        told = f"no UTF-8: {raw[error.start]:#04x}, {error.reason}"
        return _broken(number, raw, f"byte {error.start + 1}", told)
    except json.JSONDecodeError as error:
        return _broken(number, raw, f"character {error.pos + 1}", f"no JSON: {error.msg}")
    except (ValueError, RecursionError) as error:
        return _broken(number, raw, "row", f"no JSON: {error}")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _broken(number: int, raw: bytes, place: str, message: str) -> Line:
    finding = Finding(number, "json", "error", place, message, "mend the line, or drop it")
    return Line(number, raw, None, finding)
