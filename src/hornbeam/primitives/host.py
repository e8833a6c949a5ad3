"""Host calls: nodes that call a function of an engine's own library.

`host_call` is not part of the vocabulary: the engine of that library implements it, and every other one
refuses it when it compiles a graph. Its derivative is another `host_call`, by the library's own
differentiation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Cotangents, Primitive, bind, movement_cost
from hornbeam.ir.types import DTYPES, TensorType, ValueType, is_float

__all__ = ["Host", "HostFunction", "Tape", "host_call"]

Compute = Callable[..., Sequence[Any]]
# The cotangents of inputs `wanted`, given those of the outputs `known`: tape(known, wanted, cotangents).
Tape = Callable[[Sequence[int], Sequence[int], Sequence[Any]], Sequence[Any]]


class Host(Protocol):
    """Interface to a library: types of results without computing them, and derivatives."""

    library: str

    def infer(self, compute: Compute, types: Sequence[TensorType]) -> Sequence[TensorType]:
        """Return the types of `compute(*arrays)` for arrays of `types`, of which sizes may be unknown."""
        ...

    def follow(
        self, compute: Compute, arrays: Sequence[Any], wanted: Sequence[int]
    ) -> tuple[Sequence[Any], Tape]:
        """Return `compute(*arrays)`, and a tape for gradients with respect to the arrays at `wanted`."""
        ...


class HostFunction:
    """A pure function on arrays of one library: `compute(*arrays)` returns a sequence of arrays.

    Compared by identity, since graphs are cached by it: create one and keep it.

    Attributes:
        wanted: Inputs with respect to which a gradient was requested. An engine saves during the forward pass
            what the backward pass needs for these.
        source: On gradients: the function, its outputs with cotangents, and the inputs whose cotangents are
            computed.
    """

    def __init__(
        self,
        host: Host,
        compute: Compute,
        label: str,
        source: tuple[HostFunction, tuple[int, ...], tuple[int, ...]] | None = None,
    ) -> None:
        self.host = host
        self.compute = compute
        self.label = label
        self.source = source
        self.wanted: frozenset[int] = frozenset()
        self._types: dict[tuple[TensorType, ...], tuple[TensorType, ...]] = {}
        self._gradients: dict[tuple[tuple[int, ...], tuple[int, ...]], HostFunction] = {}

    def __repr__(self) -> str:
        return f"<{self.host.library}: {self.label} {id(self):#x}>"

    def types(self, types: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
        """Return the types of the results."""
        if types not in self._types:
            if self.source is None:
                self._types[types] = tuple(self.host.infer(self.compute, types))
            else:
                self._types[types] = tuple(types[i] for i in self.source[2])
        return self._types[types]

    def gradient(self, known: tuple[int, ...], wanted: tuple[int, ...]) -> HostFunction:
        """Return the function `(*inputs, output, *cotangents of known outputs) -> cotangents of wanted
        inputs`.

        The output is not read: by it an engine finds what it saved during the forward pass.
        """
        self.wanted |= frozenset(wanted)
        if (known, wanted) not in self._gradients:

            def gradient(*arrays: Any) -> Sequence[Any]:
                count = len(arrays) - 1 - len(known)
                _, tape = self.host.follow(self.compute, arrays[:count], wanted)
                return tape(known, wanted, arrays[count + 1 :])

            self._gradients[known, wanted] = HostFunction(
                self.host, gradient, f"gradient of {self.label}", (self, known, wanted)
            )
        return self._gradients[known, wanted]


def _type(*types: TensorType, fn: HostFunction) -> ValueType:
    results = fn.types(types)
    return results if len(results) > 1 else results[0]


def _reference(*arrays: Any, fn: HostFunction) -> Any:
    raise NotImplementedError(f"{fn.label} has no NumPy reference: it is code of {fn.host.library}")


def _vjp(ct: Any, out: Node, *inputs: Node, fn: HostFunction, active: Sequence[bool]) -> Cotangents:
    cotangents = list(ct) if isinstance(out.type, tuple) else [ct]
    known = tuple(i for i, c in enumerate(cotangents) if c is not None)
    wanted = tuple(i for i, x in enumerate(inputs) if active[i] and is_float(x.dtype))
    if not wanted:
        return [None for _ in inputs]
    given_cotangents = [cotangents[i] for i in known]
    grads = host_call(fn.gradient(known, wanted), *inputs, outputs_of(out)[known[0]], *given_cotangents)
    return [dict(zip(wanted, grads, strict=True)).get(i) for i in range(len(inputs))]


_HOST_CALL = Primitive(
    "host_call", _type, _reference, _vjp, movement_cost, DTYPES, samples=(), selective=True
)  # fmt: skip


def host_call(fn: HostFunction, *inputs: Node) -> tuple[Node, ...]:
    """Apply a function of another library."""
    return outputs_of(bind(_HOST_CALL, *inputs, fn=fn))
