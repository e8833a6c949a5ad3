"""Checks of the settings of a fit, and of layers by their settings, before the first step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam import activations, initializers, layers, tree
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.data.splits.split import class_ids
from hornbeam.ir.node import Node
from hornbeam.layers.shapes import build_shapes
from hornbeam.layers.weights import flatten_layers
from hornbeam.optimizers import schedules
from hornbeam.training.array_data import ArrayData
from hornbeam.training.fit_facts import FitFacts
from hornbeam.training.steps import Steps
from hornbeam.training.trainable_at_compile import changed_layers, keeps_compiled

# Optimizers whose updates have about the size of the learning rate, whatever the gradients are.
_NORMALIZED = ("Adam", "AdamW", "Nadam", "Adamax", "RMSprop", "Lion", "Lamb")


# Operations of floats whose derivative is 0.
_STEPS = ("floor", "ceil", "round", "sign")

# Part of the largest learning rate that nothing is learned with, and penalties that leave weights near 0.
_NO_RATE, _HEAVY = 1e-3, 1.0


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


def check_decay(facts: FitFacts) -> Iterator[str]:
    """A schedule that is nearly 0 when half of the updates are still to come."""
    optimizer: Any = facts.model.optimizer
    schedule: Any = getattr(optimizer, "_learning_rate", None)
    steps = facts.settings.steps or facts.data.steps
    if type(schedule) not in (schedules.ExponentialDecay, schedules.CosineDecay) or not steps:
        return
    count = steps * (facts.settings.epochs - facts.settings.initial_epoch)
    rates = [float(schedule(int(optimizer.iterations) + count * part // 4)) for part in range(3)]
    if rates[-1] < _NO_RATE * max(rates):
        yield (
            f"{facts.where}: the learning rate falls from {max(rates):.3g} to {rates[-1]:.3g} in half of the "
            f"{count:,} updates of this fit(): decay_steps counts updates, of which an epoch has {steps:,}"
        )


def check_penalties(facts: FitFacts) -> Iterator[str]:
    """Penalties that outweigh any cross-entropy, whose gradients are about 1."""
    if not facts.outputs or not all(output.kind for output in facts.outputs):
        return
    for weight in facts.model.trainable_weights:
        factor = max(float(getattr(weight.regularizer, name, 0.0)) for name in ("l1", "l2"))
        if factor >= _HEAVY:
            yield (
                f"{facts.where}: the penalty of {weight.path!r} with the factor {factor:g} outweighs the "
                "loss and keeps the weights near 0: try 0.0001"
            )
            return


def check_weights(facts: FitFacts) -> Iterator[str]:
    """Sample weights that are all 0, or all the same below 0."""
    for weights in tree.flatten(facts.batch.sample_weight) if facts.data.in_memory else ():
        if isinstance(weights, np.ndarray) and weights.max() == weights.min() <= 0:
            effect = "changes nothing" if weights.flat[0] == 0 else "makes the loss as large as it can"
            yield (
                f"{facts.where}: all sample weights are {weights.flat[0]:g}, so that fit() {effect}: a "
                "weight counts a sample, 1 as it is"
            )


def check_states(facts: FitFacts) -> Iterator[str]:
    """States that pass from one batch to the next, of shuffled samples."""
    if not isinstance(facts.data, ArrayData) or facts.data.order is None:
        return
    for layer in flatten_layers(facts.model):
        if getattr(layer, "stateful", False) is True and isinstance(layer, layers.RNN):
            yield (
                f"{facts.where}: layer {layer.path!r} is stateful: its states pass to the sample in the same "
                "place of the next batch, but fit() shuffles them: write shuffle=False"
            )
            return


def check_dependence(facts: FitFacts) -> Iterator[str]:
    """A loss that is the same whatever the weights are."""
    step = facts.step()
    if step is None or not isinstance(step.result, dict) or not isinstance(step.result.get("loss"), Tensor):
        return
    inputs = step.graph.inputs[: len(step.variables)]
    weights = {node for node, v in zip(inputs, step.variables, strict=True) if v.trainable}
    if not weights or type(facts.model).train_step is not Steps.train_step:
        return
    loss = step.result["loss"].node
    if not _depends(loss, weights, smooth=False):
        yield (
            f"{facts.where}: the loss does not depend on the weights, so that fit() does not change them: is "
            "the loss computed from y_pred?"
        )
    elif not _depends(loss, weights, smooth=True):
        yield (
            f"{facts.where}: no gradient of the loss reaches a weight, so that fit() does not change them: "
            "argmax, round and comparisons have none. Train with a loss such as a cross-entropy, and count "
            "errors in metrics=[...]"
        )


def _depends(loss: Node, weights: set[Node], smooth: bool) -> bool:
    """Return whether a loss depends on weights, if `smooth` by operations that have a derivative."""
    stack, seen = [loss], set()
    while stack:
        node = stack.pop()
        if node in weights:
            return True
        several = isinstance(node.type, tuple)  # of a scan, for example
        steps = node.name in _STEPS or (not several and node.dtype.startswith(("int", "uint", "bool")))
        if node not in seen and not (smooth and steps):
            seen.add(node)
            stack.extend(node.inputs)
    return False


def check_layers(facts: FitFacts) -> Iterator[str]:
    """Layers whose settings leave nothing to learn from."""
    for layer in flatten_layers(facts.model):
        if type(layer) is layers.Softmax and layer.axis == 0:
            yield (
                f"{facts.where}: layer {layer.path!r} normalizes over the samples of a batch (axis=0), not "
                "over the classes of each: write axis=-1"
            )
    stack = facts.model.layers if type(facts.model).__name__ == "Sequential" else []
    dead = [_is_dead(layer) for layer in stack if layer.trainable_weights]
    if any(map(all, itertools.pairwise(dead))):
        yield (
            f"{facts.where}: the kernels of two layers in a row are all 0, so that neither gets a gradient: "
            "leave out kernel_initializer='zeros'"
        )
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


def _is_dead(layer: Any) -> bool:
    """Return whether the outputs of a layer are zeros."""
    return isinstance(getattr(layer, "kernel_initializer", None), initializers.Zeros) and not any(
        np.any(weight.numpy()) for weight in layer.weights
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
    check_decay,
    check_penalties,
    check_weights,
    check_states,
    check_dependence,
    check_layers,
    check_single_samples,
)
