"""What the tests share: one runtime cache, deterministic encoders, small trees of real code."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from hub import Hub
from hub.config import Embedding
from hub.store.encoders import Encoders
from tests.tiny_model import tiny  # noqa: F401 - a fixture for all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hub.types import Vectors


# On a busy machine drawing is slow, too: that says nothing of the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture(scope="session", autouse=True)
def runtime_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All workers of a run share one cache of runtime files, outside the user's own."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    os.environ["PATTERNHUB_CACHE"] = str(shared / "runtime-cache")
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["OMP_NUM_THREADS"] = "1"  # threads over matrices this small only wait


class WordEncoder:
    """Sums a fixed random direction per word; counts what it is asked to embed."""

    def __init__(self, name: str, dimension: int) -> None:
        self.name = name
        self.digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        self.dimension = dimension
        self.embedded: list[str] = []

    def encode_documents(
        self, texts: Sequence[str], *, on_done: Callable[[int], None] | None = None
    ) -> Vectors:
        self.embedded += texts
        if on_done:
            on_done(len(texts))
        return np.array([self._vector(text) for text in texts], dtype=np.float32).reshape(
            len(texts), self.dimension
        )

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return np.array([self._vector(text) for text in texts], dtype=np.float32)

    def _vector(self, text: str) -> Vectors:
        total = np.full(self.dimension, 1e-3)
        for word in re.findall(r"[a-z]+", text.lower()):
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
            total += np.random.default_rng(seed).standard_normal(self.dimension)
        return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


def word_encoders(name: str = "words", dimension: int = 48) -> Encoders:
    return Encoders(fast=WordEncoder(f"{name}-fast", 32), best=WordEncoder(name, dimension))


def configured_encoders(config: Embedding, folder: Path) -> Encoders:
    """In place of ``open_encoders``: another model's best vectors have other directions."""
    known = config.model == Embedding().model
    return word_encoders() if known else word_encoders(config.model, 64)


@pytest.fixture
def encoders() -> Encoders:
    return word_encoders()


DRIVER = f"""
import sys

sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
import hub.indexing
import hub.store.encoders
import hub.writing
from tests.conftest import configured_encoders

hub.store.encoders.open_encoders = configured_encoders
hub.writing.WRITE_BATCH = 40
hub.indexing.EMBED_BATCH = 32
hub.indexing.ONE_PUBLISH = 8
if sys.argv[1:]:
    from hub.cli import main

    print("ready", file=sys.stderr, flush=True)
    main()
"""


def driver(folder: Path) -> Path:
    """The real command line as a script, with :func:`configured_encoders` and small batches.

    It says "ready" on standard error when everything is imported.
    """
    path = folder / "driver.py"
    path.write_text(DRIVER)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small source tree."""
    return write_tree(tmp_path / "tree")


@pytest.fixture
def hub(tmp_path: Path, encoders: Encoders) -> Hub:
    """An empty hub with deterministic encoders."""
    folder = tmp_path / "hub"
    folder.mkdir()
    return Hub.open(folder, encoders=encoders)


FILES = {
    "src/retry.py": '''"""Calls that may fail."""

import time


def retry_with_backoff(call, attempts=5):
    """Call again with growing pauses until it succeeds."""
    for attempt in range(attempts):
        try:
            return call()
        except OSError:
            time.sleep(2 ** attempt)
    raise TimeoutError


class Client:
    """Talks to the server."""

    timeout = 30

    def send(self, request):
        """Send one request and return the answer."""
        return retry_with_backoff(lambda: request)

    def close(self):
        self.open = False
''',
    "src/dates.ts": """import { z } from "zod";

/** Parses an ISO date; throws on anything else. */
export function parseIsoDate(text: string): Date {
  return new Date(text);
}

export const formatDay = (day: Date): string => day.toISOString().slice(0, 10);
""",
    "tests/test_retry.py": """from retry import retry_with_backoff


def test_retry_with_backoff_gives_up():
    assert retry_with_backoff
""",
    "README.md": "# Tool\n\nIntro.\n\n## Retry\n\nWe retry HTTP calls with backoff.\n",
    "notes.toml": 'title = "settings"\n',
}


def write_tree(root: Path) -> Path:
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def git(folder: Path, *arguments: str) -> str:
    """Run git as a person with a name would."""
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def age(root: Path) -> None:
    """Date files back, so that their times can be trusted at once."""
    for path in root.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            stamp = path.stat().st_mtime_ns - 10_000_000_000
            os.utime(path, ns=(stamp, stamp))
