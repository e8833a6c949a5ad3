"""Keys of random draws: seeds, SeedGenerator, the global generator, and bits on the host."""

from __future__ import annotations

import itertools
import random as _python_random
import threading
from contextvars import ContextVar
from typing import Any, TypeAlias, Union

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.context import context_variable, override
from hornbeam._internal.naming import unique_name
from hornbeam.core.convert import as_tensor, cast_node
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.core.variable import Variable, current_variable_tracer
from hornbeam.ir.node import Node
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import dtype_name, is_integer
from hornbeam.primitives.random import RANDOM_BITS

SeedLike: TypeAlias = Union[int, "SeedGenerator", None]

WORD = 2**32


_default_seeds = _python_random.Random()


_chosen: list[int] = []


def make_default_seed() -> int:
    """Return a seed for objects without one: unpredictable, unless `set_random_seed` was called."""
    return _default_seeds.randrange(1, 10**9)


def seed_words(seed: int) -> np.ndarray:
    """Return the key (low word, high word) of an integer."""
    return np.array([seed % WORD, (seed // WORD) % WORD], dtype=np.uint32)


@exported("keras.random")
class SeedGenerator:
    """Source of keys, whose state is a Variable of two uint32 words (seed, count).

    Draws are part of the graph.

    Layers that draw random numbers hold one. Inside a loop body (scan, while_loop) every step uses the key
    that was next when the loop began.

    Args:
        seed: Integer; None for an unpredictable seed, or one from `set_random_seed`.
        name: Name; None for a generated one.
        **kwargs: `trainable` and `dtype`, the config entries of Keras, are accepted.

    Raises:
        ValueError: If `seed` is not an integer.

    Example:
        >>> generator = hornbeam.random.SeedGenerator(1)
        >>> a, b = (hornbeam.random.normal((2,), seed=generator) for _ in range(2))
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        unknown = set(kwargs) - {"trainable", "dtype"}
        if unknown:
            raise ValueError(f"SeedGenerator: unknown arguments {sorted(unknown)}")
        if seed is not None and (not isinstance(seed, (int, np.integer)) or isinstance(seed, bool)):
            raise ValueError(f"seed must be an integer or None, got {seed!r}")
        self.name = name or unique_name("seed_generator")
        self._initial_seed = None if seed is None else int(seed)
        start = seed_words(make_default_seed() if seed is None else int(seed))
        self.state = Variable(start, trainable=False, name="seed_generator_state")
        self.state.path = f"{self.name}/{self.state.name}"

    def __repr__(self) -> str:
        return f"<SeedGenerator name={self.name}, seed={self._initial_seed}>"

    def next(self, ordered: bool = True) -> Tensor:
        """Return the next key, uint32 (2,), and advance the state.

        Args:
            ordered: Accepted; keys are always in order.

        Returns:
            Tensor.
        """
        if current_variable_tracer() is None and not current_level():
            return as_tensor(self.host_next())
        key = self.state.value
        self.state.assign(_advanced(key))
        return key

    def host_next(self) -> np.ndarray:
        """Return the next key as an array, outside of any function that is being traced."""
        item = _item.get()
        return self._advance() if item is None else item.next_key(self)

    def _current_key(self) -> np.ndarray:
        return np.array(as_tensor(Tensor(self.state._node)).numpy())

    def _advance(self) -> np.ndarray:
        key = self._current_key()
        self.state._node = as_tensor(np.array([key[0], (int(key[1]) + 1) % WORD], np.uint32)).node
        return key

    def get_config(self) -> dict[str, Any]:
        """Return the arguments from which an equal generator is built."""
        return {"seed": self._initial_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        return cls(**config)


class SharedDraws:
    """Keys for work items that several threads share.

    The keys of an item depend on its number and on the keys that the generators would return next when the
    work began, and not on the order of draws. With `advances`, a generator that is drawn from advances by one
    for all items together.
    """

    def __init__(self, advances: bool = True) -> None:
        self._advances = advances
        self._first: dict[SeedGenerator, np.ndarray] = {}
        self._lock = threading.Lock()

    def item(self, number: int) -> override[_Item | None]:
        """Let generators return keys of this item, outside of functions that are traced."""
        return override(_item, _Item(self, number))

    def key(self, generator: SeedGenerator, number: int, index: int) -> np.ndarray:
        """Return the key of a generator for draw `index` of item `number`."""
        with self._lock:
            if generator not in self._first:
                self._first[generator] = generator._advance() if self._advances else generator._current_key()
        low, high = (int(word) for word in self._first[generator])
        return host_key(low + high * WORD, number, index)


class _Item:
    """The item that is worked on, and its number of draws."""

    def __init__(self, draws: SharedDraws, number: int) -> None:
        self._draws = draws
        self._number = number
        self._index = itertools.count()

    def next_key(self, generator: SeedGenerator) -> np.ndarray:
        """Return the next key of the item from a generator."""
        return self._draws.key(generator, self._number, next(self._index))


_item: ContextVar[_Item | None] = context_variable("item of shared draws", None)


def _advanced(key: Tensor) -> Tensor:
    return Tensor(p.add(key.node, p.constant([0, 1], "uint32")))


_global: list[SeedGenerator] = []


def global_seed_generator() -> SeedGenerator:
    """Return the generator of keys for draws without a seed."""
    if not _global:
        _global.append(SeedGenerator(name="global_seed_generator"))
    return _global[0]


def draw_seed(seed: SeedLike | TensorLike = None) -> Tensor:
    """Return the key, uint32 (2,), of a draw.

    Args:
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor.

    Raises:
        ValueError: If `seed` is none of these.
    """
    if seed is None:
        return global_seed_generator().next()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        words = seed_words(int(seed))
        # Outside of traces it is a value: with a constant every seed would be a graph of its own to compile.
        return Tensor(p.constant(words, "uint32")) if current_level() else as_tensor(words)
    if (
        isinstance(seed, (Tensor, np.ndarray))
        and tuple(seed.shape) == (2,)
        and is_integer(dtype_name(seed.dtype))
    ):
        return Tensor(cast_node(seed, "uint32"))
    raise ValueError(f"seed must be an integer, a SeedGenerator, a key of two words, or None, got {seed!r}")


def split_key(key: Node, count: int) -> list[Node]:
    """Derive keys from the bits of `key`, for draws that need several."""
    words = p.random_bits(key, (count, 2))
    return [p.reshape(p.slice_(words, (i, 0), (i + 1, 2)), (2,)) for i in range(count)]


def host_key(seed: int, *steps: int) -> np.ndarray:
    """Derive a key, uint32 (2,), from a seed and steps such as the epoch.

    Different steps give unrelated keys.

    Args:
        seed: Integer.
        *steps: Integers.

    Returns:
        NumPy array.
    """
    key = seed_words(int(seed))
    for step in steps:
        key = RANDOM_BITS.reference(key ^ seed_words(int(step) + 1), shape=(2,))
    return key


def host_bits(key: np.ndarray, count: int) -> np.ndarray:
    """Return random words, the same as those of the graph's `random_bits`.

    Args:
        key: Array of two uint32 words.
        count: Integer, number of words.

    Returns:
        NumPy array (count,) of uint32.
    """
    return RANDOM_BITS.reference(np.asarray(key, np.uint32), shape=(count,))


def host_permutation(seed: int | np.ndarray, count: int, *steps: int) -> np.ndarray:
    """Return a random permutation of 0 ... count - 1, the same as `shuffle` of that key.

    Args:
        seed: Integer or key.
        count: Integer, length of the permutation.
        *steps: Integers, such as the epoch, that make different permutations of one seed.

    Returns:
        NumPy array (count,) of int64.
    """
    key = np.asarray(seed, np.uint32) if isinstance(seed, np.ndarray) else host_key(seed)
    for step in steps:
        key = RANDOM_BITS.reference(key ^ seed_words(int(step) + 1), shape=(2,))
    words = host_bits(key, 2 * count).reshape(count, 2).astype(np.uint64)
    return np.argsort(((words[:, 0] >> np.uint64(1)) << np.uint64(32)) | words[:, 1], kind="stable")
