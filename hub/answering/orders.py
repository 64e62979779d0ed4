"""Text in retrieved code that reads as if it were meant for whoever answers, and how it is defused.

Code comes from whoever could write to a repository. What it says to an assistant is data: it is
marked, for the reader and for the model, and nothing in it can close the delimiters it stands
between or open a turn of the conversation. Marking finds what says so in known forms; defusing does
not depend on it.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from hub.curate.plain import plain

_OBJECT = (
    r"(?:instructions?|prompts?|directions|guidelines|rules|commands|orders|context|messages?)"
)
_READER = r"(?:A\.?I\.?|LLMs?|(?:language|AI) models?|(?:AI |coding )?assistants?|(?:chat ?)?bots?)"
_LINE = r"(?m:^[\s#/*>;\"'`<!-]*)"  # what opens a comment or a string
TURN = "forges a turn"
_FORMS: dict[str, str] = {
    "overrides instructions": (
        r"\b(?:[il]gnor(?:e|ing)|disregard|forget|override|bypass|overlook)\W+(?:\w+\W+){0,4}?"
        r"(?:all|any|every|the|these|those|your|previous|prior|above|earlier|preceding|system)\W+"
        rf"(?:\w+\W+){{0,4}}?(?:{_OBJECT}|everything|what you were told)\b"
        r"|\b(?:ignore|disregard|forget)\W+(?:everything|anything|all)\W+(?:\w+\W+){0,2}?"
        r"(?:above|before|previous|prior|you)\b"
        rf"|\b(?:new|updated|real|actual|additional|hidden|secret) (?:system )?{_OBJECT}\s*[:=]"
        rf"|\b(?:do not|don't|stop) (?:follow|obey)(?:ing)? (?:\w+ ){{0,3}}{_OBJECT}\b"
        r"|\b(?:ignorier|vergiss)\w*\W+(?:\w+\W+){0,4}?(?:anweisung|instruktion|regel)\w*"
        r"|\b(?:ignora|olvida|oubliez?|ignorez|ignore)\W+(?:\w+\W+){0,4}?"
        r"(?:instrucci[oó]n\w*|instructions pr[eé]c\w*|consignes|instru[cç][oõ]es)"
        r"|(?:忽略|无视|無視|忘记).{0,12}(?:指令|指示|说明|說明|提示)"
        r"|(?:игнорируй|забудь)\w*\W+(?:\w+\W+){0,4}?(?:инструкци|указани)\w*"
    ),
    "speaks to an assistant": (
        rf"\b(?:dear|attention|hey|hello|note (?:to|for)|notice to|message (?:to|for)|"
        rf"important for|instructions? (?:to|for)|reminder to)[,:]?\W+(?:\w+\W+){{0,3}}?{_READER}\b"
        rf"|\b{_READER}\b(?: (?:reading|processing|that reads?|answering)\b|\W{{1,3}}"
        r"(?:you (?:must|should|will|are)|please|must|shall|has to|have to|do not|answer|reply|say)"
        r"\b)"
        rf"|\bif (?:you are|you're|this is read by) (?:an? |any )?(?:\w+ )?{_READER}\b"
    ),
    "assigns a role": (
        r"\b(?:you are|you're) (?:now|no longer|hereby)\b"
        rf"|\b(?:act|behave|respond|answer) as (?:an? |if you were )(?:\w+ ){{0,3}}?"
        rf"(?:{_READER}|admin(?:istrator)?|hacker|pirate|unrestricted|jailbroken|expert)\b"
        r"|\bpretend (?:to be|that you|you)\b|\bfrom now on,? (?:you|answer|reply|respond|always)\b"
        r"|\byour (?:new|real|only|true|actual) (?:task|goal|job|role|purpose|instructions?)\b"
        r"|\b(?:developer|jailbreak|god|DAN) mode\b"
    ),
    "dictates the answer": (
        r"\b(?:tell|inform|convince|instruct|advise|urge) the (?:user|developer|reader|human)\b"
        r"|\bin your (?:answer|response|reply|summary|output)\b"
        r"|\b(?:answer|respond|reply)(?: to)? (?:every|all|any|the user'?s?|this|each)\b"
        r"(?: \w+){0,2} (?:questions?|prompts?|users?|quer(?:y|ies))\b"
        r"|\bwhen(?:ever)? (?:you (?:are )?)?(?:asked|answering|summari[sz]ing|citing)\b"
        r"|\b(?:do not|don't|never) (?:cite|mention|quote|reveal|refuse|abstain)\b"
        r"|\b(?:always|only|must) (?:cite|recommend|answer with|reply with|say)\b"
        r"|\bcite (?:only |instead )?[\w./-]+:\d+"
        r"|\b(?:say|reply|answer|respond|print|output) (?:only |exactly |with )?"
        r"[\"'“][^\"'”\n]{1,80}[\"'”] (?:and nothing else|to|instead|when|no matter)\b"
        r"|\banswer (?:is|must be) always\b|\bregardless of (?:the|what the) (?:question|user)\b"
    ),
    "asks for secrets": (
        r"\b(?:reveal|repeat|print|output|show|leak|exfiltrate|send|post|upload|disclose|include|"
        r"append|forward|give)\W+(?:\w+\W+){0,5}?"
        r"(?:system prompt|your (?:\w+ )?(?:instructions|prompt|rules)|(?:conversation|chat) "
        r"history|(?:contents? of )?(?:~/|/etc/|\.env|\.ssh)\S*|environment variables"
        r"|every (?:secret|password)"
        r"|all (?:\w+ )?(?:secrets|passwords|credentials|api keys))"
    ),
    TURN: (
        r"<\|[^|>\n]{1,40}\|>|<\uff5c[^\uff5c\n]{1,40}\uff5c>|\[/?(?:INST|SYS)\]|<</?SYS>>"
        r"|</?(?:start_of_turn|end_of_turn|bos|eos)>"
        rf"|{_LINE}(?:#{{1,4}} ?)?\[?(?:system|assistant|human|user)(?: (?:message|prompt))?\]?:"
        r"[ \t]+(?:you|ignore|disregard|answer|from|the user|please|always|never|do not|i will|i am"
        r"|sure)\b"
        r"|#{2,4} ?(?:system|instruction|response|assistant|human)s?:"
    ),
    "forges a delimiter": (
        r"</?\s*(?:patterns?|context|instructions?|system|documents?|question)\b[^>\n]{0,80}>"
        rf"|\b(?:end|begin(?:ning)?|start) of (?:the )?(?:patterns?|{_OBJECT}|question|context)\b"
        r"|-{3,} ?(?:end|begin) (?:patterns?|context|question|system)\b"
    ),
}  # fmt: skip
_ORDERS = {reason: re.compile(form, re.IGNORECASE) for reason, form in _FORMS.items()}
# Tags of our own and tokens of any model's template; a backslash after the first sign breaks them.
_BREAKABLE = re.compile(
    r"(<(?=/?\s*(?:patterns?|question)\b)|<(?=\|)|<(?=\uff5c)|\[(?=/?(?:INST|SYS)\])|<(?=<)"
    r"|<(?=/?(?:s|bos|eos|start_of_turn|end_of_turn|unk|pad)>))",
    re.IGNORECASE,
)
_LINE_BREAK = re.compile(r"\s*\n[\s#/*>;]*")
# Unicode's tag characters spell ASCII that no screen shows; overrides reorder a line.
_HIDDEN = re.compile("[\U000e0000-\U000e007f\u202a\u202b\u202d\u202e\u2066-\u2068]")
_UNUSUAL = re.compile(r"[^\n\t -~]")
_UNSEEN = {"Cc", "Cf", "Cs", "Co"}  # categories


@functools.lru_cache(maxsize=4096)
def orders_in(text: str) -> tuple[str, ...]:
    """In which ways ``text`` reads like orders to an assistant; empty: in none."""
    seen = plain(text).text
    joined = _LINE_BREAK.sub(" ", seen)  # an order may go over lines of a comment
    found = [
        reason
        for reason, form in _ORDERS.items()
        if form.search(joined)
        or (reason == TURN and form.search(seen))  # which begins a line
        or (text != seen and form.search(text))
    ]
    return tuple(found + ["hides text"] * bool(_HIDDEN.search(text)))


def defused(text: str) -> str:
    """``text`` with delimiters and control tokens broken, and characters that nobody sees shown."""
    broken = _BREAKABLE.sub(r"\1\\", text)
    return _UNUSUAL.sub(_visible, broken.replace("\r\n", "\n").replace("\r", "\n"))


def _visible(match: re.Match[str]) -> str:
    unseen = unicodedata.category(match[0]) in _UNSEEN
    return f"\\u{{{ord(match[0]):x}}}" if unseen else match[0]
