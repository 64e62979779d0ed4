"""The errors a user sees as a sentence instead of a traceback."""


class HubError(Exception):
    """A problem the user can act on: the message names the value, the place and the way out."""

    exit_status = 2


class FailedCheckError(HubError):
    """A check that was asked for has failed; nothing is wrong with how it was asked."""

    exit_status = 1


class OtherModelError(HubError):
    """The vectors are of another model than the one they were asked of, or not there any more."""


class MissingExtraError(HubError):
    """A feature needs packages that an optional extra installs."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the '{extra}' extra: pip install 'pattern-hub[{extra}]'")
