"""`RNN`, which runs any cell along a sequence."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam import ops, tree
from hornbeam._internal.origin import is_own
from hornbeam._internal.typing import PartialShape, ShapeTree, Tree
from hornbeam.core.registry import deserialize, exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self, Unpack
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer, TensorsLayer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.layers.rnn_cell_base import DropoutMasks
from hornbeam.layers.rnn_stacked_cells import (
    StackedRNNCells,
    build_cell,
    check_cell,
    initial_state_of,
    output_size_of,
    run_cell,
)


@exported("keras.layers")
class RNN(TensorsLayer):
    """Run a cell along a sequence: `y[t], states = cell(x[t], states)`.

    Calls take `initial_state`, the states before the first step (those of the cell by default), and `mask`
    (batch, steps): at steps where it is False the states do not change, and the output is that of the step
    before (or zeros with `zero_output_for_mask`).

    Shapes: x (batch, steps, ...) -> y (batch, output_size), the last output, or (batch, steps, output_size)
    with `return_sequences`.

    Args:
        cell: Layer with `call(inputs, states)` and `state_size`, or a list of such layers.
        return_sequences: Whether the outputs of all steps are returned instead of the last one.
        return_state: Whether the final states are returned after the output.
        go_backwards: Whether the sequence is processed from its end; outputs are in that order.
        stateful: Whether the final states are the initial states of the next batch.
        unroll: Whether the loop over steps is unrolled: faster for short sequences, with a larger graph.
        zero_output_for_mask: Whether outputs at masked steps are zeros instead of the previous output; for
            `return_sequences`.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `cell` is not a cell.
        ShapeError: If the layer is stateful and the batch size is unknown.

    Example:
        >>> hornbeam.layers.RNN(hornbeam.layers.LSTMCell(4), return_sequences=True)(np.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    # The states that a stateful layer carries from batch to batch are not weights: they are not saved.
    _untracked = frozenset({"states"})

    def __init__(
        self,
        cell: Layer | Sequence[Layer],
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        check_cell(cell)
        super().__init__(**kwargs)
        self.cell: Any = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.supports_masking = True
        self.input_spec = sequence_spec(min_ndim=3)
        self.states: Any = None

    def build(self, sequences_shape: PartialShape, initial_state_shape: ShapeTree = None) -> None:
        build_cell(self.cell, (sequences_shape[0], *sequences_shape[2:]))
        if self.stateful:
            batch = sequences_shape[0]
            if batch is None:
                raise ShapeError(
                    f"{self.describe()}: stateful=True needs a known batch size: Input(batch_shape=(32, ...))"
                )
            zeros = self.get_initial_state(batch)
            self.states = tree.map_structure(
                lambda x: Variable(x, trainable=False, autocast=False, name="rnn_state"), zeros
            )

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        """Return the initial states of the cell: zeros, unless the cell defines others.

        Args:
            batch_size: Number of samples.
        """
        state = initial_state_of(self.cell, batch_size, self.compute_dtype)
        return list(state) if isinstance(state, (list, tuple)) else [state]

    def reset_state(self) -> None:
        """Set the states of a stateful layer to zero."""
        if self.states is not None:
            for state in tree.flatten(self.states):
                state.assign(ops.zeros(state.shape, dtype=state.dtype))

    reset_states = reset_state

    def call(
        self,
        sequences: Tensor,
        initial_state: Tree = None,
        mask: Tensor | None = None,
        training: bool = False,
    ) -> Tree:
        batch = sequences.shape[0]
        stored = self.states is not None
        default_state = initial_state is None and not stored
        if stored and batch != tree.flatten(self.states)[0].shape[0]:
            raise ShapeError(
                f"{self.describe()} is stateful, so its batch size is fixed: its states are for batches of "
                f"{tree.flatten(self.states)[0].shape[0]}, got one of {batch}"
            )
        if initial_state is None:
            initial_state = (
                tree.map_structure(lambda v: v.value, self.states)
                if stored
                else self.get_initial_state(batch)
            )
        elif not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        states = tree.map_structure(lambda x: ops.cast(x, self.compute_dtype), list(initial_state))
        self._check_states(states)
        self._draw_masks(sequences, states, training)
        try:
            fused = self._run_fused(sequences, states, mask, training, default_state)
            outputs, last, states = fused or self._run(sequences, states, mask, training)
        finally:
            self._reset_masks()
        if self.stateful:
            for variable, value in zip(tree.flatten(self.states), tree.flatten(states), strict=True):
                variable.assign(value)
        result = outputs if self.return_sequences else last
        return (result, *states) if self.return_state else result

    def _check_states(self, states: Tree) -> None:
        expected = self.cell.state_size
        count = len(expected) if isinstance(expected, (list, tuple)) else 1
        if len(states) != count:
            raise ShapeError(
                f"{self.describe()}: the cell has {count} states, initial_state has {len(states)}"
            )

    def _run_fused(
        self, sequences: Tensor, states: Tree, mask: Tensor | None, training: bool, default_state: bool
    ) -> tuple[Tensor, Tensor, Any] | None:
        """Compute the results of `_run` by one operation for all steps, or None if the cell has none.

        default_state: True if the states are the cell's own initial ones.
        """
        run_sequence = getattr(self.cell, "run_sequence", None) if self._has_own_step else None
        # Outputs before the first unmasked step are zeros here, but the states in `run_sequence`.
        if run_sequence is None or self.unroll or sequences.ndim != 3 or not (mask is None or default_state):
            return None
        keep = None if mask is None else ops.cast(mask, "bool")
        results = run_sequence(sequences, states, keep, self.go_backwards, training)
        if results is None:
            return None
        outputs, states = results
        last = states[0]
        if keep is not None and self.zero_output_for_mask:
            outputs = ops.where(ops.expand_dims(keep, 2), outputs, ops.zeros_like(outputs))
            last = outputs[:, 0 if self.go_backwards else -1]
        return ops.flip(outputs, 1) if self.go_backwards else outputs, last, states

    @property
    def _has_own_step(self) -> bool:
        """True if the cell computes a step as Hornbeam defines it; a user's `call` is run at each step."""
        return is_own(type(self.cell).call)

    # -- the loop --------------------------------------------------------------------------------------------

    def _run(
        self, sequences: Tensor, states: Tree, mask: Tensor | None, training: bool
    ) -> tuple[Tensor, Tensor, Any]:
        """Loop over the steps. Return the outputs of all steps (batch first), the last output and the last
        states.
        """
        step, xs = self._step_function(sequences, training)
        time = ops.moveaxis(xs, 1, 0)
        masks = None if mask is None else ops.moveaxis(ops.cast(mask, "bool"), 1, 0)
        if self.go_backwards:
            time = ops.flip(time, 0)
            masks = None if masks is None else ops.flip(masks, 0)
        loop = _unrolled if self.unroll else ops.scan
        if masks is None:
            states, ys = loop(lambda carry, x: _swap(step(x, carry)), states, time)
            return ops.moveaxis(ys, 0, 1), ys[-1], states

        def masked_step(carry: Any, items: Any) -> Any:
            (states, previous_output), (x, keep) = carry, items
            output, new_states = step(x, states)
            new_states = tree.map_structure(lambda new, old: _where(keep, new, old), new_states, states)
            last = _where(keep, output, previous_output)
            return (new_states, last), (
                _where(keep, output, ops.zeros_like(output)) if self.zero_output_for_mask else last
            )

        no_output = ops.zeros(
            (sequences.shape[0], *_sizes(output_size_of(self.cell))), dtype=self.compute_dtype
        )
        (states, last), ys = loop(masked_step, (states, no_output), (time, masks))
        return ops.moveaxis(ys, 0, 1), (ys[-1] if self.zero_output_for_mask else last), states

    def _step_function(
        self, sequences: Tensor, training: bool
    ) -> tuple[Callable[[Tensor, Any], Any], Tensor]:
        """Return the function of one step and the sequences to apply it to."""
        cell = self.cell
        if self._has_own_step and hasattr(cell, "project") and sequences.ndim == cell.sequence_rank:
            return lambda x, states: cell.advance(x, states, training), cell.project(sequences, training)
        return lambda x, states: run_cell(cell, x, states, training), sequences

    def _draw_masks(self, sequences: Tensor, states: Tree, training: bool) -> None:
        """Draw the dropout masks before the loop: one for all steps."""
        self._reset_masks()
        if not training:
            return
        x = sequences[:, 0]
        cells = self.cell.cells if isinstance(self.cell, StackedRNNCells) else [self.cell]
        parts = states if isinstance(self.cell, StackedRNNCells) else [states]
        for cell, state in zip(cells, parts, strict=True):
            if isinstance(cell, DropoutMasks):
                if cell.dropout:
                    cell.get_dropout_mask(x)
                if cell.recurrent_dropout:
                    cell.get_recurrent_dropout_mask(tree.flatten(state)[0])
            x = ops.zeros((x.shape[0], *_sizes(output_size_of(cell))), dtype=x.dtype)
        outside = contextvars.copy_context()
        for cell in self._cells_with_masks():
            cell.draw_outside(outside)

    def _reset_masks(self) -> None:
        for cell in self._cells_with_masks():
            cell.reset_dropout_masks()
            cell.draw_outside(None)

    def _cells_with_masks(self) -> list[DropoutMasks]:
        return [cell for cell in self._flatten_layers(include_self=False) if isinstance(cell, DropoutMasks)]

    def compute_mask(self, inputs: Tree, mask: Tree = None) -> Tree:
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        if mask is not None and self.go_backwards:
            mask = ops.flip(mask, 1)
        first = mask if self.return_sequences else None
        if not self.return_state:
            return first
        return [first] + [None] * len(tree.flatten(self.cell.state_size))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        config = dict(config)
        if isinstance(config.get("cell"), dict):
            config["cell"] = deserialize(config["cell"])
        return super().from_config(config)


def sequence_spec(**settings: int) -> InputSpec:
    """Return the spec of a recurrent layer's input. settings: arguments of InputSpec."""
    spec = InputSpec(**settings)  # type: ignore[arg-type]
    spec._low_rank_hint = (
        "If the layer before it is recurrent, write return_sequences=True there; for one feature per step "
        "add an axis to the data with x[..., None]"
    )
    return spec


def _swap(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    return pair[1], pair[0]


def _sizes(size: int | Sequence[int]) -> tuple[int, ...]:
    return (size,) if isinstance(size, int) else tuple(size)


def _where(keep: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return ops.where(ops.reshape(keep, (*keep.shape, *(1,) * (new.ndim - 1))), new, old)


def _unrolled(step: Callable[[Any, Any], Any], carry: Tree, xs: Tree) -> tuple[Any, Tensor]:
    ys = []
    for t in range(tree.flatten(xs)[0].shape[0]):
        carry, y = step(carry, tree.map_structure(lambda x, t=t: x[t], xs))
        ys.append(y)
    return carry, ops.stack(ys, axis=0)
