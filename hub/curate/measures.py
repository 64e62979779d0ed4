"""What the syntax of a pattern tells: how complex it is, whether it is typed and handles errors.

Cyclomatic complexity is lizard's (https://github.com/terryyin/lizard), the rest tree-sitter's.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub.curate.queries import known_kinds, matches, root_of
from hub.syntax import definition

if TYPE_CHECKING:
    from tree_sitter import Node


def _kinds(names: str) -> tuple[str, ...]:
    return tuple(names.split())


FUNCTIONS = frozenset({"function", "method", "test"})
# How lizard tells the languages that it knows.
_EXTENSIONS = {"python": "py", "typescript": "ts", "javascript": "js", "rust": "rs", "ruby": "rb"}
_EXTENSIONS |= {"csharp": "cs", "kotlin": "kt"}
_EXTENSIONS |= {name: name for name in ("tsx", "jsx", "go", "java", "c", "cpp", "php", "swift")}
_METHODS_IN_CLASS = frozenset({"typescript", "tsx", "javascript", "jsx"})
_BLOCKS = _kinds(
    "if_statement if_expression for_statement for_expression for_in_statement for_range_loop"
    " enhanced_for_statement foreach_statement while_statement while_expression do_statement"
    " loop_expression switch_statement switch_expression expression_switch_statement"
    " type_switch_statement select_statement match_statement match_expression when_expression"
    " case_statement try_statement with_statement if unless while until for case begin"
    " guard_statement repeat_while_statement"
)
_HANDLERS = ("except_clause", "except_group_clause", "catch_clause", "catch_block", "rescue")
_RAISES = ("raise_statement", "throw_statement", "throw_expression")
_COMMENTS = ("comment", "line_comment", "block_comment", "multiline_comment")
_EMPTY = {"pass_statement", *_COMMENTS}
_IDIOMS = {"go": re.compile(r"\berr\w* != nil\b"), "rust": re.compile(r"\?[;.,)\s]|\bErr\(")}
_GIVES_UP = {"go": re.compile(r"(?m)^\s*_ = \w*[eE]rr\b"), "rust": re.compile(r"\.unwrap\(\)")}
_PARAMETERS = {
    "python": "(function_definition parameters: (parameters (_) @parameter))",
    "typescript": "(formal_parameters (_) @parameter)",
    "tsx": "(formal_parameters (_) @parameter)",
}
_NO_PARAMETERS = {"comment", "keyword_separator", "positional_separator"}
_STATIC = frozenset({"go", "rust", "java", "c", "cpp", "csharp", "kotlin", "swift"})
_LEFTOVERS = re.compile(
    r"\b(?:TODO|FIXME|XXX|HACK)\b|\bbreakpoint\(\)|\bset_trace\(|\bconsole\.(?:log|debug)\("
    r"|\bdebugger;|\bdbg!\(|\bvar_dump\(|\bbinding\.pry\b"
    r"|\bprint(?:ln)?!?\(\s*f?[\"'](?i:debug|here|>>>|---|===)"
)
_IMPORTS = _kinds(
    "import_statement import_from_statement future_import_statement package_clause"
    " package_declaration import_declaration use_declaration extern_crate_declaration mod_item"
    " preproc_include using_directive namespace_use_declaration import_header import_list"
    " package_header hash_bang_line empty_statement"
)


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured; None where it cannot be, or does not apply.

    ``typed`` is the share of parameters with a type; ``handles_errors`` is 1 where errors are
    raised or handled, and 0 where one is swallowed.
    """

    lines: int
    leftovers: int
    complexity: int | None = None
    nesting: int | None = None
    typed: float | None = None
    handles_errors: float | None = None
    comments: bool = False


def measure(text: str, language: str, kind: str) -> Measures:
    """Measure a pattern, a long one in one piece; of what is no function only its size."""
    lines = sum(1 for line in text.splitlines() if line.strip())
    leftovers = len(_LEFTOVERS.findall(text))
    code = definition(text) if kind in FUNCTIONS else ""
    root = root_of(code, language) if code else None
    if root is None:
        return Measures(lines, leftovers)
    found = [match["node"][0] for match in matches(root, language, _nodes_query(language))]
    return Measures(
        lines,
        leftovers,
        complexity=_complexity(code, language, is_method=kind == "method"),
        nesting=_depth([node for node in found if node.type in _BLOCKS]),
        typed=_typed(root, language),
        handles_errors=_handles_errors(code, language, found),
        comments=any(node.type in _COMMENTS and not _leftover(node) for node in found),
    )


