"""Losses and metrics of `compile`, assigned to the outputs once the model is traced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hornbeam import losses as losses_module
from hornbeam import metrics as metrics_module
from hornbeam import ops, tree
from hornbeam._internal.call_errors import check_accepts
from hornbeam._internal.naming import suggest
from hornbeam.core.registry import names_in
from hornbeam.core.variable import eager_scope
from hornbeam.errors import UnknownObjectError
from hornbeam.ir.types import ShapeError
from hornbeam.metrics.stateless import StatelessMethods
from hornbeam.training.check_labels import (
    check_activation,
    check_class_numbers,
    check_labels,
    last_activations,
    takes_logits,
)
from hornbeam.training.nested_losses import (
    NestedLoss,
    at_path,
    is_nested,
    loss_names,
    map_losses,
    nested_losses,
    unwrapped,
)
from hornbeam.training.outputs import Outputs, free_name, is_several, parts_of

if TYPE_CHECKING:
    from hornbeam._internal.typing import PerOutput, Tree
    from hornbeam.core.tensor import Tensor
    from hornbeam.layers.network import Network
    from hornbeam.losses import Loss
    from hornbeam.losses.loss import LossLike
    from hornbeam.metrics import Metric
    from hornbeam.metrics.metric import MetricLike

_ACCURACY = ("accuracy", "acc")
# The cross-entropy for the shapes of targets and predictions.
_CROSSENTROPY = ("crossentropy", "ce")


def make_loss(identifier: Any) -> Loss | str | None:
    """Return a Loss for a name, function or object. None stays, and "crossentropy", which needs shapes."""
    if isinstance(identifier, str) and identifier.lower() in _CROSSENTROPY:
        return identifier
    if identifier is None or isinstance(identifier, losses_module.Loss):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, losses_module.Loss):
        raise ValueError(f"loss={identifier.__name__} is the class: write {identifier.__name__}()")
    try:
        loss = losses_module.get(identifier)
    except UnknownObjectError:
        metrics = {name.lower() for name in (*_ACCURACY, *names_in("keras.metrics"))}
        if not isinstance(identifier, str) or identifier.lower() not in metrics:
            raise
        raise UnknownObjectError(
            f"loss={identifier!r} is a metric: write metrics=[{identifier!r}], and as the loss what training "
            "makes smaller, such as 'sparse_categorical_crossentropy', 'binary_crossentropy' or 'mse'"
        ) from None
    if isinstance(loss, losses_module.Loss):
        return loss
    check_accepts(loss, "y_true, y_pred", "a loss")
    return losses_module.LossFunctionWrapper(loss, name=getattr(loss, "__name__", type(loss).__name__))


def check_loss_weights(weights: Tree) -> None:
    """Raise ValueError unless `weights` are numbers, a list or a dict of them."""
    for weight in tree.flatten(parts_of(weights)):
        if weight is not None and (isinstance(weight, (str, bool)) or not hasattr(weight, "__float__")):
            hint = (
                " The third argument of compile() is loss_weights: write metrics=[...] for metrics"
                if isinstance(weight, str) or hasattr(weight, "update_state")
                else ""
            )
            raise ValueError(f"loss_weights must be numbers, got {weight!r}.{hint}")


class Losses:
    """The loss of each output, and their weighted sum.

    With several outputs, trackers hold the mean of each loss.
    """

    def __init__(self, loss: PerOutput[LossLike] | None, loss_weights: PerOutput[float] | None) -> None:
        if isinstance(loss, dict):
            loss = {name: unwrapped(part) for name, part in loss.items()}
        elif isinstance(loss, (list, tuple)) and not hasattr(loss, "_fields"):
            loss = type(loss)(unwrapped(part) for part in loss)
        self.spec: Any = map_losses(make_loss, loss)
        # Losses of parts of the outputs, where there is not one for each.
        self.nested: list[NestedLoss] = []
        if loss_weights is not None:
            check_loss_weights(loss_weights)
        self.loss_weights: Any = loss_weights
        self.outputs: Outputs | None = None
        self.by_output: list[Any] = []
        self.weights: list[float] = []
        self.trackers: list[Any] = []
        # Shapes of the outputs when they were last compared with targets, and their activations.
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.activations: dict[str, tuple[str | None, str | None]] = {}

    def build(self, outputs: Outputs) -> None:
        """Assign losses and weights to the model's outputs.

        Raises ValueError for names and numbers that do not match.
        """
        if self.outputs is not None and self.outputs.names == outputs.names:
            return
        spec = self.spec
        if is_nested(spec):
            self._build_nested(outputs)
            return
        if is_several(spec):
            self.by_output = outputs.by_name(spec, "loss")
        else:
            self.by_output = [spec] * len(outputs)
        if self.loss_weights is None:
            self.weights = [1.0] * len(outputs)
        elif is_several(self.loss_weights):
            weights = outputs.by_name(self.loss_weights, "loss_weights", default=1.0)
            self.weights = [1.0 if weight is None else float(weight) for weight in weights]
        else:
            self.weights = [float(self.loss_weights)] * len(outputs)
        names = zip(loss_names(outputs), self.by_output, strict=True)
        used = [name for name, loss in names if loss is not None]
        self._track(used)
        self.outputs = outputs.without_values()

    def _track(self, names: list[str]) -> None:
        """Make the means of the losses with these names, unless there is only one."""
        with eager_scope():
            several = len(names) > 1
            self.trackers = [metrics_module.Mean(name=f"{name}_loss") for name in names] if several else []

    def _build_nested(self, outputs: Outputs) -> None:
        self.nested = nested_losses(self.spec, self.loss_weights, outputs.structure, outputs.names)
        self.by_output, self.weights = [None] * len(outputs), [1.0] * len(outputs)
        self._track(list(dict.fromkeys(term.name for term in self.nested)))
        self.outputs = outputs.without_values()

    @property
    def needed(self) -> list[bool]:
        """For each output, True if it has a loss."""
        return [loss is not None for loss in self.by_output]

    def terms(self, outputs: Outputs, y: Tree, sample_weight: Tree) -> list[tuple[Any, ...]]:
        """Return (name, loss, target, prediction, sample weight, loss weight) of each output with a loss.

        The losses must be built for the outputs.
        """
        targets, weights = outputs.targets(y, self.needed), outputs.weights(sample_weight)
        rows = zip(
            outputs.names, self.by_output, targets, outputs.tensors, weights, self.weights, strict=True
        )
        return [row for row in rows if row[1] is not None]

    def __call__(self, y: Tree, y_pred: Tree, sample_weight: Tree, model: Network) -> Tensor | None:
        """Compute the weighted sum of the outputs' losses, None without losses."""
        outputs = Outputs(y_pred, getattr(model, "output_names", None))
        where = describe(model)
        self.build(outputs)
        if self.nested:
            return self._nested_sum(outputs, y, sample_weight, where)
        total, trackers = None, iter(self.trackers)
        for name, loss, target, prediction, weight, factor in self.terms(outputs, y, sample_weight):
            if target is None:
                raise ValueError(f"{where}: the loss of output {name!r} needs targets, but y is missing")
            prediction = ops.convert_to_tensor(prediction)
            if isinstance(loss, str):
                loss = _crossentropy(loss, tuple(target.shape), tuple(prediction.shape))
                self.by_output[outputs.names.index(name)] = loss
            at = f"{where}, output {name!r}"
            check_activation(loss, prediction, at)
            self.shapes[name] = tuple(prediction.shape)
            self.activations[name] = last_activations(prediction.node)
            try:
                value = loss(target, prediction, sample_weight=weight)
            except ShapeError as error:
                raise ShapeError(f"{at}: {error}{_axes_hint(target, prediction)}") from None
            _check_scalar(value, loss, where)
            if self.trackers:
                next(trackers).update_state(value, sample_weight=ops.shape(prediction)[0])
            part = value if factor == 1.0 else value * factor
            total = part if total is None else total + part
        return total

    def _nested_sum(self, outputs: Outputs, y: Tree, sample_weight: Tree, where: str) -> Tensor | None:
        """Compute the weighted sum of losses of parts of the outputs."""
        if y is None:
            raise ValueError(f"{where}: the losses need targets, but y is missing")
        targets = outputs.packed(outputs.targets(y, [True] * len(outputs)))
        weights = outputs.packed(outputs.weights(sample_weight)) if is_several(sample_weight) else None
        total: Tensor | None = None
        sums: dict[str, Tensor] = {}
        for path, loss, factor, name in self.nested:
            weight = sample_weight if weights is None else at_path(weights, path)
            target, prediction = at_path(targets, path), at_path(outputs.structure, path)
            if isinstance(loss, str):
                loss = _crossentropy(loss, tuple(target.shape), tuple(prediction.shape))
            value = loss(target, prediction, sample_weight=weight)
            _check_scalar(value, loss, where)
            sums[name] = sums[name] + value if name in sums else value
            part = value if factor == 1.0 else value * factor
            total = part if total is None else total + part
        rows = ops.shape(outputs.tensors[0])[0]
        for tracker, value in zip(self.trackers, sums.values(), strict=False):
            tracker.update_state(value, sample_weight=rows)
        return total

    def check_values(self, y: Tree, model: Network, class_weight: Mapping[int, float] | None) -> None:
        """Check all target values against the outputs."""
        if self.outputs is None or self.nested:
            return
        targets = self.outputs.targets(y, self.needed)
        for name, loss, target in zip(self.outputs.names, self.by_output, targets, strict=True):
            if loss is not None and target is not None and name in self.shapes:
                at = f"{describe(model)}, output {name!r}"
                check_labels(loss, target, self.shapes[name], at)
                if class_weight is not None:
                    check_class_numbers(class_weight, loss, self.shapes[name], at)


