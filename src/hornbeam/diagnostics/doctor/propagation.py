"""Checks of what goes through the layers, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hornbeam.diagnostics.doctor.findings import Checks, Evidence, listed
from hornbeam.diagnostics.doctor.step_probe import LayerLook, Look, WeightLook
from hornbeam.diagnostics.doctor.training_trace import Case

check = Checks()

# Updates behind which what was odd before the first one is no accident of the start any more.
_SETTLED = 10
# How many times its weight a gradient may be. Where a normalization follows, it is a hundred times easily.
_STEEP = 1000


def _settled(case: Case) -> bool:
    return case.looks[-1].updates >= _SETTLED


def _hidden(look: Look) -> list[LayerLook]:
    """Layers of floats that the model does not return."""
    returned = {layer.path for layer in look.layers if layer.is_output}
    return [
        layer
        for layer in look.layers
        if not layer.layer._sublayers() and layer.path not in returned and layer.high is not None
    ]


def _strength(weight: WeightLook) -> float:
    """How much of the loss hangs on a weight: its size times that of its slope. Along a healthy net, whatever
    the scale of activations, that is of one order."""
    return weight.rms * (weight.gradient or 0.0) * weight.size


@check(
    "exploding_gradients",
    "look",
    "gradients, or activations, that grow from layer to layer",
    "Leave the initializers' defaults, normalize between layers (LayerNormalization, BatchNormalization), or "
    "clip: clipnorm=1.0 in the optimizer",
    unless=("unscaled_inputs", "unscaled_targets"),
)
def exploding_gradients(case: Case) -> Evidence | None:
    optimizer = case.model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if any(getattr(inner, name, None) for name in ("clipnorm", "global_clipnorm", "clipvalue")):
        return None
    look = case.looks[-1]
    steep = [
        w
        for w in look.kernels()
        if w.rms > 0 and w.gradient is not None and w.gradient > _STEEP * max(w.rms, 0.05)
    ]
    if steep:
        worst = max(steep, key=lambda w: (w.gradient or 0) / w.rms)
        return Evidence(
            f"the gradient of {str(worst.path)!r} is {worst.gradient:.2g} on average, the weight itself "
            f"{worst.rms:.2g}",
            [worst.layer],
        )
    if look is not case.looks[0]:
        return None
    return _growing(look)


def _growing(look: Look) -> Evidence | None:
    """Activations of a new net that become a thousand times larger on their way."""
    seen = [layer for layer in look.layers if layer.high is not None and not layer.layer._sublayers()]
    seen = [layer for layer in seen if layer.rms > 0]
    if len(seen) < 3:
        return None
    largest = max(seen, key=lambda layer: layer.rms)
    if largest.rms < 1000 * max(seen[0].rms, 1.0):
        return None
    return Evidence(
        f"before training activations grow from {seen[0].rms:.2g} behind {str(seen[0].path)!r} to "
        f"{largest.rms:.2g} behind {str(largest.path)!r}",
        [largest.path],
    )


@check(
    "bad_start",
    "look",
    "a loss before training far above that of a constant answer",
    "Look at the scale of inputs and at initializers: new weights should give answers of about 0",
    unless=("unscaled_inputs", "unscaled_targets", "exploding_gradients", "unreachable_targets"),
)
def bad_start(case: Case) -> Evidence | None:
    look = case.looks[0]
    if look is not case.looks[-1] or case.constant_loss is None or look.loss is None:
        return None
    loss = look.loss - look.penalty
    classes = case.labels is not None
    if not loss > (8 if classes else 100) * max(case.constant_loss, 0.5 if classes else 1e-3):
        return None
    return Evidence(
        f"before training the loss is {loss:.3g}; a constant answer would have {case.constant_loss:.3g}"
    )


@check(
    "constant_output",
    "look",
    "a layer that gives the same for every sample",
    "Nothing behind it can tell samples apart: look at its weights and at what it gets",
    unless=(
        "constant_inputs",
        "unscaled_inputs",
        "batch_norm_small_batch",
        "rate_too_high",
        "not_finite",
        "regularization_swamps",
    ),
)
def constant_output(case: Case) -> Evidence | None:
    look = case.looks[-1]
    for layer in look.layers:
        if layer.high is None or layer.samples < 4 or not layer.inputs or layer.layer._sublayers():
            continue
        source = layer.inputs[0]
        fed = look.layers[source] if source is not None else None
        varied = fed is None or fed.high is None or fed.spread > 1e-6 * max(fed.largest, 1e-30)
        if varied and layer.spread <= 1e-7 * layer.largest and _depends(layer):
            if layer.kind == "" and not _settled(case):
                continue  # zeros that a block begins with
            given = f"{layer.largest:.3g}" if layer.largest else "0"
            return Evidence(
                f"{str(layer.path)!r} gives the same for all {layer.samples} samples of a batch, "
                f"at most {given}",
                [layer.path],
            )
    return None


def _depends(layer: LayerLook) -> bool:
    """Whether a layer gets floats, of which it should make something."""
    return layer.inputs[0] is not None or layer.from_data


@check(
    "dead_units",
    "look",
    "ReLU units that are zero for every sample, which get no gradient any more",
    "Take a smaller learning rate, scaled inputs, or LeakyReLU; look at biases that were set by hand",
    unless=("constant_output", "constant_inputs", "rate_too_high"),
)
def dead_units(case: Case) -> Evidence | None:
    if len(case.batches) * case.batch_size < 32:
        return None
    looks = case.looks[-2:]
    found = []
    for number, layer in enumerate(looks[-1].layers):
        if layer.kind != "relu" or layer.high is None or layer.layer._sublayers() or len(layer.dead) < 8:
            continue
        dead = layer.dead
        if len(looks) == 2 and looks[0].layers[number].path == layer.path:
            dead = dead & looks[0].layers[number].dead
        if dead.mean() >= (0.6 if len(looks) == 2 else 0.8):
            found.append((layer, int(dead.sum())))
    if not found:
        return None
    layer, count = max(found, key=lambda pair: pair[1] / len(pair[0].dead))
    samples = case.batch_size * len(case.batches)
    return Evidence(
        f"{count} of the {len(layer.dead)} units of {str(layer.path)!r} gave zero for all {samples} samples "
        "that were looked at",
        [layer.path for layer, _ in found],
    )


@check(
    "saturated_units",
    "look",
    "hidden sigmoids and tanhs at their flat ends",
    "Scale the inputs, take smaller initial weights, or use relu: where they are flat no gradient passes",
    unless=("constant_inputs",),
)
def saturated_units(case: Case) -> Evidence | None:
    looks = case.looks
    found = [
        layer
        for layer in _hidden(looks[-1])
        if layer.kind in ("sigmoid", "tanh") and layer.rank == 2 and layer.saturated > 0.8
    ]
    if not found or (len(looks) > 1 and not _saturated_before(looks[-2], found[0].path)):
        return None
    layer = found[0]
    return Evidence(
        f"{layer.saturated:.0%} of what {str(layer.path)!r} gives is at the flat ends of its {layer.kind}",
        [layer.path for layer in found],
    )


def _saturated_before(look: Look, path: str) -> bool:
    return any(layer.path == path and layer.saturated > 0.8 for layer in look.layers)


@check(
    "saturated_outputs",
    "look",
    "answers that are certain and wrong",
    "Scale the inputs, take smaller initial weights or a smaller learning rate",
    unless=("unscaled_inputs", "exploding_gradients", "rate_too_high"),
)
def saturated_outputs(case: Case) -> Evidence | None:
    probabilities = case.probabilities()
    if probabilities is None or case.probe_labels is None or len(probabilities) < 16:
        return None
    certain = probabilities.max(axis=1) > 0.99
    wrong = probabilities.argmax(axis=1) != case.probe_labels
    if certain.mean() < 0.8 or (wrong & certain).mean() < 0.3:
        return None
    return Evidence(
        f"{certain.mean():.0%} of {len(certain)} answers give one class more than 99%, and "
        f"{(wrong & certain).sum() / certain.sum():.0%} of those are wrong"
    )


@check(
    "vanishing_gradients",
    "look",
    "gradients that die away on their way to the first layers",
    "Use relu instead of sigmoid or tanh, normalize between layers, add skip connections, or take fewer "
    "layers",
    unless=("constant_inputs", "constant_output", "dead_units"),
)
def vanishing_gradients(case: Case) -> Evidence | None:
    looks = [look for look in case.looks[-2:] if look.updates == 0 or look.updates >= _SETTLED]
    if len(looks) < 2:
        return None
    pair = [_faded(look) for look in looks]
    if None in pair:
        return None
    first, strongest, share = pair[-1]  # type: ignore[misc]
    return Evidence(
        f"{str(first.path)!r} has a {share:.1g} part of the influence on the loss that "
        f"{str(strongest.path)!r} has (weight times gradient {_strength(first):.1g} against "
        f"{_strength(strongest):.1g})",
        [first.layer],
    )


def _faded(look: Look) -> tuple[WeightLook, WeightLook, float] | None:
    """The first weight, the one with most influence on the loss, and their ratio, if it is next to 0."""
    kernels = [weight for weight in look.kernels() if weight.gradient is not None and weight.rms > 0]
    if len(kernels) < 3:
        return None
    first = kernels[0]
    strongest = max(kernels, key=_strength)
    if not _strength(first) > 0 or _strength(first) > 1e-4 * _strength(strongest):
        return None
    return first, strongest, _strength(first) / _strength(strongest)


@check(
    "symmetric_units",
    "look",
    "units that all have the same weights, and so learn the same",
    "Leave kernel_initializer at its default: zeros and constants never become different",
)
def symmetric_units(case: Case) -> Evidence | None:
    if not _settled(case):
        return None
    last = _last_kernels(case)
    found = [
        w for w in case.looks[-1].kernels() if w.alike and w.layer not in last and w.gradient is not None
    ]
    if not found:
        return None
    weight = found[0]
    return Evidence(
        f"all {weight.shape[-1]} units of {str(weight.layer)!r} have equal weights after "
        f"{case.looks[-1].updates:,} updates",
        [w.layer for w in found],
    )


def _last_kernels(case: Case) -> set[str]:
    """Layers whose weights make the outputs: those may begin at zero."""
    looks = case.looks[-1].layers
    found: set[str] = set()
    for layer in looks:
        if not layer.is_output or layer.layer._sublayers():
            continue
        at: LayerLook | None = layer
        while at is not None and not at.layer.trainable_weights:
            at = looks[at.inputs[0]] if at.inputs and at.inputs[0] is not None else None
        if at is not None:
            found.add(at.path)
    return found


@check(
    "no_gradient",
    "look",
    "weights on which the loss does not depend",
    "Is the layer called, is what it gives used, does a stop_gradient or a rounding stand behind it?",
    unless=(
        "constant_inputs", "constant_output", "dead_units", "symmetric_units", "saturated_units",
        "saturated_outputs", "not_finite", "rate_too_high",
    ),
)  # fmt: skip
def no_gradient(case: Case) -> Evidence | None:
    losses = case.model._fit.losses
    if not case.standard or not _settled(case) or (losses is not None and not all(losses.needed)):
        return None
    idle = [w.path for w in _idle(case.looks[-1]) if w.path in {w.path for w in _idle(case.looks[-2])}]
    if len(case.looks) < 2 or not idle:
        return None
    return Evidence(
        f"the gradient of {listed(idle)} is exactly 0 at all {case.batch_size * len(case.batches)} samples "
        "that were looked at",
        idle,
    )


def _idle(look: Look) -> Iterator[WeightLook]:
    return (weight for weight in look.kernels() if not weight.gradient and np.isfinite(weight.rms))
