"""What the table of node types cannot say: names, bodies, and conditional definitions.

Each function answers one question about one node of one grammar; languages.py says which is asked.
"""

from __future__ import annotations

import ast
import inspect
import re
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node


class Role(Enum):
    """What a node is to the chunker."""

    FUNCTION = "function"  # one chunk
    TEST = "test"  # one chunk, named by its title
    CLASS = "class"  # a header chunk, then its members
    NAMESPACE = "namespace"  # its header is glue; its members are walked and qualified
    TRANSPARENT = "transparent"  # walked as if it were not there


def text_of(node: Node | None) -> str:
    """The node's source; "" for no node, so that optional fields need no test."""
    return node.text.decode("utf-8", "replace") if node and node.text else ""


def first_child(node: Node, types: tuple[str, ...]) -> Node | None:
    """The first child of one of ``types``, for grammars that name no field."""
    return next((child for child in node.children if child.type in types), None)


def is_multiline(node: Node) -> bool:
    """Tells a function worth a chunk from a lambda in passing."""
    return node.start_point.row != node.end_point.row


def name_field(node: Node) -> str:
    """The name, where the grammar has a field for it."""
    return text_of(node.child_by_field_name("name"))


def body_field(node: Node) -> Node | None:
    """The body, where the grammar has a field for it."""
    return node.child_by_field_name("body")


def python_docstring(body: Node) -> str:
    """The string that opens a body, unquoted and unindented."""
    first = next((child for child in body.named_children if child.type != "comment"), None)
    if first is not None and first.type == "expression_statement":
        first = first.named_child(0)
    if first is None or first.type not in ("string", "concatenated_string"):
        return ""
    try:
        value = ast.literal_eval(text_of(first))
    except (ValueError, SyntaxError):  # an f-string, or a lone surrogate escape
        return ""
    return inspect.cleandoc(value) if isinstance(value, str) else ""


def go_name(node: Node) -> str:
    """``Receiver.Method`` for a method, without pointer and type parameters."""
    receiver = re.search(
        r"(\w+)\s*(?:\[.*\])?\s*\)$", text_of(node.child_by_field_name("receiver"))
    )
    return f"{receiver[1]}.{name_field(node)}" if receiver else name_field(node)


def go_body(node: Node) -> Node | None:
    """A type's body is its field list, or starts at the brace of its methods."""
    type_ = node.child_by_field_name("type")
    if type_ is not None:
        return first_child(type_, ("field_declaration_list", "{"))
    return body_field(node)


def rust_name(node: Node) -> str:
    """An impl is named by its type, without path and generics."""
    if node.type != "impl_item":
        return name_field(node)
    type_ = re.sub(r"<.*|^&(?:'\w+\s+)?(?:mut\s+)?", "", text_of(node.child_by_field_name("type")))
    return type_.rpartition("::")[2].strip()


def rust_body(node: Node) -> Node | None:
    """A macro's body is its first rule."""
    if node.type == "macro_definition":
        return first_child(node, ("macro_rule",))
    return body_field(node)


def ruby_body(node: Node) -> Node | None:
    """An empty method has no body node; its ``end`` stands for it."""
    return body_field(node) or (node.children[-1] if node.children else None)


def c_name(node: Node) -> str:
    """The name at the heart of a declarator, ``::`` as a dot and template arguments dropped."""
    heart = node.child_by_field_name("declarator")
    if heart is None:
        return _dotted(name_field(node))
    while inner := _inner_declarator(heart):
        heart = inner
    text = text_of(heart)
    return _dotted(text if "operator()" in text else text.partition("(")[0])


def _inner_declarator(node: Node) -> Node | None:
    if node.type in ("reference_declarator", "parenthesized_declarator"):
        return node.named_child(0)
    if node.type == "operator_cast":
        return None
    return node.child_by_field_name("declarator")


def _dotted(name: str) -> str:
    if "operator" not in name:
        name = re.sub(r"<[^()]*>", "", name)
    return re.sub(r"\s+", " ", name.replace("::", ".")).strip(" .")


def c_body(node: Node) -> Node | None:
    """A typedef has the body of the type that it names."""
    if node.type == "type_definition":
        type_ = node.child_by_field_name("type")
        return type_ and body_field(type_)
    return body_field(node)


def c_role(node: Node) -> Role | None:
    """A struct is a definition where it has a body.

    ``class EXPORT_MACRO Name : Base {`` parses as a function that returns ``class EXPORT_MACRO``.
    """
    if node.type != "function_definition":
        return Role.CLASS if body_field(node) else None
    type_ = node.child_by_field_name("type")
    declarator = node.child_by_field_name("declarator")
    is_type = type_ is not None and type_.type in (
        "class_specifier",
        "struct_specifier",
    )
    if is_type and declarator is not None and declarator.type == "identifier":
        return Role.CLASS
    return Role.FUNCTION


def csharp_name(node: Node) -> str:
    """Operators, indexers and destructors by the words that declare them."""
    if node.type == "destructor_declaration":
        return f"~{name_field(node)}"
    if node.type == "operator_declaration":
        return f"operator {text_of(node.child_by_field_name('operator'))}"
    if node.type == "conversion_operator_declaration":
        return f"operator {text_of(node.child_by_field_name('type'))}"
    return "this" if node.type == "indexer_declaration" else name_field(node)


