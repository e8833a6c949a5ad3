"""tf.GradientTape, on lazy tensors.

Hornbeam's tensors remember how they were computed until they are read. An open tape retains that graph, and
records the values that variables had before assignments.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hornbeam import Tensor, Variable, ops, tree
from hornbeam.backend import is_float_dtype
from hornbeam.extensions.tensors import as_tensor
from hornbeam.extensions.tracing import GraphHolder, Node, gradients, own_leaf, set_assignment_observer
from hornbeam_compat.tensorflow.typing import Tree

# -- open tapes ----------------------------------------------------------------------------------------------


class _Thread(threading.local):
    """The tapes of a thread that retain the graph, and how many of them are open.

    Not context variables: the gradient of a tape may be taken in a later cell of a notebook.
    """

    tapes: tuple[weakref.ref[GradientTape], ...] = ()
    open = 0


_thread = _Thread()


def tapes() -> Iterator[GradientTape]:
    """Return the tapes of this thread that still retain the graph."""
    return (tape for ref in _thread.tapes if (tape := ref()) is not None)


def is_recording() -> bool:
    """Return True if a tape is open in this thread."""
    return _thread.open > 0


def open_tape(tape: GradientTape) -> None:
    """Open a tape: values retain their graph until the tape is released or collected."""
    _thread.open += 1
    if tape not in tapes():
        _thread.tapes = (*map(weakref.ref, tapes()), weakref.ref(tape))
        tape.graph = GraphHolder()
    set_assignment_observer(_observe)


def release_tape(tape: GradientTape) -> None:
    """Release the graph, after the last gradient of a tape."""
    _thread.tapes = tuple(weakref.ref(other) for other in tapes() if other is not tape)
    if tape.graph is not None:
        tape.graph.release()
    if not _thread.tapes:
        set_assignment_observer(None)


def accessed(source: Variable) -> None:
    """Tell open tapes that a variable is read."""
    for tape in tapes():
        tape.accessed(source)


def _observe(changed: Variable, before: Node) -> None:
    for tape in tapes():
        tape.assigned(changed, before)


def _separate(tensor: Tensor) -> None:
    """Give a constant a node of its own: equal ones of the program, as the 3 in `3 * x`, share theirs."""
    node = own_leaf(tensor.node)
    if node is not tensor.node:
        other = Tensor(node)
        tensor._node, other._node = other._node, tensor._node
        tensor._handle, other._handle = other._handle, tensor._handle


def _nodes(structure: Tree) -> list[Node]:
    return [as_tensor(x).node for x in tree.flatten(structure)]


# -- tf.GradientTape -----------------------------------------------------------------------------------------


class GradientTape:
    """Context manager that records operations, for gradients.

    Differences from TensorFlow: operations before the tape was opened are recorded too, and so are those on
    tensors that are not watched. As in TensorFlow, the gradient is None for a source on which the target does
    not depend.

    Args:
        persistent: True if `gradient` may be called several times.
        watch_accessed_variables: True to watch all trainable variables.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watch_variables = watch_accessed_variables
        self._watched: list[Tensor] = []
        self._previous_nodes: dict[Variable, list[Node]] = {}
        self._accessed: dict[Variable, None] = {}
        self._used = False
        self._recording = False
        self.graph: GraphHolder | None = None

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ValueError("this tape is already recording")
        self._recording = True
        self._used = False
        open_tape(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._recording = False
        _thread.open -= 1
        if self._used and not self._persistent:
            release_tape(self)

    def watch(self, tensor: Tree) -> None:
        """Watch a tensor, or a structure of tensors, as sources of gradients.

        Args:
            tensor: Tensor or structure of tensors; those that are not floats are ignored.

        Raises:
            TypeError: If a leaf is not a tensor.
        """
        for x in tree.flatten(tensor):
            if not isinstance(x, Tensor):
                raise TypeError(f"GradientTape.watch takes tensors, got {type(x).__name__}")
            if is_float_dtype(x.dtype):
                if not isinstance(x, Variable):
                    _separate(x)
                self._watched.append(x)

    def accessed(self, source: Variable) -> None:
        """Record that a variable was read."""
        if self._recording and self._watch_variables and source.trainable:
            self._accessed[source] = None

    def watched_variables(self) -> tuple[Any, ...]:
        """Return the variables that were read in the block or watched, in that order."""
        watched = [x for x in self._watched if isinstance(x, Variable)]
        return tuple(dict.fromkeys([*self._accessed, *watched]))

    def assigned(self, changed: Variable, before: Node) -> None:
        """Record the value that a variable had before an assignment."""
        self._previous_nodes.setdefault(changed, []).append(before)

    def gradient(
        self, target: Tree, sources: Tree, output_gradients: Tree = None, unconnected_gradients: str = "none"
    ) -> Tree:
        """Compute the gradients of the sum of `target`.

        Args:
            target: Tensor or structure of tensors.
            sources: Tensor, variable or structure of them.
            output_gradients: Cotangents, in the structure of `target`. Ones if None.
            unconnected_gradients: "none" or "zero", the gradient of a source on which `target` does not
                depend.

        Returns:
            Gradients in the structure of `sources`.

        Raises:
            RuntimeError: At the second call, unless the tape is persistent.
        """
        if self._used and not self._persistent:
            raise RuntimeError(
                "this tape computes one gradient() only. Create it by GradientTape(persistent=True) for more."
            )
        self._used = True
        outs = _nodes(target)
        cts = None if output_gradients is None else _nodes(output_gradients)
        leaves = [x for x in tree.flatten(sources) if x is not None]
        zeros = str(unconnected_gradients).lower() == "zero"
        results = iter(self._gradients(outs, cts, leaves, zeros))
        if not self._persistent and not self._recording:
            release_tape(self)
        return tree.pack_sequence_as(
            sources, [None if x is None else next(results) for x in tree.flatten(sources)]
        )

    def _gradients(
        self, outs: Sequence[Node], cts: Sequence[Node] | None, leaves: Sequence[Any], zeros: bool
    ) -> list[Tensor | None]:
        groups = [self._nodes_of(x) for x in leaves]
        node_gradients = iter(gradients(outs, cts, [node for group in groups for node in group]))
        totals: list[Tensor | None] = []
        for x, group in zip(leaves, groups, strict=True):
            parts = [Tensor(part) for part in [next(node_gradients) for _ in group] if part is not None]
            total = None if not parts else parts[0] if len(parts) == 1 else ops.sum(ops.stack(parts), axis=0)
            totals.append(ops.zeros_like(x) if total is None and zeros else total)
        return totals

    def _nodes_of(self, source: object) -> list[Node]:
        """Return the nodes of a source in the graph, none if it is not watched."""
        if not isinstance(source, Tensor):
            raise TypeError(
                f"gradient() is taken with respect to tensors and variables, got {type(source).__name__}"
            )
        watched = any(source is x for x in self._watched)
        if isinstance(source, Variable):
            if not watched and not (self._watch_variables and source.trainable):
                return []
            return list(dict.fromkeys([*self._previous_nodes.get(source, ()), source.node]))
        # An intermediate value needs no `watch`, as in TensorFlow.
        if watched or source.node.inputs or any(source.node is x.node for x in self._watched):
            return [source.node]
        return []

    def jacobian(
        self, target: Tensor, sources: Tree, unconnected_gradients: str = "none",
        parallel_iterations: int | None = None, experimental_use_pfor: bool = True,
    ) -> Tree:  # fmt: skip
        """Compute the derivative of each element of `target`.

        Args:
            target: Tensor.
            sources: Tensor, variable or structure of them.
            unconnected_gradients: "none" or "zero", as in `gradient`.
            parallel_iterations: Ignored.
            experimental_use_pfor: Ignored.

        Returns:
            Tensors of shape (*target.shape, *source.shape) in the structure of `sources`.
        """
        self._used = True
        count, shape = target.size, tuple(target.shape)
        leaves = tree.flatten(sources)
        zeros = str(unconnected_gradients).lower() == "zero"
        rows = []
        for index in range(count):
            seed = ops.reshape(ops.one_hot(index, count, dtype=target.dtype), shape)
            rows.append(self._gradients([target.node], [seed.node], leaves, zeros))
        jacobians = [
            None if column[0] is None else ops.reshape(ops.stack(column), (*shape, *column[0].shape))
            for column in zip(*rows, strict=True)
        ]
        if not self._persistent and not self._recording:
            release_tape(self)
        return tree.pack_sequence_as(sources, jacobians)

    def batch_jacobian(
        self, target: Tensor, source: Tensor, unconnected_gradients: object = "none",
        parallel_iterations: int | None = None, experimental_use_pfor: bool = True,
    ) -> Tensor | None:  # fmt: skip
        """Compute the Jacobian of each sample.

        Args:
            target: Tensor of shape (batch, ...).
            source: Tensor of shape (batch, ...); a sample of `target` depends on that sample only.
            unconnected_gradients: Ignored.
            parallel_iterations: Ignored.
            experimental_use_pfor: Ignored.

        Returns:
            Tensor of shape (batch, *target.shape[1:], *source.shape[1:]), or None for an independent source.
        """
        batch, count = target.shape[0], target.size // target.shape[0]
        flat = ops.reshape(target, (batch, count))
        columns: list[Any] = []
        for index in range(count):
            seed = ops.broadcast_to(ops.one_hot(index, count, dtype=target.dtype), (batch, count))
            columns.append(self._gradients([flat.node], [seed.node], [source], False)[0])
        self._used = True
        if columns[0] is None:
            return None
        stacked = ops.stack(columns, axis=1)
        return ops.reshape(stacked, (batch, *target.shape[1:], *source.shape[1:]))

    def reset(self) -> None:
        """Forget the watched tensors."""
        self._watched.clear()
        self._accessed.clear()
        self._previous_nodes.clear()

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Do nothing: operations inside the block stay in the graph."""
        yield


# -- custom gradients ----------------------------------------------------------------------------------------


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a function that returns (value, function from its cotangent to those of its arguments)."""
    return ops.custom_gradient(f)


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """Recompute the intermediate values of `f` in the backward pass."""
    from hornbeam import checkpoint

    return checkpoint(f)
