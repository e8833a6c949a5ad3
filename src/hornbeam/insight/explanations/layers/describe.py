"""The description of a layer: the template of its family, with its numbers."""

from __future__ import annotations

from typing import Any

from hornbeam import layers
from hornbeam.insight.arithmetic import count_of
from hornbeam.insight.explanations.layers.context import LayerContext, LayerDescription
from hornbeam.insight.explanations.layers.facts import Facts
from hornbeam.insight.explanations.layers.templates import MODEL, TEMPLATES, UNKNOWN, Sentence, Template


def describe(context: LayerContext) -> LayerDescription:
    """Describe a layer in its model."""
    if isinstance(context.layer, layers.TimeDistributed):
        return _describe_each_step(context)
    template, facts = _template_of(context.layer), Facts(context)
    return LayerDescription(*(_rendered(sentence, facts) for sentence in vars(template).values()))


def _template_of(layer: layers.Layer) -> Template:
    if hasattr(layer, "summary"):  # models are above this package
        return MODEL
    return next((template for kinds, template in TEMPLATES if isinstance(layer, kinds)), UNKNOWN)


def _rendered(sentence: Sentence, facts: Facts) -> str:
    if isinstance(sentence, dict):
        texts = (text for condition, text in sentence.items() if not condition or facts.holds(condition))
        sentence = next(texts)
    return facts.format(sentence)


def _describe_each_step(context: LayerContext) -> LayerDescription:
    """Describe a TimeDistributed by the layer that it applies to each step."""

    def one_step(shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple((shape[0], *shape[2:]) for shape in shapes)

    inner = describe(
        LayerContext(
            context.layer.layer, one_step(context.inputs), one_step(context.outputs), context.consumers
        )
    )
    steps = count_of(context.input[1] if len(context.input) > 1 else None, "step")
    return LayerDescription(
        f"at each of {steps} with the same weights: {inner.operation}",
        f"{steps}, each: {inner.output}",
        inner.purpose,
        inner.removal,
    )
