"""Patterns as HTML: highlighted, escaped, with links instead of scripts."""

from __future__ import annotations

import functools
import html
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hub.types import Pattern

SHOWN_LINES = 24  # of a hit; the whole stands on its own page
LONGEST_LINE = 2000  # characters that are highlighted; a longer line is data
COPY = """
element.addEventListener('click', (event) => {
  const copy = event.target.closest('[data-copy]');
  if (copy) {
    const write = (data) => { data.clipboardData.setData('text/plain', copy.dataset.copy);
                              data.preventDefault(); };
    document.addEventListener('copy', write, {once: true});
    document.execCommand('copy');  // navigator.clipboard is not there without https
    copy.innerText = 'Copied';
  }
});
"""
_ALIASES = {"plain": "text", "text": "text", "jsx": "jsx", "restructuredtext": "rst"}


def styles() -> str:
    """CSS of highlighted code, for the light and the dark mode."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".dark .code")
    return f"{light}\n{dark}\n{_LAYOUT}"


def code_html(text: str, language: str, *, lines: int | None = None) -> str:
    """``text`` as a block of highlighted code; ``lines`` cuts it, and says how many are left."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter

    shown = text.rstrip("\n").split("\n")
    left = len(shown) - lines if lines and len(shown) > lines else 0
    body = "\n".join(line[:LONGEST_LINE] for line in (shown[:lines] if left else shown))
    marked = highlight(body, _lexer(language), HtmlFormatter(nowrap=True))
    more = f'<p class="more">{left} more lines</p>' if left else ""
    return f'<pre class="code" tabindex="0"><code>{marked}</code></pre>{more}'


def card(
    pattern: Pattern,
    *,
    notes: Iterable[str] = (),
    rank: int | None = None,
    lines: int | None = None,
) -> str:
    """One pattern: where it stands, notes on it, its code, and what can be done with it."""
    place = html.escape(f"{pattern.source}/{pattern.location}")
    name = html.escape(pattern.symbol or pattern.kind)
    link = link_to(pattern)
    head = f"{rank}. " if rank else ""
    told = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return (
        f'<article class="pattern"><header><h3>{head}{name}</h3>'
        f'<a href="{link}" data-pattern="{html.escape(pattern.id)}">{place}</a></header>'
        f'<ul class="notes">{told}</ul>'
        f"{code_html(pattern.text, pattern.language, lines=lines)}"
        f'<footer><button type="button" data-copy="{html.escape(pattern.text)}">Copy</button>'
        f'<a href="{link}" data-pattern="{html.escape(pattern.id)}">Open, similar and tests</a>'
        "</footer></article>"
    )


def links(title: str, patterns: Iterable[Pattern]) -> str:
    """A list of patterns to go to; nothing where there is none."""
    rows = "".join(
        f'<li><a href="{link_to(p)}" data-pattern="{html.escape(p.id)}">'
        f"{html.escape(p.symbol or p.kind)}</a> {html.escape(f'{p.source}/{p.location}')}</li>"
        for p in patterns
    )
    return f"<section><h4>{html.escape(title)}</h4><ul>{rows}</ul></section>" if rows else ""


def link_to(pattern: Pattern) -> str:
    """The address of a pattern's own page, relative to the app's."""
    return "?" + urlencode({"pattern": pattern.id})


def message(text: str, *, alert: bool = False) -> str:
    """A sentence in place of a result."""
    role = "alert" if alert else "status"
    return f'<p class="message" role="{role}">{html.escape(text)}</p>'


@functools.cache
def _lexer(language: str) -> Any:
    from pygments.lexers import TextLexer, get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(_ALIASES.get(language, language), stripnl=False)
    except ClassNotFound:
        return TextLexer(stripnl=False)


_LAYOUT = """
.block:has(> .html-container > .prose:empty) { display: none; }
.row > button.lg { align-self: center; }
.column > button.lg { max-width: 220px; }
.prose table, .prose th, .prose td { border-color: var(--border-color-primary) !important; }
.pattern { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 12px;
  margin: 0 0 12px; background: var(--background-fill-primary); }
.pattern header { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: baseline; }
.pattern h3 { margin: 0; overflow-wrap: anywhere; }
.pattern .notes { display: flex; flex-wrap: wrap; gap: 4px 12px; list-style: none; padding: 0;
  margin: 4px 0; color: var(--body-text-color-subdued); }
.pattern footer { display: flex; gap: 16px; align-items: center; }
.pattern button { border: 1px solid var(--border-color-primary); border-radius: 6px;
  padding: 2px 10px; font-size: 13px; font-weight: 500; }
.pattern a, section a { color: var(--link-text-color); text-decoration: underline; }
pre.code { overflow-x: auto; padding: 8px; border-radius: 6px; margin: 4px 0;
  background: var(--background-fill-secondary); font-family: ui-monospace, monospace;
  font-size: 13px; line-height: 1.45; }
.pane { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 10px;
  overflow-wrap: anywhere; }
.pane ul { padding-left: 1.2em; margin: 0; }
.pane .answer { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0;
  font-family: ui-monospace, monospace; font-size: 13px; }
iframe.report { width: 100%; height: 75vh; border: 1px solid var(--border-color-primary);
  border-radius: 8px; background: white; }
#map svg { max-height: 62vh; border: 1px solid var(--border-color-primary); border-radius: 8px; }
#map circle { cursor: pointer; pointer-events: all; }
#map .key { display: flex; flex-wrap: wrap; gap: 2px 16px; }
.message { color: var(--body-text-color); }
.message[role=alert] { color: var(--error-text-color); font-weight: 600; }
"""
