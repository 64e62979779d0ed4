"""The first sentence of a documentation text, cleaned until only its words are left."""

from __future__ import annotations

import html
import re

_MINIMUM_WORDS = 4
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be by for from if in into is it its of on or that the this to with",
    )
)
_COMMENT_MARKS = re.compile(r"(?m)^[ \t]*(?:/\*[*!]?|\*(?!\*)|//[/!]?)[ \t]?|[ \t]*\*+/[ \t]*$")
_INLINE_MARKUP = (
    (re.compile(r"\{@\w+\s+([^}]*)\}"), r"\1"),  # {@link Foo}, {@code x}
    (re.compile(r":[\w:+.-]+:`[~!.]?([^`<]*?)(?:\s*<[^`]*>)?`"), r"\1"),  # :ref:`text <target>`
    (re.compile(r"!?\[`?([^\]`]*)`?\](?:\([^)]*\)|\[[^\]]*\])?"), r"\1"),  # [text](url), [`Foo`]
    (re.compile(r"`+([^`]*)`+_*"), r"\1"),
    (re.compile(r"(?<!\w)(\*{1,2}|_{1,2})(\S(?:.*?\S)?)\1(?!\w)"), r"\2"),  # *emphasis*
    (re.compile(r"(?i)</?(?:p|b|i|em|strong|a|br|code|pre|tt|ul|ol|li|h\d)\b[^>]*>"), " "),
)
_SECTION = re.compile(
    r"^\s*(?:@|:\w[\w ]*:(?!`)|>>>|```|\.\. |#|[-=~^]{3,}|<(?:p|pre|ul|ol)\b"
    r"|(?:Args?|Arguments|Parameters|Returns|Raises|Examples?|Usage|Notes?):?\s*$)",
)
_DESCRIPTION_TAG = re.compile(r"(?m)^\s*@(?:description|desc|summary|remarks)\b[ \t]*")
_SENTENCE = re.compile(r"(.+?[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bvs\.)(?<!\betc\.)(?=\s|$)")
_NOT_A_DESCRIPTION = re.compile(
    r"(?i)deprecated|inherit|see\b|same as\b|alias\b|todo\b|internal\b|overrid"
)
_DEPRECATED = re.compile(r"(?im)^\s*(?:@deprecated\b|\{?@inheritdoc\b|deprecated:)")


def first_sentence(documentation: str, name: str) -> str:
    """The sentence that describes the function called `name`, or "" when none is usable.

    Go's documentation opens with the function's own name, which would give the answer away, so a
    leading name is cut. Too short a sentence, one that says nothing but the name, a reference to
    another function and a deprecation or inheritance marker are no use as a query.
    """
    text = _COMMENT_MARKS.sub("", documentation)
    if _DEPRECATED.search(text):
        return ""
    paragraph = _markup_removed(_first_paragraph(text))
    match = _SENTENCE.match(paragraph)
    sentence = (match[1] if match else paragraph).strip()
    sentence = re.sub(rf"^(?:(?:the|an?)\s+)?{re.escape(name)}\b(?:\(\))?\s*", "", sentence)
    sentence = sentence.strip(" .:-")
    return sentence if _describes(sentence, name) else ""


def normalized(sentence: str) -> str:
    """Two sentences with the same normal form are the same query."""
    return " ".join(words_of(sentence))


def words_of(text: str) -> list[str]:
    """Lower-case words, with snake_case and camelCase names taken apart."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).replace("_", " ")
    return re.findall(r"[a-z0-9]+", spaced.lower())


def content_words(text: str) -> list[str]:
    """The words that are not English glue, in order and once each."""
    return [word for word in dict.fromkeys(words_of(text)) if word not in _STOP_WORDS]


def _first_paragraph(text: str) -> str:
    tagged = _DESCRIPTION_TAG.search(text)
    if tagged and _SECTION.match(text.lstrip()):
        text = text[tagged.end() :]
    lines: list[str] = []
    for line in text.strip().splitlines():
        if not line.strip() or _SECTION.match(line):
            break
        lines.append(line.strip())
    return " ".join(lines)


def _markup_removed(text: str) -> str:
    for pattern, replacement in _INLINE_MARKUP:
        text = pattern.sub(replacement, text)
    return " ".join(html.unescape(text).replace("\\", "").split())


def _describes(sentence: str, name: str) -> bool:
    if len(sentence.split()) < _MINIMUM_WORDS or _NOT_A_DESCRIPTION.match(sentence):
        return False
    return not set(content_words(sentence)) <= set(words_of(name))
