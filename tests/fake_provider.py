"""A small OpenID provider on loopback, for the real client: everyone who asks is signed in at once.

It answers as huggingface.co does: discovery, an authorization that comes back with a code, a token
with a signed id_token that names the person and their organisations.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from space_app.sign_in import Provider
from tests.json_handler import JsonHandler

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT, SECRET, TOKEN = "space-client", "space-secret", "hf_oauth_of_a_person"


@dataclass
class FakeProvider:
    """Who signs in next, and what to fail with."""

    url: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    broken: bool = False  # the token is refused
    key: RSAKey = field(
        default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k", "use": "sig"})
    )

    def is_now(self, name: str, **roles: str) -> None:
        """The person, and by organisation their role there."""
        orgs = [{"preferred_username": org, "roleInOrg": role} for org, role in roles.items()]
        self.person = {"preferred_username": name, "name": name, "orgs": orgs}

    def provider(self, owner: str) -> Provider:
        return Provider(
            client_id=CLIENT, client_secret=SECRET, scopes="openid profile", url=self.url,
            owner=owner,
        )  # fmt: skip


@contextmanager
def fake_provider() -> Iterator[FakeProvider]:
    """A running stand-in; it ends with the block."""
    state = FakeProvider()
    nonces: dict[str, str] = {}

    class Handler(JsonHandler, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            if url.path == "/.well-known/openid-configuration":
                ends = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
                found = {f"{name}_endpoint": f"{state.url}/{path}" for name, path in ends.items()}
                known = {"issuer": state.url, "jwks_uri": f"{state.url}/jwks"}
                self.answer(known | found | {"id_token_signing_alg_values_supported": ["RS256"]})
            elif url.path == "/jwks":
                self.answer({"keys": [state.key.as_dict(private=False)]})
            else:
                assert asked["client_id"] == CLIENT
                code = f"code-{len(nonces)}"
                nonces[code] = asked["nonce"]
                back = urlencode({"code": code, "state": asked["state"]})
                self.send_response(302)
                self.send_header("Location", f"{asked['redirect_uri']}?{back}")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            code = parse_qs(body)["code"][0]
            if state.broken:
                self.answer({"error": "server_error"}, 500)
                return
            now = int(time.time())
            claims = {
                "iss": state.url, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 3600,
                "nonce": nonces.pop(code),
            }  # fmt: skip
            signed = jwt.encode({"alg": "RS256", "kid": "k"}, claims | state.person, state.key)
            token = {"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600}
            self.answer(token | {"id_token": signed, "scope": "openid profile"})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
