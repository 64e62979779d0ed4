"""An OpenAI-compatible endpoint: one request, with back-off where it limits the rate."""

from __future__ import annotations

import os
from typing import Any

from hub.errors import HubError

ATTEMPTS = 6
LONGEST_WAIT = 60.0  # seconds between two attempts


def post(url: str, body: dict[str, Any], key_name: str, *, timeout: float = 120) -> Any:
    """The endpoint's answer to ``body``, as JSON.

    Args:
        url: Of the method, such as ``http://localhost:8000/v1/embeddings``.
        body: What is asked.
        key_name: The environment variable that holds the key; without a value none is sent.
        timeout: Seconds that one answer may take.

    Raises:
        HubError: it cannot be reached, refuses, answers no JSON, or is busy for too long.
    """
    import httpx
    from tenacity import Retrying, retry_if_exception, stop_after_attempt

    headers = _headers(key_name)

    def call() -> Any:
        response = httpx.post(url, json=body, headers=headers, timeout=timeout)
        response.raise_for_status()
        return response.json()

    retrying = Retrying(
        retry=retry_if_exception(_worth_retrying),
        wait=_wait,
        stop=stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    try:
        return retrying(call)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise HubError(f"the endpoint {url} failed: {error}") from error


def _headers(key_name: str) -> dict[str, str]:
    key = os.environ.get(key_name, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise HubError(f"the key in {key_name} holds characters that no key can have")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _worth_retrying(error: BaseException) -> bool:
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return status in (408, 429) or status >= 500
    never = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)  # the request itself is wrong
    return isinstance(error, httpx.TransportError) and not isinstance(error, never)


def _wait(state: Any) -> float:
    """What the server asks for in Retry-After, else twice as long each time."""
    error = state.outcome.exception()
    asked = getattr(getattr(error, "response", None), "headers", {}).get("retry-after", "")
    seconds = (
        float(asked) if asked.replace(".", "", 1).isdecimal() else 2.0**state.attempt_number / 4
    )
    return min(seconds, LONGEST_WAIT)
