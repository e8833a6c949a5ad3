"""Unfreezing layers one after the other during a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from hornbeam._internal.validation import check_int
from hornbeam.core.variable import Variable
from hornbeam.distribution.processes import print_once
from hornbeam.layers import Layer
from hornbeam.layers.weights import flatten_layers, set_own_trainable
from hornbeam.training.callbacks.base import Callback, Logs, rated_optimizers
from hornbeam.training.checkpoint_schema import list_of, natural
from hornbeam.training.trainable_at_compile import accept_trainable
from hornbeam.transfer.freezing import layers_named, layers_with_weights, set_trainable


class GradualUnfreezing(Callback):
    """Unfreeze the frozen layers of a model during `fit`, from the last to the first.

    Freeze layers first, compile, then fit with this callback. Layers that join have a fresh state of the
    optimizer, whose bias corrections count from then on; the state of the others stays. The step is traced
    again when layers join, and only then. Frozen layers compute as in inference, `BatchNormalization`
    included.

    Args:
        every: Integer, the number of epochs after which the next layers join.
        groups: Layers that join together, in this order: a list of lists of layers, or of their names or
            paths. None for one layer with weights at a time, from the last to the first.
        verbose: 1 prints which layers join.

    Raises:
        ValueError: If no layer is frozen when training begins, or a layer does not exist.

    Example:
        >>> hornbeam.transfer.freeze(model, except_last=1)  # doctest: +SKIP
        >>> model.fit(x, y, epochs=9, callbacks=[GradualUnfreezing(every=3)])  # doctest: +SKIP

    Source: Howard & Ruder 2018, https://arxiv.org/abs/1801.06146.
    """

    checkpointed = ("epochs_done", "joined", "layers", "counts")
    schemas: ClassVar[dict[str, Any]] = {
        "epochs_done": natural,
        "joined": natural,
        "layers": list_of(list_of(natural)),
        "counts": list_of(list_of(natural)),
    }

    def __init__(
        self,
        every: int = 1,
        groups: Sequence[Sequence[Layer | str]] | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__()
        self.every = check_int("every", every, minimum=1)
        self.groups = groups
        self.verbose = verbose
        self.epochs_done = 0
        # Number of groups that were unfrozen.
        self.joined = 0
        self._groups: list[list[Layer]] = []

    @property
    def layers(self) -> list[list[int]]:
        """Layers of each group, by their numbers among all layers of the model."""
        numbers = {layer: number for number, layer in enumerate(flatten_layers(self.model))}
        return [[numbers[layer] for layer in group] for group in self._groups]

    @property
    def counts(self) -> list[list[int]]:
        """Number of updates before each weight joined, for each optimizer."""
        return [rule._joined_counts for rule in rated_optimizers(self.model.optimizer).values()]

    def set_state(self, state: dict[str, Any]) -> None:
        self.epochs_done, self.joined = state["epochs_done"], state["joined"]
        every: list[Layer] = flatten_layers(self.model)
        self._groups = [[every[number] for number in numbers] for numbers in state["layers"]]
        for index, group in enumerate(self._groups):
            self._set_trainable(group, index < self.joined)
        rules = rated_optimizers(self.model.optimizer).values()
        for rule, counts in zip(rules, state["counts"], strict=True):
            rule._joined_counts = counts

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epochs_done = self.joined = 0
        if self.groups is None:
            frozen = [layer for layer in layers_with_weights(self.model) if not layer.trainable]
            self._groups = [[layer] for layer in reversed(frozen)]
        else:
            self._groups = [layers_named(self.model, group) for group in self.groups]
        if all(layer.trainable for group in self._groups for layer in group):
            raise ValueError(
                f"GradualUnfreezing: no layer of model {self.model.name!r} is frozen that it could unfreeze. "
                "Freeze some before compile(), as in hornbeam.transfer.freeze(model, except_last=1)"
            )
        # All states exist from the beginning, so that the checkpoints of a training have the same ones.
        self.model.optimizer.extend(self._weights_at_the_end())

    def _weights_at_the_end(self) -> list[Variable]:
        """Return the weights that are trained when all groups have joined."""
        before = {layer: layer.trainable for layer in flatten_layers(self.model)}
        set_trainable(self.model, [layer for group in self._groups for layer in group], True)
        weights = self.model.trainable_variables
        for layer, value in before.items():
            set_own_trainable(layer, value)
        return weights

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        due = self._groups[self.joined : self.epochs_done // self.every]
        for group in due:
            before = set(self.model.trainable_variables)
            self._set_trainable(group, True)
            weights = [v for v in self.model.trainable_variables if v not in before]
            for rule in rated_optimizers(self.model.optimizer).values():
                rule._join([v for v in weights if v in set(rule._trainable_variables)])
            self.joined += 1
            if self.verbose > 0:
                names = ", ".join(repr(layer.path) for layer in group)
                print_once(f"Epoch {epoch + 1}: {names} trained from now on ({len(weights)} weight arrays)")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epochs_done += 1

    def _set_trainable(self, layers: Sequence[Layer], value: bool) -> None:
        set_trainable(self.model, layers, value)
        accept_trainable(self.model)
