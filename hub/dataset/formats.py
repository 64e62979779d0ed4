"""Examples as rows of the formats that trainers take; each format is one small function.

The columns that say where a row came from are the same in every format.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from hub.dataset.infill import SENTINELS, joined
from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub.types import Example, Message

    Row = dict[str, Any]
    Format = Callable[["Example", "Options"], Row | None]


@dataclass(frozen=True, slots=True)
class Options:
    """What some formats need to know: a model family's sentinels, and a chat template."""

    family: str = "qwen-coder"
    template: Callable[[list[dict[str, str]]], str] | None = None


def prompt_completion(example: Example, options: Options) -> Row:
    """TRL's conversational prompt-completion: loss on the completion alone."""
    return {"prompt": turns(example.prompt), "completion": turns(example.completion)}


def messages(example: Example, options: Options) -> Row:
    """One conversation, as OpenAI's fine-tuning API and most trainers take it."""
    return {"messages": turns(example.prompt + example.completion)}


def alpaca(example: Example, options: Options) -> Row | None:
    """Stanford Alpaca's columns; a conversation of more than one exchange has no such form."""
    asked = [turn for turn in example.prompt if turn.role != "system"]
    if len(asked) > 1 or len(example.completion) > 1:
        return None
    system = "\n\n".join(turn.content for turn in example.prompt if turn.role == "system")
    instruction, _blank, given = asked[0].content.partition("\n\n")
    return {
        "instruction": instruction,
        "input": given,
        "output": example.completion[0].content,
        "system": system,
    }


def text(example: Example, options: Options) -> Row:
    """The conversation as one string, in a base model's chat template."""
    if options.template is None:
        raise HubError("the format 'text' needs a tokenizer: name one as dataset.tokenizer")
    return {"text": options.template(turns(example.prompt + example.completion))}


def fim(example: Example, options: Options) -> Row | None:
    """Fill in the middle with the sentinels of a model family; other tasks have no such form."""
    if example.infill is None:
        return None
    prompt, completion = joined(example.infill, options.family, Random(identity(example)))
    return {"prompt": prompt, "completion": completion}


FORMATS: dict[str, Format] = {
    "prompt-completion": prompt_completion,
    "messages": messages,
    "alpaca": alpaca,
    "text": text,
    "fim": fim,
}


def as_row(example: Example, format: str, options: Options) -> Row | None:
    """The row of ``example`` in a format, with where it came from; None where it has no such form.

    Raises:
        HubError: the format needs what ``options`` lack.
    """
    row = FORMATS[format](example, options)
    if row is None:
        return None
    return row | {
        "id": identity(example),
        "task": example.task,
        "category": example.category,
        "language": example.language,
        "quality": round(example.quality, 4),
        "provenance": {
            "source": example.source,
            "path": example.path,
            "start_line": example.start_line,
            "end_line": example.end_line,
            "symbol": example.symbol,
            "files": list(example.files),
            "patterns": list(example.patterns),
            "commit": example.commit,
            "variant": example.variant,
        },
    }


def identity(example: Example) -> str:
    """What an example is called in every build: its task, and what it was made from."""
    made_of = [example.task, *example.files, example.symbol, example.commit, *example.patterns]
    made_of.append(example.variant)
    if example.commit or not example.patterns:  # a commit may change several functions of a name
        made_of += [turn.content for turn in example.prompt + example.completion]
    return hashlib.blake2b(json.dumps(made_of).encode(), digest_size=8).hexdigest()


def turns(conversation: tuple[Message, ...]) -> list[dict[str, str]]:
    """Messages as dictionaries."""
    return [{"role": turn.role, "content": turn.content} for turn in conversation]


def check_formats(formats: list[str], options: Options) -> None:
    """Refuse what cannot be written before anything is made.

    Raises:
        HubError: an unknown format or model family; names those there are.
    """
    for name in formats:
        if name not in FORMATS:
            raise HubError(f"no format is called {name!r}; there are: {', '.join(FORMATS)}")
    if options.family not in SENTINELS:
        known = ", ".join(SENTINELS)
        raise HubError(f"dataset.fim_family = {options.family!r}: there are {known}")
