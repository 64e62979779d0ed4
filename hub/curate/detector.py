"""Secrets by the rules of detect-secrets, run only where they can match.

Its own ``scan_file`` runs every plugin on every line (0.16 MB/s). Here a plugin sees a line only if
an anchor of its, a literal or short expression that every match contains, stands there; finding
those in a text costs next to nothing. The plugins' expressions and entropy limits are their own.
Nothing is ever verified over the network, and ``pragma: allowlist secret`` is not obeyed: a secret
that a team has accepted in its repository still has no place in a dataset.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Span = tuple[int, int]
    Anchor = str | re.Pattern[str]

# Where a plugin can match at all. Lower-case literals are looked for in the lower-cased text,
# others as they stand.
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
KEYWORDS = ("key", "pass", "pwd", "secret", "contrase")
ASSIGNS = re.compile(r"[\"'`=:]")
# What these plugins capture is a prefix of the secret, not the secret.
CAPTURE_A_PREFIX = {"GitHubTokenDetector", "GitLabTokenDetector"}

# A line that is longer is cut into pieces that overlap: some of the plugins' expressions take time
# that grows with the square or the cube of a line's length.
PIECES = (1000, 400)  # characters, and how many of them the next piece has in common
LONG_PIECES, KEYWORD_PIECES = (4000, 1500), (400, 150)
LONG_TOKENS = {"JwtTokenDetector", "PypiTokenDetector", "GitLabTokenDetector", "OpenAIDetector"}

TOKEN_TAIL = re.compile(r"[A-Za-z0-9_+/=-]*")
JWT_TAIL = re.compile(r"[A-Za-z0-9_.+/=-]*")
MIN_ENTROPY_CHARS = 16  # shorter ones are constants and check sums far more often than secrets
QUOTED = re.compile(rf"""(["'`])([A-Za-z0-9+/\\_=-]{{{MIN_ENTROPY_CHARS},}})\1""")
ASSIGNED = re.compile(
    rf"(?m)[=:][ \t]?([A-Za-z0-9+/_-]{{{MIN_ENTROPY_CHARS},}}+={{0,2}}+)[ \t]*+\r?$"
)
HEX = re.compile(r"[0-9a-fA-F]+")
DIGEST_WORDS = re.compile(
    r"(?i)sha\d|md5|hash|digest|checksum|integrity|crc|fingerprint|commit|revision|etag|uuid|nonce"
)
CONTEXT = 200  # characters before a value in which such a word counts
UNQUOTED = r"""(?im)^\s*(?:export\s+|env\s+|-\s+)?[\w.-]{{0,60}}?(?:{keywords})[\w.-]{{0,60}}["']?
[ \t]*[=:][ \t]*([^\s"'`,;()\[\]{{}}<>]{{6,}})[ \t]*\r?$""".replace("\n", "")
PLAIN_NAME = re.compile(r"[A-Za-z_.:/-]+|[$%{<@/.].*|.*(?:\s|%[sdr(]|\{|://).*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret stands (offsets in characters), and the plugin type that knows it."""

    kind: str
    start: int
    end: int
    priority: int  # 0 for a token of known shape, 1 for what a name says, 2 for entropy


def find_secrets(text: str) -> Iterator[Secret]:
    """Every secret in ``text``, in no order; spans of different rules may overlap."""
    lowered = text.replace("\u0130", "I").lower()  # the one letter that grows in lower case
    for name, plugin in _plugins().items():
        if name in ANCHORS:
            yield from _tokens(text, lowered, name, plugin)
    yield from _keywords(text, lowered)
    yield from _entropy(text)


@functools.cache
def _plugins() -> dict[str, Any]:
    """The detector's plugins by class name; imported late, because requests comes with them."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    classes = get_mapping_from_secret_type_to_class().values()
    return {cls.__name__: cls() for cls in sorted(classes, key=lambda cls: cls.__name__)}


def kind_of(secret_type: str) -> str:
    """A plugin's type as a placeholder names it: ``aws-access-key``."""
    return re.sub(r"[^a-z0-9]+", "-", secret_type.lower()).strip("-")


def _tokens(text: str, lowered: str, name: str, plugin: Any) -> Iterator[Secret]:
    """Tokens of a known shape, each with the rest of its word: some rules match only its head."""
    sizes = LONG_PIECES if name in LONG_TOKENS else PIECES
    tail = JWT_TAIL if name == "JwtTokenDetector" else TOKEN_TAIL
    group = 0 if name in CAPTURE_A_PREFIX else 1
    for start, end in _pieces(text, lowered, ANCHORS[name], sizes):
        piece = text[start:end]
        for pattern in plugin.denylist:
            for match in pattern.finditer(piece):
                which = group if match.re.groups and match.group(1) else 0
                low, high = _trimmed(piece, *match.span(which))
                rest = tail.match(piece, high)
                high = rest.end() if rest else high
                value = piece[low:high]
                if value and _is_token(name, plugin, value):
                    yield Secret(kind_of(plugin.secret_type), start + low, start + high, 0)


def _is_token(name: str, plugin: Any, value: str) -> bool:
    from detect_secrets.filters import heuristic

    if name == "JwtTokenDetector":
        return _is_jwt(plugin, value)
    if name == "BasicAuthDetector":
        return not re.fullmatch(r"[%$].*|\*+|x+|\.+|(?i:pass(?:word|wd)?|pwd|secret|token)", value)
    if name == "ArtifactoryDetector":
        return any(char.isdigit() for char in value)
    return not (
        heuristic.is_sequential_string(value)
        or heuristic.is_templated_secret(value)
        or heuristic.is_not_alphanumeric_string(value)
    )


def _is_jwt(plugin: Any, value: str) -> bool:
    """Header and payload are JSON; the signature, which the rule leaves out, may be anything."""
    return bool(plugin.is_formally_valid(".".join(value.split(".")[:2])))


def _keywords(text: str, lowered: str) -> Iterator[Secret]:
    """Values that stand under a name such as ``db_password``."""
    from detect_secrets.filters import heuristic
    from detect_secrets.plugins import keyword

    semicolon = keyword.FOLLOWED_BY_QUOTES_AND_SEMICOLON_REGEX
    rules = {**keyword.QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP, _unquoted(): 1}
    for start, end in _pieces(text, lowered, KEYWORDS, KEYWORD_PIECES):
        piece = text[start:end]
        if not ASSIGNS.search(piece):
            continue
        for pattern, group in rules.items():
            for match in pattern.finditer(piece):
                value = match.group(group)
                if _is_name(value) or heuristic.is_sequential_string(value):
                    continue
                if pattern is semicolon and heuristic.is_indirect_reference(piece):
                    continue
                low, high = match.span(group)
                yield Secret("secret-keyword", start + low, start + high, 1)


@functools.cache
def _unquoted() -> re.Pattern[str]:
    """``DB_PASSWORD=...`` alone on its line, as environment files, YAML and shell have it."""
    from detect_secrets.plugins.keyword import DENYLIST

    return re.compile(UNQUOTED.format(keywords="|".join(DENYLIST)))


def _is_name(value: str) -> bool:
    """Whether a value reads as a word, a path, a template or a sentence, and not as a secret."""
    return len(value) < 6 or bool(PLAIN_NAME.fullmatch(value)) or "<" in value


def _entropy(text: str) -> Iterator[Secret]:
    """Quoted or assigned strings that look random."""
    for pattern, group in ((QUOTED, 2), (ASSIGNED, 1)):
        for match in pattern.finditer(text):
            value = match.group(group).rstrip("\\")
            plugin = _plugins()[
                "HexHighEntropyString" if HEX.fullmatch(value) else "Base64HighEntropyString"
            ]
            start = match.start(group)
            if plugin.calculate_shannon_entropy(value) <= plugin.entropy_limit:
                continue
            line = text[max(text.rfind("\n", 0, start) + 1, start - CONTEXT) : match.end()]
            if _looks_random(value, line, plugin):
                yield Secret(kind_of(plugin.secret_type), start, start + len(value), 2)


def _looks_random(value: str, line: str, plugin: Any) -> bool:
    from detect_secrets.filters import heuristic

    return not (
        DIGEST_WORDS.search(line[: line.rindex(value)])
        or heuristic.is_sequential_string(value)
        or heuristic.is_potential_uuid(value)
        or heuristic.is_likely_id_string(value, line, plugin)
        or heuristic.is_not_alphanumeric_string(value)
        or (plugin.secret_type.startswith("Base64") and _reads_as_words(value))
    )


def _reads_as_words(value: str) -> bool:
    """Words change their class of characters seldom; random letters do at two of three places."""
    classes = [
        0 if char.islower() else 1 if char.isupper() else 2 if char.isdigit() else 3
        for char in value
    ]
    changes = sum(a != b for a, b in pairwise(classes))
    return changes < 0.38 * len(value) and classes.count(2) < 0.15 * len(value)


def _trimmed(piece: str, low: int, high: int) -> Span:
    """Without the quote, sign or space by which a rule knows where a token begins and ends."""
    while low < high and piece[low] in " \t\r=:\"'":
        low += 1
    while low < high and piece[high - 1] in " \t\r\"'":
        high -= 1
    return low, high


def _pieces(
    text: str, lowered: str, anchors: tuple[Anchor, ...], sizes: tuple[int, int]
) -> Iterator[Span]:
    """The lines in which an anchor stands; of a long line, the pieces."""
    seen: set[int] = set()
    for position in _positions(text, lowered, anchors):
        start = text.rfind("\n", 0, position) + 1
        if start in seen:
            continue
        seen.add(start)
        end = text.find("\n", position)
        yield from _cut(start, len(text) if end < 0 else end, *sizes)


def _cut(start: int, end: int, size: int, overlap: int) -> Iterator[Span]:
    while end - start > size:
        yield start, start + size
        start += size - overlap
    yield start, end


def _positions(text: str, lowered: str, anchors: tuple[Anchor, ...]) -> Iterator[int]:
    """Of each anchor, the first in every line."""
    for anchor in anchors:
        where = lowered if isinstance(anchor, str) and anchor.islower() else text
        position = _find(where, anchor, 0)
        while position >= 0:
            yield position
            end = text.find("\n", position)
            position = _find(where, anchor, end) if end >= 0 else -1


def _find(text: str, anchor: Anchor, start: int) -> int:
    if isinstance(anchor, str):
        return text.find(anchor, start)
    match = anchor.search(text, start)
    return match.start() if match else -1
