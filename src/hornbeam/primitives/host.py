"""Code of another library in a graph: a node that names a function which one engine's library computes.

`host_call` is no part of the vocabulary: one engine has it for one function, and every other refuses it when
a graph is compiled. Its derivative is another `host_call`, made by the library's own differentiation.
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
    """What a library has to know: types of results without computing them, and derivatives."""

    library: str

    def infer(self, compute: Compute, types: Sequence[TensorType]) -> Sequence[TensorType]:
        """Types of `compute(*arrays)` for arrays of `types`."""
        ...

    def follow(
        self, compute: Compute, arrays: Sequence[Any], wanted: Sequence[int]
    ) -> tuple[Sequence[Any], Tape]:
        """`compute(*arrays)`, and the way back to the arrays at `wanted`."""
        ...


class HostFunction:
    """A pure function on arrays of one library: `compute(*arrays)` gives a sequence of arrays.

    Compared by identity, as graphs are remembered by it: make one and keep it. `wanted` notes the inputs with
    respect to which somebody took a derivative; an engine then keeps, on the way forward, what the way back
    needs. `source` is set on gradients: the function, the outputs whose cotangents are given, and the inputs
    whose cotangents are asked for.
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
        """Types of the results."""
        if types not in self._types:
            if self.source is None:
                self._types[types] = tuple(self.host.infer(self.compute, types))
            else:
                self._types[types] = tuple(types[i] for i in self.source[2])
        return self._types[types]

    def gradient(self, known: tuple[int, ...], wanted: tuple[int, ...]) -> HostFunction:
        """The function `(*inputs, output, *cotangents of known outputs) -> cotangents of wanted inputs`.

        The output is not read: an engine finds by it what it kept when it computed the function.
        """
        self.wanted |= frozenset(wanted)
        if (known, wanted) not in self._gradients:

            def slopes(*arrays: Any) -> Sequence[Any]:
                count = len(arrays) - 1 - len(known)
                _, tape = self.host.follow(self.compute, arrays[:count], wanted)
                return tape(known, wanted, arrays[count + 1 :])

            self._gradients[known, wanted] = HostFunction(
                self.host, slopes, f"gradient of {self.label}", (self, known, wanted)
            )
        return self._gradients[known, wanted]


def _type(*types: TensorType, fn: HostFunction) -> ValueType:
    found = fn.types(types)
    return found if len(found) > 1 else found[0]


def _reference(*arrays: Any, fn: HostFunction) -> Any:
    raise NotImplementedError(f"{fn.label} has no reference: it is code of {fn.host.library}")


def _vjp(ct: Any, out: Node, *inputs: Node, fn: HostFunction, active: Sequence[bool]) -> Cotangents:
    given = list(ct) if isinstance(out.type, tuple) else [ct]
    known = tuple(i for i, slope in enumerate(given) if slope is not None)
    wanted = tuple(i for i, x in enumerate(inputs) if active[i] and is_float(x.dtype))
    if not wanted:
        return [None for _ in inputs]
    slopes = [slope for slope in given if slope is not None]
    found = host_call(fn.gradient(known, wanted), *inputs, outputs_of(out)[known[0]], *slopes)
    return [dict(zip(wanted, found, strict=True)).get(i) for i in range(len(inputs))]


_HOST_CALL = Primitive(
    "host_call", _type, _reference, _vjp, movement_cost, DTYPES, samples=(), selective=True
)  # fmt: skip


def host_call(fn: HostFunction, *inputs: Node) -> tuple[Node, ...]:
    """The results of a function of another library, for inputs of types that it takes."""
    return outputs_of(bind(_HOST_CALL, *inputs, fn=fn))
