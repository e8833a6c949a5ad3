"""The parity suite as a table by family: `python tests/parity/report.py [--write] [pytest arguments]`.

Runs the suite and counts its checks: equal, different with a reason, unexplained; and the public names that
Keras has and Hornbeam has not. `--write` puts the table and all reasons into docs/parity.md.

`python tests/parity/report.py --models START:STOP` runs those of the 2,000 random models instead, and notes
in tests/parity/random_models.json and docs/parity.md what came out, beside what other runs found with the
same grammar. They need not be run in one go.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RECORD = HERE / "random_models.json"
sys.path[:0] = [str(HERE), str(HERE.parent / "structure")]

import pytest  # noqa: E402
from reasons import ARGUMENTS_MISSING  # noqa: E402

TEXT = """# Hornbeam beside Keras 3.15.1

Written by `python tests/parity/report.py --write`. The suite in `tests/parity` runs both libraries
in one process (Keras on JAX) with the same weights and inputs, and compares outputs, symbolic
shapes, dtypes, masks, gradients, penalties, state, configs in both directions and names of weights.
Tolerances are in `tests/parity/tolerances.py`, cases in the tables there and beside the other
tests, and every difference that stays is in `tests/parity/reasons.py`.

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


class ModelResults:
    """A pytest plugin that notes how each random model came out, one by one: a long run may be stopped."""

    def __init__(self) -> None:
        self.clock = time.process_time()

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call":
            return
        counts = next((counts for name, counts in report.user_properties if name == "parity"), {})
        reason = next(iter(counts.get("different", {}).values()), "unexplained")
        found, now = record(), time.process_time()
        seed = report.nodeid.partition("[")[2].rstrip("]")
        found["outcomes"][seed] = "equal" if counts.get("equal") else reason
        found["cpu_seconds"] = round(found["cpu_seconds"] + now - self.clock, 2)
        self.clock = now
        RECORD.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")
        page = ROOT / "docs" / "parity.md"
        page.write_text(re.sub(r"Random models: .+?\n(?=\n)", models(), page.read_text(), flags=re.S))


def run_models(span: str) -> int:
    """Run the random models START:STOP, and add them to the record."""
    os.environ["HORNBEAM_RANDOM_MODELS"] = span
    file = str(HERE / "test_random_models.py")
    return int(pytest.main([file, "-q", "-m", "", "-p", "no:cacheprovider"], plugins=[ModelResults()]))


def record() -> dict[str, Any]:
    """What came out of random models of this grammar so far."""
    grammar = hashlib.sha256((HERE / "grammar.py").read_bytes()).hexdigest()
    found = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if found.get("grammar") != grammar:
        return {"grammar": grammar, "outcomes": {}, "cpu_seconds": 0}
    return found


def models() -> str:
    """The record in one sentence."""
    found = record()
    outcomes = Counter(found["outcomes"].values())
    equal, unexplained = outcomes.pop("equal", 0), outcomes.pop("unexplained", 0)
    reasons = "".join(f" ({count}: {reason})" for reason, count in outcomes.items())
    text = (
        f"Random models: {len(found['outcomes']):,} of 2,000 have been compared with this grammar: {equal:,} "
        f"equal, {outcomes.total()} different with a reason{reasons}, {unexplained} unexplained, "
        f"in {found['cpu_seconds'] / 60:.1f} minutes of one processor."
    )
    return filled(text) + "\n"


def filled(text: str) -> str:
    """Wrap a paragraph or a list item at 100 columns."""
    indent = "  " * text.startswith("- ")
    return textwrap.fill(text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


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
        lines.append(filled(f"- {reason[0].upper()}{reason[1:]}: `{keys[0]}`{more}."))
    lines += ["", "## Arguments that are not there", ""]
    lines += [filled(f"- `{text}`: {reason}.") for text, reason in ARGUMENTS_MISSING.items()]
    lines += ["", "## Names that are not there", ""]
    for namespace, names in missing().items():
        lines += [filled(f"- `{namespace}.{name}`: {reason.rstrip('.')}.") for name, reason in names.items()]
    return "\n".join(lines) + "\n"


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--models"]:
        return run_models(arguments[1])
    write = "--write" in arguments
    results = Results()
    rest = [argument for argument in arguments if argument != "--write"]
    code = pytest.main(
        [str(HERE), "-q", "-m", "not slow", "-p", "no:cacheprovider", *rest], plugins=[results]
    )
    print(table(results))
    if write:
        (ROOT / "docs" / "parity.md").write_text(f"{TEXT}{table(results)}\n{models()}\n{reasons(results)}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
