"""Secrets by the rules of detect-secrets, run only where they can match.

Its own ``scan_file`` runs every plugin on every line. Here a plugin sees only the neighbourhood of
its anchors: literals, or short expressions, one of which every match contains; finding those costs
next to nothing. Nothing is verified over the network, and ``pragma: allowlist secret`` is not
obeyed: a secret that a team has accepted in its repository still has no place in a dataset.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    Anchor = str | re.Pattern[str]

# Lower-case literals are looked for in the lower-cased text, others as they stand. Private keys and
# addresses are the business of the privacy module.
ANCHORS: dict[str, tuple[Anchor, ...]] = {
    "ArtifactoryDetector": (re.compile(r"AKC[a-zA-Z0-9]{10}|AP[\dA-F][a-zA-Z0-9]{8}"),),
    "AWSKeyDetector": ("AKIA", "ASIA", "ABIA", "ACCA", "A3T", "aws"),
    "AzureStorageKeyDetector": ("AccountKey=",),
    "BasicAuthDetector": ("://",),
    "CloudantDetector": ("cloudant", "clou", "clapi", "cl_", "cl-", "clkey", "clp", "cltoken"),
    "DiscordBotTokenDetector": (re.compile(r"\.[a-zA-Z\d_-]{6}\.[a-zA-Z\d_-]{27}"),),
    "GitHubTokenDetector": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    "GitLabTokenDetector": (
        *("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "GR1348941"),
        *("glcbt-", "glimt-", "glptt-", "glagent-", "gloas-"),
    ),
    "IbmCloudIamDetector": (re.compile(r"[ \"'=:>][A-Za-z0-9_-]{44}(?![A-Za-z0-9_-])"),),
    "IbmCosHmacDetector": ("secret",),
    "JwtTokenDetector": ("eyJ",),
    "MailchimpDetector": (re.compile(r"-us\d"),),
    "NpmDetector": (":_authToken=",),
    "OpenAIDetector": ("T3BlbkFJ",),
    "PypiTokenDetector": ("pypi-Ag",),
    "SendGridDetector": ("SG.",),
    "SlackDetector": ("xox", "hooks.slack.com"),
    "SoftlayerDetector": ("softlayer", re.compile(r"(?i)sl[_-]?(?:api)?(?:key|pwd|pass|token)")),
    "SquareOAuthDetector": ("sq0csp-",),
    "StripeDetector": ("k_live_",),
    "TelegramBotTokenDetector": (re.compile(r":[0-9A-Za-z_-]{35}"),),
    "TwilioKeyDetector": (re.compile(r"AC[a-z0-9]{32}|SK[a-z0-9]{32}"),),
}
CAPTURE_A_PREFIX = {"GitHubTokenDetector", "GitLabTokenDetector"}  # their groups hold no secret

# How far before and after an anchor its rule looks. Some expressions take time that grows with the
# cube of a line's length, or of a run of spaces: a long run ends a line.
TOKEN_REACH, KEYWORD_REACH = (500, 500), (100, 200)
GAP = " " * 32
TAIL = re.compile(r"[A-Za-z0-9_+/=-]{0,4000}")
JWT_TAIL = re.compile(r"[A-Za-z0-9_.+/=-]{0,4000}")

KEYWORDS = ("key", "pass", "pwd", "secret", "contrase")
QUOTES = "\"'`"
ASSIGNS = re.compile(f"[{QUOTES}=:]")
UNQUOTED = (
    r"(?im)^[ \t]*(?:[#/*;]{{1,3}}[ \t]*)?(?:(?:export|env|-)[ \t]+)?"
    r"[\w.-]{{0,60}}?(?:{keywords})[\w.-]{{0,60}}[\"']?[ \t]*[=:][ \t]*"
    r"(?=\S*\d)(?![A-Za-z_]\w*\.)([^\s\"'`,;()\[\]{{}}<>]{{6,}})[ \t]*\r?$"
)
NO_SECRET = re.compile(  # a path, a template, a sentence, a label
    r"[$%{*./].*|.*(?:\s|<|%[sdr(]|\{|://).*|.{0,3}|(?i:pass(?:word|wd)?|pwd|secret|token)"
)

MIN_ENTROPY_CHARS = 16  # shorter ones are constants and check sums far more often than secrets
QUOTED = re.compile(rf"""(["'`])([A-Za-z0-9+/\\_=-]{{{MIN_ENTROPY_CHARS},}})\1""")
ASSIGNED = re.compile(
    rf"(?m)[=:][ \t]?([A-Za-z0-9+/_-]{{{MIN_ENTROPY_CHARS},}}+={{0,2}}+)[ \t]*+\r?$"
)
BASE64_ENTROPY = 4.2  # at its own 4.5, one random string of 40 characters in a hundred is missed
HEX = re.compile(r"[0-9a-fA-F]+")
NAME = re.compile(r"[a-z+/\\_=-]+|[A-Z+/\\_=-]+|[0-9+/\\_=-]+")
DIGEST_WORDS = re.compile(
    r"(?i)sha\d|md5|hash|digest|checksum|integrity|crc|fingerprint|commit|revision|etag|uuid|nonce"
)
CONTEXT = 60  # characters before a value in which such a word counts


class Secret(NamedTuple):
    """Where a secret stands (offsets in characters), and what kind it is.

    Of two that overlap the lower ``rank`` names the kind: 0 for a token of known shape, 1 for what
    a name says, 2 for entropy.
    """

    rank: int
    start: int
    end: int
    kind: str


def find_secrets(text: str) -> Iterator[Secret]:
    """Every secret in ``text``, in no order; spans of different rules may overlap."""
    lowered = text.replace("\u0130", "I").lower()  # the one letter that grows in lower case
    for name, anchors in ANCHORS.items():
        yield from _tokens(text, lowered, name, anchors)
    yield from _keywords(text, lowered)
    yield from _entropy(text)


@functools.cache
def plugins() -> dict[str, Any]:
    """The detector's plugins by class name; imported late, because requests comes with them."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    found = {cls.__name__: cls() for cls in get_mapping_from_secret_type_to_class().values()}
    found["Base64HighEntropyString"].entropy_limit = BASE64_ENTROPY
    return found


def _kind(plugin: Any) -> str:
    """A plugin's type as a placeholder names it: ``aws-access-key``."""
    return re.sub(r"[^a-z0-9]+", "-", plugin.secret_type.lower()).strip("-")


def _tokens(text: str, lowered: str, name: str, anchors: tuple[Anchor, ...]) -> Iterator[Secret]:
    """Tokens of a known shape, each with the rest of its word: some rules match only its head."""
    plugin = plugins()[name]
    tail = JWT_TAIL if name == "JwtTokenDetector" else TAIL
    group = 0 if name in CAPTURE_A_PREFIX else 1
    for low, high in _windows(text, lowered, anchors, TOKEN_REACH):
        window = text[low:high]
        for pattern in plugin.denylist:
            position = 0
            while match := pattern.search(window, position):
                start, end = match.span(group if match.re.groups and match.group(1) else 0)
                end = tail.match(text, low + end).end()  # type: ignore[union-attr]
                position = max(match.end(), end - low)
                value = text[low + start : end].rstrip(" \t\r\"'").lstrip(" \t\r=:\"'")
                start = text.index(value, low + start)
                if _is_token(name, plugin, value):
                    yield Secret(0, start, start + len(value), _kind(plugin))


def _is_token(name: str, plugin: Any, value: str) -> bool:
    from detect_secrets.filters import heuristic

    if name == "JwtTokenDetector":  # header and payload are JSON, the signature may be anything
        return bool(plugin.is_formally_valid(".".join(value.split(".")[:2])))
    if name == "BasicAuthDetector":
        return not NO_SECRET.fullmatch(value)
    if name == "ArtifactoryDetector":
        return any(char.isdigit() for char in value)
    return not (
        heuristic.is_sequential_string(value)
        or heuristic.is_templated_secret(value)
        or heuristic.is_not_alphanumeric_string(value)
    )


def _keywords(text: str, lowered: str) -> Iterator[Secret]:
    """Values that stand under a name such as ``db_password``."""
    from detect_secrets.filters import heuristic
    from detect_secrets.plugins import keyword

    names = re.compile("|".join(keyword.DENYLIST))
    semicolon, unquoted = keyword.FOLLOWED_BY_QUOTES_AND_SEMICOLON_REGEX, _unquoted()
    rules = {
        **keyword.QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP,
        **keyword.COMMON_C_DENYLIST_REGEX_TO_GROUP,
        keyword.FOLLOWED_BY_COLON_EQUAL_SIGNS_REGEX: 4,  # of Go
        unquoted: 1,
    }
    for low, high in dict.fromkeys(_windows(text, lowered, KEYWORDS, KEYWORD_REACH)):
        window = text[low:high]
        if not (ASSIGNS.search(window) and names.search(lowered, low, high)):
            continue
        for pattern, group in rules.items():
            for match in pattern.finditer(window):
                start, end = match.span(group)
                value = window[start:end]
                if NO_SECRET.fullmatch(value) or heuristic.is_sequential_string(value):
                    continue
                if pattern is not unquoted and window[start - 1] not in QUOTES:
                    continue
                if pattern is semicolon and heuristic.is_indirect_reference(window):
                    continue
                yield Secret(1, low + start, low + end, "secret-keyword")


@functools.cache
def _unquoted() -> re.Pattern[str]:
    """``DB_PASSWORD=...`` alone on its line, as environment files, YAML and shell have it."""
    from detect_secrets.plugins.keyword import DENYLIST

    return re.compile(UNQUOTED.format(keywords="|".join(DENYLIST)))


def _entropy(text: str) -> Iterator[Secret]:
    """Quoted or assigned strings that look random."""
    for pattern, group in ((QUOTED, 2), (ASSIGNED, 1)):
        for match in pattern.finditer(text):
            value, start = match.group(group).rstrip("\\"), match.start(group)
            is_hex = HEX.fullmatch(value)
            plugin = plugins()["HexHighEntropyString" if is_hex else "Base64HighEntropyString"]
            if plugin.calculate_shannon_entropy(value) <= plugin.entropy_limit:
                continue
            low = max(text.rfind("\n", 0, start) + 1, start - CONTEXT)
            if _looks_random(value, text[low : match.end()], plugin):
                yield Secret(2, start, start + len(value), _kind(plugin))


def _looks_random(value: str, line: str, plugin: Any) -> bool:
    from detect_secrets.filters import heuristic

    return not (
        DIGEST_WORDS.search(line[: line.rindex(value)])
        or heuristic.is_sequential_string(value)
        or heuristic.is_potential_uuid(value)
        or heuristic.is_likely_id_string(value, line, plugin)
        or NAME.fullmatch(value)
    )


def _windows(
    text: str, lowered: str, anchors: tuple[Anchor, ...], reach: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """The lines in which an anchor stands; of a long line, what is in reach of the anchor."""
    before, after = reach
    for anchor in anchors:
        where = lowered if isinstance(anchor, str) and anchor.islower() else text
        position = _find(where, anchor, 0)
        while position >= 0:
            low, high = max(0, position - before), min(len(text), position + after)
            start = max(low, *(text.rfind(each, low, position) + 1 for each in ("\n", GAP)))
            ends = [text.find(each, position + 1, high) for each in ("\n", GAP)]
            end = min((each for each in ends if each >= 0), default=high)
            yield start, end
            # Where the reach ended, and not the line, a later anchor may reach farther.
            following = end if end < high else position + after // 2
            position = _find(where, anchor, following)


def _find(text: str, anchor: Anchor, start: int) -> int:
    if isinstance(anchor, str):
        return text.find(anchor, start)
    match = anchor.search(text, start)
    return match.start() if match else -1