def _check_scalar(value: Tensor, loss: Loss, where: str) -> None:
    if value.shape != ():
        raise ShapeError(
            f"{where}: the loss {loss.name!r} gives shape {value.shape}; training needs a scalar: use "
            'reduction="sum_over_batch_size"'
        )


def _axes_hint(target: Tensor, prediction: Tensor) -> str:
    """Return advice for a prediction with more axes than one target for each sample has."""
    if prediction.ndim <= 2 or len(target.shape) > 2 or (len(target.shape) == 2 and prediction.ndim == 3):
        return ""
    where = "before the last Dense"
    return f". The output has {prediction.ndim} axes: put Flatten() or a global pooling layer {where}"


def describe(model: Any) -> str:
    """Name a model in messages."""
    return f"model {model.name!r}"


class CompileMetrics(StatelessMethods):
    """The metrics of each output, with and without sample weights, as one metric.

    `metrics` are the metric objects. Results are named as in Keras: the metric's name, after the output's
    name if the model has several outputs.
    """

    def __repr__(self) -> str:
        return f"<CompileMetrics {', '.join(metric.name for metric in self.metrics)}>"

    name = "compile_metrics"

    def __init__(
        self,
        metrics: PerOutput[MetricLike] | None,
        weighted_metrics: PerOutput[MetricLike] | None,
        model: Network,
        losses: Losses,
    ) -> None:
        self.model = model
        self.losses = losses
        # True once the metrics have been compared with what they are given.
        self.judged = False
        self.spec = _of_models(metrics, "spec")
        if weighted_metrics is None and isinstance(metrics, (list, tuple)):
            compiled: list[Any] = [part for part in metrics if isinstance(part, CompileMetrics)]
            weighted_metrics = compiled or None
        self.weighted_spec = _of_models(weighted_metrics, "weighted_spec")
        self.outputs: Outputs | None = None
        self.rows: list[tuple[int, Any, bool, str]] = []
        # Shapes of the outputs without the batch axis.
        self.shapes: list[tuple[int, ...]] = []
        # Names are resolved now, so that compile() reports a wrong one. Every mention gets an object.
        self._resolved: dict[int, list[Any]] = {}
        for spec in (self.spec, self.weighted_spec):
            for part in _leaves(spec):
                self._resolved.setdefault(id(part), []).append(_make_metric(part))

    @property
    def metrics(self) -> list[Any]:
        """Metric objects."""
        if self.outputs is not None:
            return [metric for _, metric, _, _ in self.rows]
        return [metric for entries in self._resolved.values() for metric in entries if metric is not None]

    def build(self, outputs: Outputs, targets: Sequence[Any]) -> None:
        """Assign the metrics to the model's outputs. Shapes of targets and outputs decide on "accuracy"."""
        if self.outputs is not None and self.outputs.names == outputs.names:
            return
        rows: list[tuple[int, Any, bool, str]] = []
        names = {"loss"}
        plain: set[str] = set()
        for weighted, spec, argument in (
            (False, self.spec, "metrics"),
            (True, self.weighted_spec, "weighted_metrics"),
        ):
            for index, parts in enumerate(_per_output(spec, outputs, argument)):
                for part in parts:
                    metric = self._object(index, part, targets[index], outputs.tensors[index], argument)
                    name = part if isinstance(part, str) else metric.name
                    if weighted and name in plain:
                        name = f"weighted_{name}"
                    elif not weighted:
                        plain.add(name)
                    rows.append((index, metric, weighted, _free_name(outputs, index, name, names)))
        self.rows = rows
        self.shapes = [tuple(prediction.shape[1:]) for prediction in outputs.tensors]
        self.outputs = outputs.without_values()

    def _object(self, index: int, part: Any, target: Any, prediction: Any, argument: str) -> Metric:
        unused = self._resolved.get(id(part))
        metric = unused.pop() if unused else _make_metric(part)
        if metric is not None:
            return metric
        if target is None:
            raise ValueError(
                f"{argument} has {part!r}, which compares predictions with targets, but y is missing"
            )
        loss = self.losses.by_output[index] if self.losses.by_output else None
        with eager_scope():
            return _accuracy(part, tuple(target.shape), tuple(prediction.shape), takes_logits(loss))

    @property
    def variables(self) -> list[Any]:
        """Variables of all the metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def reset_state(self) -> None:
        """Start all metrics over."""
        for metric in self.metrics:
            metric.reset_state()

    def update_state(self, y: Tree, y_pred: Tree, sample_weight: Tree = None) -> None:
        """Update all metrics with a batch."""
        outputs = Outputs(y_pred, getattr(self.model, "output_names", None))
        where = describe(self.model)
        needed = [bool(parts) for parts in _per_output(self.spec, outputs, "metrics")]
        extra = [bool(parts) for parts in _per_output(self.weighted_spec, outputs, "weighted_metrics")]
        targets = outputs.targets(y, [a or b for a, b in zip(needed, extra, strict=True)])
        self.build(outputs, targets)
        weights = outputs.weights(sample_weight)
        for index, metric, weighted, name in self.rows:
            target, prediction = targets[index], outputs.tensors[index]
            if target is None:
                raise ValueError(f"{where}: the metric {name!r} needs targets, but y is missing")
            extra_arguments = {"sample_weight": weights[index]} if weighted else {}
            try:
                metric.update_state(target, prediction, **extra_arguments)
            except ShapeError as error:
                raise ShapeError(f"{where}, metric {name!r}: {error}") from None

    def result(self) -> dict[str, Any]:
        """Return the present values by name. A metric that gives a dict adds its entries."""
        return merged_results((name, metric) for _, metric, _, name in self.rows)


def merged_results(metrics: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the values of named metrics. One that gives a dict adds its entries."""
    results: dict[str, Any] = {}
    for name, metric in metrics:
        value = metric.result()
        results.update(value if isinstance(value, dict) else {name: value})
    return results


