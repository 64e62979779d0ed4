"""How Python and TypeScript bind names, for the walk in scopes.py.

Node types and fields are those of tree-sitter-python, -typescript and -javascript.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.curate.scopes import Bind, Names, Role, Rule, Scope, Visit, Walk
from hub.curate.trees import text_of

if TYPE_CHECKING:
    from hub.curate.trees import Tree


def names_of(tree: Tree) -> Names:
    """The names of a function and where they are used."""
    return (_Python() if tree.is_python else _Script()).read(tree.root)


_PARAMETERS = {"parameters": Bind("parameter", public=True)}
_PYTHON_PATTERNS = """
    parameters lambda_parameters pattern_list tuple_pattern list_pattern list_splat_pattern
    dictionary_splat_pattern tuple list list_splat expression_list parenthesized_expression
    as_pattern_target
"""


class _Python(Walk):
    patterns = frozenset(_PYTHON_PATTERNS.split())
    rules = {  # noqa: RUF012 - a table
        "function_definition": Rule(
            "function",
            {"name": Bind("function", public=True), **_PARAMETERS},
            around=("name", "return_type"),
        ),
        "lambda": Rule("function", _PARAMETERS),
        "default_parameter": Rule(passes="name", around=("value",)),
        "typed_default_parameter": Rule(passes="name", around=("type", "value")),
        "class_definition": Rule(
            "class", {"name": Bind("class", public=True)}, around=("name", "superclasses")
        ),
        "named_expression": Rule(binds={"name": Bind("variable", hoist=True)}, value="value"),
        "assignment": Rule(binds={"left": Bind("variable")}, value="right"),
        "augmented_assignment": Rule(binds={"left": Bind("variable")}),
        "for_statement": Rule(binds={"left": Bind("loop")}, value="right"),
        "keyword_argument": Rule(skips="name"),
    }

    def visit_typed_parameter(self, at: Visit) -> None:
        self.push(at.scope, [at.node.named_child(0)], at.bind)
        self.push(at.scope.parent or at.scope, [at.field("type")])

    def visit_comprehension(self, at: Visit) -> None:
        outer, inner = at.scope, Scope("comprehension", at.scope)
        for child in at.node.named_children:
            if child.type == "for_in_clause":
                left, right = map(child.child_by_field_name, ("left", "right"))
                self.push(inner, [left], Bind("loop", right))
                self.push(outer, [right])
                outer = inner  # only the first iterable is read outside
            else:
                self.push(inner, [child])

    visit_list_comprehension = visit_set_comprehension = visit_comprehension
    visit_dictionary_comprehension = visit_generator_expression = visit_comprehension

    def visit_as_pattern(self, at: Visit) -> None:
        roles: dict[str, Role] = {"with_item": "context", "except_clause": "error"}
        role = roles.get(at.node.parent.type if at.node.parent else "", "variable")
        value, *_, target = at.node.named_children
        self.push(at.scope, [value])
        self.push(at.scope, [target], Bind(role, value))

    def visit_delete_statement(self, at: Visit) -> None:
        self.push(at.scope, at.node.named_children, Bind("variable"))

    visit_splat_pattern = visit_delete_statement

    def visit_global_statement(self, at: Visit) -> None:
        for name in at.node.named_children:
            at.scope.elsewhere[text_of(name)] = at.node.type.removesuffix("_statement")
        self.push(at.scope, at.node.named_children)

    visit_nonlocal_statement = visit_global_statement

    def visit_import_statement(self, at: Visit) -> None:
        for name in at.node.children_by_field_name("name"):
            alias = name.child_by_field_name("alias")
            bind = Bind("import", name, fixed=alias is None)
            self.push(at.scope, [alias or name.named_child(0)], bind)

    visit_import_from_statement = visit_import_statement

    def visit_type(self, at: Visit) -> None:
        if at.node.text and (b'"' in at.node.text or b"'" in at.node.text):
            self.fix(at.node)
        self.push(at.scope, at.node.named_children)

    def visit_type_parameter(self, at: Visit) -> None:
        self.fix(at.node)
        self.push(at.scope, at.node.named_children)

    visit_type_alias_statement = visit_type_parameter

    def visit_attribute(self, at: Visit) -> None:
        name = text_of(at.field("attribute"))
        self.dynamic |= name in ("f_locals", "_getframe", "currentframe")
        self.push(at.scope, [at.field("object")])

    def visit_call(self, at: Visit) -> None:
        function, arguments = at.field("function"), at.field("arguments")
        if function and arguments and function.type == "identifier":
            named = (a.child_by_field_name("name") for a in arguments.named_children)
            self.keywords += [(text_of(function), text_of(name)) for name in named if name]
        self.push(at.scope, [function, arguments])

    def visit_interpolation(self, at: Visit) -> None:
        opening = text_of(at.node.parent.child(0) if at.node.parent else None).lower()
        if "t" in opening or any(child.type == "=" for child in at.node.children):
            self.fix(at.node)  # the expression's source is part of the value
        self.push(at.scope, at.node.named_children)

    def visit_dotted_name(self, at: Visit) -> None:
        """In a case, ``name`` binds; ``name.attribute`` and ``_`` do not."""
        if text_of(at.node) != "_":
            capture = Bind("variable") if at.node.named_child_count == 1 else None
            self.push(at.scope, [at.node.named_child(0)], capture)

    def visit_class_pattern(self, at: Visit) -> None:
        name, *parts = at.node.named_children
        self.push(at.scope, [name.named_child(0), *parts])

    def visit_keyword_pattern(self, at: Visit) -> None:
        self.push(at.scope, at.node.named_children[1:])

    visit_exec_statement = Walk.visit_unreadable

    def reads_names(self, name: str, at: Visit) -> bool:
        if name in ("vars", "dir"):  # of an object they are harmless
            arguments = at.node.parent and at.node.parent.child_by_field_name("arguments")
            return not (arguments and arguments.named_child_count)
        return name in ("eval", "exec", "locals")


_FUNCTION = Rule(
    "function",
    {
        "name": Bind("function", public=True),
        "parameters": Bind("parameter"),
        "parameter": Bind("parameter"),
    },
    around=("name",),
)
_EXPRESSION = _FUNCTION._replace(around=())  # its name is known only inside
_CLASS = Rule("block", {"name": Bind("class", public=True, fixed=True)}, around=("name",))
_FUNCTION_VALUES = ("arrow_function", "function_expression", "generator_function", "class")


class _Script(Walk):
    patterns = frozenset(("formal_parameters", "array_pattern", "object_pattern", "rest_pattern"))
    rules = {  # noqa: RUF012 - a table
        **dict.fromkeys(
            (
                "function_declaration",
                "generator_function_declaration",
                "function_signature",
                "method_definition",
                "method_signature",
                "abstract_method_signature",
            ),
            _FUNCTION,
        ),
        **dict.fromkeys(
            (
                "function_expression",
                "generator_function",
                "arrow_function",
                "function_type",
                "constructor_type",
                "call_signature",
                "construct_signature",
            ),
            _EXPRESSION,
        ),
        "class_declaration": _CLASS,
        "abstract_class_declaration": _CLASS,
        "class": _CLASS._replace(around=()),
        **dict.fromkeys(("for_statement", "statement_block", "switch_body"), Rule("block")),
        "catch_clause": Rule("block", {"parameter": Bind("error")}),
        "pair_pattern": Rule(passes="value"),
        "index_signature": Rule(skips="name"),
    }

    def visit_required_parameter(self, at: Visit) -> None:
        modifiers = ("accessibility_modifier", "readonly")
        field = any(child.type in modifiers for child in at.node.children)
        if at.bind:
            at = at._replace(bind=at.bind._replace(fixed=field, value=at.field("type")))
        self.follow(Rule(passes="pattern", skips="name"), at)

    visit_optional_parameter = visit_required_parameter

    def visit_assignment_expression(self, at: Visit) -> None:
        right = at.field("right")
        if right and right.type in _FUNCTION_VALUES:
            self.fix(at.field("left"))  # the function is called what the variable is
        self.follow(Rule(passes="left"), at)

    visit_assignment_pattern = visit_object_assignment_pattern = visit_assignment_expression

    def visit_lexical_declaration(self, at: Visit) -> None:
        hoist = at.node.type == "variable_declaration"
        self.push(at.scope, at.node.named_children, Bind("variable", hoist=hoist))

    visit_variable_declaration = visit_lexical_declaration

    def visit_variable_declarator(self, at: Visit) -> None:
        value, bind = at.field("value"), at.bind or Bind("variable")
        if value and value.type in _FUNCTION_VALUES:
            bind = bind._replace(role="function", public=True)
        self.follow(Rule(binds={"name": bind}, value="value"), at)

    def visit_for_in_statement(self, at: Visit) -> None:
        kind = text_of(at.field("kind"))
        binds = {"left": Bind("loop", hoist=kind == "var")} if kind else {}
        self.follow(Rule("block", binds, value="right"), at)

    def visit_jsx_opening_element(self, at: Visit) -> None:
        self.fix(at.field("name"))  # its case tells a component from an element
        self.push(at.scope, at.node.named_children)

    visit_jsx_closing_element = visit_jsx_self_closing_element = visit_jsx_opening_element
    visit_shorthand_property_identifier = Walk.visit_identifier
    visit_shorthand_property_identifier_pattern = Walk.visit_identifier
    visit_with_statement = visit_enum_declaration = Walk.visit_unreadable
    visit_internal_module = visit_jsx_namespace_name = Walk.visit_unreadable

    def reads_names(self, name: str, at: Visit) -> bool:  # noqa: ARG002 - what Python asks
        return name == "eval"
