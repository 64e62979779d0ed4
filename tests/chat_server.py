"""An OpenAI-compatible server on loopback: a tiny real model, or an endpoint in trouble."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from training.generate import LocalModel

    Reply = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    """Answers chat completions as the server's ``reply`` does, and keeps what it was asked."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)  # type: ignore[attr-defined]
        self.server.reply(self, body)  # type: ignore[attr-defined]

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def event(self, text: str | dict[str, Any]) -> None:
        data = text if isinstance(text, str) else json.dumps(text)
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def piece(self, text: str) -> None:
        self.event({"choices": [{"delta": {"content": text}, "finish_reason": None}]})

    def end(self, finish: str = "stop", **usage: int) -> None:
        self.event({"choices": [{"delta": {}, "finish_reason": finish}]})
        self.event({"choices": [], "usage": usage})
        self.event("[DONE]")

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def chat_server(reply: Reply) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers by ``reply``: its base URL, and what it is asked as it comes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.reply, server.asked = reply, []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", server.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def served(model: LocalModel, base: str) -> Reply:
    """Replies of a local model: ``base`` is its own name, others are names of its adapters."""
    from training.generate import Completion, Request

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        adapter = "" if body["model"] == base else body["model"]
        if adapter and adapter not in model.adapters:
            handler.send_error(404, f"no model {adapter}")
            return
        handler.begin()
        parts = model.stream(
            [Request(body["messages"], adapter)],
            max_tokens=body["max_tokens"],
            stop=tuple(body.get("stop", ())),
            seed=body["seed"],
            temperature=body["temperature"],
        )
        for _, part in parts:
            if isinstance(part, Completion):
                tokens = {"prompt_tokens": part.prompt_tokens, "completion_tokens": part.tokens}
                handler.end(part.finish, **tokens)
            else:
                handler.piece(part)

    return reply
