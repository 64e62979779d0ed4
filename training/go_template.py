"""A chat template in Go's template language, as Ollama takes it.

Ollama cannot run Jinja. What a Jinja template writes before, between and after the messages is
read off conversations of markers, put into Go, and only kept if it says the same as the original on
conversations that try everything which is known to differ. Ollama gives a template ``.Messages``,
system messages among them, and ``.System``, all of these joined; its functions cannot trim a text,
so two templates of our own do, a byte at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.template import Messages, Template

MARKERS = {"system": "System-7391", "user": "Question-7391", "assistant": "Answer-7391"}
BLANKS = " \t\n\r\v\f"
START = END = ""  # in place of a role, at the ends of a conversation
IS_BLANK = 'eq {} " " "\\t" "\\n" "\\r" "\\v" "\\f"'
TRIM = (
    '{{ define "trim" }}{{ if . }}{{ if '
    + IS_BLANK.format("(slice . 0 1)")
    + ' }}{{ template "trim" (slice . 1) }}{{ else }}{{ template "trimmed" . }}{{ end }}{{ end }}'
    '{{ end }}{{ define "trimmed" }}{{ if '
    + IS_BLANK.format("(slice . (len (slice . 1)))")
    + ' }}{{ template "trimmed" (slice . 0 (len (slice . 1))) }}{{ else }}{{ . }}{{ end }}'
    "{{ end }}"
)
EDGES = (
    "plain",
    " a space before and after ",
    "\n\n  def f():\n      return {{ .System }}\n\n",
    'quotes " \' ` """ and \\n, not a newline',
    "<b>&amp;</b> ünïcödé 漢字 🙂",
    "{% if x %}{{ x }}{% endif %}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """A chat template as what stands between messages.

    ``between`` is keyed by the role before and after. ``trimmed`` are the roles whose blanks at
    both ends are cut. ``merged`` says that a system message goes to the head of the first question.
    """

    between: dict[tuple[str, str], str]
    trimmed: frozenset[str]
    merged: bool

    def render(self, messages: Messages) -> str:
        """What the Go template makes of ``messages``, with the answer's turn opened."""
        system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        text, before = "", START
        for message in messages:
            role, content = message["role"], message["content"]
            if self.merged and role == "system":
                continue
            if self.merged and before == START and system:
                content = f"{system}\n\n{content}"
            text += self.between[before, role]
            text += content.strip(BLANKS) if role in self.trimmed else content
            before = role
        return text + self.between[before, END]

    def go(self) -> str:
        """The template in Go's language."""
        parts = [TRIM] if self.trimmed else []
        parts.append('{{ $before := "" }}{{ range .Messages }}')
        roles = ["user", "assistant"] if self.merged else ["system", "user", "assistant"]
        for role in roles:
            parts.append(f'{{{{ {"if" if role == roles[0] else "else if"} eq .Role "{role}" }}}}')
            parts.append(self._turn(role))
        parts.append("{{ end }}{{ end }}")
        parts.append(_literal(self.between["user", END]))
        return "".join(parts)

    def _turn(self, role: str) -> str:
        found = [(before, text) for (before, after), text in self.between.items() if after == role]
        befores = [one for one in found[:-1] if one[1] != found[-1][1]] + found[-1:]
        text = ""
        for at, (before, between) in enumerate(befores):
            last = at == len(befores) - 1
            word = "else" if last else f'{"else " if at else ""}if eq $before "{before}"'
            text += (f"{{{{ {word} }}}}" if len(befores) > 1 else "") + _literal(between)
        text += "{{ end }}" if len(befores) > 1 else ""
        content = ".Content"
        if self.merged and role == "user":
            text += (
                "{{ $text := .Content }}{{ if and $.System (not $before) }}"
                '{{ $text = printf "%s\\n\\n%s" $.System .Content }}{{ end }}'
            )
            content = "$text"
        said = f'template "trim" {content}' if role in self.trimmed else content
        return text + f'{{{{ {said} }}}}{{{{ $before = "{role}" }}}}'


def go_template(template: Template, tokenizer: Any) -> str:
    """The template for Ollama, without the begin token where Ollama writes it itself.

    Raises:
        TrainingError: it cannot be said in Go; names the first difference.
    """
    turns = _turns(template, tokenizer)
    for messages in _trials():
        expected = template.render(tokenizer, messages, answer=True)
        if turns.render(messages) != expected:
            raise TrainingError(
                "the chat template cannot be said in Ollama's language: what it writes depends on "
                f"more than roles and their order. Of {messages!r} it makes {expected!r}, and the "
                f"translation {turns.render(messages)!r}; serve the adapter with Pattern Hub or "
                "another backend that runs Jinja"
            )
    start = begin_token(tokenizer)
    between = {
        (before, after): text.removeprefix(start) if before == START else text
        for (before, after), text in turns.between.items()
    }
    return Turns(between=between, trimmed=turns.trimmed, merged=turns.merged).go()


def begin_token(tokenizer: Any) -> str:
    """The token that this tokenizer, and so Ollama, puts before any text; empty: none."""
    ids = tokenizer("x")["input_ids"]
    return str(tokenizer.bos_token) if ids[0] == tokenizer.bos_token_id else ""


def _turns(template: Template, tokenizer: Any) -> Turns:
    """What stands between the markers of two conversations."""
    merged = template.system == "first user turn"
    roles = ["user", "assistant", "user", "assistant", "user"]
    between: dict[tuple[str, str], str] = {}
    for said in [roles] if merged else [roles, ["system", *roles]]:
        names = [f"{MARKERS[role]}-{at}" for at, role in enumerate(said)]
        messages = [{"role": r, "content": name} for r, name in zip(said, names, strict=True)]
        rest = template.render(tokenizer, messages, answer=True)
        before = START
        for role, name in zip(said, names, strict=True):
            text, found, rest = rest.partition(name)
            if not found:
                raise TrainingError(f"the chat template does not show a message of the {role}")
            between.setdefault((before, role), text)
            before = role
        between.setdefault((before, END), rest)
    return Turns(between=between, trimmed=_trimmed(template, tokenizer, merged), merged=merged)


def _trimmed(template: Template, tokenizer: Any, merged: bool) -> frozenset[str]:
    found = set()
    for role in ("user", "assistant") if merged else MARKERS:
        marked = f" {MARKERS[role]} "
        order = [*(["system"] if role == "system" else []), "user", "assistant", "user"]
        messages = [{"role": r, "content": marked if r == role else "x"} for r in order]
        if marked not in template.render(tokenizer, messages, answer=True):
            found.add(role)
    return frozenset(found)


def _trials() -> Iterator[Messages]:
    """Conversations of one to three questions, with and without a system message."""
    for at, text in enumerate(EDGES):
        other = EDGES[(at + 1) % len(EDGES)]
        for system in ([], [{"role": "system", "content": text}]):
            for count in range(3):
                turns = [("user", other), ("assistant", text)] * count + [("user", text)]
                yield [*system, *({"role": r, "content": c} for r, c in turns)]


def _literal(text: str) -> str:
    """Text as a Go template and a Modelfile in triple quotes keep it."""
    if all(c == "\n" or c.isprintable() for c in text) and "{{" not in text and '"' not in text:
        return text
    quoted = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
    return '{{ "' + "".join(quoted.get(c) or _escaped(c) for c in text) + '" }}'


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
