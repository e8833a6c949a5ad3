"""A layer in its model, and its description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hornbeam.insight.arithmetic import Shape


@dataclass(frozen=True)
class LayerContext:
    """A layer with the shapes of its inputs and outputs, and the layers and operations that read them."""

    layer: Any
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    consumers: tuple[Any, ...] = ()

    @property
    def input(self) -> Shape:
        """Shape of the first input; empty if it is unknown."""
        return self.inputs[0] if self.inputs else ()

    @property
    def output(self) -> Shape:
        """Shape of the first output; empty if it is unknown."""
        return self.outputs[0] if self.outputs else ()


@dataclass(frozen=True)
class LayerDescription:
    """Sentences about a layer: its operation, the arithmetic of its output, its purpose, and its removal."""

    operation: str
    output: str
    purpose: str
    removal: str
