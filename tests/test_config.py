"""hub.toml: the printed template is the schema, and a wrong line is explained by its key."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from hub.config import (
    CONFIG_NAME,
    STORE_DIR,
    Category,
    Config,
    Convention,
    config_template,
    find_hub,
    load_config,
)
from hub.errors import HubError


def sections() -> list[type[BaseModel]]:
    found = [field.annotation for field in Config.model_fields.values()] + [Convention]
    inner = [kind for kind in found if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [Config, *inner]


def error_of(folder: Path, text: str) -> str:
    (folder / CONFIG_NAME).write_text(text)
    with pytest.raises(HubError) as caught:
        load_config(folder)
    return str(caught.value)


def test_the_template_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text(config_template([]))
    assert load_config(tmp_path) == Config() == load_config(tmp_path / "nowhere")


def test_the_template_shows_every_field_with_its_description() -> None:
    template = config_template([])
    shown = tomllib.loads(template)
    tables = {"conventions": [], "categories": [], "targets": []}
    assert shown | tables == Config().model_dump()  # tables are shown as a comment
    for section in sections():
        for field in section.model_fields.values():
            if field.annotation not in sections():
                assert f"# {field.description}\n" in template


def test_the_commented_example_of_a_category_is_one(tmp_path: Path) -> None:
    _, _, example = config_template([]).partition("# [[categories]]\n")
    lines = [line[2:] for line in example.splitlines()]
    (tmp_path / CONFIG_NAME).write_text("[[categories]]\n" + "\n".join(lines))
    (category,) = load_config(tmp_path).categories
    assert category.name == "payments"
    assert set(Category.model_fields) <= {line.split(" = ")[0] for line in lines}


def test_a_wrong_key_of_a_category_is_explained(tmp_path: Path) -> None:
    text = '[[categories]]\nname = "a"\ndescription = "b"\nword = ["c"]\n'
    assert "unknown key 'categories.0.word'; did you mean 'words'?" in error_of(tmp_path, text)


def test_every_field_is_described_and_every_section_says_what_it_is() -> None:
    for section in sections():
        assert section.__doc__
        for name, field in section.model_fields.items():
            assert field.annotation in sections() or field.description, f"{section}.{name}"


def test_what_is_set_is_read_and_the_rest_stays_default(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text('sources = ["a"]\n[search]\nlimit = 3\n')
    config = load_config(tmp_path)
    assert (config.sources, config.search.limit) == (["a"], 3)
    assert config.search.mode == "hybrid"
    assert config.embedding == Config().embedding


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('source = ["a"]', ["unknown key 'source'", "did you mean 'sources'?"]),
        ("[serach]\nlimit = 3", ["unknown key 'serach'", "did you mean 'search'?"]),
        ("[search]\nlimmit = 3", ["unknown key 'search.limmit'", "did you mean 'limit'?"]),
        ("[search]\nzzz = 3", ["'search.zzz'", "known keys: mode, limit, exact_limit"]),
        ("[store.server]\nurl = 'x'", ["unknown key 'store.server'"]),
        ("[search]\nlimit = '3'", ["search.limit = '3'", "integer"]),
        ("[search]\nlimit = 0", ["search.limit = 0", "greater than or equal to 1"]),
        ("[search]\nlimit = 1.5", ["search.limit = 1.5", "integer"]),
        ("[search]\nlimit = true", ["search.limit = True", "integer"]),
        ("[search]\nmode = 'hybird'", ["search.mode = 'hybird'", "'hybrid', 'dense' or 'lexical'"]),
        ("[embedding]\ntier = 'bset'", ["embedding.tier = 'bset'", "'fast' or 'best'"]),
        ("[embedding]\nmodel = ''", ["embedding.model = ''", "at least 1 character"]),
        ("[store]\nname = 'a b'", ["store.name = 'a b'", "pattern"]),
        ("[files]\ninclude = 'src'", ["files.include = 'src'", "list"]),
        ("[files]\ninclude = [1]", ["files.include.0 = 1", "string"]),
        ("sources = 'src'", ["sources = 'src'", "list"]),
        ("search = 3", ["search = 3"]),
        ("[[search]]\nlimit = 3", ["search = "]),
        ("[[conventions]]\nregex = 'x'", ["conventions.0.name", "Field required"]),
        ("[[conventions]]\nname = 'x'\nregx = 'x'", ["'conventions.0.regx'", "mean 'regex'?"]),
        ("[[conventions]]\nname = 'x'", ["conventions.0", "either a regex or an ast_grep rule"]),
        ("[[conventions]]\nname = 'x'\nast_grep = 'y'", ["conventions.0", "needs a language"]),
        ("[search\nlimit = 3", ["is not valid TOML", "line 1"]),
        ("a = 1\na = 2\nb = 3", ["is not valid TOML", "line 2"]),
    ],
)
def test_a_wrong_line_is_explained(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = error_of(tmp_path, text)
    for part in (str(tmp_path / CONFIG_NAME), *parts):
        assert part in message


def test_every_wrong_line_is_told_at_once(tmp_path: Path) -> None:
    message = error_of(tmp_path, "a = 1\n[search]\nlimit = 0\n[chunks]\nmax_chars = 1\n")
    for part in ("'a'", "search.limit = 0", "chunks.max_chars = 1"):
        assert part in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / CONFIG_NAME
    path.write_bytes(b'sources = ["caf\xe9"]')
    with pytest.raises(HubError, match=r"hub\.toml cannot be read: .*utf-8"):
        load_config(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(HubError, match=r"hub\.toml cannot be read: .*directory"):
        load_config(tmp_path)


def test_the_nearest_hub_upward_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "hub/inner/deep"
    inner.mkdir(parents=True)
    assert find_hub(inner) == inner
    (tmp_path / "hub" / STORE_DIR).mkdir()
    assert find_hub(inner) == tmp_path / "hub"
    (tmp_path / "hub/inner" / CONFIG_NAME).touch()
    assert find_hub(inner) == tmp_path / "hub/inner"
    assert find_hub(tmp_path / "hub") == tmp_path / "hub"


def test_a_config_cannot_be_changed_behind_the_hub() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().search.limit = 5  # type: ignore[misc]
