"""Words and BM25: identifiers come apart the same way everywhere, scores follow the formula."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.preparing import with_ids
from hub.store.lexical import (
    BM25,
    K1,
    B,
    ChunkTerms,
    Postings,
    Terms,
    chunk_terms,
    name_hash,
    query_terms,
)
from hub.types import Chunk
from hub.words import content_text, place_text, split_words


def chunk(text: str, *, path: str = "", symbol: str = "") -> Chunk:
    return Chunk(
        path=path,
        start_byte=0,
        end_byte=0,
        start_line=1,
        end_line=1,
        language="python",
        kind="function",
        symbol=symbol,
        text=text,
    )


def hash_of(word: str) -> int:
    (found,) = query_terms(word)
    return int(found)


def body_counts(terms: ChunkTerms) -> dict[int, int]:
    return dict(zip(terms.body.hashes.tolist(), terms.body.counts.tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("getUserName", "get user name"),
        ("get_user_name", "get user name"),
        ("GET_USER_NAME", "get user name"),
        ("__init__", "init"),
        ("HTTPServer", "http server"),
        ("parseHTTPResponse", "parse http response"),
        ("XMLHttpRequest", "xml http request"),
        ("utf8", "utf 8"),
        ("sha256sum", "sha 256 sum"),
        ("v2Client", "v 2 client"),
        ("a.b(c)->d::e", "a b c d e"),
        ("größe", "größe"),
        ("naïve Café", "naïve café"),
        ("ÉCOLE", "école"),
        ("日本語", "日本語"),
        ("переменная", "переменная"),
        ("get用户Name", "get 用户 name"),
        ("🙂 --> !!", ""),
        ("", ""),
    ],
)
def test_identifiers_are_split_at_case_underscores_and_digits(text: str, words: str) -> None:
    assert split_words(text) == words.split()


@settings(deadline=None)
@given(st.text())
def test_no_letter_or_digit_of_ascii_text_is_lost(text: str) -> None:
    kept = [c for c in "".join(split_words(text)) if c.isascii()]
    assert Counter(kept) >= Counter(c.lower() for c in text if c.isascii() and c.isalnum())


def test_what_a_model_reads_is_headed_by_the_name_in_words() -> None:
    assert content_text(chunk("def a(): ...", symbol="Client.sendAll")) == (
        "client send all\ndef a(): ..."
    )
    assert place_text("src/httpClient/retry_all.py") == "src http client retry all py"


def test_an_identifier_counts_as_its_parts_and_as_a_whole() -> None:
    counts = body_counts(chunk_terms(chunk("getUserName")))
    parts = ["get", "user", "name", "getusername"]
    assert counts == {hash_of(word): 1 for word in parts}
    assert set(query_terms("get_user_name")) == set(counts)


def test_path_name_and_text_count_as_body_and_the_name_alone_as_name() -> None:
    terms = chunk_terms(chunk("alpha", path="beta.py", symbol="gamma"))
    assert set(body_counts(terms)) == {hash_of(w) for w in ("alpha", "beta", "py", "gamma")}
    assert terms.name.hashes.tolist() == [hash_of("gamma")]


def test_inflections_of_a_word_are_one_term() -> None:
    assert hash_of("retry") == hash_of("retries") == hash_of("Retrying")


def test_stop_words_are_left_out_of_a_query() -> None:
    assert query_terms("how do I parse the date").tolist() == query_terms("i parse date").tolist()


def test_a_query_of_stop_words_alone_still_asks_for_them() -> None:
    assert query_terms("who is it").tolist() == [hash_of(w) for w in ("who", "is", "it")]


def test_a_word_counts_once_in_a_query() -> None:
    assert len(query_terms("parse parse PARSE")) == 1


@pytest.mark.parametrize("query", ["", "   ", "?!", "🙂"])
def test_a_query_without_words_has_no_terms_and_no_scores(query: str) -> None:
    index = BM25.build(Postings.of([chunk_terms(chunk("alpha")).body]))
    assert index.scores(query_terms(query)).tolist() == [0]


def test_counts_saturate_instead_of_wrapping_around() -> None:
    terms = chunk_terms(chunk("many " * 65_537 + "few"))
    assert body_counts(terms) == {hash_of("many"): 65_535, hash_of("few"): 1}


def test_name_hashes_tell_case_and_qualification_apart() -> None:
    assert len({name_hash(name) for name in ("Client.send", "send", "Send")}) == 3
    assert name_hash("") == 0


def test_later_parts_of_a_function_carry_its_signature() -> None:
    """They are found by it, and are other patterns when it changes."""
    part = replace(chunk("value = 1", symbol="send"), signature="def send(request)", part=2)
    assert content_text(part) == "send\ndef send(request)\nvalue = 1"
    assert set(query_terms("request")) <= set(chunk_terms(part).body.hashes)
    first, second = (
        with_ids("s", [replace(part, signature=signature)])[0].id for signature in ("a", "b")
    )
    assert first != second


def test_hashes_are_the_same_in_every_process() -> None:
    program = (
        "from hub.store.lexical import name_hash, query_terms\n"
        "print(query_terms('parse the HTTPDate größe').tolist(), name_hash('a.b'))"
    )
    root = Path(__file__).parents[1]
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    here = f"{query_terms('parse the HTTPDate größe').tolist()} {name_hash('a.b')}\n"
    assert printed == {here}


def terms_of(counts: dict[int, int]) -> Terms:
    return Terms(
        np.array(list(counts), dtype=np.uint64), np.array(list(counts.values()), dtype=np.uint16)
    )


# Few small terms, so that texts share them, and the largest possible hash.
HASHES = st.sampled_from([0, 1, 2, 3, 4, 2**63, 2**64 - 1])
ROWS = st.lists(st.dictionaries(HASHES, st.integers(1, 65_535), max_size=5), max_size=8)


def brute_force(rows: list[dict[int, int]], query: list[int]) -> list[float]:
    """BM25 as Robertson and Zaragoza write it, with Lucene's idf."""
    size = len(rows)
    mean = sum(sum(row.values()) for row in rows) / size if size else 0
    scores = []
    for row in rows:
        score = 0.0
        for term in query:
            if term in row:
                holding = sum(term in other for other in rows)
                idf = math.log(1 + (size - holding + 0.5) / (holding + 0.5))
                length = sum(row.values()) / mean
                count = row[term]
                score += idf * count * (K1 + 1) / (count + K1 * (1 - B + B * length))
        scores.append(score)
    return scores


