"""The settings of a run as flat names and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Keys of configs that only number objects, or repeat what other keys say.
_REDUNDANT = ("name", "module", "registered_name", "build_config")


def simplified(value: object) -> Any:
    """Return a config without redundant keys, and without levels that only say "config"."""
    if isinstance(value, list):
        return [simplified(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    kept = {key: simplified(part) for key, part in value.items() if key not in _REDUNDANT}
    inner = kept.pop("config", None)
    if inner is None:
        return kept
    return {**kept, **inner} if isinstance(inner, dict) else {**kept, "config": inner}


def leaves(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each leaf of nested dicts and lists."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(part, (Mapping, list)) for part in value):
        for index, part in enumerate(value):
            yield from leaves(part, f"{name}.{index}")
    else:
        yield name, value


def settings_of_fit(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `run.json` says of `fit`, the seed and the data."""
    values = {"seed": info.get("seed"), **_mapping(info.get("fit")), "data": info.get("data")}
    return _known(leaves(values))


def settings_of_model(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the part `model` says of `compile`, and the size of the model."""
    size = {f"model.{key}": part.get(key) for key in ("name", "class", "params", "trained")}
    return {**_known(size.items()), **_known(leaves(simplified(part.get("compile"))))}


def facts_of_machine(info: Mapping[str, Any]) -> dict[str, str]:
    """Return versions, machine, engine, commit and command, as `run.json` has them."""
    facts = {"command": info.get("command"), **_mapping(info.get("environment"))}
    return {str(name): str(value) for name, value in facts.items() if value}


def scores_of(part: Mapping[str, Any]) -> dict[str, float]:
    """Return test metrics of the part `evaluation`, such as `test_accuracy`, with `_low` and `_high`."""
    scores = {}
    for name, estimate in _mapping(part.get("metrics")).items():
        for key, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
            value = _mapping(estimate).get(key)
            if isinstance(value, (int, float)):
                scores[f"test_{name}{ending}"] = float(value)
    return scores


def _known(pairs: Iterator[tuple[str, Any]] | Any) -> dict[str, Any]:
    return {name: value for name, value in pairs if value is not None}


def _mapping(value: object) -> Mapping[str, Any]:
    """Return a dict of a file, which may come from anywhere; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}