def _of_models(spec: Tree, attribute: str) -> Tree:
    """Replace those of a compiled model, `model.metrics`, by what they were made of."""
    if not isinstance(spec, (list, tuple)):
        return spec
    parts = [getattr(part, attribute) if isinstance(part, CompileMetrics) else [part] for part in spec]
    if len(parts) == 1:
        return parts[0]
    return [entry for part in parts for entry in (_leaves(part) if isinstance(part, dict) else part or [])]


def _leaves(spec: Tree) -> list[Any]:
    parts = [_leaves(part) if is_several(part) else [part] for part in parts_of(spec)]
    return [leaf for leaves in parts for leaf in leaves if leaf is not None]


def _make_metric(identifier: MetricLike) -> Metric | None:
    """Return a metric object, None for "accuracy", which needs shapes."""
    if isinstance(identifier, str) and identifier.lower() in _ACCURACY:
        return None
    if isinstance(identifier, metrics_module.Metric):
        return identifier
    if isinstance(identifier, str):
        known = [*_ACCURACY, *names_in("keras.metrics")]
        try:
            metric: Any = metrics_module.get(identifier)
        except ValueError as error:
            hint = suggest(identifier, known, "metric", "hornbeam.metrics")
            raise type(error)(f"unknown metric {identifier!r}.{hint}") from None
    else:
        metric = metrics_module.get(identifier)
    if isinstance(metric, metrics_module.Metric):
        if isinstance(identifier, str):
            metric.name = identifier
        return metric
    check_accepts(metric, "y_true, y_pred", "a metric")
    name = identifier if isinstance(identifier, str) else _function_name(metric)
    return metrics_module.MeanMetricWrapper(metric, name=name)


