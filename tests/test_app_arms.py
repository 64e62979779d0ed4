"""The app's tabs around an adapter, driven in a real browser: arms side by side, votes that do not
know whom they are for, training that a reload and a restart of the app find again, the registry."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from hub import Hub, HubError
from hub.answering.citations import MADE_UP
from hub.answering.records import Answer, Citation
from space_app.adapters import details_html
from space_app.answers import pane_html
from space_app.app import create_app
from space_app.compare import listed
from space_app.context import Context
from tests.browser import chromium, served
from tests.conftest import write_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.tiny_model import Tiny

ARMS = ["base", "rag", "adapter", "rag+adapter"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny) -> Path:
    """A hub with an adapter in its registry, and the base it was trained on."""
    folder = tmp_path_factory.mktemp("arms")
    base = json.dumps(str(tiny.base))
    (folder / "hub.toml").write_text(f"[answering]\nbase = {base}\nbits = 0\nmax_tokens = 24\n")
    hub = Hub.open(folder)
    hub.index([write_tree(folder / "code")], tier="fast")
    hub.adapters.take(tiny.adapter, name="team")
    return folder


def tab(browser: Browser, url: str, name: str) -> Page:
    page = browser.new_page()
    page.goto(url)
    page.get_by_role("tab", name=name).click()
    return page


def choose(page: Page, field: str, option: str) -> None:
    page.locator(f"{field} input").click()
    page.get_by_role("option", name=option).click()


def test_four_arms_answer_and_a_blind_vote_keeps_what_was_preferred(
    browser: Browser, folder: Path, tiny: Tiny
) -> None:
    with served(create_app(Context(folder))) as url:
        page = tab(browser, url, "Compare")
        choose(page, "#compared", "team@0.1.0")
        page.get_by_label("Blind").check()
        page.locator("#question textarea").fill(tiny.question)
        page.locator("#ask-all").click()
        page.get_by_role("radio", name="all bad").wait_for(timeout=120_000)
        titles = [page.locator(f"#pane-{label} h3").inner_text() for label in "ABCD"]
        assert titles == list("ABCD")
        page.get_by_role("radio", name="B", exact=True).check()
        page.locator("#vote").click()
        page.get_by_text("Kept:").wait_for()
        named = [page.locator(f"#pane-{label} h3").inner_text() for label in "ABCD"]
        assert sorted(named) == sorted(ARMS)
        page.close()
    (vote,) = Hub.open(folder).votes.all()
    assert vote["blind"]
    assert vote["shown_as"] == named
    assert vote["winner"] == named[1]
    assert vote["adapter"].startswith("team@0.1.0 ")
    answers = vote["answers"]
    assert answers["adapter"]["text"] != answers["base"]["text"]


def test_the_arms_are_evaluated_from_the_page_and_their_report_is_shown(
    browser: Browser, folder: Path
) -> None:
    hub = Hub.open(folder)
    hub.build_dataset(folder / "dataset")
    with served(create_app(Context(folder))) as url:
        page = tab(browser, url, "Compare")
        choose(page, "#compared", "team@0.1.0")
        page.get_by_text("Evaluations").click()
        page.locator("#evaluated input").fill("2")
        page.locator("#evaluate").click()
        told = page.locator("#evaluating", has_text="Whole answers: base ")
        told.wait_for(timeout=120_000)
        choose(page, "#evaluations", Hub.open(folder).evaluations.list()[0]["id"])
        report = page.frame_locator("#evaluation iframe")
        report.get_by_text("rag+adapter").first.wait_for()
        page.close()


def test_a_vote_names_the_adapter_that_hub_toml_means(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "hub")
    (tmp_path / "hub/hub.toml").write_text("[answering]\nadapter = 'team'\n")
    context = Context(tmp_path / "hub")
    (adapter,) = context.hub.adapters.list()
    known = f"{adapter.reference} {adapter.digest}"
    assert [context.named(name) for name in ("", "team", "team@0.1.0")] == [known] * 3
    assert context.named("a/folder") == "a/folder"
    assert Context(folder).named("") == ""


def test_an_adapter_of_another_base_is_refused_before_that_base_is_loaded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("training.generate.LocalModel.load", loaded)
    with pytest.raises(HubError, match=r"was trained on .*, and the base here is another/base"):
        Hub.open(folder).arms(adapter="team", model="another/base")


def test_code_in_an_answer_is_shown_as_code_even_while_it_is_written() -> None:
    said = "Use <b>:\n```python\ndef f():\n    return '<b>'\n```\nDone.\n```\nx"
    shown = pane_html("Answer", said)
    assert "```" not in shown
    assert "<b>" not in shown
    assert shown.count('<pre class="code"') == 2
    assert shown.index("Use &lt;b&gt;") < shown.index(">def<") < shown.index("Done.")
    assert all("<b>" not in pane_html("Answer", said[:length]) for length in range(len(said)))


def test_hidden_names_are_not_told_by_what_was_found_of_an_answer() -> None:
    cited = Citation(location="a.py:1-2", known=False, supported=False)
    answer = Answer(arm="rag", text=f"so{MADE_UP}", citations=(cited,), marked=("a.py:1-2",))
    shown, hidden = pane_html("rag", answer), pane_html("A", answer, blind=True)
    for word in ("made up", "Cited", "does not hold", "orders"):
        assert word in shown
        assert word not in hidden


def test_production_needs_a_verdict_or_a_reason_and_that_it_is_meant(
    browser: Browser, folder: Path
) -> None:
    with served(create_app(Context(folder))) as url:
        page = tab(browser, url, "Adapters")
        choose(page, "#adapter", "team@0.1.0")
        page.locator("#adapter-details table").wait_for()
        page.locator("#promote").click()
        page.get_by_text("say that you are sure").wait_for()
        page.get_by_label("I am sure").check()
        page.locator("#promote").click()
        page.locator("#adapters-told [role=alert]", has_text="gate").wait_for()
        assert not Hub.open(folder).adapters.get("team").aliases
        page.locator("#force textarea, #force input").fill("only one there is")
        page.get_by_label("I am sure").check()
        page.locator("#promote").click()
        page.get_by_text("team@0.1.0 is in production").wait_for()
        # The next adapter needs a reason of its own.
        assert page.locator("#force textarea, #force input").input_value() == ""
        page.close()
    assert "for the reason: only one there is" in details_html(Context(folder), "team@0.1.0")
    assert "production" in Hub.open(folder).adapters.get("team").aliases


@pytest.mark.slow
def test_a_run_is_found_after_a_restart_of_the_app_and_its_adapter_is_registered(
    browser: Browser, folder: Path, tiny: Tiny
) -> None:
    settings = [
        "data.max_length=128", "data.packing=false", "lora.r=4", "train.max_steps=60",
        "train.epochs=60", "train.batch_size=1", "train.accumulation=1", "quantization=null",
        "train.optimizer=adamw_torch", "train.gradient_checkpointing=false",
    ]  # fmt: skip
    with served(create_app(Context(folder))) as url:
        page = tab(browser, url, "Train")
        page.get_by_text("no run yet").wait_for()  # loaded: nothing overwrites what is typed
        assert page.locator("#start").is_disabled()
        page.locator("#train-dataset textarea, #train-dataset input").fill(str(tiny.dataset))
        choose(page, "#preset", "all-linear")
        page.locator("#base textarea, #base input").fill(str(tiny.base))
        page.locator("#name textarea, #name input").fill("fromapp")
        page.locator("#settings textarea").fill("\n".join(settings))
        page.locator("#check").click()
        page.locator("#checks td", has_text="memory").first.wait_for(timeout=120_000)
        page.locator("#start:not([disabled])").click()
        page.get_by_text("has begun").wait_for()
        page.close()
    (run,) = Hub.open(folder).runs.list()
    assert run.state == "running"  # nobody watches it
    with served(create_app(Context(folder))) as url:
        page = tab(browser, url, "Train")
        page.locator("#curve", has_text=run.id).wait_for()
        page.locator("#curve svg").wait_for(timeout=240_000)
        page.locator("#curve", has_text="in the registry as fromapp@0.1.0").wait_for(
            timeout=240_000
        )
        page.close()
    assert Hub.open(folder).adapters.verify("fromapp")


def test_evaluations_to_choose_from_say_their_arms(folder: Path) -> None:
    kept = folder / ".patternhub" / "evaluations" / "20260101T000000-000001"
    kept.mkdir(parents=True)
    scores = {"id": kept.name, "arms": [{"arm": "base"}, {"arm": "rag"}]}
    (kept / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    try:
        assert (f"{kept.name}: base, rag", kept.name) in listed(Context(folder))
    finally:
        shutil.rmtree(kept)
