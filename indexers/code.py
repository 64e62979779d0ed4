"""One file to chunks: functions first, classes and sections by header, the rest as glue.

chunk_file("hub/types.py", Path("hub/types.py").read_bytes())
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tree_sitter import Parser
from tree_sitter_language_pack import get_language

from hub.errors import HubError
from indexers.docs import rest_spans, section_spans, text_spans
from indexers.languages import GRAMMARS, LANGUAGES, detect_language
from indexers.outline import outline
from indexers.spans import Source, Span, to_chunks

if TYPE_CHECKING:
    from tree_sitter import Tree
    from tree_sitter_language_pack import SupportedLanguage

    from hub.types import Chunk

__all__ = ["CHUNKER_VERSION", "LANGUAGES", "chunk_file", "detect_language", "parse"]

CHUNKER_VERSION = 3  # raise it whenever the same file would be cut or named differently
_HEAD = 8192


def chunk_file(
    path: str, data: bytes, *, language: str | None = None, max_chars: int = 2000
) -> list[Chunk]:
    """The chunks of a file: in order and by byte offsets a partition of ``data``.

    ``data`` must be UTF-8 (UnicodeDecodeError otherwise). Only ``b""`` has no chunks. No chunk has
    more than ``max_chars`` characters between its first and last non-whitespace one, but for a
    closing brace or two.
    """
    data.decode("utf-8")
    language = language or detect_language(path, data[:_HEAD])
    if language not in LANGUAGES:
        raise HubError(f"{path}: unknown language {language!r}; known: {', '.join(LANGUAGES)}")
    if not data:
        return []
    source = Source(data, max_chars)
    return to_chunks(source, _spans(source, language), path=path, language=language)


def _spans(source: Source, language: str) -> list[Span]:
    if language == "text":
        return text_spans()
    if language == "markdown":
        return section_spans(source.data)
    if language == "restructuredtext":
        return rest_spans(source.data)
    grammar = GRAMMARS[language]
    return outline(source, grammar, parse(grammar.name, source.data).root_node)


def parse(grammar: str, data: bytes, edited: Tree | None = None) -> Tree:
    """A file's tree; one of another version, edited to fit this one, saves most of the time.

    A parser is made per call, which takes two microseconds and keeps threads apart.
    """
    try:
        language = get_language(cast("SupportedLanguage", grammar))
    except Exception as error:
        raise HubError(
            f"the tree-sitter grammar {grammar!r} cannot be loaded ({error});"
            " reinstall it: pip install --force-reinstall tree-sitter-language-pack"
        ) from error
    parser = Parser(language)
    return parser.parse(data, edited) if edited else parser.parse(data)
