"""Pattern Hub as a system of the benchmark, through its public API alone."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.protocol import Hit
from tests.benchmarks.systems import Build, Built, Search, System, size_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Callable


def patternhub() -> Build:
    """Pattern Hub through its public API, indexed to its default tier, both tiers searchable.

    Everything ``hub.index`` does is on the clock, except what the first index on a machine prepares
    for all later ones (the model's graph, the static vectors): a toy folder is indexed before.
    """
    return hub_build(_warm_hub(), tiers=("best", "fast"))


def patternhub_fast() -> Build:
    """Pattern Hub indexed to its fast tier and no further."""
    return hub_build(_warm_hub(), tiers=("fast",))


def patternhub_base() -> Build:
    """Pattern Hub over the model that the default retriever was tuned from."""
    return hub_build(_warm_hub("all-MiniLM-L6-v2"), tiers=("best", "fast"))


def _warm_hub(model: str = "") -> Callable[[Path], Any]:
    from hub import Hub

    def opened(folder: Path) -> Any:
        if model:
            (folder / "hub.toml").write_text(f'[embedding]\nmodel = "{model}"\n')
        return Hub.open(folder)

    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "toy.py").write_text("def toy():\n    return 1\n")
        hub = opened(Path(scratch))
        hub.index([scratch])
        hub.search("toy")
    return opened


def hub_build(open_hub: Callable[[Path], Any], *, tiers: tuple[str, ...]) -> Build:
    """Index up to the first of `tiers`; arms are named ``mode/tier``, the default one first."""

    def build(folder: Path, scratch: Path) -> Built:
        hub = open_hub(scratch)
        hub.index([folder], tier=tiers[0])

        def arm(mode: str, tier: str) -> Search:
            def search(query: str, limit: int) -> list[Hit]:
                found = hub.search(query, limit=limit, mode=mode, tier=tier)
                return [_pattern_hit(hit.pattern, folder) for hit in found]

            return search

        names = [(mode, tier) for tier in tiers for mode in ("hybrid", "dense")]
        arms = {f"{mode}/{tier}": arm(mode, tier) for mode, tier in names}
        return Built(size_of(dict(texts_of(folder))), arms | {"lexical": arm("lexical", tiers[-1])})

    return build


def _pattern_hit(pattern: Any, folder: Path) -> Hit:
    path = Path(pattern.path)
    if path.is_absolute():
        path = path.relative_to(folder.absolute())
    return Hit(path.as_posix(), pattern.start_line, pattern.end_line)


OURS: dict[str, System] = {
    "patternhub": patternhub,
    "patternhub-fast": patternhub_fast,
    "patternhub-base": patternhub_base,
}
