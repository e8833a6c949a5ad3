"""What a run keeps of models, profiles, looks at data, evaluations and explanations: plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam.insight.profile import Profile
from hornbeam.insight.summary import Trace, rows_of
from hornbeam.insight.told import Told

_MOST_KERNELS = 40


def of_model(model: Any) -> dict[str, Any]:
    """Layers as `summary()` shows them, numbers of parameters, and the configs of model and `compile`."""
    trace = Trace(model)
    rows = [dataclasses.asdict(row) for row in rows_of(model, trace)]
    return {
        "name": model.name,
        "class": type(model).__name__,
        "layers": rows,
        "params": sum(v.type.size for v in model.weights),
        "trained": sum(v.type.size for v in model.trainable_weights),
        "nbytes": sum(v.type.nbytes for v in model.weights),
        "flops": trace.flops,
        **configs_of(model),
    }


def configs_of(model: Any) -> dict[str, Any]:
    """The configs of a model and of its `compile`; None, and why, for a model that has none."""
    try:
        found: dict[str, Any] = {"config": model.get_config()}
    except (TypeError, NotImplementedError, ValueError) as error:
        found = {"config": None, "config_note": str(error)}
    return {**found, "compile": model.get_compile_config()}


def of_told(told: Told) -> dict[str, Any]:
    """Titles and sentences."""
    notes = [{"title": n.title, "facts": [list(f) for f in n.facts], "depth": n.depth} for n in told.notes]
    return {"title": told.title, "notes": notes, "closing": list(told.closing)}


def of_profile(profile: Profile) -> dict[str, Any]:
    """Seconds of a step, by layer and by kernel."""
    layers = [
        {
            "name": layer.name,
            "forward": layer.forward,
            "backward": layer.backward,
            "flops": layer.flops,
            "nbytes": layer.nbytes,
            "roof": layer.roof,
        }
        for layer in profile.layers
    ]
    kernels = [
        {"what": kernel.what, "runs": kernel.runs, "seconds": kernel.seconds, "roof": kernel.roof}
        for kernel in profile.kernels[:_MOST_KERNELS]
    ]
    return {
        "steps": profile.steps,
        "seconds": profile.seconds,
        "kernel_seconds": profile.kernel_seconds,
        "flops": profile.flops,
        "layers": layers,
        "kernels": kernels,
    }


def of_findings(findings: Sequence[Any]) -> dict[str, Any]:
    """What the doctor found: name, evidence, advice, layers, epoch."""
    return {
        "findings": [
            {
                "name": f.name,
                "evidence": f.evidence,
                "advice": f.advice,
                "layers": list(f.layers),
                "epoch": f.epoch,
            }
            for f in findings
        ]
    }


# Class -> (name of the part, what makes it). Classes are found by name, without importing what is not used.
_KINDS: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "Told": ("explanation", of_told),
    "Profile": ("profile", of_profile),
}


def part_of(thing: Any) -> tuple[str, dict[str, Any]]:
    """The part of a run that a result is, and its plain values.

    Raises TypeError for what runs do not hold.
    """
    for base in type(thing).__mro__:
        known = _KINDS.get(base.__name__) if base.__module__.startswith("hornbeam.") else None
        if known is not None:
            return known[0], known[1](thing)
    raise TypeError(f"a run does not hold a {type(thing).__name__}: give it a {', a '.join(sorted(_KINDS))}")
