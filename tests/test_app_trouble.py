"""What the app must survive: nothing there yet, folders that are no dataset, markup wherever text
can come from, endless questions, full disks and saves that were cut."""

from __future__ import annotations

import html
import json
import subprocess
import sys
from contextlib import suppress
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from hub import Hub, HubError, endpoint
from hub.answering.records import Answer, Citation
from hub.config import MANIFEST, REPORT
from hub.dataset.handwritten import write_example
from hub.dataset.reviewing import reject, rejected
from hub.serving.votes import Votes
from space_app import adapters, compare, dataset, search, train
from space_app.answers import pane_html
from space_app.code_view import card, message
from space_app.context import Context
from tests.chat_server import Handler, chat_server
from tests.conftest import write_tree
from tests.test_local_model import changed, of_another_base, of_another_rank, silent, wider
from tests.test_trouble import small_disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.tiny_model import Tiny

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>"
BREAKS = "one\u2028two\x85three"


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub whose sources hold nothing."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "code").mkdir()
    Hub.open(folder).index([folder / "code"], tier="fast")
    return folder


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub of code that is full of markup."""
    folder = tmp_path_factory.mktemp("evil")
    code = write_tree(folder / "code")
    (code / "src" / "evil<img src=x onerror=alert(3)>.py").write_text(
        f"def evil():\n    '''{EVIL}'''\n    return {EVIL!r}\n"
    )
    Hub.open(folder).index([code], tier="fast")
    return folder


class Tags(HTMLParser):
    """What a browser would make of a page's text."""

    own: ClassVar = {"section", "h3", "h4", "pre", "code", "span", "p", "ul", "li", "article"}
    own |= {"header", "footer", "a", "button", "table", "tr", "td", "th", "iframe", "details"}
    own |= {"summary", "strong", "svg", "polyline", "circle", "title", "div"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        handlers = [name for name, _ in attrs if name.startswith("on")]
        if tag not in self.own or handlers:
            self.foreign.append(f"{tag} {handlers}")


def asked(context: Context, question: str, adapter: str = compare.NO_ADAPTER) -> str:
    """What the Compare tab says, and its panes, once it is done."""
    *_, last = compare._asked(context, question, adapter, blind=False)
    return "".join(part for part in last[:5] if isinstance(part, str))


def pages(context: Context) -> dict[str, Callable[[], str]]:
    """Each thing the tabs show of a hub, by what it is."""
    return {
        "search": lambda: search.found_html(context, "retry"),
        "welcome": lambda: search.welcome(context),
        "pattern": lambda: search.pattern_html(context, "none"),
        "ask": lambda: list(search.answered(context, "how do we retry?"))[-1],
        "compare": lambda: asked(context, "how do we retry?"),
        "standings": lambda: compare.standings_html(context),
        "evaluation": lambda: compare.evaluation_html(context, "none"),
        "adapter": lambda: adapters.details_html(context, "team@1.0.0"),
        "run": lambda: train.run_html(context, train.NEWEST),
        "check": lambda: train._checked(context, "local", "", "", 0, "", "scratch-tiny", "", "")[0],
        "example": lambda: dataset.check_html(context, dict.fromkeys(dataset.FIELDS, "x")),
    }


@pytest.mark.parametrize("which", ["no hub", "empty hub"])
def test_where_there_is_nothing_each_tab_says_so_in_words(
    which: str, empty: Path, tmp_path: Path
) -> None:
    context = Context(empty if which == "empty hub" else tmp_path)
    for name, page in pages(context).items():
        shown = page()
        nothing = "Nothing in this hub is near" in shown  # an answer, and it is true
        assert 'class="message' in shown or nothing or name == "example", (name, shown)
        assert "Traceback" not in shown
    assert "none" in compare.adapters(context)
    assert compare.listed(context) == []


def test_markup_is_shown_as_text_wherever_it_comes_from(evil: Path, tmp_path: Path) -> None:
    context = Context(evil)
    pattern = Hub.open(evil).search("evil", limit=1)[0].pattern
    answer = Answer(
        arm="rag", text=EVIL, citations=(Citation(location=EVIL, known=True, supported=False),),
        marked=(EVIL,), complete=False, error=EVIL,
    )  # fmt: skip
    rows = [{"event": "failed", "reason": EVIL}]
    shown = {
        "hits": search.found_html(context, f"evil {EVIL}"),
        "pattern": search.pattern_html(context, pattern.id),
        "no pattern": search.pattern_html(context, EVIL),
        "card": card(pattern, notes=[EVIL]),
        "question": asked(context, EVIL),
        "pane": pane_html(EVIL, EVIL) + pane_html(EVIL, answer),
        "adapter": adapters.details_html(context, EVIL),
        "evaluation": compare.evaluation_html(context, EVIL),
        "run": train.run_html(context, EVIL),
        "form": train._checked(context, "local", EVIL, EVIL, 0, EVIL, EVIL, EVIL, EVIL)[0],
        "curve": train.curve([{"event": "step", "step": n, "loss": 1.0} for n in (1, 2)]),
        "folder": dataset.overview_html(context, EVIL),
        "finding": dataset.check_html(context, dict.fromkeys(dataset.FIELDS, EVIL)),
        "error": message(EVIL, alert=True),
    }
    built = tmp_path / "built"
    built.mkdir()
    (built / MANIFEST).write_text(json.dumps({"rows": {EVIL: 3}, "private": {}}))
    (built / REPORT).write_text(EVIL)
    shown["report"] = dataset.overview_html(context, str(built))
    run = evil / ".patternhub/runs/20260101-000000-evil"
    run.mkdir(parents=True)
    record = {"name": "evil", "preset": EVIL, "created": 0.0, "adapter": EVIL, "refused": EVIL}
    (run / "run.json").write_text(json.dumps(record))
    (run / "run.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown["newest run"] = train.run_html(context, train.NEWEST)
    Hub.open(evil).votes.add(
        question=EVIL, answers={EVIL: {"complete": True}}, winner=EVIL, shown_as=[EVIL],
        blind=False, model=EVIL, adapter=EVIL,
    )  # fmt: skip
    shown["standings"] = compare.standings_html(context)
    assert not {name: found for name, text in shown.items() if (found := Tags(text).foreign)}
    for name in ("pane", "standings", "newest run", "error", "pattern"):
        assert "&lt;script&gt;" in shown[name], name


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff\xfe\0", b'{"rows": 3}', b'{"rows": {"train": "many"}}', b"{"]
)
def test_a_folder_that_is_no_dataset_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    (tmp_path / REPORT).write_text("a report")
    context = Context(tmp_path)
    assert "is no dataset" in dataset.overview_html(context, str(tmp_path))
    assert "No dataset lies there" in dataset.overview_html(context, str(tmp_path / "none"))
    (tmp_path / "train.jsonl").write_bytes(content + b"\n")
    with pytest.raises(HubError, match=r"has no row 1|is not a prompt and its completion"):
        dataset.read_example(tmp_path, "train", 1)


def test_what_is_too_large_for_a_page_is_not_sent_to_one(tmp_path: Path) -> None:
    turns = {
        name: [{"role": "user", "content": "x" * 3_000_000}] for name in ("prompt", "completion")
    }
    row = {"id": "1", "category": "c", "task": "t", "language": "l"} | turns
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(HubError, match="has 3,000,000 characters"):
        dataset.read_example(tmp_path, "train", 1)
    (tmp_path / MANIFEST).write_text(json.dumps({"rows": {"train": 1}}))
    with (tmp_path / REPORT).open("wb") as file:
        file.truncate(200_000_000)
    assert "200 MB" in dataset.overview_html(Context(tmp_path), str(tmp_path))


def test_a_question_without_end_is_refused_in_words(evil: Path) -> None:
    context, endless = Context(evil), "how do we retry? " * 6000
    for said in (asked(context, endless), list(search.answered(context, endless))[-1]):
        assert "characters, more than 20,000" in said
    assert "<article" in search.found_html(context, endless)  # search takes words of it


def vote(votes: Votes, question: str) -> None:
    votes.add(
        question=question, answers={"rag": {"complete": True}}, winner="rag", shown_as=["rag"],
        blind=True, model="m", adapter="",
    )  # fmt: skip


def test_a_vote_that_finds_the_disk_full_is_an_error_and_takes_no_other_with_it(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", "64k"):
        votes = Votes(tmp_path / "disk/votes.jsonl")
        vote(votes, BREAKS)
        with pytest.raises(HubError, match="No space left on device"):
            vote(votes, "x" * 100_000)
        vote(votes, "once more")
        assert [kept["question"] for kept in votes.all()] == [BREAKS, "once more"]
        assert votes.path.read_bytes().count(b"\n") == 2


def test_a_vote_that_was_cut_by_a_kill_is_left_out_and_the_next_is_whole(tmp_path: Path) -> None:
    votes = Votes(tmp_path / "votes.jsonl")
    vote(votes, "é first")
    vote(votes, "é second")
    data = votes.path.read_bytes()
    character = data.rindex("é".encode())
    for cut in (data.index(b"\n") + 1, character + 1, character + 9, len(data) - 1):
        votes.path.write_bytes(data[:cut])
        vote(votes, "third")
        assert [kept["question"] for kept in votes.all()][-1] == "third"
        assert votes.all()[0]["question"] == "é first"


def test_an_example_or_rejection_that_finds_the_disk_full_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "disk", "64k"):
        disk = tmp_path / "disk"
        reject(disk, "1", BREAKS)
        told = {"category": "c", "task": "implement", "language": "python", "prompt": "p"}
        with pytest.raises(HubError, match="No space left on device"):
            reject(disk, "2", "x" * 100_000)
        with pytest.raises(HubError, match="No space left on device"):
            write_example(disk, completion="x" * 100_000, **told)
        assert rejected(disk) == {"1": BREAKS}
        assert not list(disk.rglob("*c-implement*"))
        assert write_example(disk, completion="x", **told).name == "c-implement-1.md"


SAVE = """
import sys
from pathlib import Path
from hub.dataset.handwritten import write_example
for n in range(10**6):
    write_example(Path(sys.argv[1]), category="c", task="implement", language="python",
                  prompt="p" * 50_000, completion="the end")
"""


@pytest.mark.slow
def test_a_stop_in_the_middle_of_a_save_leaves_only_whole_examples(tmp_path: Path) -> None:
    for _ in range(5):
        with suppress(subprocess.TimeoutExpired):  # which kills it, somewhere
            subprocess.run([sys.executable, "-c", SAVE, str(tmp_path)], timeout=2, check=True)
    found = list(tmp_path.rglob("*.md"))
    assert found
    assert all("the end" in path.read_text() for path in found)


@pytest.mark.slow
def test_an_adapter_that_does_not_fit_is_refused_in_the_tab_and_the_next_one_answers(
    tiny: Tiny, tmp_path: Path
) -> None:
    base = json.dumps(str(tiny.base))
    (tmp_path / "hub.toml").write_text(f"[answering]\nbase = {base}\nbits = 0\nmax_tokens = 8\n")
    hub = Hub.open(tmp_path)
    hub.index([write_tree(tmp_path / "code")], tier="fast")
    told = {
        of_another_base: "trained on acme/other-base, and the base here is",
        of_another_rank: "says rank 32, and its weights",
        wider: "has 80 to",
        silent: "changes nothing on",
    }
    context = Context(tmp_path)
    for change, said in told.items():
        name = change.__name__.replace("_", "-")
        (tmp_path / name).mkdir()
        hub.adapters.take(changed(tiny.adapter, tmp_path / name, change), name=name)
        shown = asked(context, tiny.question, f"{name}@0.1.0")
        assert said in html.unescape(shown)
        assert 'role="alert"' in shown
    hub.adapters.take(tiny.adapter, name="team")
    shown = asked(context, tiny.question, "team@0.1.0")
    assert shown.count('<section class="pane">') == 4
    assert "INCOMPLETE" not in shown


def test_an_endpoint_that_fails_during_an_evaluation_leaves_rows_incomplete_and_none_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "ATTEMPTS", 2)
    rows = [
        {"id": str(n), "category": "c", "prompt": [{"role": "user", "content": f"say {n}"}],
         "completion": [{"role": "assistant", "content": f"```python\nx = {n}\n```"}]}
        for n in range(8)
    ]  # fmt: skip
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def moody(handler: Handler, body: dict[str, Any]) -> None:
        number = int(body["messages"][-1]["content"].split()[-1])
        if number % 4 == 1:
            handler.send_response(429)
            handler.send_header("Retry-After", "0")
            handler.end_headers()
            return
        handler.begin()
        handler.piece(f"```python\nx = {number}\n```")
        if number % 4 == 2:
            handler.event("<html>gateway")
        elif number % 4 == 0:
            handler.end()  # what is left breaks off without a word

    with chat_server(moody) as (url, _):
        (tmp_path / "hub.toml").write_text(
            f'[generator]\nendpoint = "{url}"\nmodel = "m"\ntimeout = 5.0\n'
        )
        found = Hub.open(tmp_path).evaluate(tmp_path / "test.jsonl", arms=["base"])
    scores = found.evaluation.arms[0]
    assert (scores.overall, scores.incomplete) == ((2, 2), 6)
    errors = " ".join(scores.to_json()["errors"])
    assert all(told in errors for told in ("429", "sent no JSON", "broke off after 1 pieces"))
    assert all(row.passed is not False for row in scores.rows)
