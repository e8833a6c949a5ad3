"""One look at a training step: what layers give, what gradients weights get, how far an update moves them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.diagnostics.capture import Call, Probe, capture_layer_calls, rms
from hornbeam.engines.base import Engine
from hornbeam.ir.node import Node, topological
from hornbeam.ir.types import is_float
from hornbeam.optimizers.updates import noticed_gradients
from hornbeam.training.check_labels import skip_movement
from hornbeam.training.packing import Batch, Signature

# What the last operation of a layer is called, for those that the doctor knows something about.
_KINDS = {"softmax": "softmax", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


@dataclass
class LayerSnapshot:
    """A call of a layer on the probe batches. kind: "relu", "sigmoid", "tanh", "softmax", or "" for whatever
    its output ends in. inputs: numbers of the snapshots (None for data and what is computed outside of
    layers) that its inputs come from. sole: whether this call alone uses its first input. from_data: if no
    trained weight came before it. is_output: whether the model returns it.

    rms, largest: of the output. spread: the largest difference that two samples of a batch have anywhere.
    high, low: extremes of each unit (last axis). saturated: the share of outputs at the flat ends of a
    sigmoid, tanh or softmax. input_rms, input_largest, feature_rms: of the first input, and of each of its
    features if it is a table. samples: rows of a batch.
    """

    path: str
    layer: Any
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
    high: Any = None
    low: Any = None
    saturated: float = 0.0
    input_rms: float = 0.0
    input_largest: float = 0.0
    feature_rms: Any = None

    @property
    def dead(self) -> np.ndarray:
        """Which units of a ReLU gave zero for everything."""
        return np.asarray(self.high) <= 0


@dataclass
class WeightSnapshot:
    """A trained weight: its root mean square, that of its gradient (None if it got none) and of what one
    update adds to it. alike: whether all units have the same weights. layer: the path of its layer."""

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
    """All of it at one moment. updates: how many there had been. logs: those of one training step from here;
    penalty: what regularizers of weights add to the loss; predictions: of the model, for each output."""

    epoch: int
    updates: int
    layers: list[LayerSnapshot]
    weights: list[WeightSnapshot]
    logs: dict[str, float]
    penalty: float
    predictions: list[np.ndarray]

    @property
    def loss(self) -> float | None:
        """The loss on the probe batches, None where the step has no log of that name."""
        return self.logs.get("loss")

    def kernels(self) -> list[WeightSnapshot]:
        """The weights that multiply: those of two axes and more."""
        return [weight for weight in self.weights if len(weight.shape) >= 2]


class StepProbe:
    """The model's own training step, traced once more with the doctor watching."""

    def __init__(self, model: Any, signature: Signature, engine: Engine, eager: bool) -> None:
        self._model = model
        self._layers: list[LayerSnapshot] = []
        self._weights: list[WeightSnapshot] = []
        self._probe = Probe(self._step, signature, engine, eager)

    def snapshot(self, batches: Sequence[Batch], epoch: int, updates: int) -> Snapshot:
        """What the step does with each of the batches, together."""
        with np.errstate(all="ignore"):
            found = [self._probe(batch) for batch in batches]
            layers = [
                _together(snapshot, [part["layers"][i] for part in found])
                for i, snapshot in enumerate(self._layers)
            ]
            weights = [
                _weighed(snapshot, [part["weights"][i] for part in found])
                for i, snapshot in enumerate(self._weights)
            ]
        logs = {
            name: float(np.mean([part["logs"][name] for part in found]))
            for name, value in found[0]["logs"].items()
            if np.ndim(value) == 0
        }
        predictions = [
            np.concatenate(parts) for parts in zip(*(part["predictions"] for part in found), strict=True)
        ]
        penalty = float(found[0]["penalty"])
        return Snapshot(epoch, updates, layers, weights, logs, penalty, predictions)

    def _step(self, data: Any) -> dict[str, Any]:
        """What is computed for a batch; notes in passing what the numbers belong to."""
        model = self._model
        model.reset_metrics()
        variables = [v for v in model.trainable_variables if is_float(v.type.dtype)]
        before = [v.value for v in variables]
        penalties = [ops.cast(v.regularizer(v), "float32") for v in variables if v.regularizer is not None]
        with capture_layer_calls() as calls, noticed_gradients() as gradients, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the training itself has said so
            logs = model.train_step(data)
        calls = [call for call in calls if call.outputs]
        whole = [call for call in calls if call.layer is model]
        predictions = whole[0].outputs if whole else []
        trained = {value.node for value in before}
        self._layers = _arranged(calls, predictions, trained, data)
        owners = {
            id(v): layer.path for layer in model._flatten_layers() for v in layer._state() if v is not layer
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


# -- how calls hang together -------------------------------------------------------------------------------


def _arranged(
    calls: list[Call], predictions: list[Tensor], trained: set[Node], data: Any
) -> list[LayerSnapshot]:
    """What is known of each call before anything is computed."""
    made: dict[Node, int] = {}
    for number, call in enumerate(calls):
        for tensor in call.outputs:
            made.setdefault(tensor.node, number)
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
        given, output = call.inputs[:1], call.outputs[0]
        first = given[0].node if given else None
        snapshots.append(
            LayerSnapshot(
                path=call.layer.path,
                layer=call.layer,
                kind=_KINDS.get(skip_movement(output.node).name, ""),
                inputs=[made.get(tensor.node) for tensor in call.inputs],
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


# -- what is computed for each -----------------------------------------------------------------------------


def _numbers(call: Call, snapshot: LayerSnapshot) -> dict[str, Any]:
    """Measures of a call, as small tensors."""
    found: dict[str, Any] = {}
    output = call.outputs[0]
    if is_float(output.dtype) and output.shape and ops.size(output):
        y = ops.cast(output, "float32")
        axis = 1 if getattr(call.layer, "data_format", "") == "channels_first" and len(y.shape) > 2 else -1
        high, low = ops.max(y, axis=0), ops.min(y, axis=0)
        others = tuple(
            i for i in range(len(y.shape) - 1) if i != (axis - 1 if axis > 0 else len(y.shape) - 2)
        )
        found = {
            "rms": rms(y),
            "largest": ops.max(ops.maximum(ops.abs(high), ops.abs(low))),
            "spread": ops.max(high - low),
            "high": ops.max(high, axis=others) if others else high,
            "low": ops.min(low, axis=others) if others else low,
        }
        flat = _flat_ends(snapshot.kind, y)
        if flat is not None:
            found["saturated"] = ops.mean(ops.cast(flat, "float32"))
    if snapshot.from_data and call.inputs and is_float(call.inputs[0].dtype) and ops.size(call.inputs[0]):
        x = ops.cast(call.inputs[0], "float32")
        found["input_rms"], found["input_largest"] = rms(x), ops.max(ops.abs(x))
        if len(x.shape) == 2:
            found["feature_rms"] = ops.sqrt(ops.mean(ops.square(x), axis=0))
    return found


def _flat_ends(kind: str, y: Tensor) -> Tensor | None:
    """Where an activation is so far out that it has next to no slope."""
    if kind == "tanh":
        return ops.abs(y) > 0.99
    if kind == "sigmoid":
        return ops.abs(y - 0.5) > 0.495
    return ops.max(y, axis=-1) > 0.99 if kind == "softmax" else None


def _weight_numbers(old: Tensor, new: Tensor, gradient: Any) -> dict[str, Any]:
    x = ops.cast(old, "float32")
    found = {"rms": rms(x), "update": rms(ops.cast(new, "float32") - x)}
    if gradient is not None:
        found["gradient"] = rms(gradient)
    if len(old.shape) >= 2 and old.shape[-1] > 1:
        found["alike"] = ops.all(ops.equal(x, x[..., :1]))
    return found


# -- several batches together ------------------------------------------------------------------------------

_JOINED = {"high": np.max, "low": np.min, "largest": np.max, "spread": np.max}


def _together(snapshot: LayerSnapshot, parts: list[dict[str, Any]]) -> LayerSnapshot:
    values = {}
    for name in parts[0]:
        join = _JOINED.get(name, np.mean)
        value = join([part[name] for part in parts], axis=0)
        values[name] = float(value) if np.ndim(value) == 0 else value
    return LayerSnapshot(**{**vars(snapshot), **values})


def _weighed(snapshot: WeightSnapshot, parts: list[dict[str, Any]]) -> WeightSnapshot:
    values = {name: np.mean([part[name] for part in parts]) for name in parts[0]}
    alike = bool(values.pop("alike", False))
    return WeightSnapshot(
        **{**vars(snapshot), **{name: float(x) for name, x in values.items()}, "alike": alike}
    )
