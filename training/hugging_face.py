"""The Hub as this package asks it: errors as sentences with a way out, and patience."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from huggingface_hub import HfApi

    Result = TypeVar("Result")

WAIT = 10.0  # seconds for a first answer
FEW, MANY = 6, 30  # tries: a minute, and a quarter of an hour
LOG_IN = "set HF_TOKEN, or log in with `hf auth login`"
WAYS_OUT = {
    400: "the Hub does not understand the request",
    401: f"the token is missing or wrong: {LOG_IN}",
    402: "it has to be paid for: add a payment method or credits on the Hub",
    403: "the token may not do that: it needs the role 'write' and access to the organisation",
    404: "it is not there, or the token may not see it",
    409: "somebody else is writing there: try again",
    413: "there is no space left for it: free storage on the Hub, or name another organisation",
    429: "too many requests: wait, then run the same command again",
    507: "there is no space left for it: free storage on the Hub, or name another organisation",
}


class HubAnswerError(TrainingError):
    """The Hub said no, or nothing; ``passing`` is what may be otherwise a minute later."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


def hub() -> HfApi:
    """The client; endpoint and token are what the environment says.

    It draws no bars, which would bury what a run tells; HF_HUB_DISABLE_PROGRESS_BARS=0 has them.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.constants import HF_HUB_DISABLE_PROGRESS_BARS
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if HF_HUB_DISABLE_PROGRESS_BARS is None:
        disable_progress_bars()
    return HfApi()


def is_at_hand(model: str) -> bool:
    """Whether ``model`` need not, or cannot, be asked of the Hub: a folder, or there is no Hub.

    Asked once: what loads a model asks for each of its files, and without a network for each six
    times with pauses of 23 seconds in all. A refusal is an answer.
    """
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    if Path(model).is_dir():
        return True
    try:
        HfApi().model_info(model, timeout=WAIT)
    except (HfHubHTTPError, HFValidationError):
        return False
    except (httpx2.TransportError, OfflineModeIsEnabled):
        return True
    return False


def is_here(base: str, revision: str = "") -> bool:
    """Whether a base's weights are on this machine: a folder, or downloaded before."""
    from huggingface_hub import try_to_load_from_cache
    from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

    if Path(base).is_dir():
        return True
    names = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)
    found = (try_to_load_from_cache(base, name, revision=revision or None) for name in names)
    return any(isinstance(path, str) for path in found)


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Whatever goes wrong with the Hub inside the block becomes one sentence about ``what``.

    Raises:
        HubAnswerError: names the status and the way out.
    """
    import httpx2
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalTokenNotFoundError,
    )

    try:
        yield
    except LocalTokenNotFoundError as error:  # an OSError, though nothing was asked
        raise HubAnswerError(f"{what}: there is no token: {LOG_IN}", passing=False) from error
    except GatedRepoError as error:
        raise HubAnswerError(
            f"{what}: its licence is not accepted yet, do so on its page on the Hub", passing=False
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        way = WAYS_OUT.get(status, "try again later; what was saved stays")
        passing = (status >= 500 and status != 507) or status in {408, 429}
        raise HubAnswerError(f"{what}: the Hub answers {status}: {way}", passing=passing) from error
    except HFValidationError as error:
        raise HubAnswerError(f"{what}: {error}", passing=False) from error
    except (httpx2.HTTPError, OSError, RuntimeError) as error:  # hf_xet raises RuntimeErrors
        if isinstance(error, NotImplementedError | RecursionError):
            raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HubAnswerError(
            f"{what}: the Hub cannot be reached, or hung up: {first}", passing=True
        ) from error


def may_write(api: HfApi) -> str:
    """Whose token it is, and its role, which is not "read".

    Raises:
        TrainingError: it may only read, or is no token.
    """
    with asking("the token"):
        known = api.whoami()
    role = known.get("auth", {}).get("accessToken", {}).get("role", "of unknown rights")
    if role == "read":
        raise TrainingError(
            "the token may only read: make one with the role 'write' at "
            "https://huggingface.co/settings/tokens"
        )
    return f"{known['name']}, {role}"


def patiently(call: Callable[..., Result], *arguments: Any, tries: int = FEW) -> Result:
    """Call again, ever more slowly up to once a minute, while the trouble may pass.

    Raises:
        HubAnswerError: the last one.
    """
    from tenacity import (
        Retrying,
        before_sleep_log,
        retry_if_exception,
        stop_after_attempt,
        wait_random_exponential,
    )

    retrying = Retrying(
        retry=retry_if_exception(lambda e: isinstance(e, HubAnswerError) and e.passing),
        wait=wait_random_exponential(multiplier=1, max=60),
        stop=stop_after_attempt(tries),
        before_sleep=before_sleep_log(logging.getLogger(__name__), logging.WARNING),
        reraise=True,
    )
    return retrying(call, *arguments)
