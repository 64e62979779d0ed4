"""Secrets and personal data in a text, and the text without them.

Findings say what stands where, by the first digits of the value's SHA-256 and never by the value.
Such a digest tells findings apart and protects nothing: a phone number can be guessed from it.

A value that a program puts together, as in ``"AKIA" + "..."``, is not found.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from hub.curate.detector import Secret, find_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PERSONAL = {"email": "<EMAIL>", "phone": "<PHONE>", "ip": "<IP>"}
PLACEHOLDER = re.compile(r"<(?:EMAIL|PHONE|IP|SECRET:[a-z0-9-]+)>")
DIGEST_CHARS = 12

KEY_BEGIN = re.compile(r"-{4,5} ?BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?) ?-{4,5}")
KEY_BODY = re.compile(r"(?:[\s\\nr\"'+#/*]{0,40}[A-Za-z0-9+/=]{16,}+)++")
PUTTY_BEGIN, PUTTY_END = "PuTTY-User-Key-File-", re.compile(r"Private-(?:MAC|Hash): *\w+")
MAX_KEY_CHARS = 20_000

QUERY_VALUE = re.compile(
    r"(?i)[?&;](?:amp;)?(?:access_?token|auth_?token|id_?token|refresh_?token|token|api_?key|apikey|"
    r"key|auth|secret|client_?secret|password|passwd|pwd|sig|signature|x-amz-signature|"
    r"x-amz-security-token|x-goog-signature|code|session_?id)=([A-Za-z0-9._~%+/=-]{8,})"
)
LOCAL_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._%+-]*[A-Za-z0-9_+-])?$")
DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![\w(\[])"
)
MAX_LOCAL_PART = 64
URL_USER = re.compile(r"://[^\s/@]*:$")  # what follows is a password and a host
NOBODY = re.compile(  # reserved by RFC 2606 and 6761, or no domain at all
    r"(?i)(?:^|\.)(?:example(?:\.(?:com|org|net|edu))?|invalid|localhost|localdomain|local|test)$"
    r"|\.(?:png|jpe?g|gif|svg|webp|ico|css|js|ts|py|json|html?|so|dll|exe|whl|gz|zip|service)$"
)
PHONE = re.compile(
    r"(?<![\w.+/-])(?:"
    r"\+[1-9]\d{0,2}(?:[ .-]?\(\d{1,4}\))?(?:[ .-]?\d{2,4}){2,5}"
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}"
    r"|[2-9]\d{2}([.-])[2-9]\d{2}\1\d{4}"
    r")(?![\w]|[.,:/-]\d|-\w)"
)
FICTION = re.compile(r"555[ .-]?01\d\d$")  # numbers that North America keeps for stories
IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w+-]|\.\w)")
IPV6 = re.compile(
    r"(?<![\w:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{3,40}(?:\.\d{1,3}){0,3}(?![\w:]|\.\w)"
)
VERSION_BEFORE = re.compile(
    r"(?i)(?:version|release|revision|ver\.?|oid|section|chapter|v)\W{0,5}$"
)
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found where: ``start`` and ``end`` in characters, ``line`` from 1.

    ``kind`` is "email", "phone", "ip" or the kind of a secret; ``digest`` begins the SHA-256 of
    the value, which itself is kept nowhere.
    """

    kind: str
    start: int
    end: int
    line: int
    digest: str

    @property
    def placeholder(self) -> str:
        """What stands in for the value."""
        return PERSONAL.get(self.kind, f"<SECRET:{self.kind}>")


def find(text: str) -> list[Finding]:
    """What is private in ``text``, in order, without overlaps.

    Where rules overlap, the one that knows the value's shape wins over one that guesses by a name
    or by entropy, and a secret over personal data. What holds a placeholder is redacted already.
    """
    candidates = [*_private_keys(text), *find_secrets(text), *_personal(text)]
    candidates.sort(key=lambda c: (c.priority, c.start, -c.end, c.kind))
    taken = bytearray(len(text))
    for placeholder in PLACEHOLDER.finditer(text):
        _take(taken, *placeholder.span())
    chosen = [c for c in candidates if _take(taken, c.start, c.end)]
    return _as_findings(text, sorted(chosen, key=lambda c: c.start))


def _take(taken: bytearray, start: int, end: int) -> bool:
    """Mark a span, if no character of it is marked already."""
    if 1 in taken[start:end]:
        return False
    taken[start:end] = b"\x01" * (end - start)
    return True


def redact(text: str) -> tuple[str, list[Finding]]:
    """``text`` with a typed placeholder for each finding, and the findings by offsets in ``text``.

    Looks again until nothing is found, so that redacting twice changes nothing; equal values get
    equal placeholders.
    """
    findings: list[Finding] = []
    redacted = text
    while fresh := find(redacted):
        origins = _origins(findings)
        moved = [_moved(finding, origins) for finding in fresh]
        findings = sorted([*findings, *moved], key=lambda f: f.start)
        redacted = _replaced(text, findings)
    findings = _same_kinds(_as_findings(text, findings))
    return _replaced(text, findings), findings


