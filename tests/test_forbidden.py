"""Forbidden terms: found however their letters are dressed, and never in code that means others."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.curate.forbidden import find_terms, find_terms_in
from tests.terms import (
    DRESSES,
    LEADERS,
    LOOKALIKES,
    METADATA,
    ORDINARY,
    PLAIN_TERMS,
    TERMS,
    split_terms,
)


def rules(text: str, **options: object) -> list[str]:
    return [hit.rule for hit in find_terms(text, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("text", TERMS)
def test_every_kind_of_term_is_found(text: str) -> None:
    assert find_terms(text)
    assert find_terms(f"def f():\n    # {text}\n    return 1\n", language="python")


@pytest.mark.parametrize("text", ORDINARY)
def test_words_of_the_trade_are_no_terms(text: str) -> None:
    assert find_terms(text) == []


@pytest.mark.parametrize("term", PLAIN_TERMS)
@pytest.mark.parametrize("dress", DRESSES)
def test_a_term_is_found_in_every_dress(dress: str, term: str) -> None:
    text = f"see {DRESSES[dress](term)} here"
    hits = find_terms(text)
    assert hits, ascii(text)
    assert 4 <= hits[0].start < hits[0].end <= len(text) - 5


@pytest.mark.parametrize("term", PLAIN_TERMS)
@pytest.mark.parametrize("leader", LEADERS)
def test_a_term_is_found_split_across_lines_at_any_letter(leader: str, term: str) -> None:
    for text in split_terms(term, leader):
        assert find_terms(text), ascii(text)


@pytest.mark.parametrize("row", METADATA)
def test_a_term_is_found_anywhere_in_a_row(row: dict[str, object]) -> None:
    assert find_terms_in(row)


LETTER_DRESS = st.sampled_from(["", "\u200b", "\u00ad", "\u0301", "\ufe0f", "\u200d"])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(PLAIN_TERMS),
    st.data(),
    st.text(st.characters(exclude_categories=["L", "N", "M", "Cf", "Cs", "Pc"]), max_size=20),
)
def test_a_term_is_found_however_its_letters_are_dressed(
    term: str, data: st.DataObject, around: str
) -> None:
    dressed = ""
    for char in term:
        looks = [char, char.upper(), LOOKALIKES.get(char, char)]
        if char.isalpha():
            looks.append(chr(ord(char) + 0xFEE0))
        dressed += data.draw(st.sampled_from(looks)) + data.draw(LETTER_DRESS)
    text = f"{around} {dressed} {around}"
    hits = find_terms(text)
    assert hits, ascii(text)
    assert all(0 <= hit.start < hit.end <= len(text) for hit in hits)


CODE = {
    "python": (
        'def ask(claude):\n    """{doc}"""\n    # {comment}\n    return claude.send("{string}")\n'
    ),
    "typescript": (
        "/** {doc} */\nexport function ask(claude: Claude) {{\n  // {comment}\n"
        "  return claude.send(`{string} ${{claude}}`);\n}}\n"
    ),
    "tsx": (
        "/** {doc} */\nexport const Ask = (claude: Claude) => {{\n  // {comment}\n"
        '  return <Claude claude={{claude}} title="{string}" />;\n}};\n'
    ),
    "jsx": "/* {doc} */\nconst A = () => <Claude a={{claude}}>{string}</Claude>; // {comment}\n",
    "go": (
        "// {doc}\nfunc Ask(claude *Claude) error {{\n\t// {comment}\n"
        '\treturn claude.Send("{string}")\n}}\n'
    ),
    "rust": (
        "/// {doc}\npub fn ask<'a>(claude: &'a Claude) -> R {{\n    // {comment}\n"
        '    claude.send(r#"{string}"#)\n}}\n'
    ),
    "java": (
        "/** {doc} */\n@Override\npublic Reply ask(Claude claude) {{\n    // {comment}\n"
        '    return claude.send("{string}");\n}}\n'
    ),
    "c": (
        "/* {doc} */\nint ask(claude_t *claude) {{\n  // {comment}\n"
        '  return go(claude, "{string}");\n}}\n'
    ),
    "ruby": '# {doc}\ndef ask(claude)\n  # {comment}\n  claude.go("{string} #{{claude}}")\nend\n',
    "bash": '# {doc}\nask() {{\n  # {comment}\n  claude "{string}"\n}}\n',
}


@pytest.mark.parametrize("language", CODE)
def test_in_code_comments_and_strings_count_and_identifiers_do_not(language: str) -> None:
    plain = {"doc": "Asks.", "comment": "once", "string": "hi"}
    assert find_terms(CODE[language].format(**plain), language=language) == []
    for region in plain:
        text = CODE[language].format(**{**plain, region: "by claude, once"})
        (hit,) = find_terms(text, language=language)
        assert text[hit.start : hit.end] == "claude"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("typescript", "async ask(claude: Claude): Promise<Reply> {\n  return claude.send();\n}"),
        ("java", "private Reply ask(Claude claude) throws E {\n  return claude.send();\n}"),
        ("python", "    async def ask(self, claude):\n        return await claude.send()\n"),
    ],
)
def test_a_method_without_its_class_is_code(language: str, text: str) -> None:
    assert find_terms(text, language=language) == []


def test_a_language_without_a_grammar_is_prose_through_and_through() -> None:
    assert rules("claude = 1", language="no such language") == ["assistant or its maker"]


def test_everywhere_counts_identifiers_and_names_without_context() -> None:
    code = "cursor = ClaudeClient(my_codex)\n"
    assert find_terms(code, language="python") == []
    hits = find_terms(code, language="python", everywhere=True)
    assert [code[hit.start : hit.end] for hit in hits] == ["cursor", "Claude", "codex"]


@pytest.mark.parametrize("fence", ["```", "~~~~"])
def test_in_a_fence_of_prose_code_is_code(fence: str) -> None:
    text = f"What does this do?\n\n{fence}py\ndef ask(claude):\n    return 1  # {{}}\n{fence}\n"
    assert find_terms(text.format("once")) == []
    (hit,) = find_terms(text.format("by claude"))
    assert (text.format("by claude")[hit.start : hit.end], hit.line) == ("claude", 5)
    assert find_terms(f"{text.format('once')}\nAsk claude.")
    for info in ("", "text", "no such language"):
        assert find_terms(f"{fence}{info}\nclaude\n{fence}")
    assert find_terms(f"claude\n{fence}python")  # nothing follows


def test_what_a_row_says_in_its_language_is_code() -> None:
    row = {
        "prompt": [{"role": "user", "content": "Write it."}],
        "completion": [{"role": "assistant", "content": "def ask(claude):\n    return claude\n"}],
        "infill": {"prefix": "x = claude\n", "suffix": "", "middle": "# by claude\n"},
    }
    found = find_terms_in(row, language="python", code=("completion", "infill"))
    assert [hit.place for hit in found] == ["infill.middle"]
    places = ["completion.0.content", "infill.prefix", "infill.middle"]
    assert list(dict.fromkeys(hit.place for hit in find_terms_in(row))) == places


def test_terms_in_metadata_are_found_in_keys_values_and_both_together() -> None:
    row = {
        "prompt": [{"role": "user", "content": "Write it."}],
        "meta": {
            "author": "Codex",
            "authors": ["Jane", "Gemini"],
            "Co-authored-by": None,
            "deep": [{"claude": [1]}, {"note": "x\ny, generated by Cursor"}],
            "cursor": "12",
        },
    }
    found = {hit.place: (hit.rule, hit.line) for hit in find_terms_in(json.loads(json.dumps(row)))}
    assert found == {
        "meta.author": ("assistant as author", 1),
        "meta.authors.1": ("assistant as author", 1),
        "meta.Co-authored-by": ("co-authorship trailer", 1),
        "meta.deep.0.claude.0": ("assistant or its maker", 1),
        "meta.deep.1.note": ("generated by a tool", 2),
    }


def test_offsets_are_those_of_the_original() -> None:
    for newline in ("\n", "\r\n"):
        text = f"🙂 &amp; İ{newline}# x{newline}// by \uff23l\u200baude, 🙂"
        (hit,) = find_terms(text)
        assert text[hit.start : hit.end] == "\uff23l\u200baude"
        assert (hit.line, hit.term) == (3, "Claude")


def test_the_first_words_of_a_hit_are_its_term() -> None:
    (hit,) = find_terms("# gen-\n# erated with Cl-\n# aude")
    assert (hit.rule, hit.line) == ("generated by a tool", 1)


@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "\n" * 50, "&", "&#xfffffff;", "&#0;", "-"])
def test_odd_texts_hold_no_term(text: str) -> None:
    assert find_terms(text, language="python") == []


def test_null_characters_and_lone_surrogates_hide_nothing() -> None:
    assert find_terms("cl\x00au\udc80de")


@pytest.mark.parametrize("unit", ["a", " ", "\n", "claude ", "by cursor ", "é", "&", "co-", "\n# "])
def test_300_kilobytes_of_anything_end(unit: str) -> None:
    """A rule that takes quadratic time would take half an hour here."""
    text = unit * (300_000 // len(unit)) + " co-authored-by: x"
    assert find_terms(text, language="python" if unit == "claude " else None)


EXTRA = ("Project Bluebird", "Müller", "项目", "acme.internal")


@pytest.mark.parametrize(
    "text",
    ["project blue-\n# bird", "BY MULLER", "的项目", "at acme.internal:80", "Pr0ject Bluebird"],
)
def test_further_terms_are_found_as_the_default_ones_are(text: str) -> None:
    assert find_terms(text) == []
    (hit,) = find_terms(text, extra=EXTRA)
    assert hit.rule == "a term of hub.toml"


def test_further_terms_are_whole_words_in_prose_comments_and_strings() -> None:
    assert find_terms("bluebirds; mullers; acmexinternal", extra=EXTRA) == []
    code = "bluebird = muller  # Muller\n"
    hits = find_terms(code, language="python", extra=("bluebird", "Müller"))
    assert [hit.line for hit in hits] == [1]
    assert hits[0].start == code.index("# M") + 2
