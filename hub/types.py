"""The records every folder shares, and the seams where a model is injected.

Nothing heavy is imported here: indexers, search and tests all start from this module.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A span of one file that its grammar makes meaningful.

    ``start_byte`` (inclusive) and ``end_byte`` (exclusive) of a file's chunks partition the file;
    ``start_line`` and ``end_line`` are 1-based and inclusive. ``text`` is the span itself,
    unchanged. ``part`` is 0 for a whole construct and counts from 1 through the pieces of a long
    one.
    """

    path: str
    start_byte: int
    end_byte: int
    start_line: int
    end_line: int
    language: str
    kind: str
    symbol: str = ""
    signature: str = ""
    docstring: str = ""
    part: int = 0
    text: str

    @property
    def location(self) -> str:
        """``path:start-end``, the form in which answers cite a chunk."""
        return f"{self.path}:{self.start_line}-{self.end_line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern(Chunk):
    """A chunk of a named source, under an id that is the same in every build of the index."""

    id: str
    source: str


class Message(NamedTuple):
    """One turn of a conversation; ``role`` is "system", "user" or "assistant"."""

    role: str
    content: str


class Infill(NamedTuple):
    """Code with a hole: what stands before it, what after it, and what fills it."""

    prefix: str
    suffix: str
    middle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One training example: messages, and where they came from.

    ``prompt`` ends with the user's turn, ``completion`` is what the assistant answers. ``infill``
    is the same example for a model with fill-in-the-middle tokens, where the task is one of those.
    ``source`` to ``symbol`` say where the completion stands. ``files`` are all files that are
    shown, as ``source/path``: none of them may be on both sides of a split. ``patterns`` are the
    ids of what it was made from. Both begin with the completion's. ``variant`` tells it from the
    other examples that its task makes of the same: "variable", "rename,format", "rename,bugs".
    """

    task: str
    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    language: str
    category: str = "unclassified"
    quality: float = 0.0
    infill: Infill | None = None
    source: str
    path: str
    start_line: int
    end_line: int
    symbol: str = ""
    files: tuple[str, ...]
    patterns: tuple[str, ...] = ()
    commit: str = ""
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A function before and after one commit; it names no person.

    ``path`` is the file's after the commit. ``before`` and ``after`` are the function's text with
    its comments, decorators and indentation; ``before_line`` and ``after_line`` its 1-based first
    lines. ``subject`` and ``body`` are the message without prefixes and trailers. ``intent`` is why
    it was changed: "bug fix", "performance", "readability", "security", "rename", "API change" or
    "other".
    """

    path: str
    language: str
    symbol: str
    before: str
    after: str
    before_line: int
    after_line: int
    subject: str
    body: str
    intent: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter in the registry; ``digest`` is its content's and names its folder.

    ``version`` is semantic, ``base`` the model's folder or id, ``dataset`` the digest of the rows
    it learned from, ``created`` ISO 8601 in UTC. ``parent`` is the digest of the version before it,
    or empty. ``verdict`` is the gate's, with "passed" true or false; None: not judged yet.
    """

    digest: str
    name: str
    version: str
    base: str
    dataset: str
    config: dict[str, Any]
    metrics: dict[str, float]
    created: str
    parent: str = ""
    run: str = ""
    verdict: dict[str, Any] | None = None
    aliases: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def passed(self) -> bool:
        """Whether the gate let it pass."""
        return self.verdict is not None and self.verdict.get("passed") is True

    def to_json(self) -> dict[str, Any]:
        """The adapter as the command line prints it."""
        return {"reference": self.reference} | asdict(self)


CHUNK_FIELDS = tuple(f.name for f in fields(Chunk))
PATTERN_FIELDS = tuple(f.name for f in fields(Pattern))


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One hit: ``score`` orders the hits of one search and means nothing across searches.

    ``tier`` says which vectors ranked it, "fast" or "best".
    """

    rank: int
    score: float
    tier: str
    pattern: Pattern

    def to_json(self) -> dict[str, Any]:
        """The hit as the command line prints it."""
        p = self.pattern
        return {
            "rank": self.rank,
            "score": round(self.score, 6),
            "id": p.id,
            "source": p.source,
            "path": p.path,
            "start_line": p.start_line,
            "end_line": p.end_line,
            "language": p.language,
            "kind": p.kind,
            "symbol": p.symbol,
            "signature": p.signature,
            "text": p.text,
        }


class Prompt(NamedTuple):
    """A conversation to go on with; ``adapter`` is the name that the generator has for one, empty
    for the base alone."""

    messages: tuple[Message, ...]
    adapter: str = ""


class Decoding(NamedTuple):
    """How an answer is decoded: its longest length, texts that end it, seed and temperature.

    At a temperature of 0 the likeliest token is taken each time.
    """

    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    seed: int = 0
    temperature: float = 0.0


GREEDY = Decoding()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a model answered, and what it took.

    ``tokens`` and ``prompt_tokens`` are 0 where an endpoint does not count. ``seconds`` run from
    the question to the last token. ``finish`` says why it ended: the model was done ("stop"), it
    had reached ``max_tokens`` ("length"), or something broke ("error"), which ``error`` tells:
    then ``text`` is as much as came.
    """

    text: str
    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    finish: Literal["stop", "length", "error"] = "stop"
    error: str = ""

    @property
    def complete(self) -> bool:
        """Whether it may be judged: what broke off says nothing about the model."""
        return self.finish != "error"


class Generator(Protocol):
    """Conversations to text. Inject your own to test or to use another model."""

    @property
    def name(self) -> str: ...

    @property
    def context(self) -> int:
        """Tokens that a prompt and its answer may have together."""
        ...

    def count(self, text: str) -> int:
        """Tokens of ``text``; rather too many than too few where only the endpoint knows."""
        ...

    def effect(self, adapter: str) -> float:
        """How much ``adapter`` changes what the model says to the same prompts; 0: nothing.

        The largest difference of a logit where there are logits; at an endpoint, the share of
        prompts that it answers otherwise.

        Raises:
            HubError: there is no such adapter, or it cannot be asked.
        """
        ...

    def stream(
        self, prompts: Sequence[Prompt], decoding: Decoding = GREEDY
    ) -> Iterator[tuple[int, str | Generation]]:
        """Answers to all ``prompts`` at once, as they come: (row, a piece of text), and as the last
        of each row (row, its whole :class:`Generation`), which says what failed.

        Raises:
            HubError: what was asked for cannot be answered at all, such as an unknown adapter.
        """
        ...


class Encoder(Protocol):
    """Text to unit vectors. Inject your own to test or to use another model.

    ``name`` is what a person calls the model; ``digest`` changes whenever its vectors do.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode_documents(
        self, texts: Sequence[str], *, on_done: Callable[[int], None] | None = None
    ) -> Vectors:
        """Vectors of shape ``(len(texts), dimension)``, L2-normalised.

        ``on_done`` is called with the number of texts finished since the last call.
        """
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Like :meth:`encode_documents`, with the model's query prompt where it has one."""
        ...
