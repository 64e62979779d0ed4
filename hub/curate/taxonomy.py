"""What categories a hub's patterns may have, and the rules that recognise them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files

from hub.config import Category, Config
from hub.errors import HubError

UNCLASSIFIED = "unclassified"
_SHIPPED = files("hub.curate") / "taxonomies"


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Categories in order: where two fit a pattern equally well, the first one is meant.

    ``beside`` are others that code may be about; what is as near to those is of no category.
    """

    name: str
    categories: tuple[Category, ...]
    beside: tuple[Category, ...] = ()


def shipped_taxonomies() -> list[str]:
    """The names of the taxonomies that come with the package."""
    found = (entry.name for entry in _SHIPPED.iterdir())
    return sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml"))


def taxonomy_of(config: Config) -> Taxonomy:
    """The categories in ``hub.toml``, or those of the shipped taxonomy that it names.

    Raises:
        HubError: no shipped taxonomy has that name; names those there are.
    """
    if config.categories:
        beside = shipped_taxonomy("default").categories
        return Taxonomy("hub.toml", tuple(config.categories), beside)
    return shipped_taxonomy(config.taxonomy.name)


def shipped_taxonomy(name: str) -> Taxonomy:
    """A taxonomy of the package.

    Raises:
        HubError: there is none of that name; names those there are.
    """
    known = shipped_taxonomies()
    if name not in known:
        raise HubError(f"no taxonomy is called {name!r}; there are: {', '.join(known)}")
    rows = tomllib.loads((_SHIPPED / f"{name}.toml").read_text(encoding="utf-8"))["categories"]
    return Taxonomy(name, tuple(Category.model_validate(row) for row in rows))
