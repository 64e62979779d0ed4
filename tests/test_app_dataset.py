"""The app's dataset tab, driven in a real browser: build, look, correct and reject, build again."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from hub import Hub
from space_app import dataset
from space_app.app import create_app
from space_app.context import Context
from tests.browser import chromium, served
from tests.conftest import write_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    hub = Hub.open(folder)
    hub.index([write_tree(folder / "code")], tier="fast")
    hub.build_dataset(folder / "dataset")
    return folder


@pytest.fixture
def page(folder: Path) -> Iterator[Page]:
    with served(create_app(Context(folder))) as url, chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        page.get_by_role("tab", name="Dataset").click()
        yield page


def rows(folder: Path) -> dict[str, dict[str, object]]:
    lines = (folder / "dataset/train.jsonl").read_text().splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def write(page: Page, field: str, text: str) -> None:
    """Replace what stands in a field, as a person who pastes does."""
    page.locator(f"{field} textarea, {field} input").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)


def test_a_tab_chosen_before_the_page_has_named_a_folder_shows_the_last_dataset(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a page's load finds may arrive after a tab was chosen."""
    chosen, named = threading.Event(), dataset.last_dataset
    calls: list[Context] = []

    def late(context: Context) -> str:
        calls.append(context)
        if len(calls) == 1:  # by the load, which comes first
            chosen.wait(60)
        return named(context)

    monkeypatch.setattr(dataset, "last_dataset", late)
    with served(create_app(Context(folder))) as url, chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        page.get_by_role("tab", name="Dataset").click()
        page.locator("iframe.report").wait_for()
        assert page.locator("#dataset textarea, #dataset input").input_value() == ""
        chosen.set()
        page.wait_for_function("document.querySelector('#dataset :is(textarea, input)').value")
        page.locator("iframe.report").wait_for()


def test_code_is_indexed_from_the_page_at_home_and_elsewhere_by_git_address_alone(
    tmp_path: Path,
) -> None:
    code = write_tree(tmp_path / "code")
    (tmp_path / "hub").mkdir()
    elsewhere = Context(tmp_path / "hub")
    assert "takes git addresses alone" in dataset.start_index(elsewhere, str(code))
    with served(create_app(Context(tmp_path / "hub", at_home=True))) as url, chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        page.get_by_text("The tab Dataset has a button for that").wait_for()
        page.get_by_role("tab", name="Dataset").click()
        page.locator("#code textarea, #code input").fill(str(code))
        page.locator("#index").click()
        page.get_by_text("patterns:").wait_for(timeout=60_000)
        page.get_by_role("tab", name="Search").click()
        page.locator("#query textarea").fill("retry with backoff")
        page.keyboard.press("Enter")
        page.locator("#hits article").first.wait_for()


def test_a_rejected_row_leaves_the_next_build_and_a_row_that_breaks_a_rule_is_not_kept(
    page: Page, folder: Path
) -> None:
    first = next(iter(rows(folder)))
    page.locator("iframe.report").wait_for()  # what was built last is shown
    page.get_by_role("tab", name="Gaps").click()
    page.locator("#map circle").first.click(force=True)  # a point of the map is a pattern
    page.locator("#point article").wait_for()
    page.get_by_role("tab", name="Examples").click()
    page.wait_for_function("document.querySelector('#prompt textarea').value.length > 0")

    write(page, "#completion", "def broken(:\n    password = 'hunter2hunter2'")
    page.locator("#findings li").first.wait_for()
    page.locator("#add").click()
    page.locator("#findings [role=alert]").wait_for()
    assert "not kept, it breaks" in page.locator("#findings").inner_text()
    assert not list((folder / "examples").glob("*.md"))

    write(page, "#reason", "too thin")
    page.locator("#reject").click()
    page.get_by_text(f"Rejected {first}").wait_for()

    write(page, "#prompt", "Write a function that doubles a number.")
    write(page, "#completion", "def double(number):\n    return number * 2")
    page.get_by_text("No rule is broken.").wait_for()
    write(page, "#category", "arithmetic")
    page.locator("#add").click()
    page.get_by_text("the next build has it").wait_for()

    page.locator("#build").click()
    page.get_by_text("without a leak between the sides").wait_for(timeout=120_000)
    built = rows(folder)
    assert first not in built
    text = "".join(path.read_text() for path in (folder / "dataset").glob("*.jsonl"))
    assert "doubles a number" in text
