"""The names that a function binds, and every place where each of them is read or written.

A walk of the syntax tree notes where names are bound and used; then every use is looked up outward
through the scopes. What a language's rules (names.py) do not know stays a name from outside, and
such a name is never given another.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from hub.curate.trees import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tree_sitter import Node

ScopeKind = Literal["outside", "function", "comprehension", "block", "class"]
Role = Literal["parameter", "variable", "loop", "context", "error", "function", "class", "import"]
_WORD = re.compile(r"[^\W\d]\w*")
_RESERVED = re.compile(r"__\w*|_+")  # mangled in classes, read by tools, or said to be unused


@dataclass(slots=True, eq=False)
class Scope:
    """A region with names of its own; ``elsewhere`` has those declared global or nonlocal."""

    kind: ScopeKind
    parent: Scope | None = None
    names: dict[str, Binding] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Binding:
    """A name of one scope; ``uses`` are all its places in the text, those that bind it included.

    ``value`` is the expression it is bound to first. ``public``: seen from outside the function
    (passed by keyword, told by ``__name__``), so that another name is another behaviour.
    ``fixed``: another name would need more than an edit of its uses.
    """

    name: str
    role: Role
    scope: Scope
    value: Node | None
    public: bool = False
    fixed: bool = False
    uses: list[Node] = field(default_factory=list)

    @property
    def is_local(self) -> bool:
        """Whether it belongs to the function, not to its module or to a class."""
        return self.scope.kind not in ("outside", "class")


@dataclass(frozen=True, slots=True)
class Names:
    """All names of a text; ``free`` come from outside, or something reads them as text.

    ``dynamic``: the code looks names up by their text (``locals()``), so that none can change.
    ``comments`` are met on the way, and kept for who changes the names that they mention.
    """

    bindings: tuple[Binding, ...]
    free: frozenset[str]
    dynamic: bool
    comments: tuple[Node, ...]


class Bind(NamedTuple):
    """How the identifiers of a pattern are bound."""

    role: Role
    value: Node | None = None
    public: bool = False
    fixed: bool = False
    hoist: bool = False  # to the function, past blocks


class Visit(NamedTuple):
    """A node to look at, the scope it stands in, and how it is bound if it is a pattern."""

    node: Node
    scope: Scope
    bind: Bind | None = None

    def field(self, name: str) -> Node | None:
        return self.node.child_by_field_name(name)


class Rule(NamedTuple):
    """What a node does to names: the scope it opens, and what its fields are.

    Fields not named are read in the scope that the node opens, or else in its own.
    """

    opens: ScopeKind | None = None
    binds: Mapping[str, Bind] = {}
    value: str = ""  # the field that a bound name gets its value from
    around: tuple[str, ...] = ()  # read outside the scope that it opens, or that it is in
    passes: str = ""  # the field that is bound as the node is
    skips: str = ""  # the field that is no name


class Walk:
    """What the languages share: the nodes to visit, and the look-up at the end.

    A node's type is a row of the language's ``rules``, or a ``visit_`` method, or neither: then
    its children are visited, bound as it is if it is one of the ``patterns``.
    """

    patterns: ClassVar[frozenset[str]]
    rules: ClassVar[Mapping[str, Rule]]
    visits: ClassVar[Mapping[str, Callable[[Walk, Visit], None]]]

    def __init_subclass__(cls) -> None:
        methods = (name for name in dir(cls) if name.startswith("visit_"))
        cls.visits = {name.removeprefix("visit_"): getattr(cls, name) for name in methods}

    def __init__(self) -> None:
        self.outside = Scope("outside")
        self.stack: list[Visit] = []
        self.bindings: list[Binding] = []
        self.uses: list[tuple[str, Visit]] = []
        self.keywords: list[tuple[str, str]] = []  # callee, name of the argument
        self.fixed: set[str] = set()
        self.comments: list[Node] = []
        self.dynamic = False

    def read(self, root: Node) -> Names:
        self.push(self.outside, [root])
        while self.stack:
            at = self.stack.pop()
            kind = at.node.type
            if kind in self.rules:
                self.follow(self.rules[kind], at)
            elif kind in self.visits:
                self.visits[kind](self, at)
            elif at.node.named_child_count:
                bind = at.bind._replace(value=None) if at.bind and kind in self.patterns else None
                self.push(at.scope, at.node.named_children, bind)
        return self._resolved()

    def push(self, scope: Scope, nodes: Iterable[Node | None], bind: Bind | None = None) -> None:
        """Visit ``nodes`` next, in their order."""
        self.stack += [Visit(node, scope, bind) for node in reversed(list(nodes)) if node]

    def follow(self, rule: Rule, at: Visit) -> None:
        scope = Scope(rule.opens, at.scope) if rule.opens else at.scope
        outer = at.scope if rule.opens else at.scope.parent or at.scope
        around = [at.field(name) for name in rule.around]
        binds: dict[Node | None, Bind | None] = {at.field(rule.passes): at.bind}
        for name, bind in rule.binds.items():
            binds[at.field(name)] = bind._replace(value=at.field(rule.value))
        skipped = at.field(rule.skips)
        for node in reversed(at.node.named_children):
            if node != skipped:
                where = outer if node in around else scope
                self.stack.append(Visit(node, where, binds.get(node)))

    def visit_identifier(self, at: Visit) -> None:
        name = text_of(at.node)
        if not name.isascii():
            name = unicodedata.normalize("NFKC", name)
        self.uses.append((name, at))
        if not at.bind:
            return
        scope, bind = at.scope, at.bind
        while bind.hoist and scope.kind in ("block", "comprehension") and scope.parent:
            scope = scope.parent
        if name in scope.elsewhere:
            return
        if name not in scope.names:
            reserved = _RESERVED.fullmatch(name) is not None
            binding = Binding(name, bind.role, scope, bind.value, fixed=reserved)
            scope.names[name] = binding
            self.bindings.append(binding)
        scope.names[name].public |= bind.public
        scope.names[name].fixed |= bind.fixed

    def visit_comment(self, at: Visit) -> None:
        self.comments.append(at.node)

    def visit_unreadable(self, at: Visit) -> None:
        """For what binds names in ways that the rules do not know."""
        self.dynamic = True
        self.push(at.scope, at.node.named_children)

    def fix(self, node: Node | None) -> None:
        """The words of ``node`` are names that something reads as text."""
        self.fixed.update(_WORD.findall(text_of(node)))

    def reads_names(self, name: str, at: Visit) -> bool:
        """Whether a function from outside finds names by their text."""
        raise NotImplementedError

    def _resolved(self) -> Names:
        free = set()
        for name, at in self.uses:
            if binding := self._find(name, at.scope):
                binding.uses.append(at.node)
            else:
                free.add(name)
                self.dynamic |= self.reads_names(name, at)
        here = {binding.name for binding in self.bindings}
        passed = {name for callee, name in self.keywords if callee in here}
        for binding in self.bindings:
            by_keyword = binding.role == "parameter" and binding.name in passed
            binding.fixed |= by_keyword or binding.name in self.fixed
        free |= self.fixed
        return Names(tuple(self.bindings), frozenset(free), self.dynamic, tuple(self.comments))

    def _find(self, name: str, scope: Scope) -> Binding | None:
        here: Scope | None = scope
        while here:
            if here.elsewhere.get(name) == "global":
                return self.outside.names.get(name)
            if name in here.names and (here is scope or here.kind != "class"):
                return here.names[name]
            here = here.parent
        return None
