"""What changes if a layer goes: the model without it, and, measured, how well that learns.

Each variant is trained from new weights with several seeds, and so is the whole model, on the same rows with
the same seeds. A difference counts if the interval of its mean over the seeds (Student's t, 95%) leaves out
0; otherwise nobody can tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import layers, tree
from hornbeam._internal.intervals import mean_interval
from hornbeam._internal.naming import preserve_name_counters
from hornbeam._internal.validation import check_int
from hornbeam.layers.context import shapes_only
from hornbeam.random import host_permutation, random_state, set_random_seed, set_random_state

HELD_OUT = 0.2


class CannotGo(ValueError):
    """A layer that the model cannot do without; the text is the reason."""


class _HandsOn(layers.Layer):
    """Gives its first argument: what stands in the place of a layer that is left out."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, *others: Any, **options: Any) -> Any:
        return inputs


@contextmanager
def untouched() -> Iterator[None]:
    """Random states and the numbers of names are afterwards as they were."""
    state = random_state()
    try:
        with preserve_name_counters():
            yield
    finally:
        set_random_state(state)


def without(model: Any, layer: Any | None) -> Any:
    """A copy of a functional or Sequential model, with new weights, in which a layer hands on what it gets.

    layer: one of `model.layers`, or None for a copy of everything. Raises CannotGo where shapes do not allow
    it.
    """
    from hornbeam.models import clone_model

    if layer is not None:
        _check_part(layer)

    def copy(part: Any) -> Any:
        if layer is not None and part is layer:
            return _HandsOn(name=part.name)
        return type(part).from_config(part.get_config())

    try:
        made: Any = clone_model(model, clone_function=copy)
        same = [x.shape for x in tree.flatten(made.outputs)] == [x.shape for x in model.outputs]
    except (ValueError, TypeError) as error:
        raise CannotGo(f"what lies behind does not fit: {str(error).splitlines()[0]}") from error
    if not same:
        raise CannotGo("the model would give another shape than its targets have")
    return made


def _check_part(layer: Any) -> None:
    if isinstance(layer, layers.InputLayer):
        raise CannotGo("it is where data come in")
    if any(len({id(x) for x in call.inputs}) != 1 for call in layer._inbound):
        raise CannotGo("it joins several values, and one of them would be lost")


def parameters_without(model: Any, layer: Any) -> int:
    """How many parameters the model would have without a layer; nothing is computed. Raises CannotGo."""
    with untouched(), shapes_only():
        made = without(model, layer)
    return sum(weight.type.size for weight in made.weights)


# -- measured -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ablation:
    """What leaving a layer out did. verdict: "worse", "better", "cannot tell", or "cannot go". scores: of the
    model without it, one a seed; difference: mean of (without - with), low and high: its interval."""

    layer: str
    verdict: str
    sentence: str
    scores: tuple[float, ...] = ()
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Ablations:
    """All layers, the scores of the whole model, and how it was measured in a sentence."""

    layers: Mapping[str, Ablation]
    scores: tuple[float, ...]
    metric: str
    sentence: str


def ablations(
    model: Any, x: Any, y: Any, *, batch_size: int, epochs: int, seeds: int, samples: int | None
) -> Ablations:
    """Retrain without each layer that can go; the model, its weights, its optimizer and all random states
    stay as they are.

    Raises ValueError for a model that is not compiled, has no graph of layers, or whose compile() holds what
    cannot be copied.
    """
    seeds, epochs = check_int("seeds", seeds, 2), check_int("epochs", epochs, 1)
    model._require_compiled("explain")
    settings = model.get_compile_config()
    if not settings:
        raise ValueError(
            "explain(ablate=True) compiles copies of the model, and compile() got what has no config"
        )
    parts = _divided(x, y, samples)
    found: dict[str, Ablation] = {}
    with untouched():
        metric, base = _scores(model, None, settings, parts, batch_size, epochs, seeds)
        for layer in model.layers:
            try:
                _, scores = _scores(model, layer, settings, parts, batch_size, epochs, seeds)
            except CannotGo as reason:
                found[layer.name] = Ablation(layer.name, "cannot go", f"cannot go: {reason}")
                continue
            found[layer.name] = _judged(layer.name, metric, base, scores)
    (rows, held_out) = (len(tree.flatten(part)[0]) for part in (parts[0], parts[2]))
    sentence = (
        f"Measured: each variant from new weights, {seeds} seeds, {epochs} epoch{'s' * (epochs > 1)} on "
        f"{rows:,} "
        f"samples, looked at on {held_out:,} others; the whole model: {_mean(metric, base)}. Among many "
        "layers, "
        "one in twenty differs by chance."
    )
    return Ablations(found, base, metric, sentence)


def _divided(x: Any, y: Any, samples: int | None) -> tuple[Any, Any, Any, Any]:
    """x and y to learn from, and x and y held out; a fixed draw of rows."""
    count = len(tree.flatten(x)[0])
    order = host_permutation(0, count)[: samples or count]
    cut = max(round(len(order) * HELD_OUT), 1)
    if len(order) < 10:
        raise ValueError(f"explain(ablate=True) needs at least 10 samples, got {count}")

    def rows(data: Any, chosen: np.ndarray) -> Any:
        return tree.map_structure(lambda part: np.asarray(part)[chosen], data)

    return rows(x, order[cut:]), rows(y, order[cut:]), rows(x, order[:cut]), rows(y, order[:cut])


def _scores(
    model: Any,
    layer: Any | None,
    settings: dict[str, Any],
    parts: tuple[Any, Any, Any, Any],
    batch_size: int,
    epochs: int,
    seeds: int,
) -> tuple[str, tuple[float, ...]]:
    """Name of the score, and its value for each seed."""
    x, y, x_other, y_other = parts
    found, metric = [], "loss"
    for seed in range(seeds):
        set_random_seed(seed)
        made = without(model, layer)
        if not made.trainable_weights:
            raise CannotGo("nothing would be left to train")
        made.compile_from_config(settings)
        made.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
        results = made.evaluate(x_other, y_other, batch_size=batch_size, verbose=0, return_dict=True)
        metric = next((name for name in results if "acc" in name), "loss")
        found.append(float(results[metric]))
    return metric, tuple(found)


def _judged(name: str, metric: str, base: Sequence[float], scores: Sequence[float]) -> Ablation:
    differences = np.subtract(scores, base)
    mean = float(differences.mean())
    low, high = mean_interval(differences.tolist())
    gain = low > 0 if "acc" in metric else high < 0
    harm = high < 0 if "acc" in metric else low > 0
    verdict = "better" if gain else "worse" if harm else "cannot tell"
    text = {
        "better": "better without it",
        "worse": "worse without it",
        "cannot tell": "cannot tell whether it matters",
    }[verdict]
    sentence = (
        f"{text}: {_mean(metric, scores)} instead of {_mean(metric, base)}, a difference between "
        f"{_signed(metric, low)} and {_signed(metric, high)}"
    )
    return Ablation(name, verdict, sentence, tuple(scores), mean, low, high)


def _mean(metric: str, scores: Sequence[float]) -> str:
    mean = float(np.mean(scores))
    return f"{metric} {mean:.1%}" if "acc" in metric else f"{metric} {mean:.4g}"


def _signed(metric: str, value: float) -> str:
    return f"{100 * value:+.1f} points" if "acc" in metric else f"{value:+.3g}"
