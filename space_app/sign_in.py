"""Signing in with Hugging Face, where the app runs as a Space with ``hf_oauth: true``.

Whoever owns the Space gets in, and members of the organisation that owns it; members whose role
there is "read" look, ask and vote, and change nothing. What the Hub says of a person is kept in a
signed cookie: their name and role, for a working day. Their token is used once, to ask for that,
and kept nowhere.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})  # names of this machine
LOGIN, CALLBACK, LOGOUT = "/login/huggingface", "/login/callback", "/logout"
MCP = "/mcp"
SECONDS = 8 * 3600  # that a person stays signed in
READER = "read"  # the role in an organisation that changes nothing
EXPIRED = "You are not signed in, or no longer: load the page again and sign in."
MAY_NOT = (
    'Your role in the organisation that owns this Space is "read": you can search, ask, compare '
    "and vote, and change nothing else."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What a Space is given to sign people in with; ``owner`` is a person or an organisation.

    ``host`` is the Space's, empty: whichever address was asked.
    """

    client_id: str
    client_secret: str
    scopes: str
    url: str
    owner: str
    host: str = ""

    @classmethod
    def from_environment(cls) -> Provider | None:
        """That of the Space that this is; None: it is none, or has no ``hf_oauth: true``."""
        known = os.environ.get
        owner = known("SPACE_AUTHOR_NAME", "") or known("SPACE_ID", "").partition("/")[0]
        given = cls(
            client_id=known("OAUTH_CLIENT_ID", ""),
            client_secret=known("OAUTH_CLIENT_SECRET", ""),
            scopes=known("OAUTH_SCOPES", "openid profile"),
            url=known("OPENID_PROVIDER_URL", ""),
            owner=owner,
            host=known("SPACE_HOST", "").split(",")[0].strip(),  # a domain of one's own comes next
        )
        needed = (given.client_id, given.client_secret, given.url, given.owner)
        return given if all(needed) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is signed in, until then; ``role`` is owner, or that in the organisation."""

    name: str
    role: str
    until: float


def person_of(known: dict[str, Any], owner: str) -> Person | None:
    """Whom the Hub's ``known`` describes, if ``owner`` or a member of it."""
    name, until = str(known["preferred_username"]), time.time() + SECONDS
    if name == owner:
        return Person(name=name, role="owner", until=until)
    for organisation in known.get("orgs") or []:
        if organisation["preferred_username"] == owner:
            role = str(organisation.get("roleInOrg") or "member")
            return Person(name=name, role=role, until=until)
    return None


def members_only(act: Callable[..., Any]) -> Callable[..., Any]:
    """``act`` for those who may change something; others are told why they may not."""

    def guarded(request: gr.Request, *values: Any) -> Any:
        person = getattr(request.state, "person", None)
        if person is not None and person.role == READER:
            raise gr.Error(MAY_NOT, title="Not allowed", print_exception=False)
        return act(*values)

    return guarded


def gates(provider: Provider | None, password: str) -> list[Middleware]:
    """What stands before the app: sign-in where there is a provider; else Gradio's own login asks
    for the password, and tools for agents take it as a bearer token. Without either it answers to
    this machine alone."""
    if provider:
        on_space = bool(provider.host)
        secret = hashlib.sha256(f"pattern-hub {provider.client_secret}".encode()).hexdigest()
        session = Middleware(
            SessionMiddleware,
            secret_key=secret,
            max_age=SECONDS,
            same_site="none" if on_space else "lax",  # a Space is shown in a frame of the Hub
            https_only=on_space,
        )
        return [session, Middleware(Gate, provider=provider, password=password)]
    return [Middleware(ToolsGate, password=password) if password else Middleware(LocalGate)]


def is_agent(scope: Scope, password: str) -> bool:
    """Whether a request for tools brings the app's password."""
    given = Request(scope).headers.get("authorization", "")
    return bool(password) and secrets.compare_digest(given.encode(), f"Bearer {password}".encode())


