"""Whether an adapter can go onto a base, found out before it is loaded.

PEFT loads what does not fit with a warning, or with weights that were never trained: the arm would
then be the base under another name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.checkpoints import digest, problems
from training.errors import TrainingError
from training.output import BASE

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."


def base_of(folder: Path) -> str:
    """The base of an adapter: the one in its own folder, which a run has built, or the name of
    another one.

    Raises:
        TrainingError: it does not say.
    """
    if (folder / BASE).is_dir():
        return str((folder / BASE).resolve())
    return str(_config_of(folder).get("base_model_name_or_path") or "")


def check_base(folder: Path, base: str) -> None:
    """Refuse the adapter in ``folder`` for ``base``, before anything is loaded.

    Raises:
        TrainingError: it is damaged, or was trained on another base.
    """
    if wrong := problems(folder):
        raise TrainingError(f"the adapter {folder} is not as it was saved: {'; '.join(wrong)}")
    trained_on = base_of(folder)
    if not _same_base(trained_on, base):
        raise TrainingError(
            f"the adapter {folder} was trained on {trained_on}, and the base here is {base}: load "
            "that base, or train the adapter anew"
        )


def check_adapter(folder: Path, model: Any, base: str) -> None:
    """Refuse the adapter in ``folder`` for ``model``, which was loaded from ``base``.

    Raises:
        TrainingError: it is damaged, was trained on another base, has other shapes or another rank
            than it says, or changes nothing.
    """
    check_base(folder, base)
    _check_weights(folder, _config_of(folder), model, base)


def _config_of(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TrainingError(f"the adapter {folder} has no readable {CONFIG}: {error}") from error


def _same_base(one: str, other: str) -> bool:
    """Whether two names mean the same weights: one id, one folder, or folders with the same."""
    if one == other:
        return True
    folders = Path(one), Path(other)
    if not all(folder.is_dir() for folder in folders):
        return False
    if folders[0].resolve() == folders[1].resolve():
        return True
    kept = [{p.name: digest(p) for p in sorted(f.glob("*.safetensors"))} for f in folders]
    return bool(kept[0]) and kept[0] == kept[1]


def _check_weights(folder: Path, config: dict[str, Any], model: Any, base: str) -> None:
    """Each pair of matrices has its rank and fits its layer, and one at least is not zero.

    Raises:
        TrainingError: says which does not.
    """
    from safetensors import SafetensorError, safe_open

    layers = dict(_base_of(model).named_modules())
    effective = False
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as weights:
            names = set(weights.keys())
            for name in sorted(n for n in names if n.endswith("lora_A.weight")):
                down = weights.get_tensor(name)
                up = weights.get_tensor(name.replace("lora_A", "lora_B"))
                layer = name.removeprefix(PREFIX).removesuffix(".lora_A.weight")
                _check_pair(folder, layer, (down, up), _rank(config, layer), layers, base)
                effective = effective or (bool(down.any()) and bool(up.any()))
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the weights of the adapter {folder} cannot be read: {error}"
        ) from error
    if not names:
        raise TrainingError(f"the adapter {folder} has no weights")
    if not effective or not config.get("lora_alpha"):
        raise TrainingError(
            f"the adapter {folder} changes nothing on {base}: its weights are zero; train it anew, "
            "longer or at a higher rate"
        )


def _check_pair(
    folder: Path, layer: str, pair: tuple[Any, Any], rank: int, layers: dict[str, Any], base: str
) -> None:
    down, up = (tuple(matrix.shape) for matrix in pair)
    if layer not in layers:
        raise TrainingError(
            f"the adapter {folder} changes {layer}, and {base} has no such layer: it was trained "
            "on another base"
        )
    found = layers[layer]
    if down[0] != rank or up[1] != rank:
        raise TrainingError(
            f"the adapter {folder} says rank {rank}, and its weights at {layer} have rank "
            f"{down[0]} and {up[1]}: it is damaged, or was put together of two"
        )
    size = getattr(found, "in_features", None), getattr(found, "out_features", None)
    if None not in size and (down[1], up[0]) != size:
        raise TrainingError(
            f"the adapter {folder} has {down[1]} to {up[0]} at {layer}, and {base} has {size[0]} "
            f"to {size[1]}: it was trained on another base"
        )


def _rank(config: dict[str, Any], layer: str) -> int:
    """What the configuration says; some layers may have a rank of their own."""
    own = config.get("rank_pattern") or {}
    return int(next((r for name, r in own.items() if layer.endswith(name)), config.get("r", 0)))


def _base_of(model: Any) -> Any:
    """The base under adapters that are loaded already, its layers under their own names."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