def _function_name(fn: Any) -> str:
    name = getattr(fn, "__name__", type(fn).__name__)
    return "lambda" if name == "<lambda>" else name


def _kind(target: tuple[int, ...], prediction: tuple[int, ...]) -> str:
    """Return what shapes tell: "binary" for one unit, "sparse" for class indices, else "categorical"."""
    if prediction[-1] == 1:
        return "binary"
    return "sparse" if len(target) < len(prediction) or target[-1] == 1 else "categorical"


# Cross-entropy and accuracy by `_kind`.
_CLASSIFICATION = {
    "binary": (losses_module.BinaryCrossentropy, metrics_module.BinaryAccuracy),
    "sparse": (losses_module.SparseCategoricalCrossentropy, metrics_module.SparseCategoricalAccuracy),
    "categorical": (losses_module.CategoricalCrossentropy, metrics_module.CategoricalAccuracy),
}


def _crossentropy(name: str, target: tuple[int, ...], prediction: tuple[int, ...]) -> Loss:
    return _CLASSIFICATION[_kind(target, prediction)][0](name=name)


def _accuracy(name: str, target: tuple[int, ...], prediction: tuple[int, ...], logits: bool) -> Metric:
    kind = _kind(target, prediction)
    if kind == "binary" and logits:
        return metrics_module.BinaryAccuracy(name, threshold=0.0)
    return _CLASSIFICATION[kind][1](name=name)


