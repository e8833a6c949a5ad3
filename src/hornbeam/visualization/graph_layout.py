"""Layered graph layout without Graphviz, deterministic.

Boxes are ranked by their longest path from a source. Edges over several ranks get virtual nodes on the ranks
between, so that no line crosses a box. Ranks are ordered by barycentres. Then boxes move along their ranks
towards the mean of their neighbors as far as order and gaps allow, which is isotonic regression (Sugiyama,
Tagawa, Toda 1981; Barlow et al. 1972 for the regression).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

# Distance of neighbors on a rank and of ranks, in the unit of the sizes (inches).
GAP, RANK_GAP = 0.25, 0.4
# Size of a virtual node, by which a line passes a rank.
LANE = 0.12
_SWEEPS = 12
# Points that are closer than this coincide.
_EPSILON = 1e-9

Point = tuple[float, float]


@dataclass
class Layout:
    """Centre of each box, points of each edge (source, target, points), and the total size.

    y grows downwards; the upper left corner is (0, 0).
    """

    centres: list[Point]
    edges: list[tuple[int, int, list[Point]]]
    width: float
    height: float


@dataclass
class _Node:
    """A box on a rank, or a virtual node of an edge (box is None)."""

    box: int | None
    size: float
    parents: list[_Node] = field(default_factory=list)
    children: list[_Node] = field(default_factory=list)
    x: float = 0.0


def layered(sizes: Sequence[Point], edges: Sequence[tuple[int, int]], sideways: bool = False) -> Layout:
    """Lay out boxes of sizes (width, height) and edges (source, target) with source < target.

    Ranks are rows from top to bottom, or with `sideways` columns from left to right. Raises ValueError for an
    edge to an earlier box.
    """
    if any(not 0 <= source < target < len(sizes) for source, target in edges):
        raise ValueError("an edge goes from a box to a later one")
    across = [h if sideways else w for w, h in sizes]
    along = [w if sideways else h for w, h in sizes]
    ranks = _ranks(len(sizes), edges)
    rows, chains = _nodes(across, ranks, edges)
    _order(rows)
    width = _assign_coordinates(rows)
    tops, heights, total = _bands(ranks, along, len(rows))
    nodes = {node.box: node for row in rows for node in row if node.box is not None}
    centres = [(nodes[i].x, tops[ranks[i]] + heights[ranks[i]] / 2) for i in range(len(sizes))]
    lines = []
    for (source, target), chain in zip(edges, chains, strict=True):
        points = _line(centres[source], centres[target], along[source], along[target])
        bends: list[Point] = []
        for step, node in enumerate([nodes[source], *chain, nodes[target]]):
            rank = ranks[source] + step
            if step:
                bends.append((node.x, tops[rank]))
            if rank < ranks[target]:
                bends.append((node.x, tops[rank] + heights[rank]))
        lines.append((source, target, _straightened([points[0], *bends, points[1]])))
    layout = Layout(centres, lines, width, total)
    return _transposed(layout) if sideways else layout


def _ranks(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    ranks = [0] * count
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        ranks[target] = max(ranks[target], ranks[source] + 1)
    # A source is moved next to its first reader.
    readers: dict[int, list[int]] = {}
    written = {target for _, target in edges}
    for source, target in edges:
        readers.setdefault(source, []).append(ranks[target])
    for box, reader_ranks in readers.items():
        if box not in written:
            ranks[box] = min(reader_ranks) - 1
    return ranks


def _nodes(
    across: Sequence[float], ranks: Sequence[int], edges: Sequence[tuple[int, int]]
) -> tuple[list[list[_Node]], list[list[_Node]]]:
    """Return the nodes of each rank, and the virtual nodes of each edge."""
    rows: list[list[_Node]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    boxes = [_Node(i, size) for i, size in enumerate(across)]
    for box, rank in zip(boxes, ranks, strict=True):
        rows[rank].append(box)
    chains = []
    for source, target in edges:
        chain, last = [], boxes[source]
        for rank in range(ranks[source] + 1, ranks[target]):
            node = _Node(None, LANE)
            rows[rank].append(node)
            _join(last, node)
            chain.append(node)
            last = node
        _join(last, boxes[target])
        chains.append(chain)
    return rows, chains


def _join(upper: _Node, lower: _Node) -> None:
    upper.children.append(lower)
    lower.parents.append(upper)


# -- order on a rank ----------------------------------------------------------------------------------------


def _order(rows: list[list[_Node]]) -> None:
    """Sort each rank by the mean position of its neighbors, in sweeps down and up.

    The order with the fewest crossings is kept.
    """
    best, fewest = [list(row) for row in rows], _crossings(rows)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            positions = {id(node): i for r in rows for i, node in enumerate(r)}
            row.sort(key=_barycentre(positions, down))
        crossings = _crossings(rows)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    for row, kept in zip(rows, best, strict=True):
        row[:] = kept


def _barycentre(positions: dict[int, int], down: bool) -> Callable[[_Node], float]:
    def key(node: _Node) -> float:
        neighbors = node.parents if down else node.children
        if not neighbors:
            return float(positions[id(node)])
        return sum(positions[id(neighbor)] for neighbor in neighbors) / len(neighbors)

    return key


def _crossings(rows: Sequence[Sequence[_Node]]) -> int:
    total = 0
    for row, below in pairwise(rows):
        positions = {id(node): i for i, node in enumerate(below)}
        ends = [end for node in row for end in sorted(positions[id(child)] for child in node.children)]
        total += sum(a > b for i, a in enumerate(ends) for b in ends[i + 1 :])
    return total


# -- coordinates on a rank ----------------------------------------------------------------------------------


def _assign_coordinates(rows: Sequence[Sequence[_Node]]) -> float:
    """Set the x of every node, from 0 on; return the width of the widest rank."""
    for row in rows:
        _move(row, [0.0] * len(row))
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            _move(row, [_target(node, down) for node in row])
    left = min((node.x - node.size / 2 for row in rows for node in row), default=0.0)
    for row in rows:
        for node in row:
            node.x -= left
    return max((node.x + node.size / 2 for row in rows for node in row), default=0.0)


def _target(node: _Node, down: bool) -> float:
    neighbors = (node.parents if down else node.children) or (node.children if down else node.parents)
    return sum(neighbor.x for neighbor in neighbors) / len(neighbors) if neighbors else node.x


def _move(row: Sequence[_Node], targets: Sequence[float]) -> None:
    """Move nodes as near to their targets as order and gaps allow (least squares)."""
    shifts, shift = [], 0.0
    for i, node in enumerate(row):
        if i:
            shift += (row[i - 1].size + node.size) / 2 + GAP
        shifts.append(shift)
    levels = _isotonic([target - s for target, s in zip(targets, shifts, strict=True)])
    for node, level, s in zip(row, levels, shifts, strict=True):
        node.x = level + s


def _isotonic(values: Sequence[float]) -> list[float]:
    """Return the nearest sequence that never decreases: neighbors that would are pooled."""
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
    """Return the start and depth of each rank, and the end of the last one."""
    heights = [0.0] * count
    for rank, size in zip(ranks, along, strict=True):
        heights[rank] = max(heights[rank], size)
    tops, y = [], 0.0
    for height in heights:
        tops.append(y)
        y += height + RANK_GAP
    return tops, heights, max(y - RANK_GAP, 0.0)


def _line(source: Point, target: Point, depth: float, other: float) -> tuple[Point, Point]:
    """Return the ends of a line from the lower side of a box to the upper side of another."""
    return (source[0], source[1] + depth / 2), (target[0], target[1] - other / 2)


def _straightened(points: Sequence[Point]) -> list[Point]:
    """Drop points on the line between their neighbors, and repeated ones."""
    kept: list[Point] = []
    for point in points:
        if kept and math.dist(point, kept[-1]) < _EPSILON:
            continue
        if len(kept) > 1 and abs(kept[-2][0] - point[0]) + abs(kept[-1][0] - point[0]) < _EPSILON:
            kept[-1] = point
        else:
            kept.append(point)
    return kept


def _transposed(layout: Layout) -> Layout:
    def swap(point: Point) -> Point:
        return point[1], point[0]

    edges = [(source, target, [swap(p) for p in points]) for source, target, points in layout.edges]
    return Layout([swap(p) for p in layout.centres], edges, layout.height, layout.width)
