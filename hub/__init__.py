"""Pattern Hub: index a team's code patterns once, then search them and export them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub.api import Hub
    from hub.errors import HubError

__all__ = ["Hub", "HubError"]


def __getattr__(name: str) -> Any:
    """Load the public names on first use, so that ``import hub`` stays instant."""
    if name == "Hub":
        from hub.api import Hub

        return Hub
    if name == "HubError":
        from hub.errors import HubError

        return HubError
    raise AttributeError(f"module 'hub' has no attribute {name!r}")
