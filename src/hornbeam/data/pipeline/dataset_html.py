"""A dataset as the output of a notebook cell: its stages, and its elements where they are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam import tree
from hornbeam._internal.formatting import shape_text
from hornbeam._internal.html.markup import description_list, tag
from hornbeam._internal.html.notebook import notebook_output

if TYPE_CHECKING:
    from hornbeam.data.pipeline.dataset import Dataset

# Stages that pass elements on as they are: their structure is known without computing one.
_PLAIN = ("from_tensor_slices", "batch", "shuffle", "take", "skip", "repeat", "cache", "prefetch", "shard")


def dataset_html(dataset: Dataset, stages: list[str], count: int) -> str:
    """Return stages, number of elements, and structure; no element is computed for it."""
    number = {-1: "infinite", -2: "known after one pass"}.get(count, f"{count:,}")
    facts = [("stages", " → ".join(stages)), ("elements", number)]
    known = dataset._spec is not None or all(stage.split("(")[0].split(" ")[0] in _PLAIN for stage in stages)
    if known:
        facts.append(("each element", _structure(dataset.element_spec)))
    return notebook_output(tag("h4", "Dataset"), description_list(facts))


def _structure(spec: Any) -> str:
    if isinstance(spec, dict):
        return "{" + ", ".join(f"{key}: {_structure(part)}" for key, part in spec.items()) + "}"
    if isinstance(spec, (tuple, list)):
        return f"({', '.join(map(_structure, spec))})"
    leaves = tree.flatten(spec)
    shapes = [f"{shape_text(leaf.shape)} {leaf.dtype}" for leaf in leaves if hasattr(leaf, "shape")]
    return ", ".join(shapes) or type(spec).__name__
