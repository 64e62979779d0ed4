"""A model on this machine as a generator of the hub: base and adapters in one memory.

The model itself is training's, which knows nothing of the hub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.errors import HubError
from hub.generator import PROBES
from hub.types import GREEDY, Generation, Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.types import Decoding, Prompt
    from training.generate import LocalModel
    from training.template import Messages

ROWS = 8  # decoded together; more wait


class LocalGenerator:
    """Answers of one base and the adapters on it."""

    def __init__(self, model: LocalModel) -> None:
        self.name = model.base
        self.context = model.context
        self._model = model

    def count(self, text: str) -> int:
        """See :class:`hub.types.Generator`."""
        return self._model.count(text)

    def effect(self, adapter: str) -> float:
        """See :class:`hub.types.Generator`."""
        from training.errors import TrainingError

        try:
            return self._model.effect(adapter, [_turns((Message("user", q),)) for q in PROBES])
        except TrainingError as error:
            raise HubError(str(error)) from error

    def stream(
        self, prompts: Sequence[Prompt], decoding: Decoding = GREEDY
    ) -> Iterator[tuple[int, str | Generation]]:
        """See :class:`hub.types.Generator`."""
        for at in range(0, len(prompts), ROWS):
            for row, part in self._rows(prompts[at : at + ROWS], decoding):
                yield at + row, part

    def _rows(
        self, prompts: Sequence[Prompt], decoding: Decoding
    ) -> Iterator[tuple[int, str | Generation]]:
        from training.errors import TrainingError
        from training.generate import Request

        requests = [Request(_turns(p.messages), p.adapter) for p in prompts]
        texts = dict.fromkeys(range(len(prompts)), "")
        try:
            for row, part in self._model.stream(requests, **decoding._asdict()):
                if isinstance(part, str):
                    texts[row] += part
                    yield row, part
                else:
                    texts.pop(row)
                    yield (
                        row,
                        Generation(
                            text=part.text,
                            prompt_tokens=part.prompt_tokens,
                            tokens=part.tokens,
                            seconds=part.seconds,
                            finish=part.finish,
                        ),
                    )
        except TrainingError as error:  # of rows that were done it says nothing
            for row, text in texts.items():
                yield row, Generation(text=text, finish="error", error=str(error))


def _turns(messages: Sequence[Message]) -> Messages:
    return [turn._asdict() for turn in messages]