def csharp_body(node: Node) -> Node | None:
    """A property counts as having a body when its accessors do, over more than one line."""
    accessors = node.child_by_field_name("accessors")
    if accessors is None:
        value = node.child_by_field_name("value")
        return body_field(node) or (value if value and is_multiline(value) else None)
    has_code = any(body_field(accessor) for accessor in accessors.named_children)
    return accessors if has_code and is_multiline(node) else None


def kotlin_name(node: Node) -> str:
    """An extension function is named ``Receiver.name``."""
    if node.type == "secondary_constructor":
        return "constructor"
    name = text_of(first_child(node, ("simple_identifier", "type_identifier")))
    if node.type == "companion_object":
        return name or "Companion"
    receiver = node.child_by_field_name("receiver")
    return f"{re.sub(r'<.*', '', text_of(receiver))}.{name}" if receiver else name


def kotlin_body(node: Node) -> Node | None:
    """The grammar has no fields: the body is the child of a body's type."""
    return first_child(node, ("class_body", "enum_class_body", "function_body", "{"))


def swift_name(node: Node) -> str:
    """Initializers and subscripts by their keyword, an extension by its type."""
    words = {"init_declaration": "init", "deinit_declaration": "deinit"}
    if node.type == "subscript_declaration":
        return "subscript"
    return words.get(node.type) or re.sub(r"<.*", "", name_field(node))


def swift_body(node: Node) -> Node | None:
    """A computed property counts as having a body when it takes more than one line."""
    body = body_field(node) or first_child(node, ("computed_property",))
    if node.type == "property_declaration":
        return body if body and is_multiline(body) else None
    return body


_JS_FUNCTIONS = ("arrow_function", "function_expression", "generator_function")
_JS_SUITES = {"describe", "suite", "context"}
_JS_TESTS = {"it", "test", "specify"}


def js_role(node: Node) -> Role | None:
    """What a declarator, assignment, pair, field, object or call defines, judged by its value."""
    if node.type == "call_expression":
        return _js_call_role(node)
    value = node if node.type == "object" else _js_value(node)
    if value is None:
        return None
    if value.type == "class":
        return Role.CLASS
    if value.type == "object":
        return Role.NAMESPACE if _has_functions(value, levels=3) else None
    if value.type == "call_expression":
        callback = _js_callback(value)
        return Role.FUNCTION if callback and is_multiline(callback) else None
    if value.type not in _JS_FUNCTIONS or (node.type == "pair" and not is_multiline(value)):
        return None
    return Role.FUNCTION


def _js_call_role(node: Node) -> Role | None:
    callback = _js_callback(node)
    if callback is None:
        return None
    name = _js_callee(node)
    if name in _JS_SUITES:
        body = body_field(callback)
        return Role.NAMESPACE if body and body.type == "statement_block" else None
    return Role.TEST if name in _JS_TESTS else None


def _js_value(node: Node) -> Node | None:
    return node.child_by_field_name("value") or node.child_by_field_name("right")


def _js_callee(node: Node) -> str:
    """The leftmost name of what is called: ``it`` for ``it.each(rows)(...)``."""
    callee: Node | None = node
    while callee is not None and callee.type in (
        "call_expression",
        "member_expression",
    ):
        callee = callee.child_by_field_name("function") or callee.child_by_field_name("object")
    return text_of(callee)


def _js_callback(call: Node) -> Node | None:
    arguments = call.child_by_field_name("arguments")
    return first_child(arguments, _JS_FUNCTIONS) if arguments else None


def _has_functions(value: Node, levels: int) -> bool:
    for member in value.named_children:
        if member.type == "method_definition":
            return True
        inner = _js_value(member) if member.type == "pair" else None
        if inner is None:
            continue
        if inner.type in _JS_FUNCTIONS and is_multiline(inner):
            return True
        if inner.type == "object" and levels > 1 and _has_functions(inner, levels - 1):
            return True
    return False


def js_name(node: Node) -> str:
    """By whatever the value is bound to; a test by its title; ``default`` for a nameless export."""
    if node.type == "call_expression":
        return _js_title(node)
    if node.type == "object":
        return ""
    left = node.child_by_field_name("left")
    if left is not None:
        return re.sub(r"^module\.|^exports\.|\.prototype(?=\.)", "", _unquoted(left))
    for field in ("name", "key", "property"):
        if name := node.child_by_field_name(field):
            return _unquoted(name)
    return "default"


def _js_title(call: Node) -> str:
    arguments = call.child_by_field_name("arguments")
    return " ".join(_unquoted(arguments and arguments.named_child(0)).split())


def _unquoted(node: Node | None) -> str:
    return text_of(node).strip("\"'`")


def js_body(node: Node) -> Node | None:
    """The block of whatever function, class or object the node's value is."""
    if node.type == "object":
        return node
    value = node if node.type == "call_expression" else _js_value(node)
    if value is None:
        return body_field(node)
    if value.type == "object":
        return value
    if value.type == "call_expression":
        value = _js_callback(value) or value
    return body_field(value)
