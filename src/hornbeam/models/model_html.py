"""A model as the output of a notebook cell: the graph of its layers, and a table."""

from __future__ import annotations

from dataclasses import asdict

from hornbeam._internal.html.markup import tag
from hornbeam._internal.html.notebook import notebook_output
from hornbeam.layers.network import Network
from hornbeam.models.summary import Trace, rows_of, totals
from hornbeam.visualization.layer_graph import layers_elements

# Drawings of more layers would make notebooks large.
_MOST_DRAWN = 80


def model_html(model: Network) -> str:
    """Return name, sizes, graph and table of a model."""
    trace = Trace(model)
    rows = list(rows_of(model, trace))
    head = tag("h4", f'{type(model).__name__} "{model.name}"')
    sizes = [tag("p", line, class_="quiet") for line in totals(model, rows, trace)]
    layers = layers_elements([asdict(row) for row in rows], _MOST_DRAWN) if rows and model.built else []
    return notebook_output(head, sizes, tag("div", layers, class_="beside") if layers else None)
