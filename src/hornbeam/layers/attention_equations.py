"""Equations of projections to heads and of attention between heads."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import NamedTuple


class AttentionEquations(NamedTuple):
    """Equations of the scores, from keys and queries, and of the output, from weights and values."""

    scores: str
    output: str
    scores_rank: int


class ProjectionEquation(NamedTuple):
    """Equation of an input and a kernel, letters of the output that a bias has, rank of the output."""

    equation: str
    bias_axes: str
    output_rank: int


def attention_equations(rank: int, attn_axes: Sequence[int]) -> AttentionEquations:
    """Return the equations of attention over some axes of queries, keys and values.

    Args:
        rank: Number of axes of the queries: batch, ..., heads, size.
        attn_axes: Axes over which attention is applied.
    """
    query = string.ascii_lowercase[:rank]
    further = iter(string.ascii_lowercase[rank:])
    key = "".join(next(further) if axis in attn_axes else letter for axis, letter in enumerate(query))
    alike = "".join(query[axis] for axis in range(rank - 1) if axis not in attn_axes)
    scores = alike + "".join(query[axis] for axis in attn_axes) + "".join(key[axis] for axis in attn_axes)
    return AttentionEquations(f"{key},{query}->{scores}", f"{scores},{key}->{query}", len(scores))


def projection_equation(free_dims: int, bound_dims: int, output_dims: int) -> ProjectionEquation:
    """Return the equation of a dense layer over the last axes.

    Args:
        free_dims: Number of leading axes, which stay.
        bound_dims: Number of axes behind them, which are summed.
        output_dims: Number of axes that take their place.
    """
    letters = string.ascii_lowercase
    free = letters[:free_dims]
    bound = letters[free_dims : free_dims + bound_dims]
    new = letters[free_dims + bound_dims : free_dims + bound_dims + output_dims]
    return ProjectionEquation(f"{free}{bound},{bound}{new}->{free}{new}", new, free_dims + output_dims)


def projected_shape(output_rank: int, known_last_dims: Sequence[int]) -> list[int | None]:
    """Return sizes with None in front, as many as the rank asks for.

    Args:
        output_rank: Number of sizes.
        known_last_dims: The last ones.
    """
    return [None] * (output_rank - len(known_last_dims)) + list(known_last_dims)
