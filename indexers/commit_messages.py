"""What a commit message says about the code: a clean subject and body, or why it says nothing.

Nothing of who wrote, reviewed or generated a change gets past here, and nothing is guessed: a
message that does not say in the imperative what the commit does is left out, with the reason.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

MIN_WORDS = 3
MAX_SUBJECT = 120  # characters

# fmt: off
_VERBS = frozenset("""
abort accept accumulate adapt add address adjust adopt advance align allocate allow alter always
annotate append apply arrange assert assign assume attach auto avoid bail batch break bring
broaden build bundle cache calculate call cap capture cast catch centralize change check choose
clamp clarify clean cleanup clear clone close coalesce collapse collect combine commit compare
compile complete compress compute condense configure connect consolidate construct consume
continue convert copy correct count cover create cut deal debounce decode decouple decrease dedent
dedupe deduplicate defer define delay delegate delete demote deprecate dereference deserialize
detect determine disable disallow discard disconnect dispatch display dispose distinguish do
document don't drop dump duplicate eliminate embed emit enable encapsulate encode enforce enhance
ensure escape evaluate exclude execute expand expect explain explicitly export expose extend
extract factor fall fetch fill filter finalize find finish fix flatten flip flush fold follow
forbid force forward free freeze generalize generate get give guarantee guard handle hide hoist
honor honour identify ignore implement import improve include incorporate increase increment
indicate infer inherit init initialize inject inline insert inspect install instantiate integrate
interpret introduce invalidate invert invoke isolate iterate join keep kill leave let leverage
lift limit list load localize log loosen lower maintain make map mark mask match measure memoize
merge migrate minimize mitigate mock modernize modify monitor move mute name narrow never
normalize notify obey omit only open optimise optimize organize overhaul override overwrite pack
parallelize parametrize parse pass patch perform permit persist pick pin poll populate preallocate
prefer prefix prepare prepend preserve prevent print prioritize prohibit promote propagate protect
provide prune publish pull purge push put qualify quit quote raise re-add re-enable read reapply
rearrange rebuild recognise recognize record recover redact redirect redo reduce reenable
reestablish refactor reference refine reflect refresh refuse register reimplement reject relax
release reload rely remember remove rename render reopen reorder reorganise reorganize repair
replace report require rerun reset reshape resolve respect respond restore restrict restructure
retain rethrow retrieve retry return reuse rework rewrite rotate round run safeguard sanitize save
scale schedule search select send separate serialize serve set setup share shorten show shrink
shuffle shut silence simplify skip slice soften solve sort specialize specify speed split
stabilize start stop store streamline strip substitute support suppress swallow swap switch sync
synchronize take teach tell test throw tidy tighten track transform translate traverse treat trim
truncate try tune turn tweak unbreak undo unify uninstall unregister unset unwrap update upgrade
use utilise utilize validate verify wait warn widen work wrap write yield
""".split())  # noqa: SIM905 - three hundred quotes would hide the words
# fmt: on
_PERSON = re.compile(
    r"\b[\w-]+(?:ed|en|off)[ -]by\s*:|\bco-\w+-(?:by|with)\b|\bsigned-off-by\b|\bpaired[ -]with\b"
    r"|^\W*(?:auto\W?)?(?:generated|created|written|made)\s+(?:with|by|using|via)\b"
    r"|[\w.+-]+@[\w-]+\.[\w.-]+|^\W*(?:author|committer|commit|change-id|git-svn-id)\s*:"
    r"|^\W*\(?cherry[ -]picked from\b|^\W*this reverts commit\b",
    re.IGNORECASE,
)
_TRAILER = re.compile(
    r"(?:[a-z][\w-]*|--hg--)\s*(?:[:=]\s*\S|$)|(?:closes|fixe[sd]|resolves|refs?|see)\W+\w*#?\d",
    re.IGNORECASE,
)
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212\ufe58\ufe63\uff0d"), "-")
_TYPE = re.compile(
    r"(feat(?:ure)?|fix|bugfix|hotfix|perf(?:ormance)?|refactor(?:ing)?|cleanup|style|docs?|tests?"
    r"|chore|build|ci|revert|security|sec|deps|release|types?|rename|bug|enhancement|enh|bld|maint"
    r"|improvement)(?:[(\[]([^)\]]*)[)\]])?!?:\s*",
    re.IGNORECASE,
)
_TAG = re.compile(  # [tag], (scope), :emoji:, one-word-area:, and emoji
    r"\[[^\]]{1,40}\]\s*[:-]?\s*|\([\w#-]{1,20}\)\s*[:-]?\s*|:[a-z0-9_+-]{2,30}:\s*|[^\s:`]+:\s+"
    r"|[^\w\s\"'`<(\[#]+\s*"
)
_AREA = re.compile(r"[^:]{1,40}:\s+|(?:[A-Z][A-Z0-9]+-|#)\d+\s+")
_SUFFIX = re.compile(
    r"\s*[(\[](?:[^()\[\]]{0,30}\s)?(?:#|GH-|[A-Z]{2,}-)\d+(?:[\s,]+#?\d+)*[)\]]$"
    r"|[\s,.;:-]+(?:closes?|fixe?s|refs?|resolves|see)\s*:?\s+(?:gh-)?#\d+(?:[\s,and]+#\d+)*$"
    r"|\s+#\d+$|[\s;,]+$|(?<!\.)\.$",
    re.IGNORECASE,
)
_UNWANTED = {
    "revert": r"^(?:revert|back(?:ed)? ?out|undo|unrevert|reapply)\b",
    "merge": r"^merge\b.*\b(?:branch|pull|remote|request|into|master|main|upstream|tag)\b"
    r"|^merge\W*$",
    "work in progress": r"^(?:fixup|squash|amend)!|\bwip\b",
    "bump": r"^bump\b|^(?:release|publish|tag|v)?\W*v?\d+\.\d+|\b(?:dependabot|renovate)\b"
    r"|^(?:update|upgrade|pin|unpin)\b.*\b(?:dependenc\w+|deps|requirements|lock ?files?)\b"
    r"|^(?:release|publish|tag|prepare|cut|set|update|upgrade|pin|increment|start)\b.*"
    r"\b(?:version|release|changelog|v\d+|\d+(?:\.\w+)+)\W*$",
    "formatting": r"\b(?:gofmt|goimports|rustfmt|cargo fmt|prettier|isort|clang-format|yapf|pep ?8"
    r"|black|flake8|pylint|eslint|ruff|lint(?:er|ing|s)?|white ?space|(?:re-?)?formatting"
    r"|cod(?:e|ing) style)\b|^(?:re-?)?(?:format|indent)\b.*\b(?:code|files?|imports?|source)\b",
}
_UNWANTED_WORDS = {r: re.compile(words, re.IGNORECASE) for r, words in _UNWANTED.items()}
_UNWANTED_TYPES = {"revert": "revert", "style": "formatting", "release": "bump", "deps": "bump"}
_OTHER_TYPES = {"doc", "docs", "test", "tests", "ci", "build"}
_NOT_CODE = re.compile(
    r"^(?:add|write|update|improve|extend|include|complete|increase)\s+(?:[\w-]+\s+){0,4}?"
    r"(?:tests?|test cases?|benchmarks?|docs?|documentation|docstrings?|comments?|examples?"
    r"|coverage|changelog)\b|^(?:test|document)\b"
    r"|^(?:address|apply|incorporate)\b.*\b(?:review|comments?|feedback|suggestions?)\b",
    re.IGNORECASE,
)


class Message(NamedTuple):
    """A message: ``raw`` as it was written, and its subject without prefixes and names.

    The subject is "" where nothing but a trailer is in its place. ``type`` and ``scope`` are of
    conventional commits. Cleaning a clean subject or body again changes nothing.
    """

    raw: str
    subject: str
    type: str = ""
    scope: str = ""

    @property
    def body(self) -> str:
        """The rest of it, without lines that name someone and paragraphs of trailers."""
        return _without_trailers(_halves(self.raw)[1])

    @property
    def is_about_code(self) -> bool:
        """Whether it may be said of code, and not only of its tests, documentation or review."""
        return self.type not in _OTHER_TYPES and not _NOT_CODE.search(self.subject)


def clean_message(raw: str) -> Message:
    """What a raw commit message says."""
    first, *more = _halves(raw)[0].split("\n")
    kept = [] if _names_someone(first) else [first, *_without_people(more)]
    subject, type_, scope = _clean_subject(" ".join(" ".join(kept).split()))
    return Message(raw, "" if _names_someone(subject) else subject, type_, scope)


def reason_to_leave_out(message: Message) -> str:
    """Why a commit teaches nothing, by its message alone; "" if it may."""
    subject = message.subject
    for reason, words in _UNWANTED_WORDS.items():
        if words.search(subject):
            return reason
    if message.type in _UNWANTED_TYPES:
        return _UNWANTED_TYPES[message.type]
    if re.search(r"\bdep(?:s|endenc(?:y|ies))\b", message.scope):
        return "bump"
    if not subject:
        return "no subject"
    if not is_imperative(subject):
        return "subject not imperative"
    if len(subject.split()) < MIN_WORDS:
        return "subject says too little"
    if subject.endswith(("\u2026", "...")):
        return "subject cut off"
    return "subject too long" if len(subject) > MAX_SUBJECT else ""


def is_imperative(subject: str) -> bool:
    """Whether it begins with a verb that tells the code what to do."""
    first = re.match(r"[\w'-]+", subject.replace("\u2019", "'"))
    return first is not None and first[0].lower() in _VERBS


def _halves(raw: str) -> tuple[str, str]:
    """The first paragraph, and the others."""
    text = raw.replace("\r\n", "\n").strip()
    head, *rest = re.split(r"\n[^\S\n]*\n", text, maxsplit=1)
    return head, "".join(rest)


def _clean_subject(text: str) -> tuple[str, str, str]:
    """(subject, conventional type, its scope); stable under repetition by construction."""
    type_ = scope = before = ""
    while text != before:
        before = text
        text = _SUFFIX.sub("", text.strip())
        if match := _TYPE.match(text):
            type_, scope = type_ or match[1].lower(), scope or match[2] or ""
        elif not (match := _TAG.match(text)) and not is_imperative(text):
            match = _AREA.match(text)
            match = match if match and is_imperative(text[match.end() :]) else None
        text = text[match.end() :] if match else text
    return text, type_, scope


def _names_someone(line: str) -> bool:
    """Look-alike dashes and letters, and invisible characters, hide nothing."""
    if not line.isascii():
        folded = unicodedata.normalize("NFKC", line).translate(_DASHES)
        line = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    return _PERSON.search(line) is not None


def _without_people(lines: list[str]) -> list[str]:
    """The lines that name nobody; what continues a dropped line, indented, goes with it."""
    kept: list[str] = []
    dropping = False
    for line in lines:
        dropping = _names_someone(line) or (dropping and line[:1].isspace() and bool(line.strip()))
        if not dropping:
            kept.append(line)
    return kept


def _without_trailers(body: str) -> str:
    lines = _without_people(body.split("\n"))
    text = re.sub(r"\n\s*\n", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()
    paragraphs = text.split("\n\n")
    while paragraphs and all(
        _TRAILER.match(line) or line[:1].isspace() for line in paragraphs[-1].split("\n")
    ):
        paragraphs.pop()
    return "\n\n".join(paragraphs)
