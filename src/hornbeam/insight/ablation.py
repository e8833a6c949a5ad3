"""Ablation: the model without a layer, and how well it learns.

Each variant is trained from new weights with several seeds, and so is the complete model, on the same rows
with the same seeds. A difference counts if the interval of its mean over the seeds (Student's t, 95%)
excludes 0; otherwise the measurement cannot tell.
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
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_int
from hornbeam.core.operation import inbound_calls
from hornbeam.errors import NotRemovableError
from hornbeam.layers import Layer
from hornbeam.layers.context import shapes_only
from hornbeam.models import Model
from hornbeam.random import host_permutation, random_state, set_random_seed, set_random_state
from hornbeam.training.steps import training_state

VALIDATION_FRACTION = 0.2


class _PassThrough(layers.Layer):
    """Return the first argument, in place of a removed layer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Tree, *others: Any, **options: Any) -> Any:
        return inputs


@contextmanager
def preserved_state() -> Iterator[None]:
    """Restore random states and counters of names at the end of a `with` block."""
    state = random_state()
    try:
        with preserve_name_counters():
            yield
    finally:
        set_random_state(state)


def without(model: Model, layer: Any | None) -> Model:
    """Copy a functional or Sequential model, with new weights, and replace a layer by the identity.

    `layer` is one of `model.layers`, or None for a complete copy. Raises NotRemovableError where shapes do
    not allow it.
    """
    from hornbeam.models import clone_model

    if layer is not None:
        _check_removable(layer)

    def copy(part: Layer) -> Layer:
        if layer is not None and part is layer:
            return _PassThrough(name=part.name)
        return type(part).from_config(part.get_config())

    try:
        copy_of_model: Any = clone_model(model, clone_function=copy)
        same_shapes = [x.shape for x in tree.flatten(copy_of_model.outputs)] == [
            x.shape for x in model.outputs
        ]
    except (ValueError, TypeError) as error:
        raise NotRemovableError(f"the following layers do not fit: {str(error).splitlines()[0]}") from error
    if not same_shapes:
        raise NotRemovableError("the output shape would differ from that of the targets")
    return copy_of_model


def _check_removable(layer: Layer) -> None:
    if isinstance(layer, layers.InputLayer):
        raise NotRemovableError("it is an input of the model")
    if any(len({id(x) for x in call.inputs}) != 1 for call in inbound_calls(layer)):
        raise NotRemovableError("it joins several tensors, and one of them would be lost")


def parameters_without(model: Model, layer: Layer) -> int:
    """Return the number of parameters without a layer; nothing is computed. Raises NotRemovableError."""
    with preserved_state(), shapes_only():
        variant = without(model, layer)
    return sum(weight.type.size for weight in variant.weights)


# -- measured -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ablation:
    """Effect of removing a layer.

    Args:
        layer: Name of the layer.
        verdict: "worse", "better", "cannot tell" or "not removable".
        sentence: The effect in words.
        scores: Scores of the model without the layer, one a seed.
        difference: Mean of (without - with).
        low: Lower bound of the difference's interval.
        high: Upper bound of the difference's interval.
    """

    layer: str
    verdict: str
    sentence: str
    scores: tuple[float, ...] = ()
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Ablations:
    """Effects by layer, scores of the complete model, name of the score, and the method in a sentence."""

    layers: Mapping[str, Ablation]
    scores: tuple[float, ...]
    metric: str
    sentence: str


def ablations(
    model: Model, x: Tree, y: Tree, *, batch_size: int, epochs: int, seeds: int, samples: int | None
) -> Ablations:
    """Retrain the model without each removable layer.

    The model, its weights, its optimizer and all random states stay as they are. Raises ValueError for a
    model that is not compiled, has no graph of layers, or whose compile() has no config.
    """
    seeds, epochs = check_int("seeds", seeds, 2), check_int("epochs", epochs, 1)
    training_state(model).require_compiled("explain")
    settings = model.get_compile_config()
    if not settings:
        raise ValueError(
            "explain(ablate=True) compiles copies of the model, and an argument of its compile() has no "
            "config"
        )
    parts = _split(x, y, samples)
    effects: dict[str, Ablation] = {}
    with preserved_state():
        metric, base = _scores(model, None, settings, parts, batch_size, epochs, seeds)
        for layer in model.layers:
            try:
                _, scores = _scores(model, layer, settings, parts, batch_size, epochs, seeds)
            except NotRemovableError as reason:
                effects[layer.name] = Ablation(layer.name, "not removable", f"not removable: {reason}")
                continue
            effects[layer.name] = _effect(layer.name, metric, base, scores)
    (rows, held_out) = (len(tree.flatten(part)[0]) for part in (parts[0], parts[2]))
    sentence = (
        f"Measured: each variant from new weights, {seeds} seeds, {epochs} epoch{'s' * (epochs > 1)} on "
        f"{rows:,} samples, scored on {held_out:,} others; the complete model: {_mean(metric, base)}. Among "
        "many layers, one in twenty differs by chance."
    )
    return Ablations(effects, base, metric, sentence)


def _split(x: Tree, y: Tree, samples: int | None) -> tuple[Any, Any, Any, Any]:
    """Return x and y for training, and x and y for validation; the draw of rows is fixed."""
    count = len(tree.flatten(x)[0])
    order = host_permutation(0, count)[: samples or count]
    cut = max(round(len(order) * VALIDATION_FRACTION), 1)
    if len(order) < 10:
        raise ValueError(f"explain(ablate=True) needs at least 10 samples, got {count}")

    def rows(data: Any, chosen: np.ndarray) -> Any:
        return tree.map_structure(lambda part: np.asarray(part)[chosen], data)

    return rows(x, order[cut:]), rows(y, order[cut:]), rows(x, order[:cut]), rows(y, order[:cut])


def _scores(
    model: Model,
    layer: Any | None,
    settings: dict[str, Any],
    parts: tuple[Any, Any, Any, Any],
    batch_size: int,
    epochs: int,
    seeds: int,
) -> tuple[str, tuple[float, ...]]:
    """Return the name of the score, and its value for each seed."""
    from hornbeam.training.check_fit import own_fit

    x, y, x_other, y_other = parts
    scores, metric = [], "loss"
    for seed in range(seeds):
        set_random_seed(seed)
        variant = without(model, layer)
        if not variant.trainable_weights:
            raise NotRemovableError("no trainable weights would remain")
        variant.compile_from_config(settings)
        with own_fit():
            variant.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
        results = variant.evaluate(x_other, y_other, batch_size=batch_size, verbose=0, return_dict=True)
        metric = next((name for name in results if "acc" in name), "loss")
        scores.append(float(results[metric]))
    return metric, tuple(scores)


def _effect(name: str, metric: str, base: Sequence[float], scores: Sequence[float]) -> Ablation:
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
