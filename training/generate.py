"""A base with its adapters in one memory, answering for all of them as one batch.

    model = LocalModel.load("RUN/base", bits=4)
    model.add("team", Path("RUN/adapter"))
    for row, part in model.stream([Request(messages), Request(messages, "team")]):
        ...

The base's rows and each adapter's are decoded together: every step is one pass over the base, to
which PEFT adds each row's own adapter.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from training import hardware
from training.adapter import check_adapter
from training.errors import TrainingError
from training.hugging_face import is_at_hand
from training.prepare import context_of, load_tokenizer
from training.template import read_template, template_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from training.template import Messages, Template

BASE = "__base__"  # PEFT's name for a row without an adapter


class Request(NamedTuple):
    """A conversation to go on with; ``adapter`` is the name it was added under, empty: none."""

    messages: Messages
    adapter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What was decoded for one request.

    ``tokens`` and ``prompt_tokens`` are counts; ``seconds`` run from the call to the last token.
    ``finish`` is "stop" at a stop token or text, "length" at ``max_tokens``.
    """

    text: str
    prompt_tokens: int
    tokens: int
    seconds: float
    finish: Literal["stop", "length"]


class LocalModel:
    """One base, and adapters on it by name."""

    def __init__(self, model: Any, tokenizer: Any, *, base: str, revision: str = "") -> None:
        """A model of finished parts; :meth:`load` reads them."""
        self.base = base
        self.revision = revision
        self.tokenizer = tokenizer
        self._model = model
        self._templates: dict[str, Template] = {"": template_of(tokenizer)}
        self._names = {"": BASE}  # what PEFT calls each: module names, which have no dots
        self._lock = threading.Lock()

    @classmethod
    def load(cls, base: str, *, revision: str = "", bits: int = 0, precision: str = "auto") -> Self:
        """Read a base.

        Args:
            base: A folder, or the id of a model that is on this machine.
            revision: Branch, tag or commit of it.
            bits: 4 or 8 for quantised weights; 0: as they are.
            precision: bf16, fp16 or fp32; auto: what is fast on this machine.

        Raises:
            TrainingError: there is no such base, or it cannot be read.
        """
        import torch
        from transformers import AutoModelForCausalLM, BitsAndBytesConfig

        tokenizer = load_tokenizer(base, revision)
        precision = hardware.precision() if precision == "auto" else precision
        dtype = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}[precision]
        options: dict[str, Any] = {"dtype": dtype, "device_map": hardware.device_kind()}
        options["local_files_only"] = is_at_hand(base)
        if bits:
            options["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=bits == 4,
                load_in_8bit=bits == 8,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=getattr(torch, dtype),
            )
        try:
            model = AutoModelForCausalLM.from_pretrained(base, revision=revision or None, **options)
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = str(error).strip().splitlines()[0]
            raise TrainingError(f"the base {base!r} cannot be loaded: {reason}") from error
        return cls(model.eval(), tokenizer, base=base, revision=revision)

    @property
    def adapters(self) -> tuple[str, ...]:
        """The names that adapters were added under."""
        return tuple(name for name in self._templates if name)

    @property
    def context(self) -> int:
        """Tokens that a prompt and its answer may have together."""
        return context_of(self._model.config) or sys.maxsize

    def count(self, text: str) -> int:
        """Tokens of ``text``."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def add(self, name: str, folder: Path) -> None:
        """Load the adapter in ``folder`` under ``name``.

        Raises:
            TrainingError: it is damaged, of another base, of other shapes, or changes nothing;
                says what it is, and what the base is.
        """
        from peft import PeftModel

        if not name:
            raise TrainingError(f"the adapter {folder} needs a name")
        known = f"adapter{len(self._names)}"
        with self._lock:
            check_adapter(folder, self._model, self.base)
            template = read_template(folder)
            if isinstance(self._model, PeftModel):
                self._model.load_adapter(str(folder), adapter_name=known)
            else:
                self._model = PeftModel.from_pretrained(
                    self._model, str(folder), adapter_name=known
                ).eval()
            self._names[name], self._templates[name] = known, template

    def effect(self, name: str, conversations: Sequence[Messages]) -> float:
        """The largest difference that an adapter makes to a logit of the next token.

        Raises:
            TrainingError: there is no such adapter.
        """
        import torch

        self._template(name)
        texts = [
            self._templates[name].render(self.tokenizer, m, answer=True) for m in conversations
        ]
        inputs = self._encoded(texts)
        with self._lock, torch.inference_mode():
            logits = [
                self._model(**inputs, adapter_names=[row] * len(texts)).logits[:, -1].float()
                for row in (BASE, self._names[name])
            ]
        return float((logits[0] - logits[1]).abs().max())

    def stream(
        self,
        requests: Sequence[Request],
        *,
        max_tokens: int = 512,
        stop: Sequence[str] = (),
        seed: int = 0,
        temperature: float = 0.0,
    ) -> Iterator[tuple[int, str | Completion]]:
        """Answers to all requests, decoded together, as they come: (row, a piece of text), and as
        the last of each row (row, its whole :class:`Completion`).

        Args:
            requests: Rows of the batch, of the base and of any adapters.
            max_tokens: Longest answer.
            stop: Texts that end an answer, beside the stop tokens of each row's template.
            seed: Of sampling; the same requests and seed give the same answers.
            temperature: 0 takes the likeliest token each time.

        Raises:
            TrainingError: an unknown adapter, a prompt that leaves no room for its answer, or
                memory ran out.
        """
        if not requests:
            return
        texts = [
            self._template(r.adapter).render(self.tokenizer, r.messages, answer=True)
            for r in requests
        ]
        inputs = self._encoded(texts)
        lengths = [int(n) for n in inputs["attention_mask"].sum(dim=1)]
        longest = max(lengths)
        if longest + max_tokens > self.context:
            raise TrainingError(
                f"a prompt of {longest} tokens and an answer of {max_tokens} are more than the "
                f"{self.context} that {self.base} has: ask a shorter question, or lower max_tokens"
            )
        stops = [self._stops(r.adapter) for r in requests]
        batch = _Batch(self.tokenizer, stops, tuple(stop), lengths)
        names = [self._names[r.adapter] for r in requests]
        settings: dict[str, Any] = {"max_new_tokens": max_tokens, "do_sample": temperature > 0}
        if temperature > 0:
            settings["temperature"] = temperature
        worker = threading.Thread(
            target=self._decode, args=(batch, inputs, names, settings, seed), daemon=True
        )
        worker.start()
        try:
            yield from batch.parts()
        finally:
            batch.stopped = True  # a reader that goes away ends the decoding at its next step

    def generate(self, requests: Sequence[Request], **settings: Any) -> list[Completion]:
        """Whole answers, in the order of ``requests``; see :meth:`stream`."""
        parts = self.stream(requests, **settings)
        whole = {row: part for row, part in parts if isinstance(part, Completion)}
        return [whole[row] for row in range(len(requests))]

    def _decode(
        self,
        batch: _Batch,
        inputs: Any,
        names: list[str],
        settings: dict[str, Any],
        seed: int,
    ) -> None:
        """Fill ``batch``; what goes wrong is its reader's to see."""
        import torch
        from transformers import StoppingCriteriaList

        own = {"adapter_names": names} if self.adapters else {}
        pad = self.tokenizer.pad_token_id
        pad = self.tokenizer.eos_token_id if pad is None else pad
        try:
            with self._lock, torch.random.fork_rng(), torch.inference_mode():
                torch.manual_seed(seed)
                self._model.generate(
                    **inputs,
                    **own,
                    **settings,
                    pad_token_id=pad,
                    stopping_criteria=StoppingCriteriaList([batch.step]),
                )
            batch.close()
        except Exception as error:  # noqa: BLE001 - raised again where the answer is read
            batch.close(error)

    def _encoded(self, texts: list[str]) -> Any:
        """Token ids, padded on the left."""
        import torch

        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        precision = "bf16" if self._model.dtype == torch.bfloat16 else "fp32"
        encoded = self.tokenizer(
            texts,
            add_special_tokens=False,
            padding=True,
            padding_side="left",
            pad_to_multiple_of=hardware.length_multiple(precision, self._model.device.type),
            return_tensors="pt",
            return_token_type_ids=False,
        )
        return encoded.to(self._model.device)

    def _template(self, adapter: str) -> Template:
        if adapter not in self._templates:
            known = ", ".join(self.adapters) or "none"
            raise TrainingError(f"no adapter {adapter!r} is loaded on {self.base} (there: {known})")
        return self._templates[adapter]

    def _stops(self, adapter: str) -> frozenset[int]:
        """Ids of the tokens that end an answer."""
        stops = self._template(adapter).stops
        return frozenset(self.tokenizer.convert_tokens_to_ids(token) for token in stops)


