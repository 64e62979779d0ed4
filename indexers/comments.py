"""Comments above a definition: which are its documentation, and what they say."""

from __future__ import annotations

import inspect
import re

_DOC_OPENERS = ("/**", "///", "//!", "/*!")
_LEGAL = re.compile(
    r"copyright|SPDX-License|licen[sc]ed? (?:under|to)|@licen[sc]e|all rights reserved",
    re.IGNORECASE,
)
_BLOCK_ENDS = re.compile(r"\A/\*+!?|\*+/\Z")
_LINE_MARKERS = {
    "/*": re.compile(r"^[ \t]*\*+(?!/)[ \t]?", re.MULTILINE),
    "//": re.compile(r"^[ \t]*/{2,}!?[ \t]?", re.MULTILINE),
    "#": re.compile(r"^[ \t]*#+!?[ \t]?", re.MULTILINE),
    "--": re.compile(r"^[ \t]*--+[ \t]?", re.MULTILINE),
    "=begin": re.compile(r"^=(?:begin|end).*$", re.MULTILINE),
}


def is_doc(comment: str) -> bool:
    """Whether the comment is in its language's form for documentation."""
    return comment.startswith(_DOC_OPENERS)


def belongs_to_file(comment: str) -> bool:
    """A licence or a shebang says nothing about the definition below it."""
    return comment.startswith("#!") or _LEGAL.search(comment) is not None


def docstring(comments: list[str]) -> str:
    """What the comments say, markers stripped; doc comments silence plain ones among them."""
    chosen = [comment for comment in comments if is_doc(comment)] or comments
    return inspect.cleandoc("\n".join(_stripped(comment) for comment in chosen)).strip()


def _stripped(comment: str) -> str:
    text = comment.replace("\r\n", "\n").strip()
    for opener, marker in _LINE_MARKERS.items():
        if text.startswith(opener):
            inner = _BLOCK_ENDS.sub("", text) if opener == "/*" else text
            return marker.sub("", inner).strip("\n ")
    return text
