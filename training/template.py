"""The form of a conversation: what a base's chat template says, fixed so that serving repeats it.

An adapter answers well only to prompts in the form it was trained with, and stops only at the
token it was trained to stop at. Both are stored beside it, in ``template.json``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from training.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    Messages = list[dict[str, str]]

FILE = "template.json"
# Of a base without a template. Zephyr's: its roles are plain text, so any tokenizer has them.
PLAIN = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
# Some templates write today's date into each prompt; trained and served prompts would differ.
PINNED_DATE = "{%- macro strftime_now(form) -%}26 Jul 2024{%- endmacro -%}"
QUESTION, ANSWER, SYSTEM = "Question-7391", "Answer-7391", "System-7391"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How messages become text.

    ``end`` closes an answer; ``stops`` are all tokens a generator stops at. ``opening`` is what
    stands between a question and its answer. ``system`` says where a system message goes: into
    its own turn, or to the head of the first user turn where the template knows no such role.
    ``origin`` is "base", "plain" or the file it was read from.
    """

    text: str
    end: str
    stops: tuple[str, ...]
    opening: str
    system: Literal["own turn", "first user turn"]
    origin: str

    def render(self, tokenizer: Any, messages: Messages, *, answer: bool = False) -> str:
        """The text of ``messages``; ``answer`` opens the assistant's turn, as serving does.

        Raises:
            TrainingError: the template refuses these messages.
        """
        from jinja2 import TemplateError

        if self.system == "first user turn":
            messages = _without_system(messages)
        try:
            return str(
                tokenizer.apply_chat_template(
                    messages,
                    chat_template=self.text,
                    tokenize=False,
                    add_generation_prompt=answer,
                )
            )
        except (TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
            raise TrainingError(f"the chat template refuses it: {error}") from error

    def write(self, folder: Path) -> None:
        text = json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"
        (folder / FILE).write_text(text, encoding="utf-8")


def read_template(folder: Path) -> Template:
    """The template that was stored with an adapter."""
    stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return Template(**{**stored, "stops": tuple(stored["stops"])})


def template_of(tokenizer: Any, *, text: str = "", origin: str = "") -> Template:
    """What ``text``, or else the tokenizer's own template, does with a conversation.

    Raises:
        TrainingError: the tokenizer has no end token, or the template does not show an answer.
    """
    if not tokenizer.eos_token:
        raise TrainingError(
            f"the tokenizer of {tokenizer.name_or_path} has no end token: an adapter would never "
            "learn to stop; name a base whose tokenizer_config.json has an eos_token"
        )
    if not text:
        text, origin = (
            (tokenizer.get_chat_template(), "base")
            if tokenizer.chat_template
            else (
                PLAIN,
                "plain",
            )
        )
    if "strftime_now" in text and not text.startswith(PINNED_DATE):
        text = PINNED_DATE + text
    template = Template(
        text=text, end="", stops=(), opening="", system="own turn", origin=origin or "text"
    )
    asked = [{"role": "user", "content": QUESTION}]
    shown = template.render(tokenizer, [*asked, {"role": "assistant", "content": ANSWER}])
    _before, found, after = shown.rpartition(ANSWER)
    if not found or QUESTION not in shown:
        raise TrainingError(f"the chat template ({origin}) does not show a question and its answer")
    end = _first_special(tokenizer, after) or tokenizer.eos_token
    return Template(
        text=text,
        end=end,
        stops=tuple(dict.fromkeys((end, tokenizer.eos_token))),
        opening=shown[shown.find(QUESTION) + len(QUESTION) : shown.rfind(ANSWER)],
        system=_place_of_system(template, tokenizer, asked),
        origin=origin,
    )


def _place_of_system(
    template: Template, tokenizer: Any, asked: Messages
) -> Literal["own turn", "first user turn"]:
    messages = [{"role": "system", "content": SYSTEM}, *asked]
    try:
        known = SYSTEM in template.render(tokenizer, messages)
    except TrainingError:
        known = False
    return "own turn" if known else "first user turn"


def _first_special(tokenizer: Any, text: str) -> str:
    """The first token of ``text`` that no plain text makes; some tokenizers add runs of blanks."""
    added = tokenizer.added_tokens_decoder
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        if token in added and added[token].content.strip():
            return str(added[token].content)
    return ""


def _without_system(messages: Messages) -> Messages:
    """System messages at the head of the first user turn."""
    system = [m["content"] for m in messages if m["role"] == "system"]
    rest = [m for m in messages if m["role"] != "system"]
    if system and rest and rest[0]["role"] == "user":
        content = "\n\n".join([*system, rest[0]["content"]])
        return [{"role": "user", "content": content}, *rest[1:]]
    return rest if not system else messages
