"""The app for everybody: axe finds nothing that a bare page of Gradio has not, by day and by night;
a phone's width is enough; and search needs no mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
import pytest
from fastapi import FastAPI

from hub import Hub
from space_app.app import create_app
from space_app.context import Context
from tests.browser import chromium, served
from tests.conftest import write_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from tests.tiny_model import Tiny

TABS = {
    "Search": (),
    "Dataset": ("Overview", "Gaps", "Duplicates", "Examples", "Publish"),
    "Train": (),
    "Compare": (),
    "Adapters": (),
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny) -> Iterator[str]:
    """The app over a hub that has something for each tab."""
    folder = tmp_path_factory.mktemp("app")
    hub = Hub.open(folder)
    hub.index([write_tree(folder / "code")], tier="fast")
    hub.build_dataset(folder / "dataset")
    hub.adapters.take(tiny.adapter, name="team")
    context = Context(folder)
    context.wait()
    with served(create_app(context)) as url:
        yield url


def open_tab(page: Page, name: str) -> None:
    """Choose a tab, from the menu of those that have no room where it is there."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        menu = page.locator(".overflow-menu", has_text=name)
        menu.get_by_label("More tabs").click()
        tab = menu.get_by_role("button", name=name, exact=True)
    tab.click()
    page.wait_for_timeout(500)  # for what the tab loads


def shown(page: Page) -> Iterator[str]:
    """Every tab, one after another, with what it has to show."""
    page.locator("#hits article").first.wait_for()
    for name, inner in TABS.items():
        open_tab(page, name)
        yield name
        for each in inner:
            open_tab(page, each)
            if each == "Gaps":
                page.locator("#map svg").wait_for()
            yield f"{name}, {each}"


def tab_to(page: Page, element: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("element => document.activeElement.matches(element)", element):
            return
    raise AssertionError(f"no Tab leads to {element}")


def findings(page: Page) -> dict[tuple[str, str], Any]:
    """What axe calls serious or critical, by rule and element."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return {
        (rule["id"], node["html"]): node["failureSummary"]
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_that_a_bare_page_of_gradio_has_not(
    browser: Browser, address: str, theme: str
) -> None:
    with gr.Blocks() as blocks:
        gr.Markdown("# Bare")
    page = browser.new_page()
    with served(gr.mount_gradio_app(FastAPI(), blocks, path="/", ssr_mode=False)) as url:
        page.goto(f"{url}?__theme={theme}")
        page.get_by_role("heading", name="Bare").wait_for()
        bare = findings(page)
    page.goto(f"{address}?__theme={theme}&q=retry")
    for name in shown(page):
        own = {key: told for key, told in findings(page).items() if key not in bare}
        assert not own, f"{theme}, {name}: {own}"
    page.close()


def test_no_tab_is_wider_than_a_phone(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 375, "height": 740})
    page.goto(f"{address}?q=retry")
    for name in shown(page):
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 375, f"{name} is {wide} px wide"
    page.close()


def test_search_works_by_keyboard_alone(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.locator("#greeting .message").wait_for()
    tab_to(page, "[role=tab][data-tab-id=compare]")
    tab_to(page, "#query textarea")
    page.keyboard.type("call again with growing pauses")
    page.keyboard.press("Enter")
    page.locator("#hits article").first.wait_for()
    tab_to(page, "#hits a[data-pattern]")
    page.keyboard.press("Enter")
    page.locator("#pattern article").wait_for()
    assert "retry_with_backoff" in page.locator("#pattern h3").inner_text()
    page.close()
