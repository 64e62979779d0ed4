"""Scorers: plain functions of a question and an answer to it, and what a share of them is worth.

A scorer says yes or no (``passed``), or how much (``value``), or neither where it does not apply.
What needs a grammar, a list of terms or a team's rules is handed in as a callable.
"""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from training.questions import Question

ORDER, BETA = 6, 2  # of chrF: characters in the longest n-gram; how much recall outweighs precision
CONFIDENCE = 1.959964  # standard normal, two-sided 95%
ONE_SIDED = 1.644854  # and one-sided
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n(.*?)(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.M | re.S)
_USED = re.compile(r"\.([A-Za-z_]\w*)|\b([A-Za-z_]\w*)(?=\()")  # an attribute, or what is called
_WORD = re.compile(r"[A-Za-z_]\w*")
_MADE = re.compile(  # what code defines: functions, classes, names that are assigned
    r"\b(?:def|class|func|fn|function|interface|struct|enum|type)\s+([A-Za-z_]\w*)"
    r"|\b([A-Za-z_]\w*)\s*(?::=|=(?!=))"
)
_EVERYWHERE = frozenset(
    {
        *dir(builtins),
        *keyword.kwlist,
        "switch",
        "catch",
        "function",
        "func",
        "fn",
        "sizeof",
        "match",
    }
)


@dataclass(frozen=True, slots=True)
class Score:
    """What one scorer found: a yes or no, a number, or neither; ``reason`` says why not."""

    name: str
    passed: bool | None = None
    value: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An arm's answer to one question.

    ``seconds`` is until it was whole, ``tokens`` how many were generated, ``memory`` the peak of
    what answered, in bytes; 0 is not known. ``context`` is what was retrieved for it. Where
    ``complete`` is false, ``error`` says what went wrong, and the answer is never scored.
    """

    text: str
    seconds: float = 0.0
    tokens: int = 0
    memory: int = 0
    context: tuple[str, ...] = ()
    complete: bool = True
    error: str = ""


Scorer = Callable[["Question", Reply], Score]
Find = Callable[
    ["Question", str], Iterable[str]
]  # what is wrong with an answer; nothing: it is well


def check(name: str, find: Find) -> Scorer:
    """A scorer that passes an answer in which ``find`` finds nothing; its first finding is why."""

    def score(question: Question, reply: Reply) -> Score:
        reason = next(iter(find(question, reply.text)), None)
        return Score(name, passed=reason is None, reason=reason or "")

    return score


def similarity(question: Question, reply: Reply) -> Score:
    """chrF of the answer against the reference, 0 to 1."""
    return Score("similarity", value=chrf(code_in(reply.text, question), question.reference))


def groundedness(question: Question, reply: Reply) -> Score:
    """The share of names an answer calls or reads that its question or what was retrieved has.

    Names that the answer defines itself, keywords and Python's builtins are left out. Without
    anything retrieved, or without a name, it says nothing.
    """
    used = {match[1] or match[2] for match in _USED.finditer(reply.text)}
    used -= _EVERYWHERE | {match[1] or match[2] for match in _MADE.finditer(reply.text)}
    if not (reply.context and used):
        return Score("groundedness")
    known: set[str] = set()
    for text in (*reply.context, *(turn["content"] for turn in question.messages)):
        known.update(_WORD.findall(text))
    made_up = sorted(used - known)
    share = 1 - len(made_up) / len(used)
    return Score("groundedness", value=share, reason=f"not there: {', '.join(made_up)}"[:200])


def length(question: Question, reply: Reply) -> Score:
    """How many times as long as the reference an answer is, in characters."""
    return Score("length", value=len(reply.text) / len(question.reference))


def latency(_question: Question, reply: Reply) -> Score:
    """Seconds until the answer was whole; of a batch, until the batch was."""
    return Score("latency", value=reply.seconds)


def memory(_question: Question, reply: Reply) -> Score:
    """The peak of what answered, in bytes, where it is known."""
    return Score("memory", value=reply.memory or None)


MEASURES: tuple[Scorer, ...] = (similarity, groundedness, length, latency, memory)


def code_in(text: str, question: Question) -> str:
    """The answer as the reference is written: without prose around its code where that has none."""
    blocks = [match[2] for match in _FENCED.finditer(text)]
    return "\n".join(blocks) if blocks and not _FENCED.search(question.reference) else text


def chrf(text: str, reference: str) -> float:
    """The character n-gram F-score, 0 to 1; white space does not count.

    Popović, "chrF: character n-gram F-score for automatic MT evaluation" (2015), with sacreBLEU's
    averaging over the orders that both texts have. Of six metrics it agreed best with people about
    generated code: Evtikhiev et al., "Out of the BLEU" (2023).
    """
    written, right = "".join(text.split()), "".join(reference.split())
    orders = range(1, min(ORDER, len(written), len(right)) + 1)
    if written == right or not orders:
        return float(written == right)
    precision = recall = 0.0
    for n in orders:
        ours, theirs = _grams(written, n), _grams(right, n)
        common = (ours & theirs).total()
        precision += common / ours.total() / len(orders)
        recall += common / theirs.total() / len(orders)
    if not precision:
        return 0.0
    return (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)


def _grams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))


class Interval(NamedTuple):
    """The ends of a confidence interval, 0 to 1."""

    low: float
    high: float


def wilson(passed: int, total: int, z: float = CONFIDENCE) -> Interval:
    """The score interval of a share; all of [0, 1] where nothing was counted.

    Wilson, "Probable inference, the law of succession, and statistical inference" (1927); for few
    rows, and shares near 0 or 1, it holds what it says where the textbook interval does not (Brown,
    Cai and DasGupta, "Interval estimation for a binomial proportion", 2001).
    """
    if not total:
        return Interval(0.0, 1.0)
    share, spread = passed / total, z * z / total
    middle = share + spread / 2
    reach = z * math.sqrt(share * (1 - share) / total + spread / 4 / total)
    low, high = (middle - reach) / (1 + spread), (middle + reach) / (1 + spread)
    return Interval(max(0.0, low) if passed else 0.0, min(1.0, high) if passed < total else 1.0)


def chance_to_reach(needed: int, total: int, share: float) -> float:
    """How often ``needed`` of ``total`` rows or more pass, each with the chance ``share``."""
    if not 0 < share < 1:
        return float(needed <= 0 or (share >= 1 and needed <= total))
    return min(1.0, math.fsum(
        math.exp(
            math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
            + k * math.log(share) + (total - k) * math.log1p(-share)
        )
        for k in range(max(0, needed), total + 1)
    ))  # fmt: skip