def redact_json(value: Any) -> tuple[Any, list[Finding]]:
    """A JSON value with every string in it redacted; offsets are in the strings, keys stay."""
    if isinstance(value, str):
        return redact(value)
    findings: list[Finding] = []
    if isinstance(value, list):
        items = [redact_json(item) for item in value]
        return [item for item, _ in items], [f for _, found in items for f in found]
    if isinstance(value, dict):
        pairs = {key: redact_json(item) for key, item in value.items()}
        findings = [f for _, found in pairs.values() for f in found]
        return {key: item for key, (item, _) in pairs.items()}, findings
    return value, findings


def _replaced(text: str, findings: Iterable[Finding]) -> str:
    parts, done = [], 0
    for finding in findings:
        parts += [text[done : finding.start], finding.placeholder]
        done = finding.end
    return "".join([*parts, text[done:]])


def _origins(findings: Sequence[Finding]) -> list[tuple[int, int]]:
    """Behind each placeholder: its end in the redacted text, and how far the original is ahead."""
    growths = accumulate(f.end - f.start - len(f.placeholder) for f in findings)
    return [(f.end - growth, growth) for f, growth in zip(findings, growths, strict=True)]


def _moved(finding: Finding, origins: list[tuple[int, int]]) -> Finding:
    """A finding of the redacted text by its offsets in the original; it overlaps no placeholder."""
    place = bisect_right(origins, (finding.start, 1 << 62)) - 1
    ahead = origins[place][1] if place >= 0 else 0
    return replace(finding, start=finding.start + ahead, end=finding.end + ahead)


def _same_kinds(findings: list[Finding]) -> list[Finding]:
    """Equal values found by different rules take the kind of the first."""
    kinds: dict[str, str] = {}
    return [replace(f, kind=kinds.setdefault(f.digest, f.kind)) for f in findings]


def _as_findings(text: str, spans: Sequence[Secret | Finding]) -> list[Finding]:
    findings = []
    line, counted = 1, 0
    for span in spans:
        line += text.count("\n", counted, span.start)
        counted = span.start
        value = text[span.start : span.end].encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(value).hexdigest()[:DIGEST_CHARS]
        findings.append(Finding(span.kind, span.start, span.end, line, digest))
    return findings


def _private_keys(text: str) -> Iterator[Secret]:
    """Whole blocks; one that is cut off, as far as it goes. A header without a key is none."""
    if "PRIVATE KEY" in text:
        for begin in KEY_BEGIN.finditer(text):
            end = _end_of_key(text, begin)
            if end > begin.end():
                yield Secret("private-key", begin.start(), end, -1)
    start = text.find(PUTTY_BEGIN)
    while start >= 0:
        end_line = PUTTY_END.search(text, start, start + MAX_KEY_CHARS)
        if end_line:
            yield Secret("private-key", start, end_line.end(), -1)
        start = text.find(PUTTY_BEGIN, start + 1)


def _end_of_key(text: str, begin: re.Match[str]) -> int:
    limit = begin.end() + MAX_KEY_CHARS
    label = f"END {begin[1]}"
    end = text.find(label, begin.end(), limit)
    following = text.find("BEGIN ", begin.end(), limit)
    if end >= 0 and not 0 <= following < end:
        end += len(label)
        while end < len(text) and text[end] in " -":
            end += 1
        return end
    body = KEY_BODY.match(text, begin.end(), limit)
    return body.end() if body else begin.end()


def _personal(text: str) -> Iterator[Secret]:
    for match in QUERY_VALUE.finditer(text) if "=" in text else ():
        if any(char.isdigit() for char in match[1]):
            yield Secret("url-token", *match.span(1), 1)
    yield from _emails(text)
    for match in PHONE.finditer(text):
        digits = sum(char.isdigit() for char in match[0])
        if 8 <= digits <= 15 and not FICTION.search(match[0]):
            yield Secret("phone", *match.span(), 5)
    for pattern in (IPV4, IPV6):
        for match in pattern.finditer(text):
            if _is_public(match[0]) and not VERSION_BEFORE.search(
                text, max(0, match.start() - 16), match.start()
            ):
                yield Secret("ip", *match.span(), 4)


def _emails(text: str) -> Iterator[Secret]:
    at = text.find("@")
    while at >= 0:
        domain = DOMAIN.match(text, at + 1)
        local = LOCAL_PART.search(text[max(0, at - MAX_LOCAL_PART) : at]) if domain else None
        if domain and local and not NOBODY.search(domain[0]):
            start = at - len(local[0])
            is_ssh = local[0] == "git" and text[domain.end() : domain.end() + 1] in (":", "/")
            if not is_ssh and not URL_USER.search(text, max(0, start - MAX_LOCAL_PART), start):
                yield Secret("email", start, domain.end(), 3)
        at = text.find("@", at + 1)


def _is_public(address: str) -> bool:
    """Whether somebody's machine answers there: no private, reserved or documentation range."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.is_global and ip in GLOBAL_UNICAST
    return ip.is_global and not ip.is_multicast
