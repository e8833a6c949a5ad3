"""Measure the largest error of every primitive and dtype on an engine, against the reference in float64.

    python tools/native_error.py [ENGINE] > benchmarks/native_error.md

Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hornbeam.engines import Engine, get_engine
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import FLOATS, is_float

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.engine_cases import Error, compare, sample_errors, sweep_operands, sweepable
from tests.helpers.primitive_cases import NAMES


def table(engine: Engine) -> str:
    """Markdown: the largest errors of every primitive and dtype, over samples and sweeps."""
    lines = [
        f"# Largest errors of the {engine.name} engine",
        "",
        "Against the NumPy reference in float64, over the samples of each primitive and, for elementwise",
        "ones, over every value of float16 and bfloat16 and 300,000 values of float32 and float64. In",
        "units of the last place (sums: of the sum of absolute values), and absolute. Strays are results",
        "that are NaN or infinite where the reference is not, or the other way round, and integers and",
        "bools that differ.",
        "",
        "| primitive | dtype | ulp | absolute | strays |",
        "|---|---|---:|---:|---:|",
    ]
    for name in NAMES:
        primitive = PRIMITIVES[name]
        errors: dict[str, Error] = {}
        for index in range(len(primitive.samples)):
            for dtype, error in sample_errors(engine, name, index).items():
                errors[dtype] = errors.get(dtype, Error()).merge(error)
        for dtype in FLOATS if sweepable(name) else ():
            errors[dtype] = errors[dtype].merge(compare(engine, name, sweep_operands(name, dtype), {}))
        for dtype, error in errors.items():
            if is_float(dtype) or error.strays:
                numbers = f"{error.ulp:.2f} | {error.absolute:.2g} | {error.strays}"
                lines.append(f"| {name} | {dtype} | {numbers} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("engine", nargs="?", default="native")
    print(table(get_engine(parser.parse_args().engine)), end="")


if __name__ == "__main__":
    main()
