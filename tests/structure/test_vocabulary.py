"""The table of primitives is complete, and the native engine's list of instructions agrees with it."""

from __future__ import annotations

import hornbeam.models  # noqa: F401  (composites are registered where they are defined)
from hornbeam import _native
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import COMPLEX, DTYPES
from hornbeam.primitives.complex_numbers import LOWERED

# Their samples are bodies: see tests/primitives/test_control.py.
CONTROL = {"cond", "while_loop", "scan", "project", "checkpoint", "custom_gradient", "call"}


def test_the_native_engine_has_every_primitive_and_nothing_else() -> None:
    plain = {name for name, primitive in PRIMITIVES.items() if not primitive.composite}
    composites = set(PRIMITIVES) - plain
    derivatives = {f"{name}_vjp" for name in composites}
    instructions = set(_native.instructions())
    assert plain - instructions == set(LOWERED)
    assert instructions - plain - composites - derivatives == set()
    assert len(instructions) == len(_native.instructions())


def test_every_block_is_complete() -> None:
    for name, primitive in PRIMITIVES.items():
        assert primitive.name == name
        assert name.isidentifier()
        assert name == name.lower()
        assert set(primitive.dtypes) <= {*DTYPES, *COMPLEX}
        # Complex numbers are lowered before an engine sees them, and the phases of eigenvectors are the
        # engine's: see tests/ops/test_complex.py.
        tested_elsewhere = name in {*CONTROL, *LOWERED, "eig"} or name.endswith("_vjp")
        assert primitive.samples or tested_elsewhere, f"{name} has no samples"


def test_the_vocabulary_fits_on_a_screen() -> None:
    plain = [name for name, primitive in PRIMITIVES.items() if not primitive.composite]
    assert len(plain) <= 110
