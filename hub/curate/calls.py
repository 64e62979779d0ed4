"""What the frame of a test calls, as far as its syntax tells: names, imports, types of receivers.

A small abstract interpreter. It walks a function's syntax tree in the order of its text and keeps
what each name stands for: a module, a class, a function, or an instance of a class. What it cannot
tell, or could be two things, stands for nothing.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from hub.curate.modules import Assigned, Import, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tree_sitter import Node

    from hub.curate.modules import Project
    from hub.types import Pattern

MAX_DEPTH = 160  # of nodes and inferences inside one another; Python's own stack ends at 1,000
_WITH = ("enter", "aenter", "exit", "aexit")
_FIXTURE = re.compile(r"^\s*@(?:[\w.]*\.)?fixture\b", re.MULTILINE)
_PROPERTY = re.compile(r"^\s*@[\w.]*property\b|^(?:static\s+)?get\s", re.MULTILINE)
_TRANSPARENT = re.compile(
    r"(?:\w+\.)?(?:Optional|Promise|Awaitable|Annotated|Final|ClassVar|\w*Iterator|\w*Generator"
    r"|\w*ContextManager)"
)


def _types(names: str) -> frozenset[str]:
    return frozenset(names.split())


_ITERATE = _types("list set tuple dict sorted sum any all min max enumerate")
_FUNCTIONS = _types(
    "function_definition function_declaration generator_function_declaration method_definition"
    " function_expression arrow_function method_declaration constructor_declaration"
)
_CLASSES = _types(
    "class_definition class_declaration class abstract_class_declaration interface_declaration"
    " enum_declaration record_declaration type_spec"
)
_SET_UPS = (
    *("__init__", "__post_init__", "constructor", "setup", "setup_method", "setup_class"),
    *("setUp", "setUpClass", "asyncSetUp"),
)
_CLOSED = _FUNCTIONS | _CLASSES | {"decorated_definition"}
_DOTTED = _types(
    "attribute member_expression selector_expression field_access qualified_type"
    " scoped_type_identifier nested_type_identifier"
)


class Value(NamedTuple):
    """What an expression stands for; ``kind`` is module, class, function, instance or tuple."""

    kind: str
    module: str = ""
    symbol: str = ""
    items: tuple[Value | None, ...] = ()


class Use(NamedTuple):
    """A call of a function, or of a class to make one, with so many arguments."""

    module: str
    symbol: str
    arguments: int


@dataclass(frozen=True, slots=True)
class _Frame:
    """One function at work: what its names stand for, what it has called, what it returns."""

    path: str
    owner: Value | None = None
    names: dict[str, Value | None] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    results: list[Value | None] = field(default_factory=list)


class Calls:
    """Reads the tests of one project; what is learned of a name is kept for the next test."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._depth = 0
        self._known: dict[tuple[str, str, str], Value | None] = {}
        self._attributes: dict[tuple[str, str], dict[str, Value | None]] = {}
        self._bases: dict[tuple[str, str], list[Value]] = {}

    def of(self, test: Pattern) -> list[Use]:
        """What the test calls from its own frame, in the order of its text."""
        return self._run(test).uses

    # Functions

    def _run(self, pattern: Pattern) -> _Frame:
        """The frame of a function after it was walked through."""
        frame = _Frame(pattern.path, self._owner(pattern))
        if pattern.kind == "test":  # a call with a callback: test("title", () => ...)
            self._value(self.project.node(pattern, frozenset({"call_expression"})), frame)
        elif node := self.project.node(pattern, _FUNCTIONS):
            self._enter(node, frame, pattern)
        return frame

    def _owner(self, pattern: Pattern) -> Value | None:
        module = self.project.module_of[pattern.path]
        return self._defined(module, pattern.symbol.rpartition(".")[0])

    def _enter(self, node: Node, frame: _Frame, pattern: Pattern | None = None) -> None:
        for name in ("receiver", "parameters"):
            for index, child in enumerate(_children(node.child_by_field_name(name))):
                self._parameter(child, index, frame, pattern)
        body = node.child_by_field_name("body")
        value = self._value(body, frame)
        if body is not None and "block" not in body.type:  # x => x.y
            frame.results.append(value)

    def _parameter(self, node: Node, index: int, frame: _Frame, pattern: Pattern | None) -> None:
        name = _part(node, "name", "pattern") or next(iter(_children(node)), node)
        value = self._typed(node.child_by_field_name("type"), frame)
        if value is None and pattern is not None and self.project.family == "python":
            if index == 0 and pattern.kind == "method" and frame.owner:
                kind = "class" if text_of(name) == "cls" else "instance"
                value = frame.owner._replace(kind=kind)
            else:
                value = self._fixture(text_of(name), frame)
        self._bind(name, value, frame)

    def _fixture(self, name: str, frame: _Frame) -> Value | None:
        """What a pytest fixture hands over: of the class, of the file, of a conftest above."""
        found = self._member(frame.owner, name) or self._in_file(frame.path, name)
        folder = frame.path
        while folder and not self._bears(found, _FIXTURE):
            folder = posixpath.dirname(folder)
            found = self._in_module(posixpath.join(folder, "conftest"), name)
        return self._returned(found) if found and self._bears(found, _FIXTURE) else None

    def _bears(self, value: Value | None, mark: re.Pattern[str]) -> bool:
        """Whether it is a function with such a decorator or signature."""
        if value is None or value.kind != "function":
            return False
        chosen = (group[0] for group in self.project.choices(value.module, value.symbol))
        is_python = self.project.family == "python"
        heads = (p.text.partition("def ")[0] if is_python else p.signature for p in chosen)
        return any(mark.search(head) for head in heads)

    def _returned(self, function: Value) -> Value | None:
        """What a function returns: as declared, else as its return statements agree."""
        key = ("returns", function.module, function.symbol)
        if key not in self._known:
            self._known[key] = None  # for a function that calls itself
            groups = self.project.choices(function.module, function.symbol)
            self._known[key] = _agreed(self._result_of(group[0]) for group in groups)
        return self._known[key]

    def _result_of(self, pattern: Pattern) -> Value | None:
        node = self.project.node(pattern, _FUNCTIONS)
        if node is None:
            return None
        if declared := _part(node, "return_type", "result", "type"):
            return self._typed(declared, _Frame(pattern.path, self._owner(pattern)))
        return _agreed(value for value in self._run(pattern).results if value)

    # Names

    def _defined(self, module: str, symbol: str) -> Value | None:
        patterns = self.project.definitions.get((module, symbol))
        if patterns is None and (not symbol or (module, symbol) not in self.project.owners):
            return None
        if patterns is None:  # an object of functions
            return Value("class", module, symbol)
        kind = "class" if patterns[0].kind == "class" else "function"
        return Value(kind, module, patterns[0].symbol)

    def _in_file(self, path: str, name: str) -> Value | None:
        return self._defined(self.project.module_of[path], name) or self._in_names(path, name)

    def _in_module(self, module: str, name: str) -> Value | None:
        """What a module defines, imports, exports again, or has as a submodule."""
        found = self._defined(module, name)
        if found is None and self.project.family in ("python", "javascript"):
            paths = self.project.paths.get(module, ())
            found = next((v for path in paths if (v := self._in_names(path, name))), None)
        submodule = posixpath.join(module, name)
        if found is None and self.project.has_module(submodule):
            return Value("module", submodule)
        return found

    def _in_names(self, path: str, name: str) -> Value | None:
        """What a file imports or assigns under this name."""
        key = ("name", path, name)
        if key not in self._known and self._depth < MAX_DEPTH:
            self._known[key] = None  # for imports in a circle
            self._depth += 5
            names = self.project.names(path)
            if name in names:
                values = [self._bound(path, bound, name) for bound in names[name]]
            else:
                stars = [self._bound(path, star, "*") for star in names.get("*", ())]
                values = [value for star in stars if (value := self._member(star, name))]
            self._known[key] = _agreed(values)
            self._depth -= 5
        return self._known.get(key)

    def _bound(self, path: str, bound: Import | Assigned | None, name: str) -> Value | None:
        if isinstance(bound, Assigned):
            frame = _Frame(path)
            tree = self.project.tree(path)
            self._value(tree.named_descendant_for_byte_range(bound.start, bound.end), frame)
            return frame.names.get(name)
        if bound and bound.name:
            return self._in_module(bound.module, bound.name)
        return Value("module", bound.module) if bound else None

    def _member(self, value: Value | None, name: str) -> Value | None:
        """An attribute of a module, a class or an instance; of its bases too."""
        if value is None or value.kind == "tuple" or self._depth > MAX_DEPTH:
            return None
        if value.kind == "module":
            return self._in_module(value.module, name)
        found = self._defined(value.module, f"{value.symbol}.{name}")
        attributes = self._attributes_of(value)
        if found or name in attributes:
            return found or attributes[name]
        self._depth += 5
        for base in self._bases_of(value):
            found = found or self._member(base._replace(kind=value.kind), name)
        self._depth -= 5
        return found

    def _bases_of(self, value: Value) -> list[Value]:
        key = (value.module, value.symbol)
        if key not in self._bases:
            self._bases[key] = []  # for a class that is its own base
            for group in self.project.choices(*key):
                node = self.project.node(group[0], _CLASSES)
                self._bases[key] += self._written_bases(node, _Frame(group[0].path))
        return self._bases[key]

    def _written_bases(self, node: Node | None, frame: _Frame) -> list[Value]:
        values = [self._value(base, frame) for base in _bases(node)] if node else []
        return [value for value in values if value and value.kind == "class"]

    def _attributes_of(self, value: Value) -> dict[str, Value | None]:
        """What a class declares, and what its set-up puts on an instance."""
        key = (value.module, value.symbol)
        if key in self._attributes:
            return self._attributes[key]
        found = self._attributes[key] = {}
        for group in self.project.choices(*key):
            frame = _Frame(group[0].path, value._replace(kind="class"), found)
            node = self.project.node(group[0], _CLASSES)
            for child in _children(_part(node, "body", "type")) if node else ():
                if child.type not in _CLOSED:
                    self._value(child, frame)
        for name in _SET_UPS:
            for group in self.project.choices(value.module, f"{value.symbol}.{name}"):
                for own, given in self._run(group[0]).names.items():
                    instance, _, attribute = own.partition(".")
                    if given and instance in ("self", "this", "cls"):
                        found[attribute] = given
        return found

    # Syntax

    def _value(self, node: Node | None, frame: _Frame) -> Value | None:
        """What the expression stands for; all that it calls is noted in the frame."""
        if node is None or self._depth > MAX_DEPTH:
            return None
        self._depth += 1
        try:
            if reader := _READERS.get(node.type):
                return reader(self, node, frame)
            for child in node.named_children:
                self._value(child, frame)
            return None
        finally:
            self._depth -= 1

    def _name(self, node: Node, frame: _Frame) -> Value | None:
        name = text_of(node)
        if name in frame.names:
            return frame.names[name]
        if self.project.family == "java" and frame.owner:
            owner = frame.owner._replace(kind="instance")
            if found := owner if name == "this" else self._member(owner, name):
                return found
        return self._in_file(frame.path, name)

    def _first(self, node: Node, frame: _Frame) -> Value | None:
        """An expression that stands for its first part: (x), await x, x!, x as T, &x, X[T]."""
        values = [self._value(child, frame) for child in node.named_children]
        return values[0] if values else None

    def _dotted(self, node: Node, frame: _Frame) -> Value | None:
        if text_of(node) in frame.names:
            return frame.names[text_of(node)]
        owner = self._value(node.named_children[0], frame)
        found = self._member(owner, text_of(node.named_children[-1]))
        if owner and found and owner.kind == "instance" and self._bears(found, _PROPERTY):
            return self._called(found, 0, frame)
        return found

    def _call(self, node: Node, frame: _Frame) -> Value | None:
        callee = _part(node, "function", "constructor", "type", "name")
        if owner := node.child_by_field_name("object"):  # of a Java method
            target = self._member(self._value(owner, frame), text_of(callee))
        else:
            target = self._value(callee, frame)
        arguments = _children(node.child_by_field_name("arguments"))
        given = [self._value(argument, frame) for argument in arguments]
        if target is None and len(given) == 1:  # len(x) runs x.__len__, and so on
            name = text_of(callee)
            self._implied(given[0], "__iter__" if name in _ITERATE else f"__{name}__", frame)
        return self._called(target, len(arguments), frame)

    def _implied(self, value: Value | None, name: str, frame: _Frame) -> Value | None:
        """The call of a special method of Python's."""
        is_instance = value is not None and value.kind == "instance"
        method = self._member(value, name) if is_instance else None
        return self._called(method, 0, frame) if method else None

    def _subscript(self, node: Node, frame: _Frame) -> Value | None:
        values = [self._value(child, frame) for child in node.named_children]
        if values[0] and values[0].kind == "class":  # a generic type
            return values[0]
        return self._implied(values[0], "__getitem__", frame)

    def _comparison(self, node: Node, frame: _Frame) -> None:
        values = [self._value(child, frame) for child in node.named_children]
        names = {"==": "__eq__", "!=": "__ne__", "in": "__contains__", "not in": "__contains__"}
        for index, operator in enumerate(node.children_by_field_name("operators")):
            name = names.get(text_of(operator), "")
            self._implied(values[index + (name == "__contains__")], name, frame)

    def _called(self, target: Value | None, arguments: int, frame: _Frame) -> Value | None:
        if target is not None and target.kind == "instance":
            target = self._member(target, "__call__")
        if target is None or target.kind not in ("class", "function"):
            return None
        frame.uses.append(Use(target.module, target.symbol, arguments))
        if target.kind == "class":
            return target._replace(kind="instance")
        return self._returned(target)

    def _list(self, node: Node, frame: _Frame) -> Value | None:
        values = [self._value(child, frame) for child in node.named_children]
        return values[0] if len(values) == 1 else Value("tuple", items=tuple(values))

    def _callback(self, node: Node, frame: _Frame) -> None:
        """A callback runs with its test; a named function inside it may not."""
        self._enter(node, replace(frame, names=dict(frame.names), results=[]))

    def _definition(self, node: Node, frame: _Frame) -> None:
        """What is defined inside hides what is imported; only its decorators run here."""
        for child in node.named_children:
            if child.type == "decorator":
                value = self._value(child.named_children[0], frame)
                if child.named_children[0].type != "call":
                    self._called(value, 1, frame)
        inner = _part(node, "definition") or node
        is_class = inner.type == "class_definition"
        name = text_of(inner.child_by_field_name("name"))
        frame.names[name] = self._local_class(inner, frame) if is_class else None

    def _local_class(self, node: Node, frame: _Frame) -> Value:
        """A Python class within a function: what it does not define is its bases'."""
        key = (frame.path, f"<{node.start_byte}>")
        members = [_part(n, "definition") or n for n in _children(_part(node, "body"))]
        self._attributes[key] = dict.fromkeys(text_of(_part(n, "name")) for n in members)
        self._bases[key] = self._written_bases(node, frame)
        return Value("class", *key)

    def _result(self, node: Node, frame: _Frame) -> None:
        frame.results.append(self._list(node, frame) if node.named_children else None)

    def _binding(self, node: Node, frame: _Frame) -> Value | None:
        declared = _part(node, "type") or (node.parent and _part(node.parent, "type"))
        value = self._value(_part(node, "right", "value"), frame)
        value = self._typed(declared, frame) or value
        if target := _part(node, "left", "name"):
            self._bind(target, value, frame)
        else:  # fields of a Java class
            for child in node.named_children:
                self._value(child, frame)
        return value

    def _loop(self, node: Node, frame: _Frame) -> None:
        """What a loop binds is not what it goes through."""
        target = _part(node, "left", "name")
        self._bind(target, self._typed(_part(node, "type"), frame), frame)
        for child in node.named_children:
            if child != target:
                self._value(child, frame)

    def _with(self, node: Node, frame: _Frame) -> None:
        item = node.named_children[0]
        alias = item.child_by_field_name("alias")
        value = self._value(item.named_children[0] if alias else item, frame)
        given = [self._implied(value, f"__{name}__", frame) for name in _WITH]
        self._bind(alias, given[0] or given[1] or value, frame)

    def _bind(self, target: Node | None, value: Value | None, frame: _Frame) -> None:
        children = _children(target)
        if target is not None and target.type == "subscript":
            self._implied(self._value(children[0], frame), "__setitem__", frame)
        elif target is None or target.type in _DOTTED or not children:
            frame.names[text_of(target)] = value
        elif target.type == "object_pattern":
            for child in children:
                key, inner = _part(child, "key") or child, _part(child, "value") or child
                self._bind(inner, self._member(value, text_of(key)), frame)
        elif len(children) == 1:
            self._bind(children[0], value, frame)
        else:
            items = value.items if value else ()
            for child, item in zip(children, [*items, *[None] * len(children)], strict=False):
                self._bind(child, item, frame)

    def _typed(self, node: Node | None, frame: _Frame) -> Value | None:
        """An instance of the type that is written, where the project defines it."""
        if node is None:
            return None
        children = node.named_children
        value: Value | None = None
        if node.type == "string":
            for index, name in enumerate(text_of(node).strip("\"'").split(".")):
                value = self._member(value, name) if index else self._in_file(frame.path, name)
        elif node.type == "parameter_list":  # the results of a Go function
            types = (child.child_by_field_name("type") for child in children)
            return Value("tuple", items=tuple(self._typed(t, frame) for t in types))
        elif node.type in ("binary_operator", "union_type"):
            return _agreed(v for child in children if (v := self._typed(child, frame)))
        elif text_of(node).rpartition(".")[2] in ("Self", "this"):
            value = frame.owner
        elif node.type in ("generic_type", "subscript") and _TRANSPARENT.fullmatch(
            text_of(children[0])
        ):
            inner = _children(children[1]) if "type_" in children[1].type else children[1:]
            return self._typed(inner[0], frame) if inner else None
        elif node.type in ("type", "type_annotation", "pointer_type", "parenthesized_type"):
            return self._typed(children[0], frame) if children else None
        else:
            value = self._value(node, frame)
        return value._replace(kind="instance") if value and value.kind == "class" else None


