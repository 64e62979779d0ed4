"""The app's search, driven in a real browser over a real hub."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from hub import Hub
from space_app import search
from space_app.app import POLICY, create_app
from space_app.context import Context
from tests.browser import chromium, served
from tests.conftest import write_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

MARKUP = """
/** Puts markup into a page: <script>alert("run")</script> {{value}} ${1 + 1} */
export function writeMarkup(page: string): string {
  return page + "<img src=x onerror=alert('run')>";
}
"""
CALLING_TEST = """
from src.retry import retry_with_backoff


def test_a_call_that_works_is_made_once():
    assert retry_with_backoff(lambda: 1) == 1
"""


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    code = write_tree(folder / "code")
    (code / "src/markup.ts").write_text(MARKUP)
    (code / "tests/test_calls.py").write_text(CALLING_TEST)
    Hub.open(folder).index([folder / "code"], tier="fast")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(hub_folder: Path) -> Iterator[str]:
    context = Context(hub_folder)
    context.wait()
    with served(create_app(context)) as url:
        yield url


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(address)
    page.locator("#greeting .message").wait_for()
    yield page
    page.close()


def ask(page: Page, question: str) -> None:
    page.locator("#query textarea").fill(question)
    page.keyboard.press("Enter")
    page.locator("#hits article").first.wait_for()


def test_a_question_is_answered_with_its_pattern_first_and_the_address_keeps_it(
    page: Page,
) -> None:
    ask(page, "call again with growing pauses")
    assert page.locator("#hits h3").first.inner_text() == "1. retry_with_backoff"
    assert parse_qs(urlsplit(page.url).query) == {"q": ["call again with growing pauses"]}


def test_a_pattern_opens_with_its_tests_and_its_address_opens_it_again(
    page: Page, browser: Browser
) -> None:
    ask(page, "retry_with_backoff")
    page.locator("#hits a[data-pattern]").first.click()
    page.locator("#pattern article").wait_for()
    other = browser.new_page()
    other.goto(page.url)
    other.locator("#pattern article").wait_for()
    assert "retry_with_backoff" in other.locator("#pattern h3").inner_text()
    other.get_by_role("heading", name="Tests").wait_for()
    assert "test_a_call_that_works" in other.locator("#pattern section").first.inner_text()
    other.close()


def test_a_link_keeps_filters_and_copy_takes_the_whole_pattern(
    page: Page, browser: Browser, hub_folder: Path
) -> None:
    link = f"{page.url}?q=retry&language=python&kind=method&quality=0.1"
    with browser.new_context(permissions=["clipboard-read"]) as context:
        other = context.new_page()
        other.goto(link)
        other.locator("#hits article").first.wait_for()
        notes = other.locator("#hits .notes").all_inner_texts()
        assert all(each.split("\n")[:2] == ["python", "method"] for each in notes), notes
        other.locator("#hits [data-copy]").first.click()
        copied = other.evaluate("navigator.clipboard.readText()")
        assert other.locator("#hits [data-copy]").first.inner_text() == "Copied"
    found = Hub.open(hub_folder).search("retry", language="python", kind="method")
    assert copied.strip() in {hit.pattern.text.strip() for hit in found}


def test_markup_in_code_is_shown_as_text_and_never_runs(page: Page) -> None:
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    ask(page, "writeMarkup")
    shown = page.locator("#hits").inner_text()
    assert '<script>alert("run")</script> {{value}} ${1 + 1}' in shown
    assert "<img src=x onerror=" in shown
    assert page.locator("#hits img").count() == 0
    assert not alerts


def test_a_page_asks_no_other_host_and_the_browser_enforces_it(
    browser: Browser, address: str
) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    response = page.goto(address)
    page.locator("#greeting .message").wait_for()
    assert response is not None
    assert response.headers["content-security-policy"] == POLICY
    own = (address, "data:", "blob:")
    assert not [url for url in asked if not url.startswith(own)]
    page.close()


def test_a_path_is_pasted_as_hits_show_it(page: Page) -> None:
    ask(page, "retry with backoff")
    page.get_by_text("Filters").click()
    for wanted, other in (("tests", "src"), ("src", "tests")):
        page.get_by_label("Path", exact=True).click()
        page.keyboard.press("Control+A")
        page.keyboard.insert_text(f"code/{wanted}/**")
        page.keyboard.press("Tab")
        shown = "document.querySelector('#hits').textContent"
        page.wait_for_function(
            f"{shown}.includes('code/{wanted}/') && !{shown}.includes('code/{other}/')"
        )


def test_what_is_typed_before_the_page_has_loaded_stays(
    browser: Browser, hub_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed, real = threading.Event(), search.choices

    def late(context: Context) -> dict[str, list[str]]:
        typed.wait(60)
        return real(context)

    monkeypatch.setattr(search, "choices", late)
    with served(create_app(Context(hub_folder))) as url:
        page = browser.new_page()
        page.goto(url)
        page.locator("#query textarea").click()
        page.keyboard.insert_text("retry with backoff")
        page.keyboard.press("Enter")
        page.locator("#hits article").first.wait_for()
        typed.set()
        page.locator("#greeting .message").wait_for()
        assert page.locator("#query textarea").input_value() == "retry with backoff"
        assert page.locator("#hits article").count()
        page.close()


def test_without_a_hub_the_page_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    with served(create_app(Context(tmp_path))) as url:
        page = browser.new_page()
        page.goto(url)
        page.locator("#greeting [role=alert]").wait_for()
        assert "patternhub index" in page.locator("#greeting").inner_text()
        page.close()
