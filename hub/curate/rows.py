"""A row of a dataset as its reader sees it, whichever of the usual forms it has."""

from __future__ import annotations

import functools
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hub.curate.fragments import Fragment, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

METADATA = frozenset({"id", "task", "category", "language", "quality", "provenance"})
MAX_DEPTH = 50  # of lists and objects in each other
MESSAGE = frozenset({"role", "content", "from", "value"})
# What these tasks answer with is a piece of code or a name, what those do is prose.
PIECES = frozenset({"complete", "next_line", "next_import", "next_declaration", "name", "outline"})
PROSE = frozenset({"explain", "design", "standard", "answer"})
LANGUAGES = {
    "py": "python", "python3": "python", "ts": "typescript", "js": "javascript", "golang": "go",
    "rs": "rust", "c++": "cpp", "c#": "csharp", "cs": "csharp", "rb": "ruby", "kt": "kotlin",
    "sh": "bash", "shell": "bash",
}  # fmt: skip
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([^\s`]*)[^`]*$")
_SHAREGPT = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


class Turn(NamedTuple):
    """What one side says; ``place`` is the way to it in the row. No text in a broken row."""

    role: str
    text: Any
    place: str


class Shape(NamedTuple):
    """A usual form of a row: the columns it must have, with who speaks in them, and may have.

    In a conversation they may be lists of messages.
    """

    name: str
    columns: dict[str, str]
    optional: tuple[str, ...] = ()
    is_conversation: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """Code in an answer: ``line`` is the number of lines before it, ``loose`` in prose."""

    text: str
    language: str
    place: str
    line: int
    loose: bool
    fragment: Fragment


@dataclass(frozen=True)
class Row:
    """One row: as it lies in the file, and as a conversation."""

    data: dict[str, Any]
    shape: Shape

    @functools.cached_property
    def all_turns(self) -> list[Turn]:
        """What is said, in order, also what is no text."""
        turns = []
        for name, role in self.shape.columns.items():
            value = self.data[name]
            if self.shape.is_conversation and isinstance(value, list):
                turns += _messages(value, name)
            else:
                turns.append(Turn(role, value, name))
        given, system = (self.data.get(name) for name in ("input", "system"))
        if "input" in self.shape.optional and given and isinstance(turns[0].text, str):
            turns[0] = turns[0]._replace(text=f"{turns[0].text}\n\n{given}")
        if "system" in self.shape.optional and system:
            turns.insert(0, Turn("system", system, "system"))
        return turns

    @functools.cached_property
    def turns(self) -> list[Turn]:
        return [turn for turn in self.all_turns if isinstance(turn.text, str)]

    @functools.cached_property
    def answers(self) -> list[Turn]:
        return [turn for turn in self.turns if turn.role == "assistant"]

    @functools.cached_property
    def code(self) -> list[Code]:
        """All code in the answers that stands for itself and whose language has a grammar."""
        if not self.is_whole:
            return []
        return [code for answer in self.answers for code in _code(answer, self.task, self.language)]

    @property
    def is_whole(self) -> bool:
        """Whether the answers stand for themselves, or are a piece of code or a name."""
        return self.task not in PIECES and self.shape.name != "fim"

    @property
    def is_conversation(self) -> bool:
        """Whether its turns are a list of messages, which a chat template joins."""
        return any(isinstance(self.data[column], list) for column in self.shape.columns)

    def extra(self) -> list[tuple[str, list[str]]]:
        """The columns, and the keys of messages, that no trainer knows, with their places."""
        known = {*self.shape.columns, *self.shape.optional, *METADATA}
        found = [("row", sorted(self.data.keys() - known))]
        for column in self.shape.columns:
            messages = self.data[column] if isinstance(self.data[column], list) else []
            for number, each in enumerate(messages):
                keys = each.keys() - MESSAGE if isinstance(each, dict) else set()
                found.append((f"{column}[{number}]", sorted(keys)))
        return [(place, names) for place, names in found if names]

    @property
    def task(self) -> str:
        return self.said("task")

    @property
    def category(self) -> str:
        return self.said("category")

    @property
    def language(self) -> str:
        return self.said("language").lower()

    def said(self, name: str) -> str:
        """A column of the row, or of its provenance; "" where neither has it."""
        provenance = self.data.get("provenance")
        inner = provenance.get(name) if isinstance(provenance, dict) else None
        value = self.data.get(name) or inner
        return value if isinstance(value, str) else ""


def read_row(data: Any) -> Row | None:
    """The row in the first shape whose columns it has; None for any other JSON value."""
    if not isinstance(data, dict) or _is_deep(data, MAX_DEPTH):
        return None
    shape = next((shape for shape in SHAPES if shape.columns.keys() <= data.keys()), None)
    return Row(data, shape) if shape else None


def _is_deep(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not levels or any(_is_deep(each, levels - 1) for each in inner)


def repaired(row: Row) -> dict[str, Any]:
    """The row with what can be mended without a doubt, as JSON.

    Line ends become line feeds, null characters and lone surrogates go, and so do unknown columns
    and keys, and white space at the end of an answer.
    """
    known = {*row.shape.columns, *row.shape.optional, *METADATA}
    data = {name: _clean(value) for name, value in row.data.items() if name in known}
    for column in row.shape.columns:
        if isinstance(data[column], list):
            data[column] = [_message(each, row) for each in data[column]]
        elif column in ("completion", "output") and row.is_whole:
            data[column] = _stripped(data[column])
    return data


def _message(message: Any, row: Row) -> Any:
    if not isinstance(message, dict):
        return message
    kept = {key: value for key, value in message.items() if key in MESSAGE}
    answers = kept.get("role") == "assistant" or kept.get("from") == "gpt"
    return {k: _stripped(v) for k, v in kept.items()} if answers and row.is_whole else kept


def _stripped(value: Any) -> Any:
    return value.rstrip() if isinstance(value, str) else value


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    if not isinstance(value, str):
        return value
    text = value.encode("utf-16", "surrogatepass").decode("utf-16", "ignore").replace("\0", "")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def fences(text: str) -> Iterator[tuple[str, int, str, bool]]:
    """Fenced blocks: what the fence says, the lines before the code, the code, if it is closed."""
    if "```" not in text and "~~~" not in text:
        return
    lines = text.split("\n")
    opening: tuple[int, str, str] | None = None
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if mark and opening is None:
            opening = (number + 1, mark[1], mark[2])
        elif mark and opening and mark[1].startswith(opening[1]) and not mark[2]:
            yield opening[2], opening[0], "\n".join(lines[opening[0] : number]), True
            opening = None
    if opening:
        yield opening[2], opening[0], "\n".join(lines[opening[0] :]), False


def _code(answer: Turn, task: str, language: str) -> Iterator[Code]:
    blocks = list(fences(answer.text))
    alone = len(blocks) == 1 and answer.text.strip().startswith(("```", "~~~"))
    loose = task in PROSE or not (task or alone)
    if not blocks and task not in PROSE:
        blocks, loose = [(language, 0, answer.text, True)], False
    for info, line, text, _ in blocks:
        said = info.lower().split("{")[0] or ("" if loose else language)
        known = LANGUAGES.get(said, said)
        fragment = parse(textwrap.dedent(text) if line else text, known)
        if fragment:
            yield Code(text, known, answer.place, line, loose, fragment)


def _messages(value: list[Any], place: str) -> list[Turn]:
    """The turns of a list of messages, or of ShareGPT's."""
    turns = []
    for number, each in enumerate(value):
        message = each if isinstance(each, dict) else {"content": each}
        said = message.get("role", _SHAREGPT.get(str(message.get("from")), message.get("from")))
        key = "value" if "value" in message else "content"
        turns.append(Turn(str(said), message.get(key), f"{place}[{number}].{key}"))
    return turns


SHAPES = (
    Shape("messages", {"messages": ""}, is_conversation=True),
    Shape("sharegpt", {"conversations": ""}, is_conversation=True),
    Shape("prompt-completion", {"prompt": "user", "completion": "assistant"}, is_conversation=True),
    Shape("alpaca", {"instruction": "user", "output": "assistant"}, ("input", "system")),
    Shape("fim", {"prefix": "user", "suffix": "user", "middle": "assistant"}),
    Shape("text", {"text": "text"}),
)
