"""Snapshot of a training step: statistics of layer outputs, gradients and updates."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.diagnostics.capture import CapturedCall, Probe, capture_layer_calls, rms
from hornbeam.engines.base import Engine
from hornbeam.ir.node import Node, topological
from hornbeam.ir.types import is_float
from hornbeam.layers import Layer
from hornbeam.layers.weights import flatten_layers
from hornbeam.models import Model
from hornbeam.optimizers.updates import record_gradients
from hornbeam.training.check_labels import skip_movement
from hornbeam.training.packing import Batch, Signature

# Name of a layer's last primitive -> kind of activation, for those that the checks know.
_KINDS = {"softmax": "softmax", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


@dataclass
class LayerSnapshot:
    """Statistics of a call of a layer on the probed batches.

    kind: "relu", "sigmoid", "tanh", "softmax", or "" for any other last operation. inputs: indices of the
    snapshots that its inputs come from (None for data, and for values computed outside of layers). sole:
    True if this call alone uses its first input. from_data: True if no trained weight precedes it.
    is_output: True if the model returns it. samples, rank: of the output.

    rms, largest: of the output. spread: largest difference between two samples of a batch. high, low:
    extremes of each unit (last axis). saturated: proportion of outputs at the flat ends of a sigmoid, tanh
    or softmax. input_rms,
    input_largest: of the first input. feature_rms: of each feature of the first input, if it has rank 2.
    """

    path: str
    layer: Layer
    kind: str
    inputs: list[int | None]
    sole: bool
    from_data: bool
    is_output: bool
    samples: int
    rank: int
    rms: float = 0.0
    largest: float = 0.0
    spread: float = 0.0
    high: np.ndarray | None = None
    low: np.ndarray | None = None
    saturated: float = 0.0
    input_rms: float = 0.0
    input_largest: float = 0.0
    feature_rms: np.ndarray | None = None

    @property
    def dead(self) -> np.ndarray:
        """For each unit of a ReLU, True if it is zero for all samples."""
        return np.asarray(self.high) <= 0


@dataclass
class WeightSnapshot:
    """A trained weight.

    layer: path of its layer. rms, gradient, update: root mean squares of the weight, of its gradient (None
    if it has none) and of one update. alike: True if all units have the same weights.
    """

    path: str
    layer: str
    shape: tuple[int, ...]
    rms: float = 0.0
    gradient: float | None = None
    update: float = 0.0
    alike: bool = False

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


@dataclass
class Snapshot:
    """Statistics of all layers and weights at one moment.

    updates: number of updates before. logs: of one training step from here. penalty: regularization loss.
    predictions: of the model, for each output.
    """

    epoch: int
    updates: int
    layers: list[LayerSnapshot]
    weights: list[WeightSnapshot]
    logs: dict[str, float]
    penalty: float
    predictions: list[np.ndarray]

    @property
    def loss(self) -> float | None:
        """Loss on the probed batches, None if the step has no log of that name."""
        return self.logs.get("loss")

    def kernels(self) -> list[WeightSnapshot]:
        """Return the kernels: weights of rank 2 and more."""
        return [weight for weight in self.weights if len(weight.shape) >= 2]


class StepProbe:
    """The model's own training step, traced once more with statistics as results."""

    def __init__(self, model: Model, signature: Signature, engine: Engine, eager: bool) -> None:
        self._model = model
        self._layers: list[LayerSnapshot] = []
        self._weights: list[WeightSnapshot] = []
        self._probe = Probe(self._step, signature, engine, eager)

    def snapshot(self, batches: Sequence[Batch], epoch: int, updates: int) -> Snapshot:
        """Run the step on each of the batches, and merge the statistics."""
        with np.errstate(all="ignore"):
            results = [self._probe(batch) for batch in batches]
            layers = [
                _merge_layer(snapshot, [part["layers"][i] for part in results])
                for i, snapshot in enumerate(self._layers)
            ]
            weights = [
                _merge_weight(snapshot, [part["weights"][i] for part in results])
                for i, snapshot in enumerate(self._weights)
            ]
        logs = {
            name: float(np.mean([part["logs"][name] for part in results]))
            for name, value in results[0]["logs"].items()
            if np.ndim(value) == 0
        }
        predictions = [
            np.concatenate(parts) for parts in zip(*(part["predictions"] for part in results), strict=True)
        ]
        penalty = float(results[0]["penalty"])
        return Snapshot(epoch, updates, layers, weights, logs, penalty, predictions)

    def _step(self, data: Any) -> dict[str, Any]:
        """Compute the statistics of a batch; on tracing, record the layers and weights they belong to."""
        model = self._model
        model.reset_metrics()
        variables = [v for v in model.trainable_variables if is_float(v.type.dtype)]
        before = [v.value for v in variables]
        penalties = [ops.cast(v.regularizer(v), "float32") for v in variables if v.regularizer is not None]
        with capture_layer_calls() as calls, record_gradients() as gradients, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the training itself has warned
            logs = model.train_step(data)
        calls = [call for call in calls if call.outputs]
        of_model = [call for call in calls if call.layer is model]
        predictions = of_model[0].outputs if of_model else []
        trained = {value.node for value in before}
        self._layers = _arranged(calls, predictions, trained, data)
        owners = {
            id(v): layer.path for layer in flatten_layers(model) for v in layer._hb_state() if v is not layer
        }
        self._weights = [WeightSnapshot(v.path, owners.get(id(v), ""), tuple(v.shape)) for v in variables]
        return {
            "layers": [_numbers(call, snapshot) for call, snapshot in zip(calls, self._layers, strict=True)],
            "weights": [
                _weight_numbers(old, v.value, gradients.get(v))
                for v, old in zip(variables, before, strict=True)
            ],
            "logs": dict(logs),
            "penalty": sum(penalties) if penalties else 0.0,
            "predictions": [ops.cast(x, "float32") for x in predictions if is_float(x.dtype)],
        }


