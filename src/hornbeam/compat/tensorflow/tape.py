"""tf.GradientTape on lazy tensors: what it holds on to is how values were computed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hornbeam import ops, tree
from hornbeam._internal.context import ThreadSetting
from hornbeam.core import variable
from hornbeam.core.convert import as_tensor
from hornbeam.core.lazy import acquire_graph, release_graph
from hornbeam.core.tensor import Tensor
from hornbeam.ir import autodiff
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import ones_like, zeros_like
from hornbeam.ir.types import is_float

# -- open tapes ----------------------------------------------------------------------------------------------

# Settings and not context variables: the gradient of a tape may be taken in a later cell of a notebook.
_tapes: ThreadSetting[tuple[weakref.ref[Any], ...]] = ThreadSetting("gradient tapes", ())
_open = ThreadSetting("open gradient tapes", 0)


def tapes() -> list[Any]:
    """Tapes that may still be asked, as weak references; dead ones are left out."""
    alive = tuple(ref for ref in _tapes.get() if ref() is not None)
    _tapes.set(alive)
    return [ref() for ref in alive]


def is_recording() -> bool:
    """Whether some tape is open."""
    return _open.get() > 0


def begin(tape: Any) -> None:
    """A tape is opened: values keep their history until it ends or is thrown away."""
    _open.set(_open.get() + 1)
    if tape not in tapes():
        _tapes.set((*_tapes.get(), weakref.ref(tape)))
        acquire_graph(id(tape))
        weakref.finalize(tape, release_graph, id(tape)).atexit = False
    variable.set_assignment_observer(_observe)


def stop(tape: Any) -> None:
    """The `with` block ends; the tape may still be asked."""
    _open.set(_open.get() - 1)


def end(tape: Any) -> None:
    """The tape has answered: nothing need be kept for it any more."""
    _tapes.set(tuple(ref for ref in _tapes.get() if ref() not in (None, tape)))
    release_graph(id(tape))
    if not _tapes.get():
        variable.set_assignment_observer(None)


def _observe(changed: variable.Variable, before: Node) -> None:
    for tape in tapes():
        tape.assigned(changed, before)


# -- tapes ---------------------------------------------------------------------------------------------------


class GradientTape:
    """Derivatives of what is computed from watched tensors and trainable variables.

    persistent: `gradient` may be asked several times. watch_accessed_variables: trainable variables need no
    `watch`. Hornbeam's graph is there in any case; the tape keeps values that are read from letting go of
    their history, and remembers what a variable was before it was assigned. Other than in TensorFlow, what
    was computed before the tape was opened counts too, and what was computed of tensors that nobody watches.

    As in TensorFlow, the gradient is None for a source that the target does not depend on.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watch_variables = watch_accessed_variables
        self._watched: list[Tensor] = []
        self._former: dict[variable.Variable, list[Node]] = {}
        self._used = False
        self._recording = False

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ValueError("the tape is recording already")
        self._recording = True
        self._used = False
        begin(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self._recording = False
        stop(self)
        if self._used and not self._persistent:
            end(self)

    def watch(self, tensor: Any) -> None:
        """From here on gradients with respect to `tensor` (or a structure of them) can be asked for."""
        for x in tree.flatten(tensor):
            if not isinstance(x, Tensor):
                raise TypeError(f"GradientTape.watch takes tensors, got {type(x).__name__}")
            if is_float(x.dtype):
                self._watched.append(x)

    def assigned(self, changed: variable.Variable, before: Node) -> None:
        """A variable gives up the value `before`, from which something may have been computed."""
        self._former.setdefault(changed, []).append(before)

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: Any = "none",
    ) -> Any:
        """Derivative of the sum of `target` with respect to each of `sources`, in their structure.

        output_gradients: cotangents of the target, ones unless given. Raises RuntimeError for a second
        question to a tape that is not persistent.
        """
        if self._used and not self._persistent:
            raise RuntimeError(
                "a tape that is not persistent answers one gradient(): write GradientTape(persistent=True)"
            )
        self._used = True
        outs = [as_tensor(x).node for x in tree.flatten(target)]
        cts = (
            [ones_like(n) for n in outs]
            if output_gradients is None
            else [as_tensor(x).node for x in tree.flatten(output_gradients)]
        )
        leaves = [x for x in tree.flatten(sources) if x is not None]
        slopes = iter(self._slopes(outs, cts, leaves, str(unconnected_gradients).lower() == "zero"))
        if not self._persistent and not self._recording:
            end(self)
        return tree.pack_sequence_as(
            sources, [None if x is None else next(slopes) for x in tree.flatten(sources)]
        )

    def _slopes(
        self, outs: Sequence[Node], cts: Sequence[Node], leaves: Sequence[Any], zeros: bool
    ) -> list[Tensor | None]:
        groups = [self._nodes_of(x) for x in leaves]
        floats = [(n, ct) for n, ct in zip(outs, cts, strict=True) if is_float(n.dtype)]
        found = iter(
            autodiff.gradients(
                [n for n, _ in floats], [ct for _, ct in floats], [n for g in groups for n in g]
            )
        )
        slopes: list[Tensor | None] = []
        for x, group in zip(leaves, groups, strict=True):
            parts = [Tensor(part) for part in [next(found) for _ in group] if part is not None]
            total = None if not parts else parts[0] if len(parts) == 1 else ops.sum(ops.stack(parts), axis=0)
            slopes.append(Tensor(zeros_like(as_tensor(x).node)) if total is None and zeros else total)
        return slopes

    def _nodes_of(self, source: Any) -> list[Node]:
        """What a source stands for in the graph: nothing if it is not watched."""
        if not isinstance(source, Tensor):
            raise TypeError(
                f"gradient() is taken with respect to tensors and variables, got {type(source).__name__}"
            )
        watched = any(source is x for x in self._watched)
        if isinstance(source, variable.Variable):
            if not watched and not (self._watch_variables and source.trainable):
                return []
            return list(dict.fromkeys([*self._former.get(source, ()), source.node]))
        # What was computed on the way may be asked for without being watched, as in TensorFlow.
        if watched or source.node.inputs or any(source.node is x.node for x in self._watched):
            return [source.node]
        return []

    def jacobian(
        self,
        target: Tensor,
        sources: Any,
        unconnected_gradients: Any = "none",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """Derivative of every element of `target`: for each source a tensor of shape (*target, *source)."""
        self._used = True
        count, shape = target.size, tuple(target.shape)
        leaves = tree.flatten(sources)
        zeros = str(unconnected_gradients).lower() == "zero"
        rows = []
        for index in range(count):
            seed = ops.reshape(ops.one_hot(index, count, dtype=target.dtype), shape)
            rows.append(self._slopes([target.node], [seed.node], leaves, zeros))
        made = [
            None if column[0] is None else ops.reshape(ops.stack(column), (*shape, *column[0].shape))
            for column in zip(*rows, strict=True)
        ]
        if not self._persistent and not self._recording:
            end(self)
        return tree.pack_sequence_as(sources, made)

    def batch_jacobian(
        self,
        target: Tensor,
        source: Tensor,
        unconnected_gradients: Any = "none",
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Tensor | None:
        """The Jacobian of each sample: shape (batch, *target[1:], *source[1:])."""
        batch, count = target.shape[0], target.size // target.shape[0]
        flat = ops.reshape(target, (batch, count))
        columns: list[Any] = []
        for index in range(count):
            seed = ops.broadcast_to(ops.one_hot(index, count, dtype=target.dtype), (batch, count))
            columns.append(self._slopes([flat.node], [seed.node], [source], False)[0])
        self._used = True
        if columns[0] is None:
            return None
        made = ops.stack(columns, axis=1)
        return ops.reshape(made, (batch, *target.shape[1:], *source.shape[1:]))

    def reset(self) -> None:
        """Forget what was watched."""
        self._watched.clear()
        self._former.clear()

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Accepted: what is computed inside stays in the graph, so ask for no gradient of it."""
        yield


# -- functions with gradients of their own -------------------------------------------------------------------


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f(*x)` that returns (value, function from its cotangent to those of x)."""
    return ops.custom_gradient(f)


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, whose inner values are computed again in the derivative."""
    from hornbeam import checkpoint

    return checkpoint(f)
