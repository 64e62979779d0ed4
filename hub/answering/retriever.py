"""The hub as a retriever of LlamaIndex, for any of its pipelines.

from llama_index.core.query_engine import RetrieverQueryEngine

engine = RetrieverQueryEngine.from_args(hub.as_retriever(limit=8), llm=llm)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode

from hub.types import PATTERN_FIELDS, Pattern, SearchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llama_index.core.schema import QueryBundle

SHOWN = ("location", "symbol")  # of the metadata, to a pipeline's own model
_FIELDS = tuple(name for name in PATTERN_FIELDS if name not in ("id", "text"))


class PatternRetriever(BaseRetriever):
    """Patterns as nodes, best first: the pattern's id, text and place, with the search's score."""

    def __init__(self, search: Callable[[str], list[SearchResult]]) -> None:
        """``search`` is a hub's, with its limit and filters."""
        super().__init__()
        self._search = search

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [_node(result) for result in self._search(query_bundle.query_str)]


def results_of(nodes: Iterable[NodeWithScore]) -> list[SearchResult]:
    """The hits that :class:`PatternRetriever` made nodes of."""
    results = []
    for rank, each in enumerate(nodes, start=1):
        known: dict[str, Any] = {name: each.node.metadata[name] for name in _FIELDS}
        pattern = Pattern(id=each.node.node_id, text=each.node.get_content(), **known)
        tier = str(each.node.metadata["tier"])
        results.append(SearchResult(rank=rank, score=each.score or 0.0, tier=tier, pattern=pattern))
    return results


def _node(result: SearchResult) -> NodeWithScore:
    pattern = result.pattern
    metadata: dict[str, Any] = {name: getattr(pattern, name) for name in _FIELDS}
    metadata |= {"tier": result.tier, "location": pattern.location}
    hidden = [name for name in metadata if name not in SHOWN]
    node = TextNode(
        id_=pattern.id,
        text=pattern.text,
        metadata=metadata,
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=hidden,
    )
    return NodeWithScore(node=node, score=result.score)
