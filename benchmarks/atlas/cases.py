"""A case of the atlas: one operation on operands of known shapes, with its arithmetic."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Operand:
    """An array that all sides get, made from a seed.

    Args:
        shape: Sizes, in Hornbeam's layout.
        layout: Name of the layout that another library may prefer: "image", "kernel", ...
        values: "normal" (times `scale`), "positive", "distinct", "integers" (below `limit`), or "mask" (the
            beginning of each row).
        scale: Deviation of normal values.
        limit: Bound of integers.
        touched: Number of elements that are read, if not all are.
    """

    shape: tuple[int, ...]
    layout: str = ""
    values: str = "normal"
    scale: float = 1.0
    limit: int = 0
    touched: int | None = None


@dataclass(frozen=True)
class Case:
    """An operation of a family on operands.

    Args:
        family: Name by which sides find their implementation.
        label: The case within its family, readable and stable.
        operands: Arguments of the operation.
        parameters: Settings of the operation.
        flops: Floating-point operations of the forward pass; 0 where memory alone bounds.
        state: Number of elements of a state that is read and written besides the operands.
        result: Layout of the result, as of operands.
        backward: Whether the gradient is worth a row (not where it is a view or a copy).
        random: Whether results are random: only their shape, mean and deviation can be compared.
    """

    family: str
    label: str
    operands: tuple[Operand, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    flops: float = 0.0
    state: int = 0
    result: str = ""
    backward: bool = True
    random: bool = False

    @property
    def name(self) -> str:
        """Family and label."""
        return f"{self.family} {self.label}"

    @property
    def ordered(self) -> bool:
        """True if the result depends on the order of values that are distinct in float32 alone."""
        return any(operand.values == "distinct" for operand in self.operands)

    def request(self, dtype: str, backward: bool) -> dict[str, Any]:
        """Return what a side must know to prepare the case."""
        return {
            "do": "prepare",
            "family": self.family,
            "parameters": self.parameters,
            "operands": [asdict(operand) for operand in self.operands],
            "state": self.state,
            "result": self.result,
            "dtype": dtype,
            "backward": backward,
        }
