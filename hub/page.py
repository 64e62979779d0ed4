"""One HTML page that opens anywhere, offline: its frame, its style by day and night, and tables.

Nothing is loaded and no script runs, whatever the text on the page says.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BLUE = "#4e79a7"
STYLE = """
:root { color-scheme: light dark; --text: #222; --page: #fff; --panel: #fcfcfc; --line: #ddd;
        --soft: #666; --was: #cdd9e5; --good: #1a7f37; --bad: #cf222e }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --page: #16181c; --panel: #1d2025; --line: #3a3f47; --soft: #9aa3ad;
          --was: #35495e; --good: #57ab5a; --bad: #f47067 } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 940px; margin: 2rem auto; padding: 0 1rem;
       color: var(--text); background: var(--page) }
table { border-collapse: collapse; margin: .5rem 0 1.5rem } th { text-align: left }
td, th { padding: .15rem .8rem .15rem 0; vertical-align: top } td.n { text-align: right }
.bar { height: .8em; background: #4e79a7; display: inline-block }
.bar.was { background: var(--was) }
svg { border: 1px solid var(--line); background: var(--panel) } .note { color: var(--soft) }
.key span { margin-right: 1rem; white-space: nowrap } .key i { font-style: normal }
"""
_ALONE = "default-src 'none'; style-src 'unsafe-inline'"


class Markup(str):
    """HTML that is put into a page as it is; any other text is escaped."""

    __slots__ = ()


def document(title: str, parts: Iterable[str], *, style: str = "") -> str:
    """The whole page; ``parts`` are HTML, and ``style`` is added to the one all pages have."""
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_ALONE}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style>"
    )
    body = "\n".join(parts)
    return f"<!doctype html>\n<html lang=en><head>{head}</head>\n<body>\n{body}\n</body></html>\n"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Whole numbers stand to the right; what is no :class:`Markup` is escaped."""
    lines = ["<tr>" + "".join(f"<th>{escape(name)}" for name in head)]
    for row in rows:
        lines.append("<tr>" + "".join(map(_cell, row)))
    return f"<table>{''.join(lines)}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f"<td class=n>{value:,}"
    return f"<td>{value if isinstance(value, Markup) else escape(str(value))}"
