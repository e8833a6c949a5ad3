"""Steps of a subclass that pass variables through, as Keras has them on JAX: `train_step(state, data)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.dispatch import host_tracing
from hornbeam.core.jit import trace_for
from hornbeam.core.variable import Variable, eager_scope, set_buffers
from hornbeam.engines import Engine
from hornbeam.layers.weights import flatten_layers
from hornbeam.training.packing import Batch, Signature, unpack_x_y_sample_weight
from hornbeam.training.steps import Steps, training_state


def is_stateless(step: Callable[..., Any]) -> bool:
    """Return True if a user's step takes the state of the model beside the batch.

    Raises:
        TypeError: If it does, and no host library traces operations.
    """
    parameters = inspect.signature(step).parameters.values()
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):  # as Keras calls it on the library's backend
        return bool(host_tracing().types)
    required = [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(required) < 2:
        return False
    if host_tracing().types:
        return True
    name = getattr(step, "__name__", "step")
    raise TypeError(
        f"{name}({', '.join(required)}) is the signature of Keras on JAX, which passes variables through: it "
        "needs JAX's engine, by hornbeam.config.set_engine('jax') and hornbeam.interop.register_jax() (under "
        f"`hornbeam run` by KERAS_BACKEND=jax). {name}(data) is the same for all engines: self(x, "
        "training=True), hornbeam.gradients(loss, self.trainable_variables), self.optimizer.apply(gradients, "
        "self.trainable_variables), and a dict of logs"
    )


class StatelessStep:
    """`fn(state, data)` of a model, compiled by the host library; returns logs and the new state.

    The state is the tuple of the values of the trainable, the non-trainable, for training the optimizer's,
    and the metrics' variables.
    """

    def __init__(self, model: Steps, fn: Callable[..., Any], mode: str, engine: Engine) -> None:
        self._model = model
        self._is_training = mode == "train"
        self._engine = engine
        self._fn = host_tracing().jit(fn)

    def build(self, signature: Signature) -> None:
        """Create the variables of model, optimizer and metrics, which a traced function cannot."""
        model = self._model

        def visit(data: Tree) -> Tree:
            x, y, sample_weight = unpack_x_y_sample_weight(data)
            y_pred = model(x)
            if y is not None:
                model.compute_metrics(x, y, y_pred, sample_weight)
            return y_pred

        metrics = training_state(model).metrics
        is_built = all(layer.built for layer in flatten_layers(model))
        if not is_built or (metrics is not None and metrics.outputs is None):
            trace_for(self._engine, visit, [signature.packed])
        if self._is_training and model.optimizer is not None:
            model.optimizer.check_multipliers(model.weights)
            if not model.optimizer.built:
                with eager_scope():
                    model.optimizer.build(model.trainable_variables)

    def run(self, batch: Batch) -> Tree:
        """Run one step. Returns the logs."""
        groups = self._groups()
        value = host_tracing().value
        logs, state = self._fn(tuple([[value(v.value) for v in group] for group in groups]), batch.packed)
        if len(state) != len(groups) or any(map(lambda a, b: len(a) != len(b), state, groups)):
            raise ValueError(
                f"{'train' if self._is_training else 'test'}_step must return logs and the state, a tuple of "
                f"lists of {', '.join(str(len(group)) for group in groups)} values, got "
                f"{tree.map_structure(type, state)}"
            )
        for group, values in zip(groups, state, strict=True):
            set_buffers(group, self._engine, values)
        return logs

    def _groups(self) -> tuple[list[Variable], ...]:
        model = self._model
        optimizer = [] if model.optimizer is None else model.optimizer.variables
        trained = (model.trainable_variables, model.non_trainable_variables)
        return (*trained, *([list(optimizer)] if self._is_training else []), model.metrics_variables)
