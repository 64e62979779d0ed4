"""Datasets that others made, as examples of this hub: mapped, validated, and still traceable.

What is imported lies in ``examples/imported/NAME.jsonl``, a conversation a row, in the form in
which a build writes its own; the build takes it from there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.config import EXAMPLES
from hub.curate.rows import Row, Turn, read_row, repaired
from hub.dataset.checking import read_lines
from hub.errors import HubError, MissingExtraError
from hub.store.cache import atomic_path
from hub.types import Example, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub.curate.validate import Validator

    Rows = Iterator[tuple[str, int, Any]]  # split, row from 1, its value; None where it is broken

JSON_LINES = (".jsonl", ".json", ".ndjson")
IMPORTED = Path(EXAMPLES) / "imported"
# Where a turn begins in the usual prompt templates: ChatML, Zephyr, Alpaca, Guanaco.
_MARK = re.compile(
    r"(?:<\|im_start\|>|<\||^#{2,3} ?)(system|user|assistant|instruction|input|response|human)\b"
    r"(?:\|>|:)?",
    re.MULTILINE | re.IGNORECASE,
)
_END = re.compile(r"<\|(?:im_end|end|endoftext|eot_id)\|>|</?s>")
_SPEAKER = {"instruction": "user", "human": "user", "input": "user", "response": "assistant"}


@dataclass(slots=True)
class ImportReport:
    """Rows read and kept, and those dropped by the rule that they break."""

    path: str = ""
    rows: int = 0
    kept: int = 0
    repaired: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        names = ("path", "rows", "kept", "repaired")
        return {name: getattr(self, name) for name in names} | {"dropped": dict(self.dropped)}


def import_examples(
    source: str, folder: Path, validator: Validator, *, name: str = "", category: str = ""
) -> ImportReport:
    """Keep what passes every rule of a dataset, in the hub's ``folder``; a name again replaces it.

    Args:
        source: A file of JSON lines, a folder that ``datasets`` reads, or a dataset of the
            Hugging Face Hub, ``owner/name`` or ``owner/name:config``.
        folder: The hub's.
        validator: A fresh one.
        name: What the hub calls it; by default after the source.
        category: Of rows that do not name one.

    Raises:
        HubError: nothing is there, it cannot be reached or read, or no row passes.
        MissingExtraError: all but a file needs the extra 'train'.
    """
    path = Path(source)
    origin, rows = _file(path) if path.is_file() else _dataset(source)
    name = "-".join(re.findall(r"[\w.]+", name or (path.stem if path.exists() else source)))
    target, report = folder / IMPORTED / f"{name}.jsonl", ImportReport()
    report.path = str(target)

    def kept() -> Iterator[str]:
        for split, number, value in rows:
            report.rows += 1
            row, broken = _mapped(value)
            if row is not None:
                data = repaired(row)
                report.repaired += data != row.data
                found = validator.findings(data, report.rows)
                broken = next((each.rule for each in found if each.level == "error"), "")
            if row is None or broken:
                report.dropped[broken] += 1
                continue
            report.kept += 1
            data = _placed(data, f"{split}/{number}", name, category)
            data["provenance"]["imported"] = {**origin, "split": split, "row": number}
            yield json.dumps(data, ensure_ascii=False, sort_keys=True) + "\n"

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(kept())
            if not report.kept:
                told = ", ".join(f"{rule} {count}" for rule, count in report.dropped.most_common())
                raise HubError(f"{source}: no row passes ({told or 'it has none'})")
    except OSError as error:
        raise HubError(f"{target} cannot be written: {error}") from error
    return report


def read_imported(folder: Path) -> Iterator[Example]:
    """The imported examples of the hub in ``folder``, by file and row.

    Raises:
        HubError: a row that was changed by hand and is none any more; names file and line.
    """
    for path in sorted((folder / IMPORTED).glob("*.jsonl")):
        for line in read_lines(path):
            try:
                data, where = line.data, line.data["provenance"]
                yield Example(
                    task=data["task"],
                    prompt=tuple(Message(m["role"], m["content"]) for m in data["prompt"]),
                    completion=tuple(Message(m["role"], m["content"]) for m in data["completion"]),
                    language=data["language"],
                    category=data["category"],
                    source=where["source"],
                    path=where["path"],
                    start_line=where["start_line"],
                    end_line=where["end_line"],
                    symbol=where.get("symbol", ""),
                    files=tuple(where["files"]),
                )
            except (KeyError, TypeError) as error:
                told = line.error.message if line.error else f"{error!r} is not there"
                raise HubError(f"{path}:{line.number}: {told}; import it again") from error


def _mapped(value: Any) -> tuple[Row | None, str]:
    """The row as a prompt and a completion, or why it has no such form."""
    row = read_row(value)
    if row is None:
        return None, "json" if value is None else "structure"
    turns = row.all_turns
    if row.shape.name == "text":
        turns = _conversation(str(row.data["text"]))
    if row.shape.name == "fim" or not turns:
        return None, f"{row.shape.name} without turns"
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    given = row.data.get("provenance")
    data: dict[str, Any] = {"prompt": messages[:-1], "completion": messages[-1:]}
    data |= {key: said for key in ("task", "category", "language") if (said := row.said(key))}
    data |= {"provenance": given if isinstance(given, dict) else {}}
    return read_row(data), ""


def _conversation(text: str) -> list[Turn]:
    """The turns of a text in one of the usual prompt templates; none in any other text."""
    marks = list(_MARK.finditer(text))
    turns: list[Turn] = []
    ends = [*(mark.start() for mark in marks), len(text)][1:]
    for mark, end in zip(marks, ends, strict=False):
        role = _SPEAKER.get(mark[1].lower(), mark[1].lower())
        said = _END.sub("", text[mark.end() : end]).strip()
        if turns and turns[-1].role == role == "user":
            said = f"{turns.pop().text}\n\n{said}"
        turns.append(Turn(role, said, "text"))
    return turns


def _placed(row: dict[str, Any], path: str, name: str, category: str) -> dict[str, Any]:
    """The row with all that an example has; its own words come first."""
    language, given = row.get("language", "text"), row["provenance"]
    place = {"source": f"imported/{name}", "path": path, "start_line": 1, "end_line": 1}
    known = {key: given[key] for key in place if isinstance(given.get(key), type(place[key]))}
    place |= known if "path" in known else {}
    files = given.get("files")
    files = files if isinstance(files, list) else [f"{place['source']}/{place['path']}"]
    defaults = {"task": "answer", "category": category or "unclassified", "language": language}
    return defaults | row | {"provenance": given | place | {"files": files}}


def _file(path: Path) -> tuple[dict[str, Any], Rows]:
    if path.suffix not in JSON_LINES:
        told = "put it into a folder of its own, which is read as a dataset"
        raise HubError(f"{path} is no file of JSON lines ({', '.join(JSON_LINES)}): {told}")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    rows = ((path.name, line.number, line.data) for line in read_lines(path))
    return {"from": path.name, "sha256": digest}, rows


def _dataset(source: str) -> tuple[dict[str, Any], Rows]:
    """A dataset of the Hub at its newest revision, or in a folder, streamed."""
    try:
        import datasets
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingExtraError(f"importing {source}", "train") from error
    is_folder = Path(source).is_dir()
    repository, _, config = (source, "", "") if is_folder else source.partition(":")
    origin: dict[str, Any] = {"from": Path(source).name if is_folder else source}
    with _told(source):
        if not is_folder:
            info = HfApi().dataset_info(repository)
            card = info.card_data
            origin |= {"revision": info.sha, "license": card.get("license", "") if card else ""}
        splits = datasets.load_dataset(
            repository, config or None, revision=origin.get("revision"), streaming=True
        )

    def rows() -> Rows:
        with _told(source):
            for split in splits:
                for number, row in enumerate(splits[split], start=1):
                    yield split, number, row

    return origin, rows()


@contextmanager
def _told(source: str) -> Iterator[None]:
    """What the network, the Hub and the readers of many formats raise, in a sentence."""
    try:
        yield
    except Exception as error:  # each of them has its own
        told = " ".join(str(error).split())[:400]
        raise HubError(f"{source} is no file here, and as a dataset: {told}") from error