class LocalGate:
    """Refuses what a page of another host could make a browser here send: requests under a name
    that this host made to mean this machine (DNS rebinding), and those that come from its pages."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = HTTPConnection(scope).headers
            asked, asking = headers.get("host", ""), headers.get("origin")
            names = [_host_of(f"//{asked}")] + ([_host_of(asking)] if asking else [])
            if not LOCAL.issuperset(names):
                said = "without a password this app answers to this machine alone, as localhost\n"
                await PlainTextResponse(said, 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class ToolsGate:
    """Lets agents' tools through with the password; Gradio's login does not cover them."""

    def __init__(self, app: ASGIApp, *, password: str) -> None:
        self.app = app
        self.password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for_tools = scope["type"] == "http" and scope["path"].startswith(MCP)
        if for_tools and not is_agent(scope, self.password):
            said = "tools take the app's password as a bearer token"
            await JSONResponse({"error": said}, 401)(scope, receive, send)
            return
        await self.app(scope, receive, send)


class Gate:
    """Lets nobody through who is not signed in, but agents with the password to their tools; the
    next app finds who it is in ``state``."""

    def __init__(self, app: ASGIApp, *, provider: Provider, password: str = "") -> None:
        from authlib.integrations.starlette_client import OAuth

        self.app = app
        self.provider = provider
        self.password = password
        self.client = OAuth().register(
            name="huggingface",
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            client_kwargs={"scope": provider.scopes},
            server_metadata_url=f"{provider.url.rstrip('/')}/.well-known/openid-configuration",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for_tools = scope["type"] == "http" and scope["path"].startswith(MCP)
        if scope["type"] == "lifespan" or (for_tools and is_agent(scope, self.password)):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        if answer := await self._own(request):
            await answer(scope, receive, send)
            return
        person = self._person(request)
        if person is None:
            await self._refusal(request)(scope, receive, send)
            return
        scope.setdefault("state", {})["person"] = person
        await self.app(scope, receive, send)

    async def _own(self, request: Request) -> Response | None:
        """The answer to what concerns signing in; None: it is the app's."""
        path = request.url.path
        if path == LOGOUT:
            request.session.clear()
            return RedirectResponse("/")
        if path not in (LOGIN, CALLBACK):
            return None
        import httpx2  # what authlib asks with
        from authlib.common.errors import AuthlibBaseError
        from joserfc.errors import JoseError

        form = (KeyError, TypeError, ValueError, RuntimeError)  # a reply that is none
        try:
            if path == LOGIN:
                request.session.clear()  # or what earlier attempts left fills the cookie
                answer: Response = await self.client.authorize_redirect(
                    request, self._back(request)
                )
                return answer
            return await self._signed_in(request)
        except (AuthlibBaseError, JoseError, httpx2.HTTPError, *form) as error:
            said = f"Signing in did not work ({type(error).__name__}). Try again."
            return _page(said, 502, link="Sign in with Hugging Face", blank=self._framed)

    async def _signed_in(self, request: Request) -> Response:
        told = await self.client.authorize_access_token(request)
        known = told.get("userinfo") or await self.client.userinfo(token=told)
        person = person_of(known, self.provider.owner)
        request.session.clear()
        if person is None:
            said = (
                f"You are signed in as {known['preferred_username']}. This Space is for "
                f"{self.provider.owner} and members of it."
            )
            return _page(said, 403, link="Sign in as somebody else", blank=self._framed)
        request.session["person"] = asdict(person)
        return RedirectResponse("/")

    def _person(self, request: Request) -> Person | None:
        known = request.session.get("person")
        person = Person(**known) if known else None
        return person if person and person.until > time.time() else None

    def _back(self, request: Request) -> str:
        base = (
            f"https://{self.provider.host}" if self._framed else str(request.base_url).rstrip("/")
        )
        return f"{base}{CALLBACK}"

    @property
    def _framed(self) -> bool:
        return bool(self.provider.host)

    def _refusal(self, request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            said = f"This is for {self.provider.owner} and members of it."
            return _page(said, 401, link="Sign in with Hugging Face", blank=self._framed)
        return JSONResponse({"error": EXPIRED, "detail": EXPIRED}, 401)


def _page(said: str, status: int, *, link: str, blank: bool) -> Response:
    """A page with one sentence and the way to sign in; ``blank``: in a window of its own, for the
    Hub's page cannot be shown in a frame."""
    target = ' target="_blank" rel="opener"' if blank else ""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pattern Hub</title>'
        f'<meta name="viewport" content="width=device-width">'
        f'<main style="font-family:system-ui;max-width:40em;margin:4em auto;padding:0 1em">'
        f'<h1>Pattern Hub</h1><p>{escape(said)}</p><p><a href="{LOGIN}"{target}>{escape(link)}</a>'
        "</p></main></html>",
        status,
    )