@settings(deadline=None)
@given(ROWS, st.lists(HASHES, unique=True))
def test_scores_are_those_of_the_formula(rows: list[dict[int, int]], query: list[int]) -> None:
    index = BM25.build(Postings.of([terms_of(row) for row in rows]))
    found = index.scores(np.array(query, dtype=np.uint64))
    assert found.shape == (len(rows),)
    np.testing.assert_allclose(found, brute_force(rows, query), rtol=1e-4, atol=1e-6)


def plain(postings: Postings) -> list[dict[int, int]]:
    """The rows of postings, read back one by one."""
    starts = [0, *postings.ends[:-1].tolist()]
    return [
        dict(
            zip(
                postings.hashes[start:end].tolist(),
                postings.counts[start:end].tolist(),
                strict=True,
            )
        )
        for start, end in zip(starts, postings.ends.tolist(), strict=False)
    ]


def same(a: Postings, b: Postings) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        and getattr(a, name).dtype == getattr(b, name).dtype
        for name in ("ends", "hashes", "counts")
    )


@settings(deadline=None)
@given(ROWS, st.data())
def test_taking_rows_equals_building_from_them(
    rows: list[dict[int, int]], data: st.DataObject
) -> None:
    numbers = st.integers(0, max(len(rows) - 1, 0))
    wanted = data.draw(st.lists(numbers, max_size=10 if rows else 0))
    taken = Postings.of([terms_of(row) for row in rows]).take(np.array(wanted, dtype=np.int64))
    assert plain(taken) == [rows[i] for i in wanted]
    assert same(taken, Postings.of([terms_of(rows[i]) for i in wanted]))


@settings(deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_joining_postings_equals_building_from_all_rows(parts: list[list[dict[int, int]]]) -> None:
    joined = Postings.joined([Postings.of([terms_of(row) for row in rows]) for rows in parts])
    assert same(joined, Postings.of([terms_of(row) for rows in parts for row in rows]))
