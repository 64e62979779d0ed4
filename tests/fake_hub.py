"""A small Hugging Face Hub on loopback, for the real client: repositories, commits and tags.

It answers what `HfApi.create_repo`, `upload_folder`, `create_tag` and the downloads ask, and can be
told to fail. `tests/fake_cloud.py` adds buckets, Spaces and Jobs to it, as routes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.json_handler import JsonHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answer = tuple[int, bytes, dict[str, str]]
    Route = Callable[[str, str, Any, bytes], Answer | None]  # method, path, headers, body

OID = "0" * 39
KINDS = ("models", "datasets", "spaces")


def git_digest(content: bytes) -> str:
    """What git, and so the Hub, calls a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry(path: str, content: bytes) -> dict[str, Any]:
    """A file in a listing; weights are large files, which the Hub knows by another digest."""
    about = {"type": "file", "path": path, "oid": git_digest(content), "size": len(content)}
    if path.endswith(".safetensors"):
        about["oid"] = git_digest(b"pointer")
        sha256 = hashlib.sha256(content).hexdigest()
        about["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
    return about


@dataclass
class FakeHub:
    """What was sent, and what to answer instead: ``failures`` are used up one a commit."""

    url: str = ""
    token: str = "hf_right"
    private: dict[str, bool] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: int = 0
    failures: list[int] = field(default_factory=list)  # statuses; 0 hangs up
    faults: list[tuple[str, int]] = field(default_factory=list)  # the same, by "METHOD path" regex
    role: str = "write"  # of the token
    gated: set[str] = field(default_factory=set)
    routes: list[Route] = field(default_factory=list)
    open_routes: list[Route] = field(default_factory=list)  # with tokens of their own
    seen: list[str] = field(default_factory=list)  # "METHOD path" of each request

    def fault(self, request: str) -> int | None:
        """The status to fail with, used up; None: answer."""
        for at, (pattern, status) in enumerate(self.faults):
            if re.search(pattern, request):
                del self.faults[at]
                return status
        return None


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A running stand-in; it ends with the block."""
    state = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(state: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(JsonHandler, BaseHTTPRequestHandler):
        def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self) -> None:
            self.serve(b"")

        def do_HEAD(self) -> None:
            self.serve(b"")

        def do_POST(self) -> None:
            self.serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        do_PUT = do_DELETE = do_POST  # noqa: N815 - their names are the server's

        def serve(self, body: bytes) -> None:
            path = unquote(self.path.partition("?")[0])
            request = f"{self.command} {path}"
            state.seen.append(request)
            fault = state.fault(request)
            if fault == 0:
                self.connection.close()
                return
            if fault:
                self.answer({"error": "not now"}, fault)
                return
            for route in state.open_routes:
                if found := route(self.command, path, self.headers, body):
                    self.send(*found)
                    return
            if self.headers.get("Authorization") != f"Bearer {state.token}":
                self.answer({"error": "Invalid credentials"}, 401)
                return
            for route in state.routes:
                if found := route(self.command, path, self.headers, body):
                    self.send(*found)
                    return
            if path == "/api/whoami-v2":
                access = {"displayName": "t", "role": state.role}
                auth = {"type": "access_token", "accessToken": access}
                self.answer({"type": "user", "name": "team", "orgs": [], "auth": auth})
                return
            if "/resolve/" in path:
                self.resolve(path)
                return
            if path.endswith("/auth-check"):
                self.check(path.removeprefix("/api/models/").removesuffix("/auth-check"))
                return
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
                known = name in state.files
                state.files.setdefault(name, {})
                private = asked.get("private") or asked.get("visibility") == "private"
                state.private.setdefault(name, bool(private))
                kind = asked.get("type") or "model"
                url = f"{state.url}/{'' if kind == 'model' else f'{kind}s/'}{name}"
                self.answer({"url": url, "name": name, "id": name}, 409 if known else 200)
                return
            if path == "/api/validate-yaml":  # the card's front matter
                self.answer({"errors": [], "warnings": []})
                return
            kind, owner, short, *rest = path.removeprefix("/api/").split("/")
            verb = rest.pop(0) if rest else "revision"
            assert kind in KINDS
            if f"{owner}/{short}" in state.files:
                self.repository(f"{owner}/{short}", verb, rest, body)
            else:
                self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def repository(self, name: str, verb: str, rest: list[str], body: bytes) -> None:
            if verb in ("tree", "revision") and rest and f"{name}@{rest[0]}" in state.files:
                name = f"{name}@{rest[0]}"
            if verb == "preupload":
                files = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in json.loads(body)["files"]
                ]
                self.answer({"files": files})
            elif verb in ("tree", "revision"):
                listed = [entry(path, content) for path, content in state.files[name].items()]
                names = [{"rfilename": file["path"]} for file in listed]
                about = {"id": name, "sha": f"{OID}{state.commits}", "siblings": names}
                self.answer(listed if verb == "tree" else about)
            elif verb == "branch":
                state.files.setdefault(f"{name}@{rest[0]}", {})
                self.answer({})
            elif verb == "commit":
                on = f"{name}@{rest[0]}"  # a branch has files of its own
                self.commit(on if on in state.files else name, body)
            elif verb == "tag":
                state.tags[json.loads(body)["tag"]] = rest[0]
                self.answer({})
            else:
                self.answer({"error": f"no {verb} here"}, 404)

        def check(self, name: str) -> None:
            """Whether the token may read a model."""
            if name in state.gated:
                self.send(403, b"{}", {"X-Error-Code": "GatedRepo"})
            elif name not in state.files:
                self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            else:
                self.answer({})

        def resolve(self, path: str) -> None:
            """A file of a repository, at whatever revision."""
            repository, _, rest = path.strip("/").partition("/resolve/")
            name = "/".join(repository.split("/")[-2:])
            content = state.files.get(name, {}).get(rest.partition("/")[2])
            if content is None:
                self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            about = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
            self.send(200, content, about | {"X-Repo-Commit": f"{OID}{state.commits}"[-40:]})

        def commit(self, name: str, body: bytes) -> None:
            if state.failures:
                status = state.failures.pop(0)
                if status:
                    self.answer({"error": "not now"}, status)
                else:
                    self.connection.close()
                return
            for line in body.splitlines():
                operation = json.loads(line)
                value = operation["value"]
                if operation["key"] == "file":
                    state.files[name][value["path"]] = base64.b64decode(value["content"])
                elif operation["key"] == "deletedFile":
                    del state.files[name][value["path"]]
            state.commits += 1
            oid = f"{OID}{state.commits}"
            url = f"{state.url}/datasets/{name}/commit/{oid}"
            self.answer({"success": True, "commitUrl": url, "commitOid": oid, "commitId": oid})

    return Handler
