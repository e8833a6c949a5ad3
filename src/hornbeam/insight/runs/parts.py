"""Plain values of models, profiles, data reports, evaluations and explanations, for recorded runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hornbeam._internal.origin import is_own
from hornbeam.models.summary import Trace, rows_of
from hornbeam.training.profile import Profile
from hornbeam.visualization.explanation import Explanation
from hornbeam.visualization.png import encode_base64, is_image

if TYPE_CHECKING:
    from hornbeam.data.inspection.inspect import DataReport
    from hornbeam.evaluation.confusion_matrix import Confusion
    from hornbeam.evaluation.estimates import Evaluation
    from hornbeam.evaluation.top_errors import Mistakes
    from hornbeam.models import Model

_MOST_KERNELS, _MOST_ARRAYS, _MOST_CLASSES = 40, 30, 40
_MOST_SUSPICIOUS, _MOST_IN_A_ROW = 12, 8


def of_model(model: Model) -> dict[str, Any]:
    """Return the rows of `summary()`, numbers of parameters, and the configs of the model and `compile`."""
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


def configs_of(model: Model) -> dict[str, Any]:
    """Return the configs of a model and of its `compile`; None and the reason for a model without one."""
    try:
        config: dict[str, Any] = {"config": model.get_config()}
    except (TypeError, NotImplementedError, ValueError) as error:
        config = {"config": None, "config_note": str(error)}
    return {**config, "compile": model.get_compile_config()}


def of_explanation(explanation: Explanation) -> dict[str, Any]:
    """Return titles and sentences."""
    sections = [
        {"title": section.title, "entries": [list(e) for e in section.entries], "depth": section.depth}
        for section in explanation.sections
    ]
    return {"title": explanation.title, "sections": sections, "closing": list(explanation.closing)}


def of_profile(profile: Profile) -> dict[str, Any]:
    """Return the seconds of a step by layer and by kernel."""
    layer_keys = ("name", "forward", "backward", "flops", "nbytes", "peak_fraction")
    kernel_keys = ("label", "runs", "seconds", "peak_fraction")
    return {
        "steps": profile.steps,
        "seconds": profile.seconds,
        "kernel_seconds": profile.kernel_seconds,
        "flops": profile.flops,
        "layers": [{key: getattr(layer, key) for key in layer_keys} for layer in profile.layers],
        "kernels": [
            {key: getattr(kernel, key) for key in kernel_keys} for kernel in profile.kernels[:_MOST_KERNELS]
        ],
    }


def of_findings(findings: Sequence[Any]) -> dict[str, Any]:
    """Return name, evidence, advice, layers and epoch of the doctor's findings."""
    keys = ("name", "evidence", "advice", "layers", "epoch")
    return {"findings": [{key: getattr(finding, key) for key in keys} for finding in findings]}


def of_data_report(report: DataReport) -> dict[str, Any]:
    """Return ranges, classes, duplicates, suspicious labels, advice and some images."""
    from hornbeam.data.inspection.display import duplicates_text, summary_cells

    classes = report.classes
    names = [] if classes is None else list(classes.names)
    sentences = [duplicates_text(report)]
    suspicious = []
    for index, label in enumerate((report.suspicious or ())[:_MOST_SUSPICIOUS]):
        text = f"row {label.row}: labelled {names[label.label]}, its neighbors are {names[label.neighbors]}"
        if index < len(report.suspicious_images) and is_image(report.suspicious_images[index]):
            suspicious.append({"text": text, "image": encode_base64(report.suspicious_images[index])})
        else:
            sentences.append(f"label to check, {text}")
    if classes is not None and report.suspicious == []:
        sentences.append("no label is contradicted by its nearest neighbors")
    arrays = []
    for summary in (*report.x[:_MOST_ARRAYS], *report.y[:_MOST_ARRAYS]):
        name, shape, dtype, _, *numbers = summary_cells(summary)
        arrays.append({"name": name, "shape": shape, "dtype": dtype, "numbers": numbers})
    counts = None if classes is None else classes.counts[:_MOST_CLASSES]
    return {
        "samples": report.samples,
        "note": report.note,
        "arrays": arrays,
        "classes": None if classes is None else {"names": names[:_MOST_CLASSES], "counts": counts},
        "sentences": sentences,
        "advice": [{"action": action, "reason": reason} for action, reason in report.advice],
        "images": {
            name: [encode_base64(image) for image in images[:_MOST_IN_A_ROW]]
            for name, images in report.images.items()
            if len(images) and is_image(images[0])
        },
        "suspicious": suspicious,
    }


def of_evaluation(result: Evaluation | Confusion) -> dict[str, Any]:
    """Return a result of `hornbeam.evaluation`."""
    values: dict[str, Any] = result.as_dict()
    return values


def of_mistakes(result: Mistakes) -> dict[str, Any]:
    """Return the most confident errors, with the samples where they are images."""
    samples = result.x if hasattr(result.x, "shape") else ()
    images = [encode_base64(sample) for sample in samples if is_image(sample)]
    return {**result.as_dict(), "images": images}


# Class -> name of the part and its function. Classes are found by name, so that nothing unused is imported.
_KINDS: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "Explanation": ("explanation", of_explanation),
    "Profile": ("profile", of_profile),
    "DataReport": ("data", of_data_report),
    "Evaluation": ("evaluation", of_evaluation),
    "Confusion": ("confusion", of_evaluation),
    "Mistakes": ("mistakes", of_mistakes),
}


def part_of(result: object) -> tuple[str, dict[str, Any]]:
    """Return the name of the part that a result is, and its plain values.

    Raises TypeError for results that runs do not hold.
    """
    for base in type(result).__mro__:
        kind = _KINDS.get(base.__name__) if is_own(base) else None
        if kind is not None:
            return kind[0], kind[1](result)
    names = ", a ".join(sorted(_KINDS))
    raise TypeError(f"a run does not hold a {type(result).__name__}: give it a {names}")
