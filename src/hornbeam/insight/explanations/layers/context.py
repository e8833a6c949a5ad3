"""A layer where it stands, what is said of it, and the words that all families use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hornbeam.insight.arithmetic import Shape, number, size_of, volume
from hornbeam.insight.explanations.activations import says


@dataclass(frozen=True)
class LayerContext:
    """A layer where it stands: the shapes that it is given and makes (batch first), and its neighbours.

    behind: the layers and operations that take what it makes.
    """

    layer: Any
    given: tuple[Shape, ...]
    made: tuple[Shape, ...]
    behind: tuple[Any, ...] = ()

    @property
    def into(self) -> Shape:
        """Shape of the first input; empty if nothing is known."""
        return self.given[0] if self.given else ()

    @property
    def out(self) -> Shape:
        """Shape of the first output."""
        return self.made[0] if self.made else ()

    @property
    def is_last(self) -> bool:
        """True if no layer of the model takes what it makes."""
        return not self.behind


@dataclass(frozen=True)
class LayerDescription:
    """Sentences about a layer: its operation, the arithmetic of its output, its purpose, and its removal."""

    operation: str
    output: str
    purpose: str
    removal: str


def plural(count: int | None, word: str, words: str = "") -> str:
    """A number and its word: 1 filter, 32 filters."""
    return (
        f"? {words or word + 's'}"
        if count is None
        else f"{number(count)} {word if count == 1 else words or word + 's'}"
    )


def spatial(shape: Shape, layer: Any) -> tuple[int | None, ...]:
    """The sizes of the axes that have places."""
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return tuple(shape[2:] if first else shape[1:-1])


def channels(shape: Shape, layer: Any) -> int | None:
    """How many values a place has."""
    if len(shape) < 2:
        return None
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return shape[1] if first else shape[-1]


def grid(sizes: Sequence[int | None]) -> str:
    return "×".join("?" if size is None else str(size) for size in sizes)


def places(layer: Any) -> str:
    return {1: "steps", 2: "pixels", 3: "voxels"}.get(getattr(layer, "rank", 2), "places")


def then(layer: Any) -> str:
    """What the activation of a layer does, as the end of a sentence; nothing for none."""
    said = says(getattr(layer, "activation", None))
    return f"; then {said}" if said else ""


def stays(place: LayerContext) -> str:
    return f"{volume(place.out)}, as it came in" if place.out else "as it came in"


def values(shape: Shape) -> str:
    count = size_of(shape[1:]) if shape else None
    return "the values" if count is None else plural(count, "value")
