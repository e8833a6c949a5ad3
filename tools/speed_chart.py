"""Draw the chart of README.md from the table of benchmarks/results.md, as `hornbeam bench --chart` does.

MATPLOTLIBRC=docs python tools/speed_chart.py     # writes docs/images/speed.svg
"""

from __future__ import annotations

import re
from pathlib import Path

from hornbeam.cli.bench.competitors import Competitor
from hornbeam.cli.bench.report import chart
from hornbeam.cli.bench.runner import Result

ROOT = Path(__file__).parents[1]
# Row of the table, which may say more about the workload -> name in the chart.
WORKLOADS = {
    "tutorial": "tutorial CNN",
    "MLP": "MLP",
    "LSTM": "LSTM",
    "ResNet-20": "ResNet-20",
    "transformer": "Transformer",
}
HEADING = "fastest epoch on 2 cores (Zen 4), float32, sides in alternation; see benchmarks/results.md"


def read_results(page: str) -> tuple[list[str], list[Result]]:
    """Return the sides and the seconds per epoch, from the first table of the page."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page[page.index("| epoch, s |") :].partition("\n\n")[0].splitlines()
    ]
    sides = rows[0][1:5]
    results = []
    for row in rows[2:]:
        key = re.match(r"[\w-]+", row[0])[0]
        if key not in WORKLOADS or "bfloat16" in row[0]:
            continue
        # "2.23 (first: 2.57)": later epochs and the first one, of which the faster counts.
        seconds = {side: re.findall(r"\d+\.\d+", cell) for side, cell in zip(sides, row[1:5], strict=True)}
        runs = {side: [{"epoch_s": min(map(float, each))}] for side, each in seconds.items() if each}
        results.append(Result(WORKLOADS[key], runs))
    return sides, results


def main() -> None:
    names, results = read_results((ROOT / "benchmarks/results.md").read_text(encoding="utf-8"))
    sides = [Competitor(name, (), ours=name == "hornbeam") for name in names]
    chart(results, sides, HEADING).save(ROOT / "docs/images/speed.svg")


if __name__ == "__main__":
    main()
