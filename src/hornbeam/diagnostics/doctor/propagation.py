"""Checks of what goes through the layers, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hornbeam.diagnostics.doctor.findings import Checks, Evidence, listed
from hornbeam.diagnostics.doctor.step_probe import LayerSnapshot, Snapshot, WeightSnapshot
from hornbeam.diagnostics.doctor.training_trace import TrainingTrace

check = Checks()

# Updates behind which what was odd before the first one is no accident of the start any more.
_SETTLED = 10
# How many times its weight a gradient may be. Where a normalization follows, it is a hundred times easily.
_STEEP = 1000


def _settled(trace: TrainingTrace) -> bool:
    return trace.snapshots[-1].updates >= _SETTLED


def _hidden(snapshot: Snapshot) -> list[LayerSnapshot]:
    """Layers of floats that the model does not return."""
    returned = {layer.path for layer in snapshot.layers if layer.is_output}
    return [
        layer
        for layer in snapshot.layers
        if not layer.layer._sublayers() and layer.path not in returned and layer.high is not None
    ]


def _strength(weight: WeightSnapshot) -> float:
    """How much of the loss hangs on a weight: its size times that of its slope. Along a healthy net, whatever
    the scale of activations, that is of one order."""
    return weight.rms * (weight.gradient or 0.0) * weight.size


@check(
    "exploding_gradients",
    "snapshot",
    "gradients, or activations, that grow from layer to layer",
    "Leave the initializers' defaults, normalize between layers (LayerNormalization, BatchNormalization), or "
    "clip: clipnorm=1.0 in the optimizer",
    unless=("unscaled_inputs", "unscaled_targets"),
)
def exploding_gradients(trace: TrainingTrace) -> Evidence | None:
    optimizer = trace.model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if any(getattr(inner, name, None) for name in ("clipnorm", "global_clipnorm", "clipvalue")):
        return None
    snapshot = trace.snapshots[-1]
    steep = [
        w
        for w in snapshot.kernels()
        if w.rms > 0 and w.gradient is not None and w.gradient > _STEEP * max(w.rms, 0.05)
    ]
    if steep:
        worst = max(steep, key=lambda w: (w.gradient or 0) / w.rms)
        return Evidence(
            f"the gradient of {str(worst.path)!r} is {worst.gradient:.2g} on average, the weight itself "
            f"{worst.rms:.2g}",
            [worst.layer],
        )
    if snapshot is not trace.snapshots[0]:
        return None
    return _growing(snapshot)


def _growing(snapshot: Snapshot) -> Evidence | None:
    """Activations of a new net that become a thousand times larger on their way."""
    seen = [layer for layer in snapshot.layers if layer.high is not None and not layer.layer._sublayers()]
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
    "snapshot",
    "a loss before training far above that of a constant answer",
    "Look at the scale of inputs and at initializers: new weights should give answers of about 0",
    unless=("unscaled_inputs", "unscaled_targets", "exploding_gradients", "unreachable_targets"),
)
def bad_start(trace: TrainingTrace) -> Evidence | None:
    snapshot = trace.snapshots[0]
    if snapshot is not trace.snapshots[-1] or trace.constant_loss is None or snapshot.loss is None:
        return None
    loss = snapshot.loss - snapshot.penalty
    classes = trace.labels is not None
    if not loss > (8 if classes else 100) * max(trace.constant_loss, 0.5 if classes else 1e-3):
        return None
    return Evidence(
        f"before training the loss is {loss:.3g}; a constant answer would have {trace.constant_loss:.3g}"
    )


@check(
    "constant_output",
    "snapshot",
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
def constant_output(trace: TrainingTrace) -> Evidence | None:
    snapshot = trace.snapshots[-1]
    for layer in snapshot.layers:
        if layer.high is None or layer.samples < 4 or not layer.inputs or layer.layer._sublayers():
            continue
        source = layer.inputs[0]
        fed = snapshot.layers[source] if source is not None else None
        varied = fed is None or fed.high is None or fed.spread > 1e-6 * max(fed.largest, 1e-30)
        if varied and layer.spread <= 1e-7 * layer.largest and _depends(layer):
            if layer.kind == "" and not _settled(trace):
                continue  # zeros that a block begins with
            given = f"{layer.largest:.3g}" if layer.largest else "0"
            return Evidence(
                f"{str(layer.path)!r} gives the same for all {layer.samples} samples of a batch, "
                f"at most {given}",
                [layer.path],
            )
    return None


def _depends(layer: LayerSnapshot) -> bool:
    """Whether a layer gets floats, of which it should make something."""
    return layer.inputs[0] is not None or layer.from_data


@check(
    "dead_units",
    "snapshot",
    "ReLU units that are zero for every sample, which get no gradient any more",
    "Take a smaller learning rate, scaled inputs, or LeakyReLU; look at biases that were set by hand",
    unless=("constant_output", "constant_inputs", "rate_too_high"),
)
def dead_units(trace: TrainingTrace) -> Evidence | None:
    if len(trace.batches) * trace.batch_size < 32:
        return None
    snapshots = trace.snapshots[-2:]
    found = []
    for number, layer in enumerate(snapshots[-1].layers):
        if layer.kind != "relu" or layer.high is None or layer.layer._sublayers() or len(layer.dead) < 8:
            continue
        dead = layer.dead
        if len(snapshots) == 2 and snapshots[0].layers[number].path == layer.path:
            dead = dead & snapshots[0].layers[number].dead
        if dead.mean() >= (0.6 if len(snapshots) == 2 else 0.8):
            found.append((layer, int(dead.sum())))
    if not found:
        return None
    layer, count = max(found, key=lambda pair: pair[1] / len(pair[0].dead))
    samples = trace.batch_size * len(trace.batches)
    return Evidence(
        f"{count} of the {len(layer.dead)} units of {str(layer.path)!r} gave zero for all {samples} samples "
        "that were looked at",
        [layer.path for layer, _ in found],
    )


@check(
    "saturated_units",
    "snapshot",
    "hidden sigmoids and tanhs at their flat ends",
    "Scale the inputs, take smaller initial weights, or use relu: where they are flat no gradient passes",
    unless=("constant_inputs",),
)
def saturated_units(trace: TrainingTrace) -> Evidence | None:
    snapshots = trace.snapshots
    found = [
        layer
        for layer in _hidden(snapshots[-1])
        if layer.kind in ("sigmoid", "tanh") and layer.rank == 2 and layer.saturated > 0.8
    ]
    if not found or (len(snapshots) > 1 and not _saturated_before(snapshots[-2], found[0].path)):
        return None
    layer = found[0]
    return Evidence(
        f"{layer.saturated:.0%} of what {str(layer.path)!r} gives is at the flat ends of its {layer.kind}",
        [layer.path for layer in found],
    )


def _saturated_before(snapshot: Snapshot, path: str) -> bool:
    return any(layer.path == path and layer.saturated > 0.8 for layer in snapshot.layers)


@check(
    "saturated_outputs",
    "snapshot",
    "answers that are certain and wrong",
    "Scale the inputs, take smaller initial weights or a smaller learning rate",
    unless=("unscaled_inputs", "exploding_gradients", "rate_too_high"),
)
def saturated_outputs(trace: TrainingTrace) -> Evidence | None:
    probabilities = trace.probabilities()
    if probabilities is None or trace.probe_labels is None or len(probabilities) < 16:
        return None
    certain = probabilities.max(axis=1) > 0.99
    wrong = probabilities.argmax(axis=1) != trace.probe_labels
    if certain.mean() < 0.8 or (wrong & certain).mean() < 0.3:
        return None
    return Evidence(
        f"{certain.mean():.0%} of {len(certain)} answers give one class more than 99%, and "
        f"{(wrong & certain).sum() / certain.sum():.0%} of those are wrong"
    )


@check(
    "vanishing_gradients",
    "snapshot",
    "gradients that die away on their way to the first layers",
    "Use relu instead of sigmoid or tanh, normalize between layers, add skip connections, or take fewer "
    "layers",
    unless=("constant_inputs", "constant_output", "dead_units"),
)
def vanishing_gradients(trace: TrainingTrace) -> Evidence | None:
    snapshots = [
        snapshot for snapshot in trace.snapshots[-2:] if snapshot.updates == 0 or snapshot.updates >= _SETTLED
    ]
    if len(snapshots) < 2:
        return None
    pair = [_faded(snapshot) for snapshot in snapshots]
    if None in pair:
        return None
    first, strongest, share = pair[-1]  # type: ignore[misc]
    return Evidence(
        f"{str(first.path)!r} has a {share:.1g} part of the influence on the loss that "
        f"{str(strongest.path)!r} has (weight times gradient {_strength(first):.1g} against "
        f"{_strength(strongest):.1g})",
        [first.layer],
    )


def _faded(snapshot: Snapshot) -> tuple[WeightSnapshot, WeightSnapshot, float] | None:
    """The first weight, the one with most influence on the loss, and their ratio, if it is next to 0."""
    kernels = [weight for weight in snapshot.kernels() if weight.gradient is not None and weight.rms > 0]
    if len(kernels) < 3:
        return None
    first = kernels[0]
    strongest = max(kernels, key=_strength)
    if not _strength(first) > 0 or _strength(first) > 1e-4 * _strength(strongest):
        return None
    return first, strongest, _strength(first) / _strength(strongest)


@check(
    "symmetric_units",
    "snapshot",
    "units that all have the same weights, and so learn the same",
    "Leave kernel_initializer at its default: zeros and constants never become different",
)
def symmetric_units(trace: TrainingTrace) -> Evidence | None:
    if not _settled(trace):
        return None
    last = _last_kernels(trace)
    found = [
        w for w in trace.snapshots[-1].kernels() if w.alike and w.layer not in last and w.gradient is not None
    ]
    if not found:
        return None
    weight = found[0]
    return Evidence(
        f"all {weight.shape[-1]} units of {str(weight.layer)!r} have equal weights after "
        f"{trace.snapshots[-1].updates:,} updates",
        [w.layer for w in found],
    )


def _last_kernels(trace: TrainingTrace) -> set[str]:
    """Layers whose weights make the outputs: those may begin at zero."""
    snapshots = trace.snapshots[-1].layers
    found: set[str] = set()
    for layer in snapshots:
        if not layer.is_output or layer.layer._sublayers():
            continue
        at: LayerSnapshot | None = layer
        while at is not None and not at.layer.trainable_weights:
            at = snapshots[at.inputs[0]] if at.inputs and at.inputs[0] is not None else None
        if at is not None:
            found.add(at.path)
    return found


@check(
    "no_gradient",
    "snapshot",
    "weights on which the loss does not depend",
    "Is the layer called, is what it gives used, does a stop_gradient or a rounding stand behind it?",
    unless=(
        "constant_inputs", "constant_output", "dead_units", "symmetric_units", "saturated_units",
        "saturated_outputs", "not_finite", "rate_too_high",
    ),
)  # fmt: skip
def no_gradient(trace: TrainingTrace) -> Evidence | None:
    losses = trace.model._training_state.losses
    if not trace.standard or not _settled(trace) or (losses is not None and not all(losses.needed)):
        return None
    idle = [
        w.path for w in _idle(trace.snapshots[-1]) if w.path in {w.path for w in _idle(trace.snapshots[-2])}
    ]
    if len(trace.snapshots) < 2 or not idle:
        return None
    return Evidence(
        f"the gradient of {listed(idle)} is exactly 0 at all {trace.batch_size * len(trace.batches)} samples "
        "that were looked at",
        idle,
    )


def _idle(snapshot: Snapshot) -> Iterator[WeightSnapshot]:
    return (weight for weight in snapshot.kernels() if not weight.gradient and np.isfinite(weight.rms))