class _Row:
    """The answer to one request, as far as it is."""

    def __init__(self, stops: frozenset[int], texts: tuple[str, ...]) -> None:
        self.ids: list[int] = []
        self.text = ""  # what was handed out
        self.done = False
        self._stops, self._texts = stops, texts

    def take(self, token: int, decode: Any) -> str:
        """The text that one more token makes sure of."""
        self.done = token in self._stops
        if not self.done:
            self.ids.append(token)
        whole = decode(self.ids)
        ends = [at for text in self._texts if (at := whole.find(text)) >= 0]
        if ends:
            whole, self.done = whole[: min(ends)], True
        elif not self.done:
            whole = whole[: len(whole) - _unsure(whole, self._texts)]
        return self._given(whole)

    def rest(self, decode: Any) -> str:
        """What was held back when the longest length was reached."""
        return self._given(decode(self.ids))

    def _given(self, whole: str) -> str:
        piece = whole[len(self.text) :]
        self.text += piece
        return piece


def _unsure(text: str, stops: tuple[str, ...]) -> int:
    """Characters at the end that may still change, or become a stop text."""
    held = 1 if text.endswith("\ufffd") else 0  # half of a character
    for stop in stops:
        for length in range(len(stop) - 1, held, -1):
            if text.endswith(stop[:length]):
                held = length
                break
    return held


