"""An answer rests on what was retrieved, cites it, and takes no orders from it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hub import Hub, HubError
from hub.answering.citations import MADE_UP, UNSUPPORTED, check_citations
from hub.answering.extract import SAID
from hub.answering.orders import orders_in
from hub.answering.prompt import ABSTAINED, INSTRUCTIONS, grounded
from hub.answering.records import Answer, Passage
from hub.cli import main
from hub.search.ranking import Filters
from hub.types import Generation, Message
from tests.conftest import configured_encoders, write_tree
from tests.injections import INJECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hub.store.encoders import Encoders
    from hub.types import Decoding, Prompt

QUESTION = "how do we retry with backoff?"
ABSENT = "how is an invoice rendered for the customer?"


class Scripted:
    """Says ``text``, with an adapter ``adapted``; keeps what it was asked."""

    name, context = "scripted", 4000

    def __init__(self, text: str = "Yes.", adapted: str = "Adapted.", error: str = "") -> None:
        self.text, self.adapted, self.error = text, adapted, error
        self.asked: list[Prompt] = []

    def count(self, text: str) -> int:
        return len(text) // 4

    def effect(self, adapter: str) -> float:
        return float(self.text != self.adapted)

    def stream(
        self, prompts: Sequence[Prompt], decoding: Decoding
    ) -> Iterator[tuple[int, str | Generation]]:
        self.asked += prompts
        for row, prompt in enumerate(prompts):
            text = self.adapted if prompt.adapter else self.text
            yield row, text[:3]
            finish: Any = "error" if self.error else "stop"
            yield row, Generation(text=text, tokens=3, finish=finish, error=self.error)


@pytest.fixture
def team(hub: Hub, tree: Path) -> Hub:
    hub.index([tree])
    return hub


def ask(hub: Hub, question: str = QUESTION, model: Scripted | None = None) -> Answer:
    return hub.arms(generator=model).answer(question, "rag")


def test_the_patterns_come_after_stable_instructions_and_before_the_question(team: Hub) -> None:
    model = Scripted()
    for question in (QUESTION, "how does the client send a request?"):
        ask(team, question, model)
    first, second = (prompt.messages for prompt in model.asked)
    assert first[0] == second[0] == Message("system", INSTRUCTIONS)
    asked = first[1].content
    assert asked.startswith(
        '<patterns>\n<pattern at="src/retry.py:6-13" language="python">\n 6| def'
    )
    assert asked.endswith(f"</pattern>\n</patterns>\n\nQuestion: {QUESTION}")


def test_without_a_model_the_best_patterns_are_quoted_and_cited(team: Hub, tree: Path) -> None:
    answer = ask(team)
    assert answer.extractive
    assert answer.text.startswith(SAID)
    assert answer.citations
    assert all(citation.holds for citation in answer.citations)
    for path, start, end, code in re.findall(
        r"^(\S+):(\d+)-(\d+)\n```\w+\n(.*?)\n```", answer.text, re.DOTALL | re.MULTILINE
    ):
        lines = (tree / path).read_text().split("\n")
        assert "\n".join(lines[int(start) - 1 : int(end)]) == code


def test_a_place_that_quoted_code_names_is_no_citation(hub: Hub, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    source = (tree / "src/retry.py").read_text()
    (tree / "src/retry.py").write_text(source.replace("Call again", "See ssl.c:347. Call again"))
    hub.index([tree])
    answer = ask(hub)
    assert "See ssl.c:347. Call" in answer.text
    assert "ssl.c:347" not in {citation.location for citation in answer.citations}


def test_where_nothing_is_near_no_model_is_asked(team: Hub) -> None:
    model = Scripted()
    answer = ask(team, ABSENT, model)
    assert answer.abstained
    assert (answer.text, answer.citations, answer.sources) == (ABSTAINED, (), ())
    assert model.asked == []


def test_a_citation_that_was_not_retrieved_or_says_something_else_is_marked(team: Hub) -> None:
    said = (
        "Call retry_with_backoff, which sleeps in between (src/retry.py:6-13). "
        "See also src/vault.py:3-9, src/retry.py:900-901 and https://host.example:8080-8090."
    )
    answer = ask(team, model=Scripted(said))
    held = {c.location: (c.known, c.supported) for c in answer.citations}
    assert held == {
        "src/retry.py:6-13": (True, True),
        "src/vault.py:3-9": (False, False),
        "src/retry.py:900-901": (False, False),
    }
    assert f"src/vault.py:3-9{MADE_UP}" in answer.text
    assert "src/retry.py:6-13)" in answer.text
    unrelated = ask(team, model=Scripted("Bananas ripen in the sun: src/retry.py:6-13"))
    assert unrelated.text.endswith(UNSUPPORTED)


def test_code_with_other_names_supports_its_citation_by_its_shape() -> None:
    code = (
        "def total(rows):\n    found = []\n    for row in rows:\n"
        "        found.append(row[0])\n    return found"
    )
    passage = Passage(source="s", path="a b/[x].py", start_line=1, end_line=5, language="python",
                      symbol="total", text=code)  # fmt: skip
    said = code.replace("total", "xs").replace("rows", "ys").replace("found", "zs")
    said = said.replace("row", "y").replace("append", "append")
    text, (citation,) = check_citations(f"```python\n{said}\n```\na b/[x].py:1-5", [passage])
    assert citation.holds
    assert text.endswith("a b/[x].py:1-5")


def test_pieces_of_one_long_function_are_one_passage_within_the_budget(
    hub: Hub, tmp_path: Path
) -> None:
    body = "".join(f"    step_{n} = transform_ledger(step_{n - 1}, {n})\n" for n in range(1, 120))
    tree = write_tree(tmp_path / "tree")
    (tree / "src/long.py").write_text(f"def transform_all(step_0):\n{body}    return step_119\n")
    hub.index([tree])
    assert len([p for p in hub.retriever.matching(Filters())[0] if p.path == "src/long.py"]) > 1
    flow = hub.arms()._flow
    whole = flow.gather("transform the ledger in all steps", budget=100_000)
    (passage,) = (p for p in whole.passages if p.path == "src/long.py")
    assert (passage.start_line, passage.end_line) == (1, 121)
    for budget in (200, 500, 1500):
        found = flow.gather("transform the ledger in all steps", budget=budget, count=len)
        shown = grounded([Message("user", "")], found.passages)[1].content
        assert len(shown) <= budget + len("<patterns>\n\n</patterns>\n\nQuestion: ") + 10


@pytest.mark.parametrize("injection", INJECTIONS)
def test_text_in_code_gives_no_orders_and_is_marked(injection: str) -> None:
    code = f'def retry(call):\n    """Calls again.\n\n    {injection}\n    """\n    return call()\n'
    passage = Passage(source="s", path="x.py", start_line=1, end_line=9, language="python",
                      symbol="retry", text=code, orders=orders_in(code))  # fmt: skip
    assert passage.orders, "not marked"
    system, user = grounded([Message("user", QUESTION)], [passage])
    assert system.content == INSTRUCTIONS
    lines = user.content.split("\n")
    assert lines[0] == "<patterns>"
    assert lines[1].startswith('<pattern at="x.py:1-')
    assert "warning=" in lines[1]
    assert lines[-4:] == ["</pattern>", "</patterns>", "", f"Question: {QUESTION}"]
    for line in lines[2:-4]:  # nothing of it stands where a line of ours would
        assert re.match(r" *\d+\| ?", line)
        assert not re.search(r"</?pattern|<\||\[/?INST|<<|<\uff5c|</?(?:s|start_of_turn)>", line)
        assert all(char == "\t" or char.isprintable() for char in line)
    text, citations = check_citations(injection, [passage])
    assert not any(citation.known for citation in citations)
    assert all(MADE_UP in text for _ in citations)


def test_of_real_code_little_reads_like_orders() -> None:
    import asyncio
    import http
    from pathlib import Path

    files = [f for m in (asyncio, http) for f in Path(m.__path__[0]).rglob("*.py")]
    marked = [f for f in files if orders_in(f.read_text())]
    assert len(files) > 30
    assert len(marked) <= 1


def test_injected_code_is_answered_from_as_any_other_and_named_to_the_reader(
    hub: Hub, tmp_path: Path
) -> None:
    tree = write_tree(tmp_path / "tree")
    code = (tree / "src/retry.py").read_text()
    poisoned = code.replace("Call again with", f"{INJECTIONS[0]} {INJECTIONS[29]} Call again with")
    (tree / "src/retry.py").write_text(poisoned)
    hub.index([tree])
    model = Scripted("Use retry_with_backoff, src/retry.py:6-13.")
    answer = ask(hub, model=model)
    assert answer.marked == ("src/retry.py:6-13",)
    assert [c.location for c in answer.citations] == ["src/retry.py:6-13"]
    assert ask(hub).marked == answer.marked


def test_arms_are_asked_at_once_and_those_with_an_adapter_only_once_it_changes_something(
    team: Hub,
) -> None:
    names = ("base", "rag", "adapter", "rag+adapter")
    model = Scripted()
    arms = team.arms(generator=model, adapter="team")
    assert arms.names == names
    found = {arm: part for arm, part in arms.answers(QUESTION, names) if isinstance(part, Answer)}
    assert [found[arm].text for arm in names] == ["Yes.", "Yes.", "Adapted.", "Adapted."]
    assert [bool(found[arm].sources) for arm in names] == [False, True, False, True]
    assert [prompt.adapter for prompt in model.asked] == ["", "", "team", "team"]
    same = team.arms(generator=Scripted("Yes.", "Yes."), adapter="team")
    answers = {arm: part for arm, part in same.answers(QUESTION, names) if isinstance(part, Answer)}
    assert [answers[arm].complete for arm in names] == [True, True, False, False]
    assert "not loaded" in answers["adapter"].error


def test_what_broke_off_is_incomplete_and_says_why(team: Hub) -> None:
    answer = ask(team, model=Scripted(error="the endpoint went away"))
    assert not answer.complete
    assert (answer.text, answer.error) == ("Yes.", "the endpoint went away")


def test_many_questions_are_answered_in_their_order(team: Hub) -> None:
    answers = team.arms(generator=Scripted()).batch([QUESTION, ABSENT, QUESTION], "rag")
    assert [answer.abstained for answer in answers] == [False, True, False]


def test_a_conversation_keeps_its_own_system_prompt(team: Hub) -> None:
    model = Scripted()
    turns = (Message("system", "Be short."), Message("user", QUESTION))
    arms = team.arms(generator=model)
    arms.answer(turns, "base")
    arms.answer(turns, "rag")
    assert model.asked[0].messages == turns
    assert model.asked[1].messages[0].content == f"{INSTRUCTIONS}\n\nBe short."


@pytest.mark.parametrize(
    ("question", "arm", "said"),
    [
        ("  ", "rag", "question is empty"),
        ("x" * 100_000, "rag", "100,000 characters, more than 20,000"),
        (QUESTION, "adapter", "no adapter is named"),
        (QUESTION, "other", "arms are base, rag, adapter"),
    ],
)
def test_what_cannot_be_asked_is_said(team: Hub, question: str, arm: Any, said: str) -> None:
    with pytest.raises(HubError, match=said):
        team.arms(generator=Scripted()).answer(question, arm)


def test_a_question_longer_than_the_context_is_incomplete_with_both_numbers(team: Hub) -> None:
    answer = team.arms(generator=Scripted()).answer(QUESTION + " really" * 2500, "base")
    assert not answer.complete
    assert re.search(r"takes 43\d\d tokens, and scripted has 4000 with 512", answer.error)


def test_without_a_hub_or_in_an_empty_one_the_way_out_is_named(
    tmp_path: Path, hub: Hub, encoders: Encoders
) -> None:
    for opened in (hub, Hub.open(tmp_path, encoders=encoders)):
        with pytest.raises(HubError, match="patternhub index PATH"):
            ask(opened)


def test_the_hub_serves_any_pipeline_of_llamaindex(team: Hub) -> None:
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine

    engine = RetrieverQueryEngine.from_args(
        team.as_retriever(limit=3, kind="function"), llm=MockLLM()
    )
    response = engine.query("retry with backoff")
    nodes = response.source_nodes
    assert [node.node_id for node in nodes] == [
        hit.pattern.id for hit in team.search("retry with backoff", limit=3, kind="function")
    ]
    assert nodes[0].node.metadata["location"] in str(response)  # the mock repeats its prompt
    assert "def retry_with_backoff" in str(response)


def test_the_verbs_ask_and_compare_print_answers_with_their_sources(
    team: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.store.encoders.open_encoders", configured_encoders)

    def run(*arguments: str) -> Any:
        folder = str(team.workspace.folder)
        return CliRunner().invoke(main, ["--hub", folder, *arguments], catch_exceptions=False)

    shown = run("ask", QUESTION)
    assert shown.exit_code == 0
    assert "src/retry.py:6-13" in shown.stdout
    assert json.loads(run("ask", QUESTION, "--json").stdout)["extractive"]
    side_by_side = run("compare", QUESTION)
    assert side_by_side.exit_code == 0
    assert "rag" in side_by_side.stdout
    refused = run("ask", QUESTION, "--arm", "base")
    assert refused.exit_code == 2
    assert "no model is configured" in refused.output
