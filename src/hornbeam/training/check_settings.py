"""Checks of the settings of a fit, and of layers by their settings, before the first step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam import activations, layers
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.data.splits.split import class_ids
from hornbeam.layers.shapes import build_shapes
from hornbeam.layers.weights import flatten_layers
from hornbeam.training.array_data import ArrayData
from hornbeam.training.fit_facts import FitFacts
from hornbeam.training.steps import Steps
from hornbeam.training.trainable_at_compile import changed_layers, keeps_compiled

# Optimizers whose updates have about the size of the learning rate, whatever the gradients are.
_NORMALIZED = ("Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Lion", "Lamb")


def check_trainable(facts: FitFacts) -> Iterator[str]:
    """`trainable` that was changed after `compile`."""
    changed = changed_layers(facts.model)
    if changed and not keeps_compiled(facts.model):
        others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        yield (
            f"{facts.where}: trainable of {changed[0].path!r}{others} was changed after compile(). Here that "
            "holds at once, in Keras from the next compile() on: call compile() again after changing it"
        )


def check_epochs(facts: FitFacts) -> Iterator[str]:
    """An `initial_epoch` after the last one."""
    settings = facts.settings
    if settings.initial_epoch > settings.epochs:
        yield (
            f"{facts.where}: fit() trains nothing, since initial_epoch={settings.initial_epoch} is after the "
            f"last epoch: epochs is the number of the last one, so write "
            f"epochs={settings.initial_epoch + settings.epochs} for {settings.epochs} more"
        )


def check_two_validations(facts: FitFacts) -> Iterator[str]:
    """`validation_split` beside `validation_data`."""
    if facts.has_validation_data and facts.settings.validation_split:
        yield (
            f"{facts.where}: validation_split={facts.settings.validation_split:g} has no effect beside "
            "validation_data: remove one of them"
        )


def check_sorted_split(facts: FitFacts) -> Iterator[str]:
    """Labels in order of classes, of which the last ones are held out."""
    settings, data, validation = facts.settings, facts.data, facts.validation
    if not settings.validation_split or settings.validation_split_mode != "tail":
        return
    if not isinstance(data, ArrayData) or not isinstance(validation, ArrayData):
        return
    for output in facts.outputs:
        classes = class_ids(output.target) if output.kind else None
        if classes is None or data.rows is None or validation.rows is None:
            continue
        trained, held_out = np.unique(classes[data.rows]), np.unique(classes[validation.rows])
        unseen = np.setdiff1d(held_out, trained)
        if len(unseen) or (len(trained) > 1 and _is_sorted(classes)):
            listed = ", ".join(map(str, (unseen if len(unseen) else held_out)[:5]))
            cause = "class(es) that training never sees" if len(unseen) else "class(es) alone"
            yield (
                f"{output.where}: the labels are in order, so that the held-out tail has the {cause} "
                f"({listed}): shuffle x and y together before, or omit validation_split_mode='tail'"
            )


def check_sorted_batches(facts: FitFacts) -> Iterator[str]:
    """Labels in order of classes that are not shuffled."""
    data = facts.data
    if type(data) is not ArrayData or data.order is not None or data.samples is None:
        return
    for output in facts.outputs:
        classes = class_ids(output.target) if output.kind else None
        if classes is None or len(classes) < 2 * data.batch_size or not _is_sorted(classes):
            continue
        if classes[0] != classes[-1]:
            yield (
                f"{output.where}: the labels are sorted by class and shuffle=False, so that most batches "
                "hold one class alone: write shuffle=True"
            )


def _is_sorted(classes: np.ndarray) -> bool:
    return bool((classes[1:] >= classes[:-1]).all())


def check_learning_rate(facts: FitFacts) -> Iterator[str]:
    """A learning rate of 0 that nothing changes, and one that is far too large."""
    optimizer: Any = facts.model.optimizer
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a loss scale
    rate = getattr(optimizer, "_learning_rate", None)
    if not isinstance(rate, Variable):
        return
    value = float(rate.numpy())
    if value == 0 and not facts.has_callbacks:
        yield f"{facts.where}: the learning rate is 0, so that fit() changes no weight"
    elif value >= 1 and type(optimizer).__name__ in _NORMALIZED:
        yield (
            f"{facts.where}: with the learning rate {value:g} of {type(optimizer).__name__} each update "
            "changes every weight by about that much: try 0.001"
        )


def check_dependence(facts: FitFacts) -> Iterator[str]:
    """A loss that is the same whatever the weights are."""
    step = facts.step()
    if step is None or not isinstance(step.result, dict) or not isinstance(step.result.get("loss"), Tensor):
        return
    inputs = step.graph.inputs[: len(step.variables)]
    weights = {node for node, v in zip(inputs, step.variables, strict=True) if v.trainable}
    if not weights or type(facts.model).train_step is not Steps.train_step:
        return
    stack, seen = [step.result["loss"].node], set()
    while stack:
        node = stack.pop()
        if node in weights:
            return
        if node not in seen:
            seen.add(node)
            stack.extend(node.inputs)
    yield (
        f"{facts.where}: the loss does not depend on the weights, so that fit() does not change them: is the "
        "loss computed from y_pred?"
    )


def check_layers(facts: FitFacts) -> Iterator[str]:
    """Layers whose settings leave nothing to learn from."""
    stack = facts.model.layers if type(facts.model).__name__ == "Sequential" else []
    if stack and type(stack[-1]) is layers.Dropout:
        yield (
            f"{facts.where}: the last layer is {stack[-1].path!r}, which sets outputs to 0 in training: put "
            "the Dropout before the last Dense"
        )
    for layer, following in itertools.pairwise(stack):
        if type(layer) is type(following) is layers.Dense and layer.activation is activations.softmax:
            yield (
                f"{facts.where}: the hidden layer {layer.path!r} has a softmax, which leaves little to the "
                "next layer: write activation='relu' there, and softmax in the last layer alone"
            )


def check_single_samples(facts: FitFacts) -> Iterator[str]:
    """Batches of one sample, over which a batch normalization has no variance."""
    if facts.data.batch_size != 1:
        return
    for layer in flatten_layers(facts.model):
        shapes = build_shapes(layer).values()
        if type(layer) is layers.BatchNormalization and any(len(shape) == 2 for shape in shapes):
            yield (
                f"{facts.where}: layer {layer.path!r} normalizes over batches of one sample, which makes all "
                "its outputs equal: use a larger batch_size, or LayerNormalization"
            )
            return


SETTING_CHECKS = (
    check_trainable,
    check_epochs,
    check_two_validations,
    check_sorted_split,
    check_sorted_batches,
    check_learning_rate,
    check_dependence,
    check_layers,
    check_single_samples,
)