def _agreed(values: Iterable[Value | None]) -> Value | None:
    """The one value that all of them are."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _part(node: Node, *fields: str) -> Node | None:
    """The child in the first of these fields that there is."""
    return next((child for name in fields if (child := node.child_by_field_name(name))), None)


def _children(node: Node | None) -> list[Node]:
    return node.named_children if node else []


def _bases(node: Node) -> Iterator[Node]:
    """What a class is made from, by each grammar's own names."""
    for child in node.named_children:
        if child.type in ("argument_list", "superclass", "extends_clause"):
            yield from child.named_children
        elif child.type in ("class_heritage", "struct_type", "field_declaration_list"):
            yield from _bases(child)
        elif child.type == "field_declaration" and not child.child_by_field_name("name"):
            yield from child.named_children  # a Go struct embeds it


_READERS: dict[str, Callable[[Calls, Node, _Frame], Value | None]] = {
    **dict.fromkeys(_CLOSED, Calls._definition),
    **dict.fromkeys(
        _types("arrow_function function_expression func_literal lambda_expression"), Calls._callback
    ),
    **dict.fromkeys(_types("identifier type_identifier package_identifier this"), Calls._name),
    **dict.fromkeys(_DOTTED, Calls._dotted),
    **dict.fromkeys(
        _types(
            "call call_expression new_expression method_invocation object_creation_expression"
            " jsx_self_closing_element jsx_opening_element"
        ),
        Calls._call,
    ),
    **dict.fromkeys(
        _types(
            "parenthesized_expression await await_expression non_null_expression as_expression"
            " satisfies_expression unary_expression generic_type composite_literal"
        ),
        Calls._first,
    ),
    **dict.fromkeys(
        _types(
            "assignment named_expression variable_declarator assignment_expression resource"
            " short_var_declaration assignment_statement var_spec field_declaration"
            " public_field_definition"
        ),
        Calls._binding,
    ),
    **dict.fromkeys(
        _types("for_statement for_in_clause for_in_statement range_clause enhanced_for_statement"),
        Calls._loop,
    ),
    **dict.fromkeys(_types("return_statement yield"), Calls._result),
    "expression_list": Calls._list,
    "with_item": Calls._with,
    "comparison_operator": Calls._comparison,
    "subscript": Calls._subscript,
    "lambda": lambda *_: None,
}
