"""Secrets and personal data in a text, and the text without them.

Findings say what stands where, by the value's SHA-256 and never by the value. Such a digest tells
findings apart and protects nothing, since a phone number can be guessed from it: who writes it down
puts a key to it.

A value that a program puts together, as in ``"AKIA" + "..."``, is not found, nor one of which a
text holds half: redact a text before it is cut.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hub.curate.detector import Secret, find_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hub.types import Pattern

PERSONAL = {"email": "<EMAIL>", "phone": "<PHONE>", "ip": "<IP>"}
SECRETS = "secrets"
PLACEHOLDER = re.compile(r"<(?:(EMAIL|PHONE|IP)|SECRET:[a-z0-9-]+)>")
NOTHING: frozenset[str] = frozenset()
Known = Mapping[str, str]  # kinds of secrets, by value
NONE: Known = MappingProxyType({})
SHORT = 200  # characters of a text whose findings are remembered
MIN_KNOWN = 8  # characters of a secret that is looked for in other texts
PART = re.compile(r"[^/@:?&#|\\]{8,}")  # of a word
WORD = re.compile(r"[^\s\"'`,;()<>\[\]{}=]{8,}=*")  # what can be a secret seen before

# A whole key; or one that was cut off, as far as it goes. A header alone is none.
PRIVATE_KEY = re.compile(
    r"-{4,5} ?BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?) ?-{4,5}"
    r"(?:(?:(?!BEGIN )[\s\S]){1,20000}?END \1 ?-{0,5}"
    r"|(?:[\s\\nr\"'+#/*]{0,40}[A-Za-z0-9+/=]{16,})++)"
    r"|PuTTY-User-Key-File-(?:(?!PuTTY-)[\s\S]){1,20000}?Private-(?:MAC|Hash): *\w+"
)
QUERY_VALUE = re.compile(
    r"(?i)[?&;](?:amp;)?(?:access_?token|auth_?token|id_?token|refresh_?token|token|api_?key|apikey|"
    r"key|auth|secret|client_?secret|password|passwd|pwd|sig|signature|x-amz-signature|"
    r"x-amz-security-token|x-goog-signature|code|session_?id)=([A-Za-z0-9._~%+/=-]{8,})"
)
# Tokens that say themselves whose they are; detect-secrets knows some of them in quotes alone.
PREFIXED = re.compile(
    r"(?<![A-Za-z0-9_-])(?:AIza[0-9A-Za-z_-]{35}|npm_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,}"
    r"|sk-(?:proj|svcacct|ant)-[A-Za-z0-9_-]{20,}|pypi-[A-Za-z0-9_-]{50,}|glpat-[A-Za-z0-9_-]{20,})"
)
PREFIXES = ("AIza", "npm_", "hf_", "sk-", "pypi-", "glpat-")
LOCAL_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._%+-]*[A-Za-z0-9_+-])?\Z")
MAX_LOCAL_PART = 64
DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![\w(\[])"
)
NO_DOMAIN = re.compile(  # a file, or an attribute in a product of matrices
    r"(?i)\.(?:png|jpe?g|gif|svg|webp|ico|css|js|ts|py|json|html?|so|dll|exe|whl|gz|zip|service"
    r"|mT|data|weights?|bias|grad|shape|values|real|imag|inv)$"
)
URL_USER = re.compile(r"://[^\s/@]*:\Z")  # what follows is a password and a host
# Each begins with a set of characters, at which alone the engine then tries it.
PHONE = re.compile(
    r"[+(2-9](?<![\w.+/-][+(2-9])(?:"
    r"(?<=\+)[1-9]\d{0,2}(?:[ .-]?\(\d{1,4}\))?(?:[ .-]?\d{2,4}){2,5}"
    r"|(?<=\()\d{3}\) ?\d{3}[ .-]\d{4}"
    r"|(?<=[2-9])\d{2}([.-])[2-9]\d{2}\1\d{4}"
    r")(?![\w]|[.,:/-]\d|-\w)"
)
IPV4 = re.compile(r"[0-9](?<![\w.-][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![\w+-]|\.\w)")
IPV6 = re.compile(
    r"[23](?<![\w:.][23])[0-9A-Fa-f]{3}:[0-9A-Fa-f:]{3,40}(?:\.\d{1,3}){0,3}(?![\w:]|\.\w)"
)
VERSION_BEFORE = re.compile(
    r"(?i)(?:version|release|revision|ver\.?|oid|section|chapter|v)\W{0,5}\Z"
)
EVERYBODYS = [  # the same address on every machine, in every house
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"),
    )
]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found where: ``start`` and ``end`` in characters, ``line`` from 1.

    ``kind`` is "email", "phone", "ip" or the kind of a secret; ``digest`` is the SHA-256 of the
    value, which itself is kept nowhere; ``place`` is the way to the text in a JSON value, such as
    ``prompt.0.content``.
    """

    kind: str
    start: int
    end: int
    line: int
    digest: str
    place: str = ""

    @property
    def placeholder(self) -> str:
        """What stands in for the value."""
        return PERSONAL.get(self.kind, f"<SECRET:{self.kind}>")