class _Batch:
    """Rows under way: filled by the thread that decodes, read by the one that asked."""

    def __init__(
        self,
        tokenizer: Any,
        stops: Sequence[frozenset[int]],
        texts: tuple[str, ...],
        lengths: Sequence[int],
    ) -> None:
        self.stopped = False
        self._tokenizer = tokenizer
        self._rows = [_Row(each, texts) for each in stops]
        self._lengths = lengths
        self._parts: queue.SimpleQueue[Any] = queue.SimpleQueue()  # an error or None comes last
        self._started = time.monotonic()

    def step(self, ids: Any, _scores: Any, **_kwargs: Any) -> Any:
        """Called after each step of decoding with the ids so far; says which rows are done."""
        import torch

        tokens = ids[:, -1].tolist()
        for at, row in [(at, row) for at, row in enumerate(self._rows) if not row.done]:
            if piece := row.take(tokens[at], self._text):
                self._parts.put((at, piece))
            if row.done:
                self._parts.put((at, self._completion(at, "stop")))
        done = [row.done or self.stopped for row in self._rows]
        return torch.tensor(done, dtype=torch.bool, device=ids.device)

    def close(self, error: Exception | None = None) -> None:
        """Nothing more comes: rows that are not done have reached the longest length."""
        for at, row in enumerate(self._rows if error is None else []):
            if not row.done:
                if piece := row.rest(self._text):
                    self._parts.put((at, piece))
                self._parts.put((at, self._completion(at, "length")))
        self._parts.put(error)

    def parts(self) -> Iterator[tuple[int, str | Completion]]:
        """What comes, until all rows are done.

        Raises:
            TrainingError: decoding failed.
        """
        while (part := self._parts.get()) is not None:
            if isinstance(part, Exception):
                raise TrainingError(f"decoding failed: {part}") from part
            yield part

    def _text(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _completion(self, at: int, finish: Literal["stop", "length"]) -> Completion:
        row = self._rows[at]
        return Completion(
            text=row.text,
            prompt_tokens=self._lengths[at],
            tokens=len(row.ids),
            seconds=time.monotonic() - self._started,
            finish=finish,
        )
