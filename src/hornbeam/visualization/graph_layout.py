"""Where the boxes of a graph go: a layered layout without Graphviz, the same for the same graph.

Boxes are ranked by their longest way from the start; edges over several ranks get places of their own on the
ranks between, so that no line runs through a box; ranks are put in order by barycentres; then boxes are moved
along their ranks towards the middle of their neighbours as far as the order and the gaps allow, which is
isotonic regression. Sugiyama, Tagawa, Toda 1981; Barlow et al. 1972 for the regression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

# Distance of neighbours on a rank and of ranks, in the unit of the sizes (inches).
GAP, RANK_GAP = 0.25, 0.4
# How much room a line takes that passes a rank.
LANE = 0.12
_SWEEPS = 12
# Points as near as this are one.
_SAME = 1e-9

Point = tuple[float, float]


@dataclass
class Layout:
    """The centre of each box, the points of each edge (source, target, points), and the size of it all. y
    grows downwards, the upper left corner is (0, 0)."""

    centres: list[Point]
    edges: list[tuple[int, int, list[Point]]]
    width: float
    height: float


@dataclass
class _Spot:
    """A place on a rank: a box, or where a line passes (box is None)."""

    box: int | None
    size: float
    before: list[_Spot] = field(default_factory=list)
    behind: list[_Spot] = field(default_factory=list)
    x: float = 0.0


def layered(sizes: Sequence[Point], edges: Sequence[tuple[int, int]], sideways: bool = False) -> Layout:
    """Lay out boxes of the given (width, height), of which each edge (source, target) has source < target.

    sideways: ranks are columns from left to right instead of rows from top to bottom. Raises ValueError for
    an edge that goes back.
    """
    if any(not 0 <= source < target < len(sizes) for source, target in edges):
        raise ValueError("an edge goes from a box to a later one")
    across = [h if sideways else w for w, h in sizes]
    along = [w if sideways else h for w, h in sizes]
    ranks = _ranks(len(sizes), edges)
    rows, chains = _spots(across, ranks, edges)
    _order(rows)
    width = _place(rows)
    tops, heights, total = _bands(ranks, along, len(rows))
    spots = {spot.box: spot for row in rows for spot in row if spot.box is not None}
    centres = [(spots[i].x, tops[ranks[i]] + heights[ranks[i]] / 2) for i in range(len(sizes))]
    lines = []
    for (source, target), chain in zip(edges, chains, strict=True):
        points = _line(centres[source], centres[target], along[source], along[target])
        bends: list[Point] = []
        for step, spot in enumerate([spots[source], *chain, spots[target]]):
            rank = ranks[source] + step
            if step:
                bends.append((spot.x, tops[rank]))
            if rank < ranks[target]:
                bends.append((spot.x, tops[rank] + heights[rank]))
        lines.append((source, target, _straightened([points[0], *bends, points[1]])))
    layout = Layout(centres, lines, width, total)
    return _turned(layout) if sideways else layout


def _ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    ranks = [0] * count
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        ranks[target] = max(ranks[target], ranks[source] + 1)
    # A start stands right before the first that reads it.
    readers: dict[int, list[int]] = {}
    written = {target for _, target in edges}
    for source, target in edges:
        readers.setdefault(source, []).append(ranks[target])
    for box, behind in readers.items():
        if box not in written:
            ranks[box] = min(behind) - 1
    return ranks


def _spots(
    across: Sequence[float], ranks: Sequence[int], edges: Sequence[tuple[int, int]]
) -> tuple[list[list[_Spot]], list[list[_Spot]]]:
    """The ranks' spots, and for each edge those where it passes."""
    rows: list[list[_Spot]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    boxes = [_Spot(i, size) for i, size in enumerate(across)]
    for box, rank in zip(boxes, ranks, strict=True):
        rows[rank].append(box)
    chains = []
    for source, target in edges:
        chain, last = [], boxes[source]
        for rank in range(ranks[source] + 1, ranks[target]):
            spot = _Spot(None, LANE)
            rows[rank].append(spot)
            _join(last, spot)
            chain.append(spot)
            last = spot
        _join(last, boxes[target])
        chains.append(chain)
    return rows, chains


def _join(upper: _Spot, lower: _Spot) -> None:
    upper.behind.append(lower)
    lower.before.append(upper)


# -- order on a rank ----------------------------------------------------------------------------------------


def _order(rows: list[list[_Spot]]) -> None:
    """Sort each rank by the mean place of its neighbours, down and up, and keep the order with the fewest
    crossings."""
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            place = {id(spot): i for r in rows for i, spot in enumerate(r)}
            row.sort(key=_barycentre(place, down))
        found = _crossings(rows)
        if found < fewest:
            best, fewest = [list(row) for row in rows], found
    for row, kept in zip(rows, best, strict=True):
        row[:] = kept


def _barycentre(place: dict[int, int], down: bool) -> Callable[[_Spot], float]:
    def key(spot: _Spot) -> float:
        around = spot.before if down else spot.behind
        own = float(place[id(spot)])
        return sum(place[id(other)] for other in around) / len(around) if around else own

    return key


def _crossings(rows: Sequence[Sequence[_Spot]]) -> int:
    total = 0
    for row, below in pairwise(rows):
        place = {id(spot): i for i, spot in enumerate(below)}
        ends = [place[id(other)] for spot in row for other in sorted(spot.behind, key=lambda s: place[id(s)])]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :])
    return total