def group_of(kind: str) -> str:
    """What hub.toml calls a kind of finding: itself, or one of the secrets."""
    return kind if kind in PERSONAL else SECRETS


def groups_in(text: str) -> set[str]:
    """Of what there are placeholders in ``text``."""
    return {(match[1] or SECRETS).lower() for match in PLACEHOLDER.finditer(text)}


def redact(
    text: str, keep: frozenset[str] = NOTHING, known: Known = NONE
) -> tuple[str, list[Finding]]:
    """``text`` with a typed placeholder for each finding not of a group to ``keep``; the findings.

    Looks again until nothing is found, so that redacting twice changes nothing. The offsets of
    what only a later look finds are in the text that the look before left.
    """
    findings: list[Finding] = []
    while fresh := find(text, keep, known):
        findings += fresh
        parts, done = [], 0
        for finding in fresh:
            parts += [text[done : finding.start], finding.placeholder]
            done = finding.end
        text = "".join([*parts, text[done:]])
    return text, findings


def redact_pattern(
    pattern: Pattern, keep: frozenset[str] = NOTHING, known: Known = NONE
) -> tuple[Pattern, list[Finding]]:
    """``pattern`` redacted, to be done before it is cut or its lines are joined; the findings.

    Its signature, documentation and symbol are parts of the text: what is in both is found once.
    """
    text, findings = redact(pattern.text, keep, known)
    found = {finding.digest for finding in findings}
    names = ("signature", "docstring", "symbol", "path")
    parts = {name: getattr(pattern, name) for name in names}
    whole = find("\n".join(parts.values()), keep, known)
    clean, further = redact_json(parts, keep, known) if whole else ({}, [])
    findings = [replace(finding, place="text") for finding in findings]
    findings += [finding for finding in further if finding.digest not in found]
    return replace(pattern, text=text, **clean), findings


def redact_json(
    value: Any, keep: frozenset[str] = NOTHING, known: Known = NONE, place: str = ""
) -> tuple[Any, list[Finding]]:
    """A JSON value with every string in it redacted, and the findings with their places.

    Keys stay; a tuple comes back as a list.
    """
    if isinstance(value, str):
        text, found = redact(value, keep, known)
        return text, [replace(finding, place=place) for finding in found]
    if not isinstance(value, dict | list | tuple):
        return value, []
    clean, findings = {}, []
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        clean[key], found = redact_json(item, keep, known, f"{place}.{key}" if place else str(key))
        findings += found
    return clean if isinstance(value, dict) else list(clean.values()), findings


def find(text: str, keep: frozenset[str] = NOTHING, known: Known = NONE) -> list[Finding]:
    """What is private in ``text`` but for the groups to ``keep``, in order, without overlaps.

    Where rules overlap, all that they cover is one finding, of the kind that the surest rule says.
    A secret is found again wherever it stands as a word of its own; so are those ``known`` of other
    texts, each with its kind.
    """
    spans = list(_spans(text) if len(text) > SHORT else _spans_of_short(text))
    if not (spans or known):
        return []
    spans += list(_again(text, {**known, **_secrets(text, spans)}))
    spans += [Secret(9, *match.span(), "") for match in PLACEHOLDER.finditer(text)]
    findings = []
    line, counted = 1, 0
    for span in _merged(spans):
        value = text[span.start : span.end]
        if PLACEHOLDER.fullmatch(value) or group_of(span.kind) in keep:
            continue
        line += text.count("\n", counted, span.start)
        counted = span.start
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
        findings.append(Finding(span.kind, span.start, span.end, line, digest))
    return findings