def is_imports(text: str, language: str) -> bool:
    """Whether most of a chunk imports, exports what others have, or says who owns the file."""
    root = root_of(text, language)
    if root is None:
        return False
    code = [node for node in root.children if node.type not in _COMMENTS]
    found = [node for node in root.children if node.type in _COMMENTS or _imports(node)]
    if code and not any(map(_imports, code)):
        return False  # a script under its licence
    return 2 * sum(map(_size, found)) > sum(map(_size, root.children))


def _size(node: Node) -> int:
    return node.end_byte - node.start_byte


def _imports(node: Node) -> bool:
    if node.type == "export_statement":
        return node.child_by_field_name("source") is not None
    if node.type == "expression_statement":  # Python's documentation of a module
        return [child.type for child in node.named_children] == ["string"]
    head = node.text[:40] if node.text else b""
    return node.type in _IMPORTS or (node.type == "if_statement" and b"TYPE_CHECKING" in head)


@functools.cache
def _nodes_query(language: str) -> str:
    kinds = known_kinds(language, _BLOCKS + _HANDLERS + _RAISES + _COMMENTS)
    return f"[{' '.join(f'({kind})' for kind in kinds)}] @node"


def _leftover(comment: Node) -> bool:
    return bool(_LEFTOVERS.search((comment.text or b"").decode("utf-8", "replace")))


def _complexity(code: str, language: str, *, is_method: bool) -> int | None:
    """Cyclomatic complexity with that of inner functions; None where lizard finds no function."""
    if language not in _EXTENSIONS:
        return None
    from lizard import analyze_file

    name = f"snippet.{_EXTENSIONS[language]}"
    texts = [code]
    if is_method and language in _METHODS_IN_CLASS:
        texts.insert(0, f"class Snippet {{\n{code}\n}}")
    for text in texts:
        try:
            functions = analyze_file.analyze_source_code(name, text).function_list
        except Exception:  # noqa: BLE001 - lizard stumbles over code that it does not follow
            functions = []
        if functions:
            return 1 + sum(int(found.cyclomatic_complexity) - 1 for found in functions)
    return None


def _depth(blocks: list[Node]) -> int:
    """How deep blocks are nested; an ``else if`` is no deeper than its ``if``."""
    ends: list[int] = []
    deepest = 0
    for node in sorted(blocks, key=lambda node: (node.start_byte, -node.end_byte)):
        ends = [end for end in ends if end > node.start_byte]
        parent = node.parent
        if parent is not None and parent.type in ("else_clause", node.type):
            continue
        ends.append(node.end_byte)
        deepest = max(deepest, len(ends))
    return deepest


def _typed(root: Node, language: str) -> float | None:
    if language in _STATIC:
        return 1.0
    if language not in _PARAMETERS:
        return None
    found = [match["parameter"][0] for match in matches(root, language, _PARAMETERS[language])]
    outer = [n for n in found if n.parent == found[0].parent and n.type not in _NO_PARAMETERS]
    outer = [n for n in outer if n.text not in (b"self", b"cls", b"this")]
    typed = sum("typed" in n.type or n.child_by_field_name("type") is not None for n in outer)
    return typed / len(outer) if outer else None


def _handles_errors(code: str, language: str, found: list[Node]) -> float | None:
    handlers = [node for node in found if node.type in _HANDLERS]
    gives_up = _GIVES_UP.get(language)
    if any(_swallows(node) for node in handlers) or (gives_up and gives_up.search(code)):
        return 0.0
    idiom = _IDIOMS.get(language)
    raises = any(node.type in _RAISES for node in found)
    return 1.0 if handlers or raises or (idiom and idiom.search(code)) else None


def _swallows(handler: Node) -> bool:
    """Whether nothing is done about the error."""
    block = handler.child_by_field_name("body")
    if block is None and handler.named_children:
        block = handler.named_children[-1]
    if block is None or block.type not in ("block", "statement_block", "compound_statement"):
        return False
    return all(child.type in _EMPTY for child in block.named_children)
