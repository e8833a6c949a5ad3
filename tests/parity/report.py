"""The parity suite as a table by family: `python tests/parity/report.py [--write] [pytest arguments]`.

Runs the suite and counts its checks: equal, different with a reason, unexplained; and the public names that
Keras has and Hornbeam has not. `--write` puts the table and all reasons into docs/parity.md.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "structure")]

import pytest  # noqa: E402
from reasons import ARGUMENTS_MISSING  # noqa: E402

TEXT = """# Hornbeam beside Keras 3.15.1

Written by `python tests/parity/report.py --write`. The suite in `tests/parity` runs both libraries in one
process (Keras on JAX) with the same weights and inputs, and compares outputs, symbolic shapes, dtypes, masks,
gradients, penalties, state, configs in both directions and names of weights. Tolerances are in
`tests/parity/tolerances.py`, cases in the tables there and beside the other tests, and every difference that
stays is in `tests/parity/reasons.py`.

"""


class Results:
    """A pytest plugin that adds up what the tests compared."""

    def __init__(self) -> None:
        self.equal: Counter[str] = Counter()
        self.unexplained: Counter[str] = Counter()
        self.different: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        for name, counts in report.user_properties if report.when == "call" else ():
            if name == "parity":
                family = counts["family"]
                self.equal[family] += counts["equal"]
                self.unexplained[family] += len(counts["unexplained"])
                self.different.setdefault(family, {}).update(counts["different"])


def missing() -> dict[str, dict[str, str]]:
    """Names of Keras that are not here, a namespace, with the reasons of the MISSING tables."""
    names = json.loads((HERE.parent / "compat" / "keras_names.json").read_text())
    found: dict[str, dict[str, str]] = {}
    for namespace in names:
        try:
            module = importlib.import_module(namespace.replace("keras", "hornbeam", 1))
        except ImportError:
            continue
        table = getattr(module, "MISSING", {})
        gone = {name: table[name] for name in names[namespace] if name in table}
        if gone:
            found[namespace] = gone
    return found


def table(results: Results) -> str:
    """Checked, equal and different, a family."""
    lines = [
        "| family | checked | equal | different, with a reason | unexplained |",
        "|---|---:|---:|---:|---:|",
    ]
    totals = [0, 0, 0, 0]
    for family in sorted({*results.equal, *results.different}):
        equal, different = results.equal[family], len(results.different.get(family, {}))
        row = [equal + different + results.unexplained[family], equal, different, results.unexplained[family]]
        totals = [a + b for a, b in zip(totals, row, strict=True)]
        lines.append(f"| {family.replace('_', ' ')} | " + " | ".join(str(n) for n in row) + " |")
    lines.append("| **all** | " + " | ".join(f"**{n}**" for n in totals) + " |")
    return "\n".join(lines) + "\n"


def reasons(results: Results) -> str:
    """Every reason, with the checks that it stands for."""
    by_reason: dict[str, list[str]] = {}
    for family in sorted(results.different):
        for key, reason in results.different[family].items():
            by_reason.setdefault(reason, []).append(key)
    lines = ["## Differences that stay", ""]
    for reason, keys in by_reason.items():
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        lines.append(f"- {reason[0].upper()}{reason[1:]}: `{keys[0]}`{more}.")
    lines += ["", "## Arguments that are not there", ""]
    lines += [f"- `{text}`: {reason}." for text, reason in ARGUMENTS_MISSING.items()]
    lines += ["", "## Names that are not there", ""]
    for namespace, names in missing().items():
        lines += [f"- `{namespace}.{name}`: {reason.rstrip('.')}." for name, reason in names.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    arguments = sys.argv[1:]
    write = "--write" in arguments
    results = Results()
    rest = [argument for argument in arguments if argument != "--write"]
    code = pytest.main(
        [str(HERE), "-q", "-m", "not slow", "-p", "no:cacheprovider", *rest], plugins=[results]
    )
    print(table(results))
    if write:
        (ROOT / "docs" / "parity.md").write_text(f"{TEXT}{table(results)}\n{reasons(results)}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
