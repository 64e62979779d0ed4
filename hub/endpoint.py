"""An OpenAI-compatible endpoint: one request, with back-off where it limits the rate."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Generator

    from tenacity import Retrying

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

    headers = _headers(key_name)

    def call() -> Any:
        response = httpx.post(url, json=body, headers=headers, timeout=timeout)
        response.raise_for_status()
        return response.json()

    try:
        return _retrying()(call)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise _failed(url, error) from error


def stream_events(
    url: str, body: dict[str, Any], key_name: str, *, timeout: float
) -> Generator[str, None, None]:
    """The data of each server-sent event that answers ``body``, as it comes.

    Only the request is tried again: a stream that has begun is not asked for twice.

    Args:
        url: Of the method, such as ``http://localhost:8000/v1/chat/completions``.
        body: What is asked.
        key_name: The environment variable that holds the key; without a value none is sent.
        timeout: Seconds without a byte, after which it is given up.

    Raises:
        HubError: it cannot be reached, refuses, is busy for too long, or breaks off.
    """
    import httpx

    headers = _headers(key_name)
    with contextlib.ExitStack() as stack:

        def call() -> httpx.Response:
            asked = httpx.stream("POST", url, json=body, headers=headers, timeout=timeout)
            with contextlib.ExitStack() as attempt:
                response = attempt.enter_context(asked)
                response.raise_for_status()
                stack.push(attempt.pop_all())
            return response

        try:
            for line in _retrying()(call).iter_lines():
                if line.startswith("data:"):
                    yield line.removeprefix("data:").strip()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
            raise _failed(url, error) from error


def _failed(url: str, error: Exception) -> HubError:
    import httpx

    if isinstance(error, httpx.HTTPStatusError):  # its own words go on with an address to read
        answer = error.response
        return HubError(f"the endpoint {url} answers {answer.status_code} {answer.reason_phrase}")
    return HubError(f"the endpoint {url} failed: {error}")


def _retrying() -> Retrying:
    from tenacity import Retrying, retry_if_exception, stop_after_attempt

    return Retrying(
        retry=retry_if_exception(_worth_retrying),
        wait=_wait,
        stop=stop_after_attempt(ATTEMPTS),
        reraise=True,
    )


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
