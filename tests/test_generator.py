"""An endpoint's answer streams, tells nobody a secret, and is never whole when it broke off."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from hub import Hub, HubError, endpoint
from hub.answering.records import Answer
from hub.config import Generator as Settings
from hub.config import Privacy
from hub.generator import EndpointGenerator, collect
from hub.types import Decoding, Generation, Message, Prompt
from tests.chat_server import Handler, chat_server, served
from tests.fakes import every_fake, pieces

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chat_server import Reply
    from tests.tiny_model import Tiny

ASKED = Prompt((Message("user", "How do we retry?"),))


def said(handler: Handler, body: dict[str, Any]) -> None:
    handler.begin()
    for word in ("Use ", "backoff", "."):
        handler.piece(word)
    handler.end(prompt_tokens=7, completion_tokens=3)


def answer(reply: Reply, prompt: Prompt = ASKED, timeout: float = 20) -> Generation:
    with chat_server(reply) as (url, _):
        generator = EndpointGenerator(Settings(endpoint=url, model="m", timeout=timeout))
        (found,) = collect(generator.stream([prompt]))
        return found


def test_an_answer_streams_and_is_counted() -> None:
    decoding = Decoding(max_tokens=9, stop=("END",), seed=4, temperature=0.5)
    with chat_server(said) as (url, asked):
        generator = EndpointGenerator(Settings(endpoint=url, model="m"))
        parts = [part for _, part in generator.stream([ASKED], decoding)]
    assert parts[:-1] == ["Use ", "backoff", "."]
    whole = parts[-1]
    assert isinstance(whole, Generation)
    assert (whole.text, whole.prompt_tokens, whole.tokens) == ("Use backoff.", 7, 3)
    assert whole.complete
    assert whole.seconds > 0
    sent = {key: asked[0][key] for key in ("max_tokens", "stop", "seed", "temperature", "model")}
    assert sent == {
        "max_tokens": 9, "stop": ["END"], "seed": 4, "temperature": 0.5, "model": "m"
    }  # fmt: skip


def test_many_conversations_are_answered_each_in_its_row() -> None:
    def echo(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        handler.piece(body["messages"][-1]["content"])
        handler.end()

    prompts = [Prompt((Message("user", f"question {n}"),)) for n in range(30)]
    with chat_server(echo) as (url, _):
        generator = EndpointGenerator(Settings(endpoint=url, model="m"))
        texts = [each.text for each in collect(generator.stream(prompts))]
    assert texts == [f"question {n}" for n in range(30)]


def test_no_piece_of_a_secret_leaves_the_machine() -> None:
    fakes = every_fake(random.Random(5))
    prompts = [
        Prompt((Message("system", fake.text), Message("user", f"see {fake.text}\nand jo@acme.io")))
        for fake in fakes.values()
    ]
    with chat_server(said) as (url, asked):
        settings = Settings(endpoint=url, model="m")
        collect(EndpointGenerator(settings, Privacy(secrets="keep")).stream(prompts))
        collect(EndpointGenerator(settings, Privacy(email="keep")).stream([prompts[0]]))
    sent = "\n".join(turn["content"] for body in asked for turn in body["messages"])
    leaked = {n for n, f in fakes.items() if any(piece in sent for piece in pieces(f.value))}
    assert leaked == set()
    assert sent.count("jo@acme.io") == 1


def garbage(handler: Handler, body: dict[str, Any]) -> None:
    handler.begin()
    handler.piece("Use ")
    handler.event("{not json")


def no_chunk(handler: Handler, body: dict[str, Any]) -> None:
    handler.begin()
    handler.piece("Use ")
    handler.event('{"choices": [{"delta": 5}]}')


def cut(handler: Handler, body: dict[str, Any]) -> None:
    handler.begin()
    handler.piece("Use ")


def failing(handler: Handler, body: dict[str, Any]) -> None:
    handler.begin()
    handler.piece("Use ")
    handler.event({"error": {"message": "out of memory"}})


def filtered(handler: Handler, body: dict[str, Any]) -> None:
    handler.begin()
    handler.piece("Use ")
    handler.end("content_filter")


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (garbage, "sent no JSON"),
        (no_chunk, "attribute 'get'"),
        (cut, "broke off after 1 pieces"),
        (failing, "out of memory"),
        (filtered, "content_filter"),
    ],
)
def test_an_answer_that_broke_off_is_incomplete_and_keeps_what_came(reply: Reply, why: str) -> None:
    found = answer(reply)
    assert not found.complete
    assert found.text == "Use "
    assert why in found.error


def test_an_endpoint_that_is_slow_is_given_up() -> None:
    def slow(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin()
        handler.piece("Use ")
        handler.connection.settimeout(5)
        handler.rfile.read(1)  # until the client goes away

    found = answer(slow, timeout=0.5)
    assert not found.complete
    assert (found.text, "timed out" in found.error) == ("Use ", True)


def test_an_endpoint_that_limits_the_rate_is_asked_again_and_one_that_refuses_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def busy(handler: Handler, body: dict[str, Any]) -> None:
        if len(handler.server.asked) < 3:  # type: ignore[attr-defined]
            handler.send_response(429)
            handler.send_header("Retry-After", "0")
            handler.end_headers()
        else:
            said(handler, body)

    def refusing(handler: Handler, body: dict[str, Any]) -> None:
        handler.send_error(401)

    assert answer(busy).text == "Use backoff."
    with chat_server(refusing) as (url, asked):
        (found,) = collect(EndpointGenerator(Settings(endpoint=url, model="m")).stream([ASKED]))
    assert found.error.endswith("answers 401 Unauthorized")
    assert len(asked) == 1
    monkeypatch.setattr(endpoint, "ATTEMPTS", 1)
    gone = EndpointGenerator(Settings(endpoint=url, model="m"))
    (found,) = collect(gone.stream([ASKED]))
    assert not found.complete
    assert url in found.error
    with pytest.raises(HubError, match="failed"):
        gone.effect("team")


@pytest.fixture
def team(hub: Hub, tree: Path) -> Hub:
    hub.index([tree])
    return hub


def test_the_same_arms_answer_locally_and_over_an_endpoint(team: Hub, tiny: Tiny) -> None:
    from training.generate import LocalModel

    names = ("base", "rag", "adapter", "rag+adapter")
    config = "[answering]\nmax_tokens = 24\nbudget = 600\npatterns = 2\nbase = '{}'\n"
    (team.workspace.folder / "hub.toml").write_text(config.format(tiny.base))
    encoders = team.workspace.encoders
    registered = team.adapters.take(tiny.adapter, name="team")
    local = Hub.open(team.workspace.folder, encoders=encoders).arms(adapter=registered.reference)
    assert local.effect > 0
    parts = list(local.answers("how do we retry with backoff?", names))
    whole = {arm: part for arm, part in parts if isinstance(part, Answer)}
    assert all(whole[arm].complete and whole[arm].tokens for arm in names), whole
    assert whole["base"].text != whole["adapter"].text
    assert all(whole[arm].sources for arm in ("rag", "rag+adapter"))
    first = {arm: min(i for i, (a, _) in enumerate(parts) if a == arm) for arm in names}
    last = {arm: max(i for i, (a, _) in enumerate(parts) if a == arm) for arm in names}
    assert max(first.values()) < min(last.values())  # all stream at once

    model = LocalModel.load(str(tiny.base))
    model.add(registered.reference, tiny.adapter)
    with chat_server(served(model, "tiny")) as (url, _):
        (team.workspace.folder / "hub.toml").write_text(
            "[answering]\nmax_tokens = 24\nbudget = 600\npatterns = 2\n"
            f"[generator]\nendpoint = '{url}'\nmodel = 'tiny'\n"
        )
        over = Hub.open(team.workspace.folder, encoders=encoders)
        arms = over.arms(adapter=registered.reference)
        assert arms.effect > 0
        found = arms.answers("how do we retry with backoff?", names)
        texts = {arm: part.text for arm, part in found if isinstance(part, Answer)}
        assert texts["base"] == whole["base"].text
        assert texts["adapter"] == whole["adapter"].text
        assert texts.keys() == set(names)
        missing = over.arms(adapter="other@1.0.0").answer("how do we retry?", "adapter")
        assert not missing.complete
        assert "404" in missing.error


def test_an_adapter_that_was_altered_or_is_not_there_is_refused(team: Hub, tiny: Tiny) -> None:
    adapter = team.adapters.take(tiny.adapter, name="team")
    (team.adapters.path(adapter) / "template.json").chmod(0o644)
    (team.adapters.path(adapter) / "template.json").write_text("{}")
    with pytest.raises(HubError, match=r"template\.json is not what was saved"):
        team.arms(adapter="team")
    with pytest.raises(HubError, match=r"'nobody' is no adapter; there are: team@0\.1\.0"):
        team.arms(adapter="nobody")
