"""Who gets into the app: its owner's people, by the Hub's word or a password, and no token leaks.

The provider is a stand-in on loopback that the real OpenID client talks to.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner

from hub import HubError
from hub.cli import main
from space_app.app import check_closed, create_app
from space_app.context import Context
from space_app.sign_in import CALLBACK, LOGIN, MAY_NOT, Provider, person_of
from tests.browser import chromium, served
from tests.fake_provider import SECRET, TOKEN, FakeProvider, fake_provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "open sesame"
ASKED = {"accept": "text/html"}


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with fake_provider() as running:
        yield running


@pytest.fixture(scope="module")
def address(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    context = Context(tmp_path_factory.mktemp("space"))
    with served(create_app(context, provider=provider.provider("team"))) as url:
        yield url


def client(address: str) -> httpx.Client:
    return httpx.Client(base_url=address, follow_redirects=True, headers=ASKED)


def test_who_listens_beyond_this_machine_asks_who_it_is() -> None:
    with pytest.raises(HubError, match=r"0\.0\.0\.0 can be reached from other machines"):
        check_closed("0.0.0.0", "", None)
    check_closed("127.0.0.1", "", None)
    check_closed("0.0.0.0", PASSWORD, None)


def test_the_owner_and_members_get_in_others_are_told_for_whom_it_is(
    provider: FakeProvider, address: str
) -> None:
    with client(address) as browser:
        assert browser.get("").status_code == 401
        assert "Sign in with Hugging Face" in browser.get("").text
        provider.is_now("stranger", elsewhere="admin")
        refused = browser.get(LOGIN)
        assert refused.status_code == 403
        assert "You are signed in as stranger. This Space is for team" in refused.text
        assert browser.get("config").status_code == 401
        for name, roles in (("team", {}), ("ann", {"team": "write"})):
            provider.is_now(name, **roles)
            assert browser.get(LOGIN).status_code == 200
            assert browser.get("config").json()["title"] == "Pattern Hub"
        assert browser.get("logout").status_code == 401


def test_every_address_is_closed_to_who_is_not_signed_in(address: str) -> None:
    paths = ["config", "gradio_api/info", "gradio_api/queue/data", "mcp", "theme.css"]
    for path in paths:
        refused = httpx.get(f"{address}{path}")
        assert refused.status_code == 401, path
        assert "load the page again and sign in" in refused.json()["error"]
    for path in ("gradio_api/call/search", "gradio_api/queue/join", "gradio_api/upload"):
        assert httpx.post(f"{address}{path}", json={"data": []}).status_code == 401, path


def test_a_sign_in_that_fails_says_so_in_words(provider: FakeProvider, address: str) -> None:
    with client(address) as browser:
        forged = browser.get(CALLBACK, params={"code": "c", "state": "forged"})
        assert forged.status_code == 502
        assert "Signing in did not work (MismatchingStateError)" in forged.text
        provider.broken = True
        failed = browser.get(LOGIN)
        provider.broken = False
        assert (failed.status_code, "Try again" in failed.text) == (502, True)
        assert "Traceback" not in failed.text


def test_no_token_reaches_a_page_a_response_a_cookie_or_a_log(
    provider: FakeProvider, address: str, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_space")
    provider.is_now("ann", team="write")
    seen: list[bytes] = []

    def note(response: httpx.Response) -> None:
        seen.extend([response.read(), repr(response.headers.multi_items()).encode()])
        for value in response.cookies.values():
            seen.append(base64.b64decode(value.strip('"').partition(".")[0] + "=="))

    with client(address) as browser:
        browser.event_hooks["response"] = [note]
        assert browser.get(LOGIN).status_code == 200
        for path in ("", "config", "gradio_api/info"):
            assert browser.get(path).status_code == 200
    out, err = capfd.readouterr()
    everything = b"\n".join([*seen, out.encode(), err.encode(), caplog.text.encode()])
    assert b'"name": "ann"' in everything  # the cookie could be read
    for secret in (TOKEN, SECRET, "hf_of_the_space"):
        assert secret.encode() not in everything


@pytest.mark.slow
def test_a_member_who_may_only_read_changes_nothing_and_an_expired_session_is_told_so(
    provider: FakeProvider, address: str
) -> None:
    provider.is_now("bob", team="read")
    with chromium() as browser:
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("link", name="Sign in with Hugging Face").click()
        page.get_by_role("tab", name="Train").click()
        page.locator("#curve .message").wait_for()
        page.locator("#stop").click()
        page.get_by_text(MAY_NOT).wait_for()
        page.context.clear_cookies()  # as when the working day is over
        page.get_by_role("tab", name="Search").click()
        page.locator("#query textarea").fill("anything")
        page.keyboard.press("Enter")
        page.get_by_text("load the page again and sign in").first.wait_for()
        assert "Traceback" not in page.locator("body").inner_text()


def test_a_person_is_forgotten_when_their_day_is_over() -> None:
    person = person_of({"preferred_username": "team"}, "team")
    assert person is not None
    assert time.time() + 7 * 3600 < person.until < time.time() + 9 * 3600
    assert person_of({"preferred_username": "x", "orgs": None}, "team") is None


def test_a_space_without_sign_in_set_up_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "team/space")
    assert Provider.from_environment() is None
    for name, value in {"CLIENT_ID": "c", "CLIENT_SECRET": "s"}.items():
        monkeypatch.setenv(f"OAUTH_{name}", value)
    monkeypatch.setenv("OPENID_PROVIDER_URL", "https://huggingface.co")
    monkeypatch.setenv("SPACE_HOST", "team-space.hf.space,own.example")
    found = Provider.from_environment()
    assert found is not None
    assert (found.owner, found.host) == ("team", "team-space.hf.space")


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        (None, None, 200),
        ("localhost:7860", "http://localhost:7860", 200),
        ("[::1]:7860", "http://[::1]:7860", 200),
        ("evil.example", None, 403),  # a name that was made to mean this machine
        ("127.0.0.1.evil.example:7860", None, 403),
        ("127.0.0.1:7860", "https://evil.example", 403),  # another page asks
        ("127.0.0.1:7860", "null", 403),
        ("[", None, 403),
    ],
)
def test_without_a_password_only_this_machines_own_pages_are_answered(
    tmp_path: Path, host: str | None, origin: str | None, status: int
) -> None:
    headers = {"host": host, "origin": origin}
    given = {name: value for name, value in headers.items() if value is not None}
    with served(create_app(Context(tmp_path), mcp=True)) as url:
        for path in ("config", "gradio_api/info"):
            assert httpx.get(f"{url}{path}", headers=given).status_code == status, path
        posted = httpx.post(f"{url}gradio_api/call/search", json={"data": ["x"]}, headers=given)
        assert posted.status_code == status


@pytest.mark.parametrize(
    ("host", "password", "at_home"),
    [("127.0.0.1", "", True), ("127.0.0.1", PASSWORD, False), ("0.0.0.0", PASSWORD, False)],
)
def test_any_folder_is_indexed_only_for_who_sits_at_this_machine(
    host: str, password: str, at_home: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served_as: list[Context] = []
    monkeypatch.setattr("space_app.app.serve", lambda context, **_: served_as.append(context))
    monkeypatch.setenv("PATTERNHUB_PASSWORD", password)
    result = CliRunner().invoke(main, ["--hub", str(tmp_path), "ui", "--host", host])
    assert result.exit_code == 0, result.output
    assert [context.at_home for context in served_as] == [at_home]


def test_the_address_is_said_once_it_is_listened_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hub.cli", "--hub", str(tmp_path), "ui", "--port"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, "0"], stderr=pipe, text=True) as program:
        assert program.stderr is not None
        url = next(line for line in program.stderr if line.startswith("http://")).strip()
        taken = url.rpartition(":")[2]
        second = subprocess.run([*command, taken], capture_output=True, text=True)
        page = httpx.get(f"{url}/config")
        program.terminate()
    assert page.json()["title"] == "Pattern Hub"
    assert second.returncode == 2
    assert "cannot be listened on" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_password_covers_pages_functions_and_tools(tmp_path: Path) -> None:
    app = create_app(Context(tmp_path), password=PASSWORD, mcp=True)
    with served(app) as url:
        for path in ("config", "gradio_api/info", "mcp"):
            assert httpx.get(f"{url}{path}").status_code == 401, path
        for path in ("gradio_api/call/search", "gradio_api/queue/join", "mcp"):
            assert httpx.post(f"{url}{path}", json={"data": []}).status_code == 401, path
