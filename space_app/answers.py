"""Answers as HTML: what was said, what it cost, and which of its citations hold."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from hub.answering.citations import MADE_UP, UNSUPPORTED
from space_app.code_view import code_html, links

if TYPE_CHECKING:
    from hub.answering.records import Answer

# A block of code, closed or, while it is still written, not.
FENCED = re.compile(
    r"^```([\w+#-]*)[^\n]*\n(.*?)(?:^```[ \t]*(?:\n|$)|\Z)", re.MULTILINE | re.DOTALL
)


def pane_html(title: str, part: str | Answer, *, blind: bool = False) -> str:
    """What an arm has said so far, or its whole answer with what it cost and rests on.

    ``blind``: without what tells which arm it is: the patterns that it was shown, and what was
    found of its citations. An answer's own words may still tell.
    """
    if isinstance(part, str):
        return f'<section class="pane"><h3>{escape(title)}</h3>{_text(part)}</section>'
    facts = [f"{part.seconds:.1f} s", f"{part.tokens} token{'s' * (part.tokens != 1)}"]
    if part.extractive:
        facts.append("quoted, no model wrote it")
    if part.abstained:
        facts.append("abstained: nothing is near")
    if not part.complete:
        facts.append(f"INCOMPLETE: {part.error}")
    if part.marked:
        facts.append(f"text that reads like orders, not followed: {', '.join(part.marked)}")
    if blind:
        text = part.text.replace(MADE_UP, "").replace(UNSUPPORTED, "")
        told = [f for f in facts if not f.startswith(("abstained", "text that reads"))]
        return (
            f'<section class="pane"><h3>{escape(title)}</h3>{_text(text)}'
            f'<p class="facts">{escape(" · ".join(told))}</p></section>'
        )
    cited = "".join(
        f"<li>{escape(c.location)}{'' if c.holds else ' - does not hold'}</li>"
        for c in part.citations
    )
    return (
        f'<section class="pane"><h3>{escape(title)}</h3>{_text(part.text)}'
        f'<p class="facts">{escape(" · ".join(facts))}</p>'
        f"{f'<h4>Cited</h4><ul>{cited}</ul>' if cited else ''}"
        f"{links('Sources', (hit.pattern for hit in part.sources))}</section>"
    )


def _text(text: str) -> str:
    """Words as they are, and what stands between fences as highlighted code."""
    parts, end = [], 0
    for block in FENCED.finditer(text):
        parts += [_words(text[end : block.start()]), code_html(block[2], block[1] or "text")]
        end = block.end()
    return "".join([*parts, _words(text[end:])])


def _words(text: str) -> str:
    shown = escape(text.strip("\n"))
    return f'<pre class="answer" tabindex="0">{shown}</pre>' if shown.strip() else ""
