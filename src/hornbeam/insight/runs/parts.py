"""What a run keeps of models, profiles, looks at data, evaluations and explanations: plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam.insight.explanations.explanation import Explanation
from hornbeam.insight.summary import Trace, rows_of
from hornbeam.training.profile import Profile
from hornbeam.visualization.png import encoded, is_picture

_MOST_KERNELS, _MOST_ARRAYS = 40, 30
_MOST_PICTURES, _MOST_IN_A_ROW = 12, 8


def of_model(model: Any) -> dict[str, Any]:
    """Layers as `summary()` shows them, numbers of parameters, and the configs of model and `compile`."""
    trace = Trace(model)
    rows = [dataclasses.asdict(row) for row in rows_of(model, trace)]
    return {
        "name": model.name,
        "class": type(model).__name__,
        "layers": rows,
        "params": sum(v.type.size for v in model.weights),
        "trained": sum(v.type.size for v in model.trainable_weights),
        "nbytes": sum(v.type.nbytes for v in model.weights),
        "flops": trace.flops,
        **configs_of(model),
    }


def configs_of(model: Any) -> dict[str, Any]:
    """The configs of a model and of its `compile`; None, and why, for a model that has none."""
    try:
        found: dict[str, Any] = {"config": model.get_config()}
    except (TypeError, NotImplementedError, ValueError) as error:
        found = {"config": None, "config_note": str(error)}
    return {**found, "compile": model.get_compile_config()}


def of_explanation(explanation: Explanation) -> dict[str, Any]:
    """Titles and sentences."""
    sections = [
        {"title": n.title, "entries": [list(e) for e in n.entries], "depth": n.depth}
        for n in explanation.sections
    ]
    return {"title": explanation.title, "sections": sections, "closing": list(explanation.closing)}


def of_profile(profile: Profile) -> dict[str, Any]:
    """Seconds of a step, by layer and by kernel."""
    layers = [
        {
            "name": layer.name,
            "forward": layer.forward,
            "backward": layer.backward,
            "flops": layer.flops,
            "nbytes": layer.nbytes,
            "roof": layer.roof,
        }
        for layer in profile.layers
    ]
    kernels = [
        {"what": kernel.label, "runs": kernel.runs, "seconds": kernel.seconds, "roof": kernel.roof}
        for kernel in profile.kernels[:_MOST_KERNELS]
    ]
    return {
        "steps": profile.steps,
        "seconds": profile.seconds,
        "kernel_seconds": profile.kernel_seconds,
        "flops": profile.flops,
        "layers": layers,
        "kernels": kernels,
    }


def of_findings(findings: Sequence[Any]) -> dict[str, Any]:
    """What the doctor found: name, evidence, advice, layers, epoch."""
    return {
        "findings": [
            {
                "name": f.name,
                "evidence": f.evidence,
                "advice": f.advice,
                "layers": list(f.layers),
                "epoch": f.epoch,
            }
            for f in findings
        ]
    }


def of_look(look: Any) -> dict[str, Any]:
    """Ranges, classes, what is there twice, doubtful labels, advice, some pictures."""
    from hornbeam.data.inspection.display import duplicates_text, summary_cells

    classes = look.classes
    names = [] if classes is None else list(classes.names)
    sentences = [duplicates_text(look)]
    doubtful = []
    for place, one in enumerate((look.suspicious or ())[:_MOST_PICTURES]):
        text = f"row {one.row}: labelled {names[one.label]}, its neighbours are {names[one.neighbors]}"
        if place < len(look.suspicious_images) and is_picture(look.suspicious_images[place]):
            doubtful.append({"text": text, "picture": encoded(look.suspicious_images[place])})
        else:
            sentences.append(f"label to check, {text}")
    if classes is not None and look.suspicious == []:
        sentences.append("no label is contradicted by its nearest neighbours")
    arrays = []
    for what in (*look.x[:_MOST_ARRAYS], *look.y[:_MOST_ARRAYS]):
        name, shape, dtype, _, *numbers = summary_cells(what)
        arrays.append({"name": name, "shape": shape, "dtype": dtype, "numbers": numbers})
    return {
        "samples": look.samples,
        "note": look.note,
        "arrays": arrays,
        "classes": None if classes is None else {"names": names[:40], "counts": classes.counts[:40]},
        "sentences": sentences,
        "advice": [{"what": advice.action, "why": advice.reason} for advice in look.advice],
        "pictures": {
            name: [encoded(picture) for picture in pictures[:_MOST_IN_A_ROW]]
            for name, pictures in look.images.items()
            if len(pictures) and is_picture(pictures[0])
        },
        "doubtful": doubtful,
    }


def of_result(result: Any) -> dict[str, Any]:
    """A result of `hornbeam.evaluation`."""
    found: dict[str, Any] = result.as_dict()
    return found


def of_mistakes(result: Any) -> dict[str, Any]:
    """Mistakes, with pictures of the samples where they are pictures."""
    samples = result.x if hasattr(result.x, "shape") else ()
    pictures = [encoded(sample) for sample in samples if is_picture(sample)]
    return {**result.as_dict(), "pictures": pictures}


# Class -> (name of the part, what makes it). Classes are found by name, without importing what is not used.
_KINDS: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "Explanation": ("explanation", of_explanation),
    "Profile": ("profile", of_profile),
    "DataReport": ("data", of_look),
    "Evaluation": ("evaluation", of_result),
    "Confusion": ("confusion", of_result),
    "Mistakes": ("mistakes", of_mistakes),
}


def part_of(thing: Any) -> tuple[str, dict[str, Any]]:
    """The part of a run that a result is, and its plain values.

    Raises TypeError for what runs do not hold.
    """
    for base in type(thing).__mro__:
        known = _KINDS.get(base.__name__) if base.__module__.startswith("hornbeam.") else None
        if known is not None:
            return known[0], known[1](thing)
    raise TypeError(f"a run does not hold a {type(thing).__name__}: give it a {', a '.join(sorted(_KINDS))}")
