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
_BY_WORDS = (  # the first that matches the subject
    # What a compiler or linter complains of is no bug.
    (READABILITY, r"\bclippy\b|\bstatic analysis\b|\btyp(?:e|ing) (?:annotations?|hints?|issues?)\b"
     r"|^(?:fix|silence|address|resolve|avoid)\b.*\bwarnings?\b"
     r"|^(?:replace|remove|avoid|stop)\b.*\b(?:deprecated|legacy)\b"
     r"|^move\b.*\b(?:separate|own|helper)\b|^refactor\b"),
    (BUG_FIX, r"^(?:fix|correct|repair|solve|unbreak)\b"
     r"|^resolve\b.*\b(?:issue|problem|error|fail)|^(?:prevent|avoid)\b.*\b(?:error|exception|fail)"
     r"|\b(?:bugs?|crash\w*|regression|deadlocks?|races?|off.by.one|segfaults?|panics?|workaround"
     r"|overflows?|underflows?|infinite (?:loop|recursion)|null ?pointer|NPE|hang(?:s|ing)?"
     r"|(?:memory|resource|goroutine|fd|descriptor) leaks?|incorrect(?:ly)?|wrong(?:ly)?|broken"
     r"|(?:Type|Attribute|Value|Key|Index|Name|Unicode\w*)Error|misbehav\w+)\b"
     r"|\bdo(?:n't| not) (?:crash|fail|hang|break|panic|lose|swallow)\b"),
    (PERFORMANCE, r"\bperf(?:ormance)?\b|\bspeed(?:s|ing)?(?: ?up)?\b|\bfast(?:er|path)?\b"
     r"|\boptimi[sz]|\ballocs\b|\b(?:avoid|reduce|fewer|save|less|remove)\b.*\balloc|\bpreallocat"
     r"|\bmemoi[sz]e|\befficien(?:t|tly|cy)\b|^cache\b|\bquick(?:er|ly)\b|\blazi(?:ly|ness)\b"
     r"|\boverhead\b|\bmemory (?:usage|use|footprint|consumption)|\bslow(?:er|ness)?\b"),
    (RENAME, r"^re-?name\b"),
    (READABILITY, r"^(?:simplify|clean|cleanup|tidy|extract|inline|deduplicate|dedupe"
     r"|modernize|reorgani[sz]e|restructure|streamline|consolidate|unify|factor|rework"
     r"|rewrite|flatten|clarify|decouple|rearrange|reorder|shorten|encapsulate|generalize)\b"
     r"|\brefactor\w*\b|\breadab(?:le|ility)\b|\bclean(?:ing)?.?up\b|\bcleaner\b|\bboilerplate\b"
     r"|\bduplicat(?:e|ed|ion) code\b|\bun(?:used|needed|necessary|reachable)\b|\bf-strings?\b"
     r"|\b(?:redundant|dead|obsolete|useless|superfluous)\b|\btypos?\b|\btypings?\b"
     r"|^split\b.*\b(?:into|out)\b|^(?:use|prefer|switch to)\b.*\b(?:instead|rather|over)\b"),
    (API_CHANGE, r"^deprecate\b|\bas deprecated\b|\bbreaking\b|\bsignature\b|\breturn type\b"
     r"|^(?:add|accept|allow|support|remove|drop|make|change|expose|introduce)\b"
     r".*\b(?:parameters?|params?|arguments?|args?|kwargs?|options?|keyword)\b"),
    (BUG_FIX, r"^(?:prevent|avoid|handle|ensure|preserve|catch|guard|never|always|only|don't|do not"
     r"|check|verify|protect|respect|restore|suppress|stop)\b"
     r"|\b(?:correctly|properly|missing|invalid|nil|undefined|flaky|(?:corner|edge) cases?)\b"),
)  # fmt: skip
_WORDS = [(intent, re.compile(words, re.IGNORECASE)) for intent, words in _BY_WORDS]
_FIXES_ISSUE = re.compile(r"\bfix(?:es|ed)?:?\s+(?:[\w./-]*#|\S+/issues/)\d", re.IGNORECASE)


def intent_of(message: Message, shown: str) -> str:
    """One of the intents above; ``shown`` is what the change alone shows, for want of words.

    A CVE or an issue is not named in the clean subject, so these are looked for in the raw message.
    """
    said = _BY_TYPE.get(message.type, "")
    if said in ("", BUG_FIX) and _SECURITY.search(message.raw.partition("\n")[0]):
        return SECURITY
    if said:
        return said
    found = (intent for intent, words in _WORDS if words.search(message.subject))
    return next(found, BUG_FIX if _FIXES_ISSUE.search(message.raw) else shown)
