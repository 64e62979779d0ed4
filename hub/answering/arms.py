"""The four arms - base, rag, adapter, rag+adapter - over one generator, asked side by side.

    arms = hub.arms(adapter="team@1.2.0")
    answer = arms.answer("how do we retry HTTP calls?", "rag")

An arm with an adapter answers only once the adapter is shown to change what the model says: else
it would be the base under another name. What broke off is incomplete, and no judgement on an arm.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, get_args

from hub.answering.citations import check_citations
from hub.answering.extract import quoted
from hub.answering.prompt import ABSTAINED, grounded, plain
from hub.answering.records import Answer
from hub.errors import HubError
from hub.types import Decoding, Message, Prompt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hub.answering.flow import Gathered, QueryFlow
    from hub.config import Answering
    from hub.types import Generation, Generator

ArmName = Literal["base", "rag", "adapter", "rag+adapter"]
ARMS: tuple[ArmName, ...] = get_args(ArmName)
Question = str | tuple[Message, ...]  # a sentence, or a conversation that ends with the user's turn
LONGEST = 20_000  # characters of a question
TEMPLATE = 64  # tokens that a chat template may add to a prompt


class Arms:
    """Asks a question of one arm, or of several at once."""

    def __init__(
        self, flow: QueryFlow, generator: Generator | None, settings: Answering, adapter: str = ""
    ) -> None:
        """Arms of finished parts; :meth:`hub.api.Hub.arms` builds them.

        Args:
            flow: What retrieves for the arms with patterns.
            generator: What answers; None: the arm rag quotes, and there is no other.
            settings: Budget, length and decoding.
            adapter: What the generator calls the adapter; empty: there are no arms with one.
        """
        self._flow = flow
        self._generator = generator
        self._settings = settings
        self._adapter = adapter
        self._effect: float | None = None

    @property
    def names(self) -> tuple[ArmName, ...]:
        """The arms there are."""
        if self._generator is None:
            return ("rag",)
        return ARMS if self._adapter else ("base", "rag")

    @property
    def model(self) -> str:
        """What answers; empty: nothing does, the arm rag quotes."""
        return self._generator.name if self._generator else ""

    @property
    def is_local(self) -> bool:
        """Whether a model of this process answers."""
        from hub.answering.local import LocalGenerator

        return isinstance(self._generator, LocalGenerator)

    @property
    def effect(self) -> float:
        """How much the adapter changes what the model says, see :class:`hub.types.Generator`.

        Raises:
            HubError: it changes nothing, so it is not loaded.
        """
        assert self._generator is not None
        if self._effect is None:
            self._effect = self._generator.effect(self._adapter)
        if not self._effect:
            raise HubError(
                f"with the adapter {self._adapter} {self._generator.name} answers as without: it "
                "is not loaded, or has learned nothing; no arm with it is shown or scored"
            )
        return self._effect

    def answer(self, question: Question, arm: ArmName) -> Answer:
        """What one arm answers.

        Raises:
            HubError: there is no such arm, no question, or one that is too long; or nothing is
                indexed.
        """
        (answer,) = (part for _, part in self.answers(question, [arm]) if isinstance(part, Answer))
        return answer

    def answers(
        self, question: Question, arms: Sequence[ArmName]
    ) -> Iterator[tuple[ArmName, str | Answer]]:
        """What several arms answer, all at once, as it comes: (arm, a piece of text), and as the
        last of each arm (arm, its :class:`~hub.answering.records.Answer`).

        Raises:
            HubError: see :meth:`answer`.
        """
        for row, part in self._stream([question] * len(arms), arms):
            yield arms[row], part

    def batch(self, questions: Sequence[Question], arm: ArmName) -> list[Answer]:
        """What one arm answers to many questions, decoded together, in their order.

        Raises:
            HubError: see :meth:`answer`.
        """
        whole = {
            row: part
            for row, part in self._stream(questions, [arm] * len(questions))
            if isinstance(part, Answer)
        }
        return [whole[row] for row in range(len(questions))]

    def _stream(
        self, questions: Sequence[Question], arms: Sequence[ArmName]
    ) -> Iterator[tuple[int, str | Answer]]:
        started = time.monotonic()
        asked: list[tuple[int, Prompt, Gathered | None]] = []
        not_loaded = self._not_loaded() if any(a.endswith("adapter") for a in arms) else ""
        gathered: dict[Question, Gathered] = {}
        for row, (question, arm) in enumerate(zip(questions, arms, strict=True)):
            found = None
            conversation = self._conversation(question, arm)
            if arm.startswith("rag"):
                if question not in gathered:  # two arms rest on the same patterns
                    gathered[question] = self._gather(conversation)
                found = gathered[question]
                if self._generator is None or not found.near:
                    yield row, self._without_model(arm, found, started)
                    continue
            prompt = self._prompt(conversation, arm, found)
            if wrong := (prompt.adapter and not_loaded) or self._too_long(prompt):
                yield row, Answer(arm=arm, text="", complete=False, error=wrong)
                continue
            asked.append((row, prompt, found))
        if not asked:
            return
        assert self._generator is not None
        decoding = Decoding(
            max_tokens=self._settings.max_tokens,
            stop=tuple(self._settings.stop),
            seed=self._settings.seed,
            temperature=self._settings.temperature,
        )
        for at, part in self._generator.stream([prompt for _, prompt, _ in asked], decoding):
            row, _, found = asked[at]
            yield row, part if isinstance(part, str) else _answer(arms[row], part, found)

    def _conversation(self, question: Question, arm: ArmName) -> tuple[Message, ...]:
        """The messages of a question.

        Raises:
            HubError: there is none, or no such arm.
        """
        if arm not in self.names:
            raise HubError(f"there is no arm {arm!r} here: {self._lacking(arm)}")
        messages = (Message("user", question),) if isinstance(question, str) else question
        if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
            raise HubError("the question is empty: ask in words how something is done")
        length = len(messages[-1].content)
        if length > LONGEST:
            raise HubError(
                f"the question has {length:,} characters, more than {LONGEST:,}: ask for one "
                "thing, and leave code that is indexed out"
            )
        return messages

    def _lacking(self, arm: str) -> str:
        if arm not in ARMS:
            return f"arms are {', '.join(ARMS)}"
        if self._generator is None:
            return (
                "no model is configured; name one under [generator], or as answering.base, in "
                "hub.toml"
            )
        return "no adapter is named; name one with --adapter or as answering.adapter in hub.toml"

    @property
    def _left(self) -> int:
        """Tokens that a prompt may have."""
        assert self._generator is not None
        return self._generator.context - self._settings.max_tokens - TEMPLATE

    def _gather(self, messages: tuple[Message, ...]) -> Gathered:
        """Patterns for the last turn, in what the budget and the model's context leave them."""
        budget, count = self._settings.budget, None
        if self._generator is not None:
            count = self._generator.count
            taken = sum(count(turn.content) for turn in grounded(messages, ()))
            budget = min(budget, self._left - taken)
        return self._flow.gather(messages[-1].content, budget=budget, count=count)

    def _prompt(
        self, messages: tuple[Message, ...], arm: ArmName, found: Gathered | None
    ) -> Prompt:
        adapter = self._adapter if arm.endswith("adapter") else ""
        if found is None:
            return Prompt(plain(messages, self._settings.system), adapter)
        return Prompt(grounded(messages, found.passages), adapter)

    def _not_loaded(self) -> str:
        """Why arms with the adapter cannot answer; empty: they can."""
        if self._generator is None or not self._adapter:
            return ""
        try:
            _ = self.effect
        except HubError as error:
            return str(error)
        return ""

    def _too_long(self, prompt: Prompt) -> str:
        """Why a prompt does not fit; empty: it does."""
        assert self._generator is not None
        taken = sum(self._generator.count(turn.content) for turn in prompt.messages)
        if taken <= self._left:
            return ""
        return (
            f"the question takes {taken} tokens, and {self._generator.name} has "
            f"{self._generator.context} with {self._settings.max_tokens} for the answer: ask a "
            "shorter one, or lower answering.max_tokens in hub.toml"
        )

    def _without_model(self, arm: ArmName, found: Gathered, started: float) -> Answer:
        """An abstention, or the patterns themselves."""
        took = time.monotonic() - started
        if not found.near:
            return Answer(arm=arm, text=ABSTAINED, abstained=True, seconds=took)
        text, citations = quoted(found.passages)
        return Answer(
            arm=arm,
            text=text,
            citations=citations,
            sources=found.sources,
            marked=_marked(found),
            extractive=True,
            seconds=took,
        )


def _answer(arm: ArmName, generation: Generation, found: Gathered | None) -> Answer:
    """What was generated, with its citations checked against what was retrieved."""
    passages = found.passages if found else ()
    text, citations = check_citations(generation.text, passages)
    return Answer(
        arm=arm,
        text=text,
        citations=citations,
        sources=found.sources if found else (),
        marked=_marked(found) if found else (),
        prompt_tokens=generation.prompt_tokens,
        tokens=generation.tokens,
        seconds=generation.seconds,
        complete=generation.complete,
        error=generation.error,
    )


def _marked(found: Gathered) -> tuple[str, ...]:
    return tuple(passage.location for passage in found.passages if passage.orders)