# -- places on a rank ---------------------------------------------------------------------------------------


def _place(rows: Sequence[Sequence[_Spot]]) -> float:
    """Give every spot its x; returns the width of the widest rank, with 0 at the left."""
    for row in rows:
        _spread(row, [0.0] * len(row))
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            _spread(row, [_wanted(spot, down) for spot in row])
    left = min((spot.x - spot.size / 2 for row in rows for spot in row), default=0.0)
    for row in rows:
        for spot in row:
            spot.x -= left
    return max((spot.x + spot.size / 2 for row in rows for spot in row), default=0.0)


def _wanted(spot: _Spot, down: bool) -> float:
    around = (spot.before if down else spot.behind) or (spot.behind if down else spot.before)
    return sum(other.x for other in around) / len(around) if around else spot.x


def _spread(row: Sequence[_Spot], wanted: Sequence[float]) -> None:
    """The places nearest to the wanted ones (least squares) that keep order and gaps."""
    shifts, shift = [], 0.0
    for i, spot in enumerate(row):
        if i:
            shift += (row[i - 1].size + spot.size) / 2 + GAP
        shifts.append(shift)
    levels = _isotonic([want - s for want, s in zip(wanted, shifts, strict=True)])
    for spot, level, s in zip(row, levels, shifts, strict=True):
        spot.x = level + s


def _isotonic(values: Sequence[float]) -> list[float]:
    """The nearest sequence that never falls: neighbours that would are pooled."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    return [value for value, count in blocks for _ in range(count)]


# -- lines --------------------------------------------------------------------------------------------------


def _bands(
    ranks: Sequence[int], along: Sequence[float], count: int
) -> tuple[list[float], list[float], float]:
    """Where each rank begins, how deep it is, and where the last one ends."""
    heights = [0.0] * count
    for rank, size in zip(ranks, along, strict=True):
        heights[rank] = max(heights[rank], size)
    tops, y = [], 0.0
    for height in heights:
        tops.append(y)
        y += height + RANK_GAP
    return tops, heights, max(y - RANK_GAP, 0.0)


def _line(source: Point, target: Point, depth: float, other: float) -> tuple[Point, Point]:
    """From the lower side of a box to the upper side of another."""
    return (source[0], source[1] + depth / 2), (target[0], target[1] - other / 2)


def _straightened(points: Sequence[Point]) -> list[Point]:
    """Without points that lie on the line between their neighbours, or on the one before."""
    kept: list[Point] = []
    for point in points:
        if kept and math.dist(point, kept[-1]) < _SAME:
            continue
        if len(kept) > 1 and abs(kept[-2][0] - point[0]) + abs(kept[-1][0] - point[0]) < _SAME:
            kept[-1] = point
        else:
            kept.append(point)
    return kept


def _turned(layout: Layout) -> Layout:
    def turn(point: Point) -> Point:
        return point[1], point[0]

    edges = [(source, target, [turn(p) for p in points]) for source, target, points in layout.edges]
    return Layout([turn(p) for p in layout.centres], edges, layout.height, layout.width)
