"""Text from a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.endpoint import post
from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hub.config import Generator as Settings
    from hub.types import Message

TEMPERATURE = 0.2  # what is generated is kept only if it validates: little variety is wanted


class EndpointGenerator:
    """A chat model, asked one conversation at a time."""

    def __init__(self, settings: Settings) -> None:
        """Prepare to ask; nothing is sent yet.

        Raises:
            HubError: the endpoint or the model is not named.
        """
        for key in ("endpoint", "model"):
            if not getattr(settings, key):
                raise HubError(
                    f"generator.{key} is not set: name one under [generator] in hub.toml"
                )
        self.name = settings.model
        self._url = f"{settings.endpoint.rstrip('/')}/chat/completions"
        self._settings = settings

    def generate(self, messages: Sequence[Message], *, max_tokens: int = 512) -> str:
        """See :class:`hub.types.Generator`."""
        body = {
            "model": self.name,
            "messages": [{"role": turn.role, "content": turn.content} for turn in messages],
            "max_tokens": max_tokens,
            "temperature": TEMPERATURE,
        }
        settings = self._settings
        answer = post(self._url, body, settings.api_key_env, timeout=settings.timeout)
        try:
            text = answer["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError) as error:
            raise HubError(f"{self._url} answered no text of {self.name!r}: {error!r}") from error
        if not isinstance(text, str):
            raise HubError(f"{self._url} answered {type(text).__name__} for text of {self.name!r}")
        return text
