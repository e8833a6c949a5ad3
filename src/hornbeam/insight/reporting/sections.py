"""Sections about findings, curves, data, model, profile and environment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hornbeam._internal.formatting import byte_size, short_time, with_unit
from hornbeam._internal.html.markup import Html, bar, description_list, details, table, tag
from hornbeam.insight.explanations.conclusions import conclusions
from hornbeam.insight.reporting.elements import as_float, image_element, not_recorded, pair
from hornbeam.insight.runs.reading import Run
from hornbeam.visualization.findings import as_sentence, findings_elements, no_findings
from hornbeam.visualization.layer_graph import layers_elements
from hornbeam.visualization.metric_curves import metric_charts

_MOST_KERNELS = 15
_MOST_ADVICE = 3
_DETERMINISM = "with the same code, data and versions the native engine computes the same bits again."


# -- findings ------------------------------------------------------------------------------------------------


def findings(run: Run) -> Html | list[Html]:
    """Return the findings of `callbacks.Doctor`."""
    part = run.parts.get("doctor")
    if part is None:
        return not_recorded("No doctor watched this training. Add one with", "callbacks=[Doctor(), recorder]")
    if not part["findings"]:
        return no_findings()
    return findings_elements(part["findings"])


# -- curves --------------------------------------------------------------------------------------------------


def curves(run: Run) -> Html | list[Html]:
    """Return a chart for each metric, with that of validation in it, and the numbers."""
    if not run.epochs:
        return tag("p", "No epoch was finished.", class_="note")
    history = run.history
    rows = [
        [line["epoch"], *(_cell(line["logs"].get(name)) for name in history), f"{line['seconds']:.2f}"]
        for line in run.epochs
    ]
    heads = ["epoch", *history, "seconds"]
    numbers = table("Metrics and seconds of each epoch", heads, rows, text_columns=())
    charts = metric_charts([line["epoch"] for line in run.epochs], history)
    return [tag("div", charts, class_="charts"), details("The numbers of all epochs", numbers)]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


# -- data ----------------------------------------------------------------------------------------------------


def data(run: Run) -> Html | list[Html]:
    """Return the data that were read, and the report of `data.look`."""
    content: list[Any] = [description_list(_sources(run.info.get("data") or {}))]
    part = run.parts.get("data")
    if part is None:
        hint = not_recorded("Not inspected. Inspect with", "recorder.add(hornbeam.data.look(x, y))")
        return [*content, *hint]
    samples = f"{int(part['samples']):,} samples. {part['note']}".strip()
    content += [tag("h3", "Inspection"), tag("p", samples)]
    heads = ["", "shape", "dtype", "from", "to", "mean", "std", "missing", "constant"]
    rows = [
        [str(a["name"]), str(a["shape"]), str(a["dtype"]), *map(str, a["numbers"])] for a in part["arrays"]
    ]
    content.append(table("Arrays, before the training", heads, rows, (0, 1, 2)))
    results: list[Any] = [_class_counts(part["classes"])] if part["classes"] else []
    results += [tag("p", as_sentence(text)) for text in part["sentences"]]
    if part["advice"]:
        items = [
            tag("li", tag("strong", as_sentence(a["action"])), " ", as_sentence(a["reason"]))
            for a in part["advice"]
        ]
        results += [tag("h3", "What to do"), tag("ol", items)]
    samples_shown = _contact_sheet(part)
    content += [pair(results, samples_shown)] if results and samples_shown else [*results, *samples_shown]
    return content + _suspicious(part)


def _sources(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name in ("training", "validation"):
        source = info.get(name)
        if not source:
            rows.append((name, "none" if name == "validation" else "not known"))
            continue
        samples, batches = source.get("samples"), source.get("batches")
        parts = [f"{samples:,} samples" if samples else "a stream", f"{batches:,} batches" if batches else ""]
        arrays = " and ".join(map(str, source.get("arrays") or []))
        fingerprint = str(source.get("fingerprint") or "")[:12]
        parts += [f"of {arrays}" if arrays else "", f"fingerprint {fingerprint}" if fingerprint else ""]
        rows.append((name, ", ".join(part for part in parts if part)))
    return rows


def _class_counts(classes: Mapping[str, Any]) -> Html:
    names, counts = classes["names"], [int(c) for c in classes["counts"]]
    total, most = sum(counts), max(counts, default=1)
    rows = [
        [str(name), f"{count:,}", f"{count / total:.1%}", bar([count / most])]
        for name, count in zip(names, counts, strict=True)
    ]
    return table("Samples of each class", ["class", "samples", "proportion", ""], rows, (0, 3))


def _contact_sheet(part: Mapping[str, Any]) -> list[Html]:
    strips = []
    for name, images in part["images"].items():
        label = f"class {name}" if name else "samples"
        shown = [image_element(image, f"{label}, image {i}") for i, image in enumerate(images, 1)]
        strips.append((tag("dt", name or "samples"), tag("dd", shown, class_="strip")))
    return [tag("h3", "Samples"), tag("dl", strips, class_="facts")] if strips else []


def _suspicious(part: Mapping[str, Any]) -> list[Html]:
    items = [tag("li", image_element(s["image"], str(s["text"])), str(s["text"])) for s in part["suspicious"]]
    return [tag("h3", "Labels to check"), tag("ul", items, class_="images")] if items else []


# -- model ---------------------------------------------------------------------------------------------------


def model(run: Run) -> Html | list[Html]:
    """Return layers as a drawing, as a table and in words, and the arguments of `compile`."""
    part = run.parts.get("model")
    if part is None:
        return tag("p", "Not known: the model was not built before the training ended.", class_="note")
    compiled = _compiled(part.get("compile") or {}, run.info.get("fit") or {})
    drawing, listed = layers_elements(part["layers"])
    return [
        tag("p", _totals(part)),
        pair([drawing], [listed], "drawing"),
        *_explanation(run),
        tag("h3", "Training"),
        description_list(compiled),
    ]


def _totals(part: Mapping[str, Any]) -> str:
    size = byte_size(int(part["nbytes"]))
    text = f"{part['class']} {part['name']}: {int(part['params']):,} parameters ({size})"
    text += f", {int(part['trained']):,} of them trainable"
    flops = part.get("flops")
    return f"{text}; one sample takes {with_unit(int(flops))}FLOPs." if flops is not None else f"{text}."


def _explanation(run: Run) -> list[Any]:
    part = run.parts.get("explanation")
    if part is None:
        return not_recorded("Not explained. Explain layers with", "recorder.add(model.explain())")
    sections = [
        tag("div", tag("h4", str(section["title"])), _entries(section["entries"]))
        for section in part["sections"]
    ]
    closing = [tag("p", str(text)) for text in part["closing"]]
    return [tag("h3", "What each layer does"), details(str(part["title"]), sections), *closing]


def _entries(entries: Iterable[Sequence[Any]]) -> Html:
    return description_list([(str(label), str(text)) for label, text in entries])


def _compiled(settings: Mapping[str, Any], fit: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (name, _config_text(settings[name]))
        for name in ("optimizer", "loss", "metrics")
        if settings.get(name)
    ]
    return rows + [(key.replace("_", " "), str(value)) for key, value in fit.items() if value is not None]


def _config_text(value: Any) -> str:
    """Return a config in one line: Adam(learning_rate=0.001, ...)."""
    if isinstance(value, list):
        return ", ".join(map(_config_text, value))
    if not isinstance(value, Mapping):
        return str(value)
    if "class_name" not in value:
        return ", ".join(f"{key}: {_config_text(part)}" for key, part in value.items())
    config = value.get("config")
    if not isinstance(config, Mapping):
        return str(config)
    arguments = [
        f"{key}={_config_text(part)}"
        for key, part in config.items()
        if part not in (None, False) and key != "name"
    ]
    return f"{value['class_name']}({', '.join(arguments)})"


# -- profile -------------------------------------------------------------------------------------------------


def profile(run: Run) -> Html | list[Html]:
    """Return the time of a step by layer and by kernel."""
    part = run.parts.get("profile")
    if part is None:
        return not_recorded("Not measured. Measure with", "recorder.add(model.profile(x, y))")
    kernels, seconds = as_float(part["kernel_seconds"]), as_float(part["seconds"])
    rate = f"{with_unit(int(as_float(part['flops']) / max(kernels, 1e-12)))}FLOP/s"
    intro = f"One step takes {short_time(seconds)}, of which {short_time(kernels)} in kernels, at {rate}."
    layers = part["layers"]
    prefix = _common_prefix([str(layer["name"]) for layer in layers])
    longest = max((as_float(x["forward"]) + as_float(x["backward"]) for x in layers), default=0.0) or 1.0
    rows = [_profile_row(layer, prefix, kernels, longest) for layer in layers]
    heads = ["layer", "forward", "backward", "proportion", "", "of peak"]
    by_kernel = [
        [str(k["label"]), f"{as_float(k['runs']):.3g}", short_time(as_float(k["seconds"]))]
        for k in part["kernels"][:_MOST_KERNELS]
    ]
    kernel_table = table("Kernels of one step", ["kernel", "runs", "time"], by_kernel)
    by_layer = table("Layers, the costliest first (forward, then backward in each bar)", heads, rows, (0, 4))
    legend = [tag("h3", "How to read it"), *(tag("p", sentence) for sentence in _PROFILE_LEGEND)]
    return [
        tag("p", intro),
        pair([by_layer], [*legend, details("The costliest kernels", kernel_table)], "legend-right"),
    ]


_PROFILE_LEGEND = (
    "Forward computes the outputs, backward the gradients; optimizer, loss and metrics are listed like "
    "layers. The proportion is that of the time in all kernels.",
    "Of peak: the speed as a proportion of what this machine was measured to reach for such work. A product "
    "or a convolution is limited by arithmetic, an activation or a normalization by reading memory; the "
    "nearer limit counts. A layer of 80% cannot become much faster, one of 5% that takes long is the place "
    "to look at.",
)


def _profile_row(layer: Mapping[str, Any], prefix: str, total: float, longest: float) -> list[Any]:
    forward, backward = as_float(layer["forward"]), as_float(layer["backward"])
    peak = as_float(layer["peak_fraction"])
    return [
        str(layer["name"]).removeprefix(prefix),
        short_time(forward),
        short_time(backward) if backward else "",
        f"{(forward + backward) / total:.1%}" if total else "",
        bar([forward / longest, backward / longest]),
        f"{peak:.0%}" if math.isfinite(peak) else "",
    ]


def _common_prefix(names: Sequence[str]) -> str:
    """Return the model's own name, if all paths of layers begin with it."""
    paths = [name for name in names if "/" in name]
    first = f"{paths[0].split('/')[0]}/" if paths else ""
    return first if all(path.startswith(first) for path in paths) else ""


