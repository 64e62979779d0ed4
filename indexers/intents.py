"""Why a function was changed: the commit's type says it, else its words, else the change itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from indexers.commit_messages import Message

BUG_FIX = "bug fix"
PERFORMANCE = "performance"
READABILITY = "readability"
SECURITY = "security"
RENAME = "rename"
API_CHANGE = "API change"
OTHER = "other"

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


def intent_of(message: Message, raw: str, shown: str) -> str:
    """One of the intents above; ``shown`` is what the change alone shows, for want of words.

    ``raw`` is the message as it was written: references such as a CVE number are in its prefixes.
    """
    said = _BY_TYPE.get(message.type, "")
    if said in ("", BUG_FIX) and _SECURITY.search(raw if said else raw.partition("\n")[0]):
        return SECURITY
    if said:
        return said
    if _TIDYING.search(message.subject):
        return READABILITY
    found = (intent for intent, words in _WORDS.items() if words.search(message.subject))
    return next(found, shown)
