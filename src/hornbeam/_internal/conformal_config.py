"""Calibrations of prediction sets and intervals as files hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hornbeam.errors import ModelFileError

# Key in files.
CONFORMAL = "conformal"
_METHODS = {"sets": ("lac", "aps", "raps"), "intervals": ("absolute", "normalized", "cqr")}
_OUTPUTS = {"sets": ("probabilities", "logits", "probability", "logit"), "intervals": ("numbers",)}


def conformal_config(config: Any) -> dict[str, Any] | None:
    """Return the calibration that a file holds, None without one. Raises ModelFileError for a damaged one."""
    if config is None:
        return None
    if not isinstance(config, Mapping) or not _is_valid(config):
        raise ModelFileError(
            f'the calibration of predictions in the file ("{CONFORMAL}") is damaged: calibrate the model '
            "again"
        )
    return dict(config)


def _is_valid(config: Mapping[str, Any]) -> bool:
    kind, counts, values = config.get("kind"), config.get("counts"), config.get("values")
    if (
        kind not in ("sets", "intervals")
        or not isinstance(counts, Mapping)
        or not isinstance(values, Mapping)
    ):
        return False
    scores, weights = (config.get(name, []) for name in ("scores", "weights"))
    if not isinstance(scores, list) or not isinstance(weights, list) or len(scores) != len(weights):
        return False
    numbers = [config.get("coverage"), *values.values(), *scores, *weights]
    valid = (
        all(map(_is_number, numbers))
        and 0 < config["coverage"] < 1
        and all(type(count) is int and count > 0 for count in counts.values())
        and (set(counts) == set(values) or (not values and set(counts) == {""} and len(scores) == counts[""]))
        and config.get("method") in _METHODS[kind]
        and config.get("outputs") in _OUTPUTS[kind]
    )
    return valid and (kind == "intervals" or _is_valid_for_sets(config))


def _is_valid_for_sets(config: Mapping[str, Any]) -> bool:
    classes, seed = config.get("classes"), config.get("seed")
    return (
        type(classes) is int
        and classes > 1
        and type(config.get("by_class")) is bool
        and type(config.get("nonempty")) is bool
        and _is_number(config.get("penalty"))
        and type(config.get("free_ranks")) is int
        and (seed is None or (type(seed) is int and seed >= 0))
        and (not config["by_class"] or {*map(str, range(classes))} == set(config["values"]))
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
