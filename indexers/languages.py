"""Which language a file is in, and which of its grammar's nodes are functions, classes, glue.

Adding a language is an entry in EXTENSIONS and one in GRAMMARS, and a golden snippet in the tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from indexers import syntax
from indexers.syntax import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from tree_sitter import Node

EXTENSIONS = {
    "python": "py pyi pyw",
    "typescript": "ts mts cts",
    "tsx": "tsx",
    "javascript": "js mjs cjs",
    "jsx": "jsx",
    "go": "go",
    "rust": "rs",
    "java": "java",
    "c": "c h",
    "cpp": "cpp cc cxx c++ hpp hh hxx h++ ipp tpp inl cu cuh",
    "csharp": "cs csx",
    "ruby": "rb rake gemspec ru podspec",
    "php": "php phtml php5 php7",
    "kotlin": "kt kts",
    "swift": "swift",
    "bash": "sh bash zsh ksh bats",
    "markdown": "md markdown mdx mkd",
    "restructuredtext": "rst",
    "text": "txt",
}
LANGUAGES = tuple(EXTENSIONS)

_BY_EXTENSION = {f".{ext}": name for name, exts in EXTENSIONS.items() for ext in exts.split()}
_RUBY_FILES = (
    "Rakefile",
    "Gemfile",
    "Guardfile",
    "Vagrantfile",
    "Podfile",
    "Fastfile",
    "Brewfile",
)
_BASH_FILES = (
    ".bashrc",
    ".bash_profile",
    ".bash_aliases",
    ".profile",
    ".zshrc",
    ".zshenv",
)
_BY_BASENAME = dict.fromkeys(_RUBY_FILES, "ruby") | dict.fromkeys(_BASH_FILES, "bash")
_INTERPRETERS = {
    "python": "python",
    "pypy": "python",
    "node": "javascript",
    "deno": "typescript",
    "bun": "typescript",
    "ts-node": "typescript",
    "ruby": "ruby",
    "php": "php",
    "kotlin": "kotlin",
    "swift": "swift",
    "sh": "bash",
    "bash": "bash",
    "dash": "bash",
    "zsh": "bash",
    "ksh": "bash",
}
_SHEBANG = re.compile(rb"#!\s*(?:\S*/env\s+(?:-\S+\s+|\w+=\S*\s+)*)?(?:\S*/)?([A-Za-z_-]+)")
_LOOKS_LIKE_CPP = re.compile(
    rb"^[ \t]*(?:class\s+\w|namespace\b|template\s*<|using\s+\w)"
    rb"|^[ \t]*(?:public|private|protected)\s*:"
    rb"|^[ \t]*#[ \t]*include[ \t]*<(?:string|vector|memory|map|iostream|cstd\w+)>"
    rb"|\bstd::",
    re.MULTILINE,
)


def detect_language(path: str, head: bytes = b"") -> str:
    """The language of a file by its name, then by the shebang in its first bytes, else text."""
    name = PurePosixPath(path.replace("\\", "/"))
    language = _BY_BASENAME.get(name.name) or _BY_EXTENSION.get(name.suffix.lower())
    if language == "c" and name.suffix.lower() == ".h" and _LOOKS_LIKE_CPP.search(head):
        return "cpp"
    return language or _by_shebang(head)


def _by_shebang(head: bytes) -> str:
    shebang = _SHEBANG.match(head)
    return _INTERPRETERS.get(shebang[1].decode(), "text") if shebang else "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """What the chunker knows of one tree-sitter grammar.

    ``roles`` are unconditional; ``conditional`` types ask ``role``. ``wrappers`` hold a definition
    and belong to it. ``attributes`` precede a definition as siblings. ``silent`` nodes never open
    a chunk: they stay with what precedes them. ``dotted_methods``: a dot in a name makes a method.
    """

    name: str
    roles: dict[str, Role]
    wrappers: frozenset[str] = frozenset()
    comments: frozenset[str] = frozenset({"comment"})
    attributes: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    conditional: frozenset[str] = frozenset()
    role: Callable[[Node], Role | None] | None = None
    symbol: Callable[[Node], str] = syntax.name_field
    body: Callable[[Node], Node | None] = syntax.body_field
    docstring: Callable[[Node], str] | None = None
    inner_docs: tuple[str, ...] = ()
    dotted_methods: bool = False


def _roles(
    *, functions: str, classes: str = "", namespaces: str = "", transparent: str = ""
) -> dict[str, Role]:
    """Node types by role; what failed to parse is transparent everywhere."""
    return (
        dict.fromkeys(functions.split(), Role.FUNCTION)
        | dict.fromkeys(classes.split(), Role.CLASS)
        | dict.fromkeys(namespaces.split(), Role.NAMESPACE)
        | dict.fromkeys(["ERROR", *transparent.split()], Role.TRANSPARENT)
    )


def _types(names: str) -> frozenset[str]:
    return frozenset(names.split())


_PYTHON_CLAUSES = (
    "elif_clause else_clause except_clause except_group_clause finally_clause case_clause block"
)
_PYTHON = Grammar(
    name="python",
    roles=_roles(
        functions="function_definition",
        classes="class_definition",
        transparent="if_statement try_statement with_statement for_statement while_statement"
        f" match_statement {_PYTHON_CLAUSES}",
    ),
    wrappers=_types("decorated_definition"),
    silent=_types(_PYTHON_CLAUSES),
    docstring=syntax.python_docstring,
)
_JAVASCRIPT_CLAUSES = "else_clause catch_clause finally_clause statement_block"
_JAVASCRIPT = Grammar(
    name="javascript",
    roles=_roles(
        functions="function_declaration generator_function_declaration method_definition"
        " function_expression generator_function arrow_function",
        classes="class_declaration class",
        transparent=f"if_statement try_statement {_JAVASCRIPT_CLAUSES}",
    ),
    wrappers=_types(
        "export_statement expression_statement lexical_declaration variable_declaration"
    ),
    attributes=_types("decorator"),
    silent=_types(f"empty_statement {_JAVASCRIPT_CLAUSES}"),
    conditional=_types(
        "variable_declarator assignment_expression pair field_definition call_expression object"
    ),
    role=syntax.js_role,
    symbol=syntax.js_name,
    body=syntax.js_body,
)
_TYPESCRIPT = replace(
    _JAVASCRIPT,
    name="typescript",
    roles=_JAVASCRIPT.roles
    | _roles(
        functions="function_signature method_signature abstract_method_signature",
        classes="abstract_class_declaration interface_declaration type_alias_declaration"
        " enum_declaration",
        namespaces="internal_module module",
    ),
    wrappers=_JAVASCRIPT.wrappers | {"ambient_declaration"},
    conditional=_JAVASCRIPT.conditional | {"public_field_definition"},
)
_GO = Grammar(
    name="go",
    roles=_roles(functions="function_declaration method_declaration", classes="type_spec"),
    wrappers=_types("type_declaration"),
    symbol=syntax.go_name,
    body=syntax.go_body,
    dotted_methods=True,
)
_RUST = Grammar(
    name="rust",
    roles=_roles(
        functions="function_item macro_definition",
        classes="struct_item enum_item union_item trait_item impl_item",
        namespaces="mod_item",
    ),
    comments=_types("line_comment block_comment"),
    attributes=_types("attribute_item"),
    silent=_types("empty_statement"),
    symbol=syntax.rust_name,
    body=syntax.rust_body,
    inner_docs=("//!", "/*!"),
)
_JAVA = Grammar(
    name="java",
    roles=_roles(
        functions="method_declaration constructor_declaration compact_constructor_declaration",
        classes="class_declaration interface_declaration enum_declaration record_declaration"
        " annotation_type_declaration",
        transparent="enum_body_declarations",
    ),
    comments=_types("line_comment block_comment"),
    silent=_types("enum_body_declarations"),
)
_PREPROC_BRANCHES = "preproc_else preproc_elif preproc_elifdef"
_C = Grammar(
    name="c",
    roles=_roles(
        functions="function_definition",
        classes="type_definition",
        transparent=f"preproc_if preproc_ifdef linkage_specification declaration_list"
        f" {_PREPROC_BRANCHES}",
    ),
    wrappers=_types("declaration"),
    silent=_types(f"declaration_list {_PREPROC_BRANCHES}"),
    conditional=_types("struct_specifier union_specifier enum_specifier"),
    role=syntax.c_role,
    symbol=syntax.c_name,
    body=syntax.c_body,
)
_CPP = replace(
    _C,
    name="cpp",
    roles=_C.roles | _roles(functions="", namespaces="namespace_definition"),
    wrappers=_C.wrappers | {"template_declaration", "field_declaration"},
    silent=_C.silent | {"access_specifier"},
    conditional=_C.conditional | {"class_specifier", "function_definition"},
    dotted_methods=True,
)
_CSHARP = Grammar(
    name="csharp",
    roles=_roles(
        functions="method_declaration constructor_declaration destructor_declaration"
        " operator_declaration conversion_operator_declaration indexer_declaration"
        " property_declaration local_function_statement",
        classes="class_declaration interface_declaration struct_declaration record_declaration"
        " enum_declaration",
        transparent=f"namespace_declaration declaration_list preproc_if {_PREPROC_BRANCHES}",
    ),
    wrappers=_types("global_statement"),
    silent=_types(f"declaration_list preproc_region preproc_endregion {_PREPROC_BRANCHES}"),
    symbol=syntax.csharp_name,
    body=syntax.csharp_body,
)
_RUBY = Grammar(
    name="ruby",
    roles=_roles(functions="method singleton_method", classes="class module singleton_class"),
    wrappers=_types("call argument_list"),
    silent=_types("identifier"),
    body=syntax.ruby_body,
)
_PHP_CLAUSES = "compound_statement else_clause else_if_clause catch_clause finally_clause"
_PHP = Grammar(
    name="php",
    roles=_roles(
        functions="function_definition method_declaration",
        classes="class_declaration interface_declaration trait_declaration enum_declaration",
        transparent=f"namespace_definition if_statement try_statement {_PHP_CLAUSES}",
    ),
    silent=_types(_PHP_CLAUSES),
)
_KOTLIN = Grammar(
    name="kotlin",
    roles=_roles(
        functions="function_declaration secondary_constructor",
        classes="class_declaration object_declaration companion_object",
        transparent="import_list import_header",
    ),
    comments=_types("line_comment multiline_comment"),
    symbol=syntax.kotlin_name,
    body=syntax.kotlin_body,
)
_SWIFT = Grammar(
    name="swift",
    roles=_roles(
        functions="function_declaration init_declaration deinit_declaration"
        " subscript_declaration property_declaration",
        classes="class_declaration protocol_declaration",
    ),
    comments=_types("comment multiline_comment"),
    symbol=syntax.swift_name,
    body=syntax.swift_body,
)
_BASH_CLAUSES = "elif_clause else_clause case_item do_group"
_BASH = Grammar(
    name="bash",
    roles=_roles(
        functions="function_definition",
        transparent=f"if_statement case_statement for_statement while_statement {_BASH_CLAUSES}",
    ),
    silent=_types(_BASH_CLAUSES),
)

GRAMMARS = {
    "python": _PYTHON,
    "typescript": _TYPESCRIPT,
    "tsx": replace(_TYPESCRIPT, name="tsx"),
    "javascript": _JAVASCRIPT,
    "jsx": _JAVASCRIPT,
    "go": _GO,
    "rust": _RUST,
    "java": _JAVA,
    "c": _C,
    "cpp": _CPP,
    "csharp": _CSHARP,
    "ruby": _RUBY,
    "php": _PHP,
    "kotlin": _KOTLIN,
    "swift": _SWIFT,
    "bash": _BASH,
}
