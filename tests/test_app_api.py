"""The app's functions for programs and agents: these and no others, documented, in words where they
fail; a real client calls them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from gradio_client import Client
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from hub import Hub
from space_app.app import create_app
from space_app.context import Context
from tests.browser import served
from tests.conftest import write_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "of-the-page"
TOOLS = {"search", "show", "ask", "gaps"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("app")
    Hub.open(folder).index([write_tree(folder / "code")], tier="fast")
    with served(create_app(Context(folder), password=PASSWORD, mcp=True)) as url:
        yield url


def test_programs_call_the_public_functions_and_no_others(address: str) -> None:
    client = Client(address, auth=("team", PASSWORD), verbose=False)
    described: Any = client.view_api(return_format="dict", print_info=False)
    assert set(described["named_endpoints"]) == {f"/{name}" for name in TOOLS}
    assert described["unnamed_endpoints"] == {}
    found = client.predict("call again with growing pauses", api_name="/search")
    first = found["hits"][0]
    assert (first["symbol"], first["file"]) == ("retry_with_backoff", "src/retry.py")
    shown = client.predict(first["id"], api_name="/show")
    assert "def retry_with_backoff" in shown["pattern"]["text"]
    answered = client.predict("how do we retry with backoff?", api_name="/ask")
    assert answered["citations"][0]["known"]
    with pytest.raises(Exception, match=r"nosuch.*no pattern has one"):
        client.predict("nosuch", api_name="/show")
    with pytest.raises(Exception, match="no dataset was built here yet"):
        client.predict(api_name="/gaps")
    with pytest.raises(ValueError, match="Cannot find a function"):
        client.predict(api_name="/begin")


def test_an_upload_that_is_huge_is_refused(address: str) -> None:
    with httpx.Client(base_url=address) as person:
        person.post("login", data={"username": "team", "password": PASSWORD})
        sent = person.post("gradio_api/upload", files={"files": b"x" * 2_000_000})
        assert sent.status_code == 413
        assert person.post("gradio_api/upload", files={"files": b"x"}).status_code == 200


def test_agents_are_given_the_same_as_tools(address: str) -> None:
    async def run() -> tuple[set[str], str, str]:
        headers = {"authorization": f"Bearer {PASSWORD}"}
        async with (
            streamablehttp_client(f"{address}mcp", headers=headers) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            found = await session.call_tool("search", {"query": "retry_with_backoff"})
            failed = await session.call_tool("show", {"id": "nosuch"})
            return {tool.name for tool in tools}, str(found.content), str(failed.content)

    names, found, failed = asyncio.run(run())
    assert names == TOOLS
    assert "retry_with_backoff" in found
    assert "no pattern" in failed
    assert "Traceback" not in failed


def test_tools_are_served_by_setting_alone(tmp_path: Path) -> None:
    with served(create_app(Context(tmp_path))) as url:
        assert httpx.post(f"{url}mcp", json={}).status_code == 404
