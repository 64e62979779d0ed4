"""Text from a model behind an OpenAI-compatible endpoint, streamed as it comes.

What is sent has its secrets masked. An answer that breaks off, for whatever reason, comes back as
far as it went and says why: it is never taken for what the model had to say.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from hub.config import Privacy
from hub.curate.privacy import SECRETS, redact, secrets_in
from hub.endpoint import stream_events
from hub.errors import HubError
from hub.types import GREEDY, Decoding, Generation, Message, Prompt

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from hub.config import Generator as Settings

BYTES_A_TOKEN = 3  # of code, with any tokenizer: rather too few
PROBES = (  # what is asked with and without an adapter, to see whether it changes anything
    "Write a function that retries a call until it succeeds.",
    "Explain what this module does.",
    "Write a test.",
)
PROBED = 48  # tokens of each answer
PARALLEL = 8  # conversations that one call has under way at once
FINISHES = {"stop": "stop", "length": "length", "eos": "stop", "eos_token": "stop"}


class EndpointGenerator:
    """A chat model, and its adapters under the names that the endpoint serves them by."""

    def __init__(self, settings: Settings, privacy: Privacy | None = None) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            settings: Which endpoint and model.
            privacy: Which personal data may be sent; secrets never are.

        Raises:
            HubError: the endpoint or the model is not named.
        """
        for key in ("endpoint", "model"):
            if not getattr(settings, key):
                raise HubError(
                    f"generator.{key} is not set: name one under [generator] in hub.toml"
                )
        self.name = settings.model
        self.context = settings.context
        self._url = f"{settings.endpoint.rstrip('/')}/chat/completions"
        self._settings = settings
        actions = (privacy or Privacy()).model_dump()
        kept = {group for group, action in actions.items() if action == "keep"}
        self._keep = frozenset(kept - {SECRETS})

    def count(self, text: str) -> int:
        """See :class:`hub.types.Generator`."""
        return -(-len(text.encode(errors="replace")) // BYTES_A_TOKEN)

    def effect(self, adapter: str) -> float:
        """See :class:`hub.types.Generator`."""
        asked = [(Message("user", probe),) for probe in PROBES]
        prompts = [Prompt(messages, name) for name in ("", adapter) for messages in asked]
        answers = collect(self.stream(prompts, Decoding(max_tokens=PROBED)))
        for answer in answers:
            if not answer.complete:
                raise HubError(answer.error)
        texts = [answer.text for answer in answers]
        pairs = zip(texts[: len(asked)], texts[len(asked) :], strict=True)
        return sum(base != adapted for base, adapted in pairs) / len(asked)

    def stream(
        self, prompts: Sequence[Prompt], decoding: Decoding = GREEDY
    ) -> Iterator[tuple[int, str | Generation]]:
        """See :class:`hub.types.Generator`."""
        parts: queue.Queue[tuple[int, str | Generation]] = queue.Queue()
        waiting = iter(enumerate(prompts))
        lock, stopped = threading.Lock(), threading.Event()

        def work() -> None:
            while not stopped.is_set():
                with lock:
                    row, prompt = next(waiting, (-1, None))
                if prompt is None:
                    return
                with contextlib.closing(self._one(prompt, decoding)) as answer:
                    for part in answer:
                        parts.put((row, part))
                        if stopped.is_set():
                            return

        for _ in range(min(PARALLEL, len(prompts))):
            threading.Thread(target=work, daemon=True).start()
        missing = len(prompts)
        try:
            while missing:
                row, part = parts.get()
                missing -= isinstance(part, Generation)
                yield row, part
        finally:
            stopped.set()

    def _one(self, prompt: Prompt, decoding: Decoding) -> Generator[str | Generation, None, None]:
        """The pieces of one answer, then the whole."""
        started = time.monotonic()
        texts: list[str] = []
        usage: dict[str, Any] = {}
        finish, error = "error", ""
        try:
            body = self._body(prompt, decoding)
            with contextlib.closing(self._chunks(body)) as chunks:
                for chunk in chunks:
                    usage = chunk.get("usage") or usage
                    for choice in chunk.get("choices") or []:
                        if piece := (choice.get("delta") or {}).get("content") or "":
                            texts.append(piece)
                            yield piece
                        if reason := choice.get("finish_reason"):
                            finish = FINISHES.get(reason, "error")
                            error = "" if finish != "error" else f"it ended by {reason!r}"
            if finish == "error" and not error:
                error = f"{self._url} broke off after {len(texts)} pieces"
        except (HubError, AttributeError, TypeError) as failure:  # the latter: JSON of other form
            finish, error = "error", str(failure)
        yield Generation(
            text="".join(texts),
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            tokens=int(usage.get("completion_tokens") or 0),
            seconds=time.monotonic() - started,
            finish=finish,  # type: ignore[arg-type]
            error=error,
        )

    def _body(self, prompt: Prompt, decoding: Decoding) -> dict[str, Any]:
        known: dict[str, str] = {}
        for turn in prompt.messages:
            known |= secrets_in(turn.content)

        def sent(turn: Message) -> dict[str, str]:
            return {"role": turn.role, "content": redact(turn.content, self._keep, known)[0]}

        body = {
            "model": prompt.adapter or self.name,
            "messages": [sent(turn) for turn in prompt.messages],
            "max_tokens": decoding.max_tokens,
            "temperature": decoding.temperature,
            "seed": decoding.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return body | ({"stop": list(decoding.stop)} if decoding.stop else {})

    def _chunks(self, body: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """The endpoint's chunks.

        Raises:
            HubError: it cannot be reached, refuses, takes too long, or sends what is no chunk.
        """
        settings = self._settings
        deadline = time.monotonic() + settings.timeout
        events = stream_events(self._url, body, settings.api_key_env, timeout=settings.timeout)
        with contextlib.closing(events):
            for event in events:
                if time.monotonic() > deadline:
                    raise HubError(f"{self._url} took more than {settings.timeout:g} s")
                if event == "[DONE]":
                    return
                try:
                    chunk = json.loads(event)
                except (ValueError, RecursionError) as error:
                    raise HubError(f"{self._url} sent no JSON: {event[:80]!r}") from error
                if not isinstance(chunk, dict):
                    raise HubError(f"{self._url} sent {event[:80]!r} for a piece of an answer")
                if failure := chunk.get("error"):
                    raise HubError(f"{self._url} failed half-way: {str(failure)[:200]}")
                yield chunk


def collect(parts: Iterable[tuple[int, str | Generation]]) -> list[Generation]:
    """The whole answers of a stream, in the order of their rows."""
    whole = {row: part for row, part in parts if isinstance(part, Generation)}
    return [whole[row] for row in sorted(whole)]
