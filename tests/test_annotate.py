"""Annotation: what rules know, what quality is made of, and that neither depends on the order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hub.cli import main
from hub.config import load_config
from hub.curate.annotate import annotate
from hub.curate.quality import WEIGHTS
from hub.curate.taxonomy import UNCLASSIFIED, shipped_taxonomies, shipped_taxonomy
from hub.preparing import with_ids
from indexers.code import chunk_file

if TYPE_CHECKING:
    from pathlib import Path

    from hub.curate.annotate import Annotation
    from hub.types import Pattern

CODE = {
    "app/http_client.py": '''"""HTTP requests with retries."""

import json
import time
import httpx


def fetch_json(url: str, timeout: float) -> dict:
    """Send a GET request and parse the response body as JSON."""
    for attempt in range(3):
        try:
            return json.loads(httpx.get(url, timeout=timeout).text)
        except httpx.TransportError:
            if attempt == 2:
                raise
            time.sleep(2**attempt)
    raise TimeoutError(url)


def x(a, b):
    # TODO: why?
    print(a)
    return a + b
''',
    "tests/test_http_client.py": """from app.http_client import fetch_json


def test_fetch_json_gives_up():
    assert fetch_json
""",
    "src/index.ts": """export default function (a: number): number {
  return a;
}
""",
}


def patterns() -> list[Pattern]:
    return [p for path, text in CODE.items()
            for p in with_ids("team", chunk_file(path, text.encode()))]  # fmt: skip


def annotated(found: list[Pattern]) -> dict[str, Annotation]:
    return annotate(found, taxonomy=shipped_taxonomy("default"))


def by_symbol() -> dict[str, Annotation]:
    found = annotated(patterns())
    return {p.symbol: found[p.id] for p in patterns() if p.kind == "function"}


def test_a_function_says_what_it_is_about_and_why() -> None:
    fetch = by_symbol()["fetch_json"]
    assert fetch.category == "networking"
    assert fetch.by == "rules"
    assert "httpx" in fetch.reason or "http" in fetch.reason
    assert fetch.technologies == ("httpx",)
    assert set(fetch.standard) == {"json", "time"}
    assert fetch.intent.startswith("Send a GET request")
    assert fetch.complexity is not None
    assert 3 <= fetch.complexity <= 5
    assert fetch.nesting is not None
    assert fetch.nesting >= 3


def test_tests_are_told_by_their_path_and_a_name_is_an_intent() -> None:
    found = by_symbol()
    assert found["test_fetch_json_gives_up"].category == "testing"
    assert found["x"].intent == "x from a and b"


def test_quality_is_the_weighted_mean_of_its_parts() -> None:
    for annotation in annotated(patterns()).values():
        assert all(0 <= part <= 1 for part in annotation.parts.values())
        assert set(annotation.parts) <= set(WEIGHTS)
        total = sum(WEIGHTS[name] for name in annotation.parts)
        mean = sum(WEIGHTS[n] * part for n, part in annotation.parts.items()) / max(total, 1e-9)
        assert annotation.quality == pytest.approx(mean if total else 0, abs=1e-3)
    found = by_symbol()
    assert found["fetch_json"].quality > found["x"].quality + 0.3


def test_being_tested_counts_and_being_a_duplicate_counts_against() -> None:
    found = patterns()
    (fetch,) = (p for p in found if p.symbol == "fetch_json")
    taxonomy = shipped_taxonomy("default")

    def quality(tested: set[str], duplicated: set[str]) -> float:
        made = annotate(found, taxonomy=taxonomy, tested=tested, duplicated=duplicated)
        return made[fetch.id].quality

    assert quality({fetch.id}, set()) > quality(set(), set()) > quality(set(), {fetch.id})


def test_the_order_of_patterns_changes_nothing() -> None:
    found = patterns()
    shuffled = random.Random(1).sample(found, len(found))
    assert annotated(found) == annotated(shuffled)


def test_no_pattern_and_a_function_without_a_name_are_survived() -> None:
    assert annotated([]) == {}
    assert all(isinstance(a.intent, str) for a in annotated(patterns()).values())


@pytest.mark.parametrize("name", ["default", "platform", "typescript-library"])
def test_a_shipped_taxonomy_is_written_by_template_and_read_again(
    tmp_path: Path, name: str
) -> None:
    assert name in shipped_taxonomies()
    categories = [c.name for c in shipped_taxonomy(name).categories]
    assert len(categories) == len(set(categories)) > 4
    assert UNCLASSIFIED not in categories
    done = CliRunner().invoke(main, ["--hub", str(tmp_path), "init", "--template", name])
    assert done.exit_code == 0
    assert load_config(tmp_path).taxonomy.name == name


def test_an_unknown_template_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--hub", str(tmp_path), "init", "--template", "mine"])
    assert done.exit_code == 2
    assert "no taxonomy is called 'mine'; there are: default, platform" in done.output
    assert not list(tmp_path.iterdir())
