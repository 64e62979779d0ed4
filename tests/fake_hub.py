"""A small Hugging Face Hub on loopback, for the real client: repositories, commits and tags.

It answers what `HfApi.create_repo`, `upload_folder` and `create_tag` ask, and can be told to fail.
"""

from __future__ import annotations

import base64
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

OID = "0" * 39


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
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def answer(self, value: Any, status: int = 200) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.serve(b"")

        def do_POST(self) -> None:
            self.serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def serve(self, body: bytes) -> None:
            if self.headers.get("Authorization") != f"Bearer {state.token}":
                self.answer({"error": "Invalid credentials"}, 401)
                return
            path = self.path.partition("?")[0]
            if path == "/api/repos/create":
                asked = json.loads(body)
                name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
                known = name in state.files
                state.files.setdefault(name, {})
                private = asked.get("private") or asked.get("visibility") == "private"
                state.private.setdefault(name, bool(private))
                url = f"{state.url}/datasets/{name}"
                self.answer({"url": url, "name": name, "id": name}, 409 if known else 200)
                return
            if path == "/api/validate-yaml":  # the card's front matter
                self.answer({"errors": [], "warnings": []})
                return
            kind, owner, short, verb, *rest = path.removeprefix("/api/").split("/")
            assert kind == "datasets"
            self.repository(f"{owner}/{short}", verb, rest, body)

        def repository(self, name: str, verb: str, rest: list[str], body: bytes) -> None:
            if verb == "preupload":
                files = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in json.loads(body)["files"]
                ]
                self.answer({"files": files})
            elif verb in ("tree", "revision"):
                listed = [
                    {"type": "file", "path": path, "oid": OID, "size": len(content)}
                    for path, content in state.files[name].items()
                ]
                names = [{"rfilename": entry["path"]} for entry in listed]
                about = {"id": name, "sha": f"{OID}{state.commits}", "siblings": names}
                self.answer(listed if verb == "tree" else about)
            elif verb == "commit":
                self.commit(name, body)
            elif verb == "tag":
                state.tags[json.loads(body)["tag"]] = rest[0]
                self.answer({})
            else:
                self.answer({"error": f"no {verb} here"}, 404)

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
