"""Arms put together as hub.toml says: an endpoint, a model on this machine, or neither."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.errors import HubError, MissingExtraError
from hub.generator import EndpointGenerator

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub.answering.arms import Arms
    from hub.answering.retriever import PatternRetriever
    from hub.config import Config
    from hub.types import Generator, SearchResult


def retriever_of(search: Callable[..., list[SearchResult]]) -> PatternRetriever:
    """A retriever of LlamaIndex over a hub's search.

    Raises:
        MissingExtraError: LlamaIndex is not installed.
    """
    if importlib.util.find_spec("llama_index") is None:
        raise MissingExtraError("answering questions", "app")
    from hub.answering.retriever import PatternRetriever

    return PatternRetriever(search)


def open_arms(
    search: Callable[..., list[SearchResult]],
    read: Callable[[Callable[[Any], Any]], Any],
    config: Config,
    folder_of: Callable[[str], Path],
    *,
    model: str,
    adapter: str | None,
    generator: Generator | None,
) -> Arms:
    """See :meth:`hub.api.Hub.arms`.

    Args:
        search: The hub's.
        read: Calls what it is given with the hub's retriever.
        config: Of the hub.
        folder_of: Where the registry keeps an adapter; raises HubError where it has none.
        model: As given by the user; empty: as configured.
        adapter: As given by the user; None: as configured.
        generator: What answers instead.
    """
    retriever = retriever_of(search)
    from hub.answering.arms import Arms
    from hub.answering.flow import QueryFlow

    settings = config.answering
    named = settings.adapter if adapter is None else adapter
    flow = QueryFlow(retriever, read, abstain=settings.abstain)
    if generator is None:
        generator = _generator(config, folder_of, model, named)
    return Arms(flow, generator, settings, named)


def _generator(
    config: Config, folder_of: Callable[[str], Path], model: str, adapter: str
) -> Generator | None:
    """What answers; None: nothing is configured."""
    settings, endpoint = config.answering, config.generator
    if endpoint.endpoint and not settings.base:
        asked = endpoint.model_copy(update={"model": model or endpoint.model})
        return EndpointGenerator(asked, config.privacy)
    base = model or settings.base
    if not base and not adapter:
        return None
    folder = _adapter_folder(adapter, folder_of) if adapter else None
    return _local(base or _base_of(folder), settings, adapter, folder)


def _local(base: str, settings: Any, adapter: str, folder: Path | None) -> Generator:
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError("a model on this machine", "train")
    from hub.answering.local import LocalGenerator
    from training.adapter import check_base
    from training.errors import TrainingError
    from training.generate import LocalModel

    try:
        if folder is not None:
            check_base(folder, base)  # a base takes minutes to load
        model = LocalModel.load(base, revision=settings.revision, bits=settings.bits)
        if folder is not None:
            model.add(adapter, folder)
    except TrainingError as error:
        raise HubError(str(error)) from error
    return LocalGenerator(model)


def _adapter_folder(adapter: str, folder_of: Callable[[str], Path]) -> Path:
    """A folder that is one, else what the registry has."""
    given = Path(adapter).expanduser()
    return given if (given / "adapter_config.json").is_file() else folder_of(adapter)


def _base_of(folder: Path | None) -> str:
    """The base that an adapter was trained on.

    Raises:
        HubError: it does not say.
    """
    from training.adapter import base_of
    from training.errors import TrainingError

    assert folder is not None
    try:
        return base_of(folder)
    except TrainingError as error:
        raise HubError(str(error)) from error
