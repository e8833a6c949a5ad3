"""Checks of activations and gradients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hornbeam.diagnostics.doctor.findings import Checks, Evidence, listed
from hornbeam.diagnostics.doctor.step_probe import LayerSnapshot, Snapshot, WeightSnapshot
from hornbeam.diagnostics.doctor.training_trace import TrainingTrace
from hornbeam.layers.tracking import sublayers
from hornbeam.training.steps import training_state

check = Checks()

# Updates after which an anomaly is not an accident of the initial weights.
_SETTLED = 10
# Largest ratio of gradient to weight. Before a normalization it is easily a hundred.
_STEEP = 1000


def _settled(trace: TrainingTrace) -> bool:
    return trace.snapshots[-1].updates >= _SETTLED


def _hidden(snapshot: Snapshot) -> list[LayerSnapshot]:
    """List layers of floats whose outputs the model does not return."""
    returned = {layer.path for layer in snapshot.layers if layer.is_output}
    return [
        layer
        for layer in snapshot.layers
        if not sublayers(layer.layer) and layer.path not in returned and layer.high is not None
    ]


def _strength(weight: WeightSnapshot) -> float:
    """Return the influence of a weight on the loss: its norm times that of its gradient.

    Along a healthy network it has one order of magnitude, whatever the scale of activations.
    """
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
    """Return evidence of activations in a new network that grow by a thousand from layer to layer."""
    layers = [layer for layer in snapshot.layers if layer.high is not None and not sublayers(layer.layer)]
    layers = [layer for layer in layers if layer.rms > 0]
    if len(layers) < 3:
        return None
    largest = max(layers, key=lambda layer: layer.rms)
    if largest.rms < 1000 * max(layers[0].rms, 1.0):
        return None
    return Evidence(
        f"before training activations grow from {layers[0].rms:.2g} after {str(layers[0].path)!r} to "
        f"{largest.rms:.2g} after {str(largest.path)!r}",
        [largest.path],
    )


@check(
    "bad_start",
    "snapshot",
    "a loss before training far above that of a constant prediction",
    "Check the scale of inputs and the initializers: new weights should give outputs of about 0",
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
        f"before training the loss is {loss:.3g}; a constant prediction would have {trace.constant_loss:.3g}"
    )


@check(
    "constant_output",
    "snapshot",
    "a layer with the same output for every sample",
    "No layer after it can distinguish samples: check its weights and its inputs",
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
        if layer.high is None or layer.samples < 4 or not layer.inputs or sublayers(layer.layer):
            continue
        source = layer.inputs[0]
        fed = snapshot.layers[source] if source is not None else None
        varied = fed is None or fed.high is None or fed.spread > 1e-6 * max(fed.largest, 1e-30)
        if varied and layer.spread <= 1e-7 * layer.largest and _depends(layer):
            if layer.kind == "" and not _settled(trace):
                continue  # zeros that a block begins with
            largest = f"{layer.largest:.3g}" if layer.largest else "0"
            return Evidence(
                f"{str(layer.path)!r} has the same output for all {layer.samples} samples of a batch, "
                f"at most {largest}",
                [layer.path],
            )
    return None


def _depends(layer: LayerSnapshot) -> bool:
    """Return whether a layer has inputs of floats, on which its output should depend."""
    return layer.inputs[0] is not None or layer.from_data


@check(
    "dead_units",
    "snapshot",
    "ReLU units that are zero for every sample, and so have no gradient",
    "Use a smaller learning rate, scaled inputs, or LeakyReLU; check biases that were set by hand",
    unless=("constant_output", "constant_inputs", "rate_too_high"),
)
def dead_units(trace: TrainingTrace) -> Evidence | None:
    if len(trace.batches) * trace.batch_size < 32:
        return None
    snapshots = trace.snapshots[-2:]
    affected = []
    for number, layer in enumerate(snapshots[-1].layers):
        if layer.kind != "relu" or layer.high is None or sublayers(layer.layer) or len(layer.dead) < 8:
            continue
        dead = layer.dead
        if len(snapshots) == 2 and snapshots[0].layers[number].path == layer.path:
            dead = dead & snapshots[0].layers[number].dead
        if dead.mean() >= (0.6 if len(snapshots) == 2 else 0.8):
            affected.append((layer, int(dead.sum())))
    if not affected:
        return None
    layer, count = max(affected, key=lambda pair: pair[1] / len(pair[0].dead))
    samples = trace.batch_size * len(trace.batches)
    return Evidence(
        f"{count} of the {len(layer.dead)} units of {str(layer.path)!r} are zero for all {samples} samples "
        "that were probed",
        [layer.path for layer, _ in affected],
    )


@check(
    "saturated_units",
    "snapshot",
    "hidden sigmoids and tanhs at their flat ends",
    "Scale the inputs, use smaller initial weights, or relu: no gradient passes where they are flat",
    unless=("constant_inputs",),
)
def saturated_units(trace: TrainingTrace) -> Evidence | None:
    snapshots = trace.snapshots
    saturated = [
        layer
        for layer in _hidden(snapshots[-1])
        if layer.kind in ("sigmoid", "tanh") and layer.rank == 2 and layer.saturated > 0.8
    ]
    if not saturated or (len(snapshots) > 1 and not _saturated_before(snapshots[-2], saturated[0].path)):
        return None
    layer = saturated[0]
    return Evidence(
        f"{layer.saturated:.0%} of the outputs of {str(layer.path)!r} are at the flat ends of its "
        f"{layer.kind}",
        [layer.path for layer in saturated],
    )


def _saturated_before(snapshot: Snapshot, path: str) -> bool:
    return any(layer.path == path and layer.saturated > 0.8 for layer in snapshot.layers)


@check(
    "saturated_outputs",
    "snapshot",
    "predictions that are certain and wrong",
    "Scale the inputs, use smaller initial weights or a smaller learning rate",
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
        f"{certain.mean():.0%} of {len(certain)} predictions give one class more than 99%, and "
        f"{(wrong & certain).sum() / certain.sum():.0%} of those are wrong"
    )


@check(
    "vanishing_gradients",
    "snapshot",
    "gradients that vanish towards the first layers",
    "Use relu instead of sigmoid or tanh, normalize between layers, add skip connections, or use fewer "
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
    first, strongest, ratio = pair[-1]  # type: ignore[misc]
    return Evidence(
        f"{str(first.path)!r} has {ratio:.1g} of the influence on the loss of {str(strongest.path)!r} "
        f"(weight times gradient {_strength(first):.1g} against {_strength(strongest):.1g})",
        [first.layer],
    )


def _faded(snapshot: Snapshot) -> tuple[WeightSnapshot, WeightSnapshot, float] | None:
    """Return the first weight, the most influential one, and their ratio, None unless it is near 0."""
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
    "Use the default kernel_initializer: equal units stay equal",
)
def symmetric_units(trace: TrainingTrace) -> Evidence | None:
    if not _settled(trace):
        return None
    last = _last_kernels(trace)
    symmetric = [
        w for w in trace.snapshots[-1].kernels() if w.alike and w.layer not in last and w.gradient is not None
    ]
    if not symmetric:
        return None
    weight = symmetric[0]
    return Evidence(
        f"all {weight.shape[-1]} units of {str(weight.layer)!r} have equal weights after "
        f"{trace.snapshots[-1].updates:,} updates",
        [w.layer for w in symmetric],
    )


def _last_kernels(trace: TrainingTrace) -> set[str]:
    """Return the layers whose weights compute the outputs: they may begin at zero."""
    snapshots = trace.snapshots[-1].layers
    paths: set[str] = set()
    for layer in snapshots:
        if not layer.is_output or sublayers(layer.layer):
            continue
        at: LayerSnapshot | None = layer
        while at is not None and not at.layer.trainable_weights:
            at = snapshots[at.inputs[0]] if at.inputs and at.inputs[0] is not None else None
        if at is not None:
            paths.add(at.path)
    return paths


@check(
    "no_gradient",
    "snapshot",
    "weights on which the loss does not depend",
    "Check whether the layer is called, its output is used, and a stop_gradient or a rounding follows it",
    unless=(
        "constant_inputs", "constant_output", "dead_units", "symmetric_units", "saturated_units",
        "saturated_outputs", "not_finite", "rate_too_high",
    ),
)  # fmt: skip
def no_gradient(trace: TrainingTrace) -> Evidence | None:
    losses = training_state(trace.model).losses
    if not trace.standard or not _settled(trace) or (losses is not None and not all(losses.needed)):
        return None
    idle = [
        w.path for w in _idle(trace.snapshots[-1]) if w.path in {w.path for w in _idle(trace.snapshots[-2])}
    ]
    if len(trace.snapshots) < 2 or not idle:
        return None
    return Evidence(
        f"the gradient of {listed(idle)} is exactly 0 at all {trace.batch_size * len(trace.batches)} samples "
        "that were probed",
        idle,
    )


def _idle(snapshot: Snapshot) -> Iterator[WeightSnapshot]:
    return (weight for weight in snapshot.kernels() if not weight.gradient and np.isfinite(weight.rms))