# -- environment ---------------------------------------------------------------------------------------------


def environment(run: Run) -> Html | list[Html]:
    """Return the command, the seed, versions and machine."""
    info = run.info
    command, seed = str(info.get("command") or ""), info.get("seed")
    commit = (info.get("environment") or {}).get("commit")
    content: list[Any] = []
    if command:
        content += [tag("p", "The run was started by this command:"), tag("pre", tag("code", command))]
    if commit:
        content += [tag("p", "It ran at this commit; changes that were not committed are not known:")]
        content += [tag("pre", tag("code", f"git checkout {commit}"))]
    if seed is None:
        text = "No seed was set, so weights and shuffles differ in the next run. Set one with"
        content += not_recorded(text, "hornbeam.utils.set_random_seed(0)")
    else:
        content.append(tag("p", f"The seed was {seed}: {_DETERMINISM}"))
    for resumed in info.get("resumed") or []:
        content.append(
            tag("p", f"It was interrupted and resumed in epoch {resumed['epoch']} ({resumed['time']}).")
        )
    facts = [(str(name), str(text)) for name, text in (info.get("environment") or {}).items()]
    return pair(content, [tag("h3", "Environment"), description_list(facts)])


# -- next steps ----------------------------------------------------------------------------------------------


def next_steps(run: Run) -> Html:
    """Return what the recorded parts suggest: about the training, the data, the evaluation, other runs."""
    items: list[Any] = [tag("li", sentence) for sentence in conclusions(run.history, None)]
    for finding in (run.parts.get("doctor") or {}).get("findings") or []:
        items.append(tag("li", tag("strong", f"Doctor, {finding['name']}:"), f" {finding['advice']}."))
    for advice in ((run.parts.get("data") or {}).get("advice") or [])[:_MOST_ADVICE]:
        items.append(tag("li", tag("strong", "Data:"), f" {as_sentence(advice['action'])}"))
    if "evaluation" not in run.parts:
        code = tag("code", "recorder.evaluate(x_test, y_test)")
        items.append(tag("li", "When all choices are made, evaluate once on test data: ", code, "."))
    else:
        text = (
            "The test score is known now. Choose further changes by validation data, or the next test score "
            "will be too good to be true."
        )
        items.append(tag("li", text))
    line = tag("code", f"hornbeam runs compare {run.path.name} OTHER")
    items.append(tag("li", "Change one thing, train again, and compare in the folder of the runs: ", line))
    return tag("ol", items)
