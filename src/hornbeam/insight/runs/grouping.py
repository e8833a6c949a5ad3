"""Which runs repeat the same configuration with other seeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from hornbeam.insight.runs.reading import Run
from hornbeam.insight.runs.settings import simplified


def configuration(run: Run) -> str | None:
    """Return an identifier that runs share if nothing but seeds, names, code and machine differ.

    It stands for the configs of the model and of `compile`, the arguments of `fit`, the shapes of the data
    and the engine; None for runs without a recorded model. A fingerprint of the data is no part of it, since
    splits and augmentations are drawn by the seed.
    """
    model = run.parts.get("model")
    if not model:
        return None
    data = run.info.get("data")
    sets = [] if not isinstance(data, Mapping) else [_shapes(part) for part in data.values()]
    environment = run.info.get("environment")
    engine = environment.get("engine") if isinstance(environment, Mapping) else None
    layers = [layer for layer in model.get("layers") or () if isinstance(layer, Mapping)]
    numbers = {str(layer.get("name")): f"layer {index}" for index, layer in enumerate(layers)}
    configs = [_without_seeds(simplified(model.get(key)), numbers) for key in ("config", "compile")]
    text = json.dumps([configs, run.info.get("fit"), sets, engine], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shapes(data: object) -> object:
    return {k: v for k, v in data.items() if k != "fingerprint"} if isinstance(data, Mapping) else data


def _without_seeds(value: object, numbers: Mapping[str, str]) -> Any:
    """Return a config without seeds, and with numbers in place of the names that layers were counted by."""
    if isinstance(value, Mapping):
        return {key: _without_seeds(part, numbers) for key, part in value.items() if key != "seed"}
    if isinstance(value, list):
        return [_without_seeds(part, numbers) for part in value]
    return numbers.get(value, value) if isinstance(value, str) else value