def _spans(text: str) -> tuple[Secret, ...]:
    return (*_private_keys(text), *find_secrets(text), *_personal(text))


_spans_of_short = functools.lru_cache(1 << 15)(_spans)  # roles and paths come again in each row


def secrets_in(text: str) -> dict[str, str]:
    """The kinds of the secrets in a text, by value: those with digits, which no word has."""
    spans = [*find_secrets(text), *(s for s in _personal(text) if s.kind not in PERSONAL)]
    return _secrets(text, spans)


def _secrets(text: str, spans: Iterable[Secret]) -> dict[str, str]:
    values = ((text[s.start : s.end], s.kind) for s in spans if s.kind not in PERSONAL)
    return {
        value: kind
        for value, kind in values
        if len(value) >= MIN_KNOWN and any(char.isdigit() for char in value)
    }


def _again(text: str, known: Known) -> Iterator[Secret]:
    """Where known secrets stand as words, or between the separators of one."""
    for word in WORD.finditer(text) if known else ():
        for part in (word, *PART.finditer(text, word.start(), word.end())):
            bare = part[0].rstrip(".:!?")
            if kind := known.get(part[0]) or known.get(bare):
                end = part.end() if part[0] in known else part.start() + len(bare)
                yield Secret(8, part.start(), end, kind)


def _merged(spans: Iterable[Secret]) -> list[Secret]:
    """Spans that overlap as one, of the kind of the lowest rank."""
    merged: list[Secret] = []
    for span in sorted(spans, key=lambda span: (span.start, span)):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = min(last, span)._replace(start=last.start, end=max(last.end, span.end))
        else:
            merged.append(span)
    return merged


def _private_keys(text: str) -> Iterator[Secret]:
    if "PRIVATE KEY" in text or "PuTTY-" in text:
        for match in PRIVATE_KEY.finditer(text):
            yield Secret(-1, *match.span(), "private-key")


def _personal(text: str) -> Iterator[Secret]:
    for match in QUERY_VALUE.finditer(text) if "=" in text else ():
        if any(char.isdigit() for char in match[1]):
            yield Secret(1, *match.span(1), "url-token")
    for match in PREFIXED.finditer(text) if any(map(text.__contains__, PREFIXES)) else ():
        yield Secret(1, *match.span(), "prefixed-token")
    yield from _emails(text)
    for match in PHONE.finditer(text):
        if 8 <= sum(char.isdigit() for char in match[0]) <= 15:
            yield Secret(5, *match.span(), "phone")
    for pattern in (IPV4, IPV6):
        for match in pattern.finditer(text):
            if _is_somebodys(match[0]) and not VERSION_BEFORE.search(
                text, max(0, match.start() - 16), match.start()
            ):
                yield Secret(4, *match.span(), "ip")


def _emails(text: str) -> Iterator[Secret]:
    at = text.find("@")
    while at >= 0:
        domain = DOMAIN.match(text, at + 1)
        local = LOCAL_PART.search(text[max(0, at - MAX_LOCAL_PART) : at]) if domain else None
        if domain and local and not NO_DOMAIN.search(domain[0]):
            start = at - len(local[0])
            is_ssh = local[0] == "git" and text[domain.end() : domain.end() + 1] in (":", "/")
            if not is_ssh and not URL_USER.search(text, max(0, start - MAX_LOCAL_PART), start):
                yield Secret(3, start, domain.end(), "email")
        at = text.find("@", at + 1)


def _is_somebodys(address: str) -> bool:
    """Whether it is an address, and one that tells whose machine it is."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return ip.version == 6 or not any(ip in network for network in EVERYBODYS)