# -- connections between calls -------------------------------------------------------------------------------


def _arranged(
    calls: list[CapturedCall], predictions: list[Tensor], trained: set[Node], data: Any
) -> list[LayerSnapshot]:
    """Describe each call as far as the graph tells."""
    producers: dict[Node, int] = {}
    for number, call in enumerate(calls):
        for tensor in call.outputs:
            producers.setdefault(tensor.node, number)
    everything = topological([tensor.node for call in calls for tensor in call.outputs])
    users: dict[Node, set[str]] = {}
    after = set(trained)
    for node in everything:
        for operand in node.inputs:
            users.setdefault(operand, set()).add(str(node.scope))
            if operand in after:
                after.add(node)
    returned = {tensor.node for tensor in predictions}
    snapshots = []
    for call in calls:
        output = call.outputs[0]
        first = call.inputs[0].node if call.inputs else None
        snapshots.append(
            LayerSnapshot(
                path=call.layer.path,
                layer=call.layer,
                kind=_KINDS.get(skip_movement(output.node).name, ""),
                inputs=[producers.get(tensor.node) for tensor in call.inputs],
                sole=first is not None
                and users.get(first) == {str(call.layer.path)}
                and first not in returned,
                from_data=first is not None and first not in after,
                is_output=output.node in returned,
                samples=output.shape[0] if output.shape else 1,
                rank=len(output.shape),
            )
        )
    return snapshots


# -- statistics of one call or weight
# -----------------------------------------------------------------------------


def _numbers(call: CapturedCall, snapshot: LayerSnapshot) -> dict[str, Any]:
    """Compute the statistics of a call, as small tensors."""
    statistics: dict[str, Any] = {}
    output = call.outputs[0]
    if is_float(output.dtype) and output.shape and ops.size(output):
        y = ops.cast(output, "float32")
        axis = 1 if getattr(call.layer, "data_format", "") == "channels_first" and len(y.shape) > 2 else -1
        high, low = ops.max(y, axis=0), ops.min(y, axis=0)
        others = tuple(
            i for i in range(len(y.shape) - 1) if i != (axis - 1 if axis > 0 else len(y.shape) - 2)
        )
        statistics = {
            "rms": rms(y),
            "largest": ops.max(ops.maximum(ops.abs(high), ops.abs(low))),
            "spread": ops.max(high - low),
            "high": ops.max(high, axis=others) if others else high,
            "low": ops.min(low, axis=others) if others else low,
        }
        flat = _flat_ends(snapshot.kind, y)
        if flat is not None:
            statistics["saturated"] = ops.mean(ops.cast(flat, "float32"))
    if snapshot.from_data and call.inputs and is_float(call.inputs[0].dtype) and ops.size(call.inputs[0]):
        x = ops.cast(call.inputs[0], "float32")
        statistics["input_rms"], statistics["input_largest"] = rms(x), ops.max(ops.abs(x))
        if len(x.shape) == 2:
            statistics["feature_rms"] = ops.sqrt(ops.mean(ops.square(x), axis=0))
    return statistics


def _flat_ends(kind: str, y: Tensor) -> Tensor | None:
    """Return where an activation is so saturated that its gradient almost vanishes."""
    if kind == "tanh":
        return ops.abs(y) > 0.99
    if kind == "sigmoid":
        return ops.abs(y - 0.5) > 0.495
    return ops.max(y, axis=-1) > 0.99 if kind == "softmax" else None


def _weight_numbers(old: Tensor, new: Tensor, gradient: Any) -> dict[str, Any]:
    x = ops.cast(old, "float32")
    statistics = {"rms": rms(x), "update": rms(ops.cast(new, "float32") - x)}
    if gradient is not None:
        statistics["gradient"] = rms(gradient)
    if len(old.shape) >= 2 and old.shape[-1] > 1:
        statistics["alike"] = ops.all(ops.equal(x, x[..., :1]))
    return statistics


# -- merging of batches ------------------------------------------------------------------------------

_JOINED = {"high": np.max, "low": np.min, "largest": np.max, "spread": np.max}


def _merge_layer(snapshot: LayerSnapshot, parts: list[dict[str, Any]]) -> LayerSnapshot:
    values = {}
    for name in parts[0]:
        join = _JOINED.get(name, np.mean)
        value = join([part[name] for part in parts], axis=0)
        values[name] = float(value) if np.ndim(value) == 0 else value
    return LayerSnapshot(**{**vars(snapshot), **values})


def _merge_weight(snapshot: WeightSnapshot, parts: list[dict[str, Any]]) -> WeightSnapshot:
    values = {name: np.mean([part[name] for part in parts]) for name in parts[0]}
    alike = bool(values.pop("alike", False))
    return WeightSnapshot(
        **{**vars(snapshot), **{name: float(x) for name, x in values.items()}, "alike": alike}
    )
