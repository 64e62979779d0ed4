"""What the Hugging Face Hub refuses, as a sentence that says what to do about it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hub.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS_OUT = {
    401: "the token is missing or wrong: set HF_TOKEN, or log in with `hf auth login`",
    403: "the token may not write there: it needs the role 'write' and access to the organisation",
    404: "there is no such repository, or the token may not see it",
    409: "somebody else is writing there: try again",
    413: "the Hub takes no files that large",
    429: "too many requests: wait, then run the same command again",
}
WAIT = 10.0  # seconds for a first answer


def is_reachable(model: str) -> bool:
    """Whether the Hub answers at all when asked for ``model``, be it with a refusal.

    Asked once: what loads a model asks for each of its files, and without a network for each six
    times with pauses of 23 seconds in all.
    """
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        HfApi().model_info(model, timeout=WAIT)
    except HfHubHTTPError:
        return True
    except (httpx2.TransportError, OfflineModeIsEnabled):
        return False
    return True


@contextmanager
def asking(repository: str) -> Iterator[None]:
    """Whatever goes wrong with ``repository`` inside the block becomes a HubError.

    Raises:
        HubError: the name is none, or the Hub refuses or is not there.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise HubError(f"{repository!r} is no name for a repository: {error}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        why = WAYS_OUT.get(status, "try again; nothing on this machine has changed")
        raise HubError(f"the Hub refuses {repository} ({status}): {why}. {error}") from error
    except (httpx2.HTTPError, OSError, RuntimeError) as error:  # hf_xet raises RuntimeErrors
        if isinstance(error, NotImplementedError | RecursionError):
            raise
        raise HubError(
            f"the Hub cannot be reached, or hung up: {error}; run the same command again"
        ) from error
