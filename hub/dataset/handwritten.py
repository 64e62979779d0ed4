"""Examples that people write: a Markdown file each, with front matter that says what it is for.

    ---
    category: error handling
    task: implement
    ---
    # Prompt

    Write a Python function that ...

    # Completion

    ```python
    def ...

A completion that is one fenced block is that block's code.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import threading
from typing import TYPE_CHECKING, Any

from hub.config import EXAMPLES
from hub.curate.rows import LANGUAGES, fences
from hub.errors import HubError
from hub.types import Example, Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = "handwritten"
SECTIONS = ("prompt", "completion")
LINE_BREAKS = frozenset("\x85\u2028\u2029")
KEYS = ("category", "task", "language", *SECTIONS)
_FRONT = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*\n(.*)", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->\s*", re.DOTALL)
# What to write in a new example of a task, prompt and completion.
TASKS = {
    "implement": ("What the function must do, with its signature.", "The function."),
    "complete": ("Code with <blank> where a part is missing.", "The missing part alone."),
    "tests": ("The code to test.", "Tests that assert what it does, errors as well."),
    "explain": ("The code to explain.", "What it does and why, in prose."),
    "name": ("Code with <name> in place of a name.", "The name alone."),
    "refactor": ("The code, and what should become better.", "The code as it should be."),
    "fix": ("The code, and how it fails.", "The code as it should be."),
    "design": ("What is needed, and its constraints.", "The outline: parts, data, interfaces."),
    "standard": ("Where which of our rules applies?", "The rule, and code that follows it."),
    "answer": ("A question about the project.", "The answer."),
}


def new_example(folder: Path, category: str, task: str) -> Path:
    """A file to fill in for ``category``, in the hub's ``folder``; a file of that name stays.

    A template of the team's own, ``examples/templates/CATEGORY.md`` or ``TASK.md``, comes first.

    Raises:
        HubError: an unknown task, no category, or the file cannot be written.
    """
    if task not in TASKS:
        raise HubError(f"no task is called {task!r}; there are: {', '.join(TASKS)}")
    slug, home = _slug(category), folder / EXAMPLES
    own = (home / "templates" / f"{name}.md" for name in (slug, task))
    try:
        text = next((path.read_text(encoding="utf-8") for path in own if path.is_file()), "")
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"a template in {home / 'templates'} cannot be read: {error}") from error
    return _write_new(home, f"{slug}-{task}", text or _template(category, task))


def write_example(
    folder: Path, *, category: str, task: str, language: str, prompt: str, completion: str
) -> Path:
    """Keep an example that a person wrote, in a new file of the hub's ``folder``.

    Prompt and completion stand in the front matter, where any text can stand.

    Raises:
        HubError: one of them is empty, or the file cannot be written.
    """
    import yaml

    said = {"category": category, "task": task, "language": language}
    said |= {"prompt": prompt.strip(), "completion": completion.strip()}
    for key in ("category", "task", *SECTIONS):
        if not said[key].strip():
            raise HubError(f"the example has no {key}")
    # Unicode's own line breaks are read as "\n" unless they are escaped.
    readable = not LINE_BREAKS.intersection("".join(said.values()))
    front = yaml.safe_dump(said, sort_keys=False, allow_unicode=readable)
    return _write_new(folder / EXAMPLES, f"{_slug(category)}-{task}", f"---\n{front}---\n")


def _slug(category: str) -> str:
    slug = "-".join(re.findall(r"\w+", category.lower()))
    if not slug:
        raise HubError(f"category {category!r} has no letter in it")
    return slug


def _write_new(home: Path, stem: str, text: str) -> Path:
    """Write a file, whole, under the first number that is free; two writers never take the same."""
    partial = home / f".{stem}.{os.getpid()}-{threading.get_ident()}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            for number in itertools.count(1):
                path = home / f"{stem}-{number}.md"
                with contextlib.suppress(FileExistsError):
                    os.link(partial, path)
                    return path
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise HubError(f"{home} cannot be written: {error}") from error
    raise AssertionError("numbers have no end")


def _template(category: str, task: str) -> str:
    import yaml

    front = yaml.safe_dump(
        {"category": category, "task": task}, sort_keys=False, allow_unicode=True
    )
    prompt, completion = TASKS[task]
    return (
        f"---\n{front}---\n# Prompt\n\n<!-- {prompt} -->\n\n# Completion\n\n<!-- {completion} -->\n"
    )


def read_handwritten(folder: Path) -> list[Example]:
    """The hand-written examples of the hub in ``folder``, in the order of their paths.

    Raises:
        HubError: files that are not what they should be, each by its name, line and problem.
    """
    examples, problems = [], []
    home = folder / EXAMPLES
    for path in sorted(home.rglob("*.md")):
        if path.parent.name == "templates":
            continue
        name = path.relative_to(home).as_posix()
        try:
            text = path.read_bytes().decode("utf-8-sig")
            if _PROMPT.search(text) or text.startswith("---"):  # else the project's own page
                examples.append(example_of(text, name))
        except WrongError as error:
            problems.append(f"{path}:{error.line}: {error}")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{path}:1: cannot be read: {error}")
    if problems:
        raise HubError("\n".join(problems))
    return examples


_PROMPT = re.compile(r"(?mi)^# prompt\b")


class WrongError(Exception):
    """What is wrong in a file, and on which of its lines."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def example_of(text: str, name: str) -> Example:
    text = text.replace("\r\n", "\n")
    front, body, ahead = _front_matter(text)
    said = {key: str(front[key]).strip() for key in KEYS if front.get(key)}
    for title, line, section in _sections(body):
        if title in said:
            raise WrongError(ahead + line, f"a second {title}; one is enough")
        said[title] = _COMMENT.sub("", section).strip()
    for key in ("category", "task", *SECTIONS):
        if not said.get(key):
            where = "a key above" if key not in SECTIONS else f"a section `# {key.title()}`"
            raise WrongError(_line_of(key, text), f"no {key}: write it as {where}")
    blocks = list(fences(said["completion"]))
    language = said.get("language", "")
    if len(blocks) == 1 and re.fullmatch(r"(`{3,}|~{3,})(?:.|\n)*\1", said["completion"]):
        info, _, said["completion"], _ = blocks[0]
        language = language or LANGUAGES.get(info.lower(), info.lower())
    return Example(
        task=said["task"],
        prompt=(Message("user", said["prompt"]),),
        completion=(Message("assistant", said["completion"]),),
        language=language or "text",
        category=said["category"],
        quality=1.0,
        source=SOURCE,
        path=name,
        start_line=1,
        end_line=text.count("\n") + (not text.endswith("\n")),
        files=(f"{SOURCE}/{name}",),
    )


