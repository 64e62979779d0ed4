"""Fill-in-the-middle: code cut into what stands before a hole, what fills it, and what follows.

Half of the holes are a syntax node, as in "Evaluation of LLMs on Syntax-Aware Code Fill-in-the-
Middle Tasks" (Gong et al., 2024), half are cut at any character, as in "Efficient Training of
Language Models to Fill in the Middle" (Bavarian et al., 2022): a cursor stands anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hub.syntax import parse, walk
from hub.types import Infill

if TYPE_CHECKING:
    from random import Random

MIN_CODE = 80  # characters: of less, nothing is left to tell what is missing
MIN_HOLE, MAX_HOLE = 8, 400  # characters
ATTEMPTS = 4
LARGEST = 0.6  # share of the code that a hole may take


class Sentinels(NamedTuple):
    """The tokens of a model family that come before each of the three parts."""

    prefix: str
    suffix: str
    middle: str


# As each model's own card or tokenizer has them.
SENTINELS = {
    "codellama": Sentinels("<PRE> ", " <SUF>", " <MID>"),
    "codegemma": Sentinels("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    "deepseek-coder": Sentinels("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # noqa: RUF001
    "qwen-coder": Sentinels("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    "starcoder": Sentinels("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
}

PREFIX_FIRST = frozenset({"deepseek-coder"})  # the hole's token marks a place, not a part


def cut(code: str, language: str, draw: Random) -> Infill | None:
    """One hole in ``code``; None where it is too short for one, or repeats what would fill it."""
    if len(code) < MIN_CODE:
        return None
    largest = min(MAX_HOLE, int(len(code) * LARGEST))
    for _ in range(ATTEMPTS):
        span = _node(code, language, largest, draw) if draw.random() < 0.5 else None
        if span is None:
            size = draw.randint(MIN_HOLE, largest)
            start = draw.randint(1, len(code) - size)
            span = start, start + size
        hole = Infill(code[: span[0]], code[span[1] :], code[span[0] : span[1]])
        answer = hole.middle.strip()
        if len(answer) >= MIN_HOLE and answer not in hole.prefix and answer not in hole.suffix:
            return hole
    return None


def joined(hole: Infill, family: str, draw: Random) -> tuple[str, str]:
    """What a model of ``family`` reads and what it writes: prefix first or suffix first, half and
    half (PSM and SPM in Bavarian et al.)."""
    tokens = SENTINELS[family]
    if draw.random() < 0.5 and family not in PREFIX_FIRST:
        read = f"{tokens.prefix}{tokens.suffix}{hole.suffix}{tokens.middle}{hole.prefix}"
    else:
        read = f"{tokens.prefix}{hole.prefix}{tokens.suffix}{hole.suffix}{tokens.middle}"
    return read, hole.middle


def _node(code: str, language: str, largest: int, draw: Random) -> tuple[int, int] | None:
    """The span in characters of a named node that is neither too short nor too long."""
    root = parse(code, language)
    if root is None:
        return None
    spans = sorted(
        {
            (node.start_byte, node.end_byte)
            for node in walk(root)
            if node.is_named
            and node.start_byte
            and MIN_HOLE <= node.end_byte - node.start_byte <= largest
        }
    )
    if not spans:
        return None
    start, end = draw.choice(spans)
    data = code.encode()
    return len(data[:start].decode()), len(data[:end].decode())