def _per_output(spec: Tree, outputs: Outputs, argument: str) -> list[list[Any]]:
    """Return the metrics of each output as lists."""
    if spec is None:
        return [[] for _ in outputs.names]
    if outputs.nested and is_several(spec):
        return [_as_list(part) for part in outputs.by_structure(spec, argument)]
    if isinstance(spec, dict):
        return [_as_list(part) for part in outputs.by_name(spec, argument)]
    if not isinstance(spec, (list, tuple)):
        spec = [spec]
    if len(outputs) == 1:
        flat = spec[0] if len(spec) == 1 and isinstance(spec[0], (list, tuple)) else spec
        return [list(flat)]
    if not spec:
        return [[] for _ in outputs.names]
    if len(spec) != len(outputs):
        example = ", ".join(f"{name!r}: [...]" for name in outputs.names[:2])
        raise ValueError(
            f"{argument} has {len(spec)} entries, the model has {len(outputs)} outputs: write them by "
            f"output, as in {argument}={{{example}}}"
        )
    return [_as_list(part) for part in spec]


def _as_list(part: Any) -> list[Any]:
    if part is None:
        return []
    return [p for p in part if p is not None] if isinstance(part, (list, tuple)) else [part]


def _free_name(outputs: Outputs, index: int, name: str, used: set[str]) -> str:
    """Return the name in logs, numbered if it is used already."""
    base = name if len(outputs) == 1 else f"{outputs.names[index]}_{name}"
    name = free_name(base, used)
    used.add(name)
    return name
