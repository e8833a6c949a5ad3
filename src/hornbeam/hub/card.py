"""Model cards: what a model is, what it has learned from, and how good it is, with intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hornbeam._internal.version import version

if TYPE_CHECKING:
    from hornbeam.evaluation import Evaluation
    from hornbeam.models import Model

# Models with more layers are described by counts.
_MOST_LAYERS = 60


@dataclass(frozen=True)
class ModelCard:
    """Facts about a model, for its README. What is not stated is said not to be.

    Args:
        description: What the model does, in a sentence or more.
        data: What it was trained on.
        evaluation: Result of `evaluation.evaluate`, whose metrics are shown with their intervals.
        evaluated_on: Data of the evaluation.
        license: Identifier of the license, such as "apache-2.0".
        tags: Words by which the hub finds the model.

    Example:
        >>> card = hornbeam.hub.ModelCard("Classifies digits.", data="MNIST, 60,000 images")
        >>> "MNIST, 60,000 images" in card.text(hornbeam.Sequential(), "user/digits")
        True
    """

    description: str = ""
    data: str = ""
    evaluation: Evaluation | None = None
    evaluated_on: str = ""
    license: str | None = None
    tags: Sequence[str] = ()

    def text(self, model: Model, repository: str) -> str:
        """Return the README of a model in a repository, as Markdown.

        Args:
            model: The model.
            repository: Owner and name of the repository.
        """
        # JSON is YAML, so that no text of the caller's ends its field.
        header = {"library_name": "keras", "tags": ["hornbeam", *self.tags]}
        if self.license is not None:
            header["license"] = self.license
        lines = ["---", *(f"{name}: {json.dumps(value)}" for name, value in header.items()), "---", ""]
        lines += [
            f"# {repository.rpartition('/')[2]}",
            "",
            self.description or "The author states no purpose.",
        ]
        lines += ["", "## Architecture", "", *_architecture(model)]
        lines += ["", "## Training data", "", self.data or "The author states no training data."]
        lines += ["", "## Evaluation", "", *self._results()]
        lines += ["", "## How to load", "", *_usage(repository)]
        return "\n".join(lines) + "\n"

    def _results(self) -> list[str]:
        if self.evaluation is None:
            return ["The author states no evaluation."]
        sentence = f"{self.evaluation.n:,} samples: {self.evaluated_on or 'the author does not state which'}."
        rows = [
            f"| {name} | {x.value:.4f} | {x.interval or 'unknown'} | {x.interval and x.interval.method} |"
            for name, x in self.evaluation.metrics.items()
        ]
        title = f"| metric | value | {self.evaluation.level:.0%} interval | method |"
        remarks = [f"- {remark}" for remark in self.evaluation.remarks()]
        return [sentence, "", title, "|---|---|---|---|", *rows, *([""] if remarks else []), *remarks]


def _architecture(model: Model) -> list[str]:
    layers = list(model.layers)
    kind = f"`{type(model).__name__}` named `{model.name}`, of {len(layers)} layers"
    if not model.built:
        return [f"{kind}, not built."]
    trainable = sum(variable.size for variable in model.trainable_variables)
    rows = [("parameters", f"{model.count_params():,}, of which {trainable:,} are trainable")]
    rows += [(name, _shape(model, f"{name}_shape")) for name in ("input", "output")]
    rows.append(("written by", f"Hornbeam {version()}, in the format of Keras 3"))
    table = [f"{kind}.", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    if len(layers) > _MOST_LAYERS:
        return table
    return [*table, "", *(f"- {layer.name}: {type(layer).__name__}" for layer in layers)]


def _shape(model: Any, name: str) -> str:
    try:
        return f"`{getattr(model, name)}`"
    except (AttributeError, ValueError):  # of a subclassed model
        return "not fixed"


def _usage(repository: str) -> list[str]:
    return [
        "```python", "import hornbeam as hb", "", f'model = hb.hub.load("hf://{repository}")', "```", "",
        "or, with Keras 3:", "", "```python", "import keras", "",
        f'model = keras.saving.load_model("hf://{repository}")', "```",
    ]  # fmt: skip