def _front_matter(text: str) -> tuple[dict[str, Any], str, int]:
    """The keys, the text below them, and how many lines stand above that."""
    import yaml

    match = _FRONT.match(text)
    if not match:
        raise WrongError(1, "no front matter: begin with ---, keys, and --- again")
    try:
        front = yaml.safe_load(match[1]) or {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise WrongError(line, f"the front matter is no YAML: {error.problem}") from error
    except yaml.YAMLError as error:  # a character that YAML has not
        raise WrongError(1, f"the front matter is no YAML: {error}") from error
    if not isinstance(front, dict):
        raise WrongError(2, f"the front matter is {front!r}, expected `key: value` lines")
    for key in front:
        if key not in KEYS:
            line = _line_of(str(key), text)
            raise WrongError(line, f"unknown key {key!r}; known keys: {', '.join(KEYS)}")
        if isinstance(front[key], list | dict):
            raise WrongError(_line_of(key, text), f"{key} is {front[key]!r}, expected a text")
    return front, match[2], text[: match.start(2)].count("\n")


def _line_of(key: str, text: str) -> int:
    """The line that a key, or a section, is on; 1 where it is nowhere."""
    match = re.search(rf"(?im)^(?:#[ \t]*)?['\"]?{re.escape(key)}['\"]?[ \t]*(?::|$)", text)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _sections(body: str) -> Iterator[tuple[str, int, str]]:
    """The sections of level 1 that have a known title, with their 1-based lines."""
    from markdown_it import MarkdownIt

    lines = body.split("\n")
    tokens = MarkdownIt().parse(body)
    heads = [
        (tokens[i + 1].content.strip().lower(), token.map)
        for i, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h1" and token.level == 0 and token.map
    ]
    heads = [(title, span) for title, span in heads if title in SECTIONS]
    ends = [*(span[0] for _, span in heads), len(lines)][1:]
    for (title, span), end in zip(heads, ends, strict=False):
        yield title, span[0] + 1, "\n".join(lines[span[1] : end])
