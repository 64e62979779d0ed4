"""Why a function was changed: the commit's type says it, else its words, else the change itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from indexers.functions import signature_tokens

if TYPE_CHECKING:
    from indexers.commit_messages import Message
    from indexers.functions import Function, Tokens

BUG_FIX = "bug fix"
PERFORMANCE = "performance"
READABILITY = "readability"
SECURITY = "security"
RENAME = "rename"
API_CHANGE = "API change"
OTHER = "other"
INTENTS = (BUG_FIX, PERFORMANCE, READABILITY, SECURITY, RENAME, API_CHANGE, OTHER)

_BY_TYPE = {
    "fix": BUG_FIX, "bugfix": BUG_FIX, "hotfix": BUG_FIX, "bug": BUG_FIX,
    "perf": PERFORMANCE, "performance": PERFORMANCE,
    "refactor": READABILITY, "refactoring": READABILITY, "cleanup": READABILITY,
    "security": SECURITY, "sec": SECURITY, "rename": RENAME,
}  # fmt: skip
_SECURITY = re.compile(
    r"\bCVE-\d|\bvulnerab|\bXSS\b|\bCSRF\b|\bSSRF\b|\bReDoS\b|\b(?:sql|code|command|header|log|html)"
    r" injection\b|\bpath traversal\b|\bdirectory traversal\b|\bsecurity\b|\btiming attack"
    r"|\bconstant.time\b|\bspoof|\bdenial.of.service\b|\bopen redirect|\bcredential(?:s)? leak"
    r"|\bleak(?:s|ing)? (?:of )?(?:credential|password|secret|token)|\bzip.?bomb\b",
    re.IGNORECASE,
)
_BY_WORDS = {  # the first that matches the subject
    BUG_FIX: r"^(?:fix|correct|repair|solve|unbreak)\b|^resolve\b.*\b(?:issue|problem|error|fail)"
    r"|\b(?:bugs?|crash\w*|regression|deadlocks?|races?|off.by.one|segfaults?|panics?|workaround"
    r"|overflows?|underflows?|infinite (?:loop|recursion)|null ?pointer|NPE|hang(?:s|ing)?"
    r"|(?:memory|resource|goroutine|fd|descriptor) leaks?|incorrect(?:ly)?|wrong(?:ly)?|broken"
    r"|(?:Type|Attribute|Value|Key|Index|Name|Unicode\w*)Error|misbehav\w+)\b"
    r"|^(?:prevent|avoid)\b.*\b(?:error|exception|fail)"
    r"|\bdo(?:n't| not) (?:crash|fail|hang|break|panic|lose|swallow)\b",
    PERFORMANCE: r"\bperf(?:ormance)?\b|\bspeed(?:s|ing)?(?: ?up)?\b|\bfast(?:er|path)?\b"
    r"|\boptimi[sz]|\balloc(?:s|ations?)?\b|\bpreallocat|\bmemoi[sz]e"
    r"|\befficien(?:t|tly|cy)\b|^cache\b|\bquick(?:er|ly)\b|\blazi(?:ly|ness)\b|\boverhead\b"
    r"|\bmemory (?:usage|use|footprint|consumption)|\bslow(?:er|ness)?\b",
    RENAME: r"^(?:rename|re-name)\b",
    READABILITY: r"^(?:refactor|simplify|clean|cleanup|tidy|extract|inline|deduplicate|dedupe"
    r"|modernize|reorganize|reorganise|restructure|streamline|consolidate|unify|factor|rework"
    r"|rewrite|flatten|clarify|decouple|split|rearrange|reorder|shorten|encapsulate|generalize)\b"
    r"|\brefactor\w*\b|\breadab(?:le|ility)\b|\bclean(?:ing)?.?up\b|\bcleaner\b|\bboilerplate\b"
    r"|\bduplicat(?:e|ed|ion) code\b|\bun(?:used|needed|necessary|reachable)\b|\bf-strings?\b"
    r"|\b(?:redundant|dead|obsolete|useless|superfluous)\b|\btypos?\b"
    r"|\b(?:type (?:hint\w*|annotations?)|annotations|typings?)\b|^convert\b.*\bto\b"
    r"|^(?:use|prefer|switch to)\b.*\b(?:instead|rather|over)\b",
    API_CHANGE: r"^deprecate\b|\bas deprecated\b|\bbreaking\b|\bsignature\b|\breturn type\b"
    r"|^(?:add|accept|allow|support|remove|drop|make|change|expose|introduce)\b"
    r".*\b(?:parameters?|params?|arguments?|args?|kwargs?|options?|keyword)\b",
}
_WORDS = {intent: re.compile(words, re.IGNORECASE) for intent, words in _BY_WORDS.items()}
_TIDYING = re.compile(  # what a compiler or linter complains of is no bug
    r"\bclippy\b|\bstatic analysis\b|^(?:fix|silence|address|resolve|avoid)\b.*\bwarnings?\b"
    r"|^(?:replace|remove|avoid|stop)\b.*\bdeprecated\b"
    r"|^move\b.*\b(?:separate|seperate|own|helper)\b",
    re.IGNORECASE,
)
_TEST_PATH = re.compile(
    r"(?:^|/)(?:tests?|testing|testdata|__tests__|__mocks__|specs?|fixtures|benches|benchmarks?)/"
    r"|(?:^|/)(?:test_[^/]*|conftest)\.py$|_test\.(?:py|go|rs)$|[.-](?:test|spec|bench|test-d)\.\w+$"
    r"|Tests?\.(?:java|kt|cs|swift)$|_(?:spec|test)\.rb$|(?:^|/)tests?\.rs$",
    re.IGNORECASE,
)
_NO_IDENTIFIER = frozenset(
    {"true", "false", "none", "null", "nil", "undefined", "nan", "self", "this", "super"}
)


def intent_of_message(message: Message, raw: str) -> str:
    """What type and words of a commit say; "" where only the change can tell.

    ``raw`` is the message as it was written: references such as a CVE number are in its prefixes.
    """
    if message.type in ("fix", "bugfix", "hotfix", "bug") and _SECURITY.search(raw):
        return SECURITY
    if message.type in _BY_TYPE:
        return _BY_TYPE[message.type]
    if _SECURITY.search(raw.partition("\n")[0]):
        return SECURITY
    if _TIDYING.search(message.subject):
        return READABILITY
    found = (intent for intent, words in _WORDS.items() if words.search(message.subject))
    return next(found, "")


def intent_of_change(before: Function, after: Function, old: Tokens, new: Tokens) -> str:
    """What the two versions show: one identifier renamed throughout, or another signature."""
    if is_rename(old, new, before.name):
        return RENAME
    if signature_tokens(before) != signature_tokens(after):
        return API_CHANGE
    return OTHER


def is_rename(old: Tokens, new: Tokens, name: str) -> bool:
    """Whether only one identifier differs, replaced throughout by one that was not there.

    An identifier that stands there once, and is not the function's own ``name``, may as well be
    another thing and not the same by another name.
    """
    if len(old.texts) != len(new.texts):
        return False
    changed = {(a, b) for a, b in zip(old.texts, new.texts, strict=True) if a != b}
    if len(changed) != 1:
        return False
    before, after = changed.pop()
    if before != name and old.texts.count(before) == 1:
        return False
    are_names = before in old.identifiers and after in new.identifiers
    is_throughout = before not in new.texts and after not in old.texts
    return are_names and is_throughout and not {before.lower(), after.lower()} & _NO_IDENTIFIER


def is_test(path: str, kind: str = "") -> bool:
    """Whether a file, or a function of that kind in it, tests others."""
    return kind == "test" or _TEST_PATH.search(path) is not None
