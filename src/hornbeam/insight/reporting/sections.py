"""What stands in each section of the page."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hornbeam.insight.reporting.architecture import architecture
from hornbeam.insight.reporting.curves import Series, chart
from hornbeam.insight.reporting.markup import Html, more, scrolling, table, tag
from hornbeam.insight.runs.listing import number
from hornbeam.insight.runs.reading import Run, larger_is_better
from hornbeam.insight.summary import _count, _size
from hornbeam.training.profile import _time

# Layers, from which on the picture of the model is folded away.
_MANY_LAYERS = 24
_MOST_CLASSES = 25
_MOST_KERNELS = 15
_SAME_BITS = "with the same code, data and versions, the native engine gives the same bits again."


def _unknown(what: str, code: str) -> list[Html]:
    return [tag("p", f"{what} ", tag("code", code), class_="note")]


def _facts(pairs: Iterable[Sequence[Any]]) -> Html:
    return tag("dl", [(tag("dt", name), tag("dd", text)) for name, text in pairs], class_="facts")


def _known(value: Any) -> float:
    """A recorded number; NaN for null."""
    return math.nan if value is None else float(value)


# -- findings ------------------------------------------------------------------------------------------------


def findings(run: Run) -> Any:
    """What `callbacks.Doctor` said."""
    part = run.parts.get("doctor")
    if part is None:
        return _unknown("No doctor looked at this training. It would, with", "callbacks=[Doctor(), recorder]")
    found = part["findings"]
    if not found:
        return tag("p", "The doctor found nothing to complain of.", class_="fine")
    return [
        tag(
            "div",
            tag("h3", str(f["name"])),
            tag("p", _sentence(f["evidence"])),
            tag("p", tag("strong", "What to do: "), _sentence(f["advice"])),
            tag("p", _where(f), class_="quiet"),
            class_="finding",
        )
        for f in found
    ]


def _where(finding: Mapping[str, Any]) -> str:
    layers = ", ".join(map(str, finding["layers"]))
    return f"Seen in epoch {int(finding['epoch']) + 1}{f', in {layers}' if layers else ''}."


def _sentence(text: Any) -> str:
    said = str(text).strip()
    return f"{said[:1].upper()}{said[1:]}{'' if said.endswith(('.', '?', '!')) else '.'}"


# -- curves --------------------------------------------------------------------------------------------------


def curves(run: Run) -> Any:
    """A chart for each metric, with that of validation in it, and the numbers."""
    if not run.epochs:
        return tag("p", "No epoch was finished.", class_="note")
    history = run.history
    epochs = [line["epoch"] for line in run.epochs]
    names = [name for name in history if not (name.startswith("val_") and name[4:] in history)]
    order = sorted(names, key=lambda name: (name != "loss", "rate" in name))
    charts = [chart(name.removeprefix("val_"), epochs, _series(name, history)) for name in order]
    heads = ["epoch", *history, "seconds"]
    rows = [
        [line["epoch"], *(_cell(line["logs"].get(name)) for name in history), f"{line['seconds']:.2f}"]
        for line in run.epochs
    ]
    numbers = table("Each epoch's metrics and seconds", heads, rows, words=())
    return [tag("div", charts, class_="charts"), more("The numbers of all epochs", numbers)]


def _series(name: str, history: Mapping[str, Sequence[float]]) -> list[Series]:
    if name.startswith("val_"):
        return [Series("validation", history[name], "second", _best(name, history[name]))]
    found = [Series("training" if f"val_{name}" in history else name, history[name])]
    validated = history.get(f"val_{name}")
    if validated is not None:
        found.append(Series("validation", validated, "second", _best(name, validated)))
    return found


def _best(name: str, values: Sequence[float]) -> int | None:
    finite = [(value, index) for index, value in enumerate(values) if math.isfinite(value)]
    if not finite:
        return None
    return (max if larger_is_better(name) else min)(finite, key=lambda pair: pair[0])[1]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


# -- evaluation ----------------------------------------------------------------------------------------------


def evaluation(run: Run) -> Any:
    """Scores with intervals, classes, confusion."""
    part, mixed = run.parts.get("evaluation"), run.parts.get("confusion")
    if part is None and mixed is None:
        return _unknown("Nothing was evaluated. This does, once:", "recorder.evaluate(x_test, y_test)")
    made: list[Any] = []
    if part is not None:
        made += _scores(part)
    if mixed is not None:
        made += [tag("h3", "What is taken for what"), *_confusion(mixed)]
    return made


def _scores(part: Mapping[str, Any]) -> list[Any]:
    level = f"{_known(part.get('level')):.0%}"
    rows = []
    for name, found in part["metrics"].items():
        low, high = _known(found.get("low")), _known(found.get("high"))
        bounds = f"{number(name, low)} to {number(name, high)}" if math.isfinite(low + high) else "not known"
        rows.append([name, number(name, _known(found["value"])), bounds, str(found.get("method") or "")])
    made = [
        tag("p", f"{int(part['n']):,} samples. {part.get('said', '')}".strip()),
        table("Metrics, and how sure they are", ["metric", "value", f"{level} interval", "by"], rows, (0, 3)),
    ]
    classes = part.get("classes") or []
    if classes:
        shown = sorted(classes, key=lambda one: _known(one["f1"]))[:_MOST_CLASSES]
        names = part.get("names")
        rows = [_class_row(one, names) for one in sorted(shown, key=lambda one: int(one["label"]))]
        hidden = f" (the {len(shown)} with the lowest F1)" if len(shown) < len(classes) else ""
        heads = ["class", "samples", "precision", "recall", "F1", f"{level} interval of F1"]
        made.append(table(f"Each class{hidden}", heads, rows))
    made += [tag("p", _sentence(note), class_="note") for note in part.get("notes") or []]
    return made


def _class_row(one: Mapping[str, Any], names: Any) -> list[str]:
    label = int(one["label"])
    low, high = (_known(bound) for bound in one.get("f1_interval") or (None, None))
    return [
        str(names[label]) if names else str(label),
        f"{int(one['n']):,}",
        *(_share(one[key]) for key in ("precision", "recall", "f1")),
        f"{_share(low)} to {_share(high)}",
    ]


def _share(value: Any) -> str:
    known = _known(value)
    return f"{known:.3f}" if math.isfinite(known) else "-"


def _confusion(part: Mapping[str, Any]) -> list[Any]:
    names, matrix = [str(name) for name in part["names"]], [[int(c) for c in row] for row in part["matrix"]]
    wrong = sorted(
        ((count, t, p) for t, row in enumerate(matrix) for p, count in enumerate(row) if t != p and count),
        reverse=True,
    )
    if not wrong:
        return [tag("p", "Nothing is taken for anything else.", class_="fine")]
    listed = ", ".join(
        f"{names[t]} for {names[p]} ({count:,} of {sum(matrix[t]):,})" for count, t, p in wrong[:5]
    )
    made: list[Any] = [tag("p", f"Most often {listed}.")]
    if len(names) <= _MOST_CLASSES:
        made.append(_matrix(names, matrix, wrong[0][0]))
    return made


def _matrix(names: Sequence[str], matrix: Sequence[Sequence[int]], most: int) -> Html:
    """Counts, mistakes shaded by their number; the right ones are bold."""

    def cell(true: int, taken: int, count: int) -> Html:
        if true == taken:
            return tag("td", tag("strong", f"{count:,}"))
        depth = round(38 * count / most)
        style = f"background: color-mix(in srgb, var(--second) {depth}%, transparent)" if count else None
        return tag("td", f"{count:,}" if count else tag("span", "0", class_="quiet"), style=style)

    head = tag("tr", tag("th", "true", scope="col"), [tag("th", name, scope="col") for name in names])
    rows = [
        tag("tr", tag("th", name, scope="row"), [cell(t, p, count) for p, count in enumerate(matrix[t])])
        for t, name in enumerate(names)
    ]
    caption = "True classes are rows, what they were taken for is columns"
    made = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", rows), class_="confusion")
    return scrolling(made, caption)


def mistakes(run: Run) -> Any:
    """Samples that the model was surest of and wrong about."""
    part = run.parts.get("mistakes")
    if part is None:
        return _unknown("Not recorded. This does, with the scores:", "recorder.evaluate(x_test, y_test)")
    found = part["found"]
    if not found:
        return tag("p", "There are no mistakes.", class_="fine")
    intro = (
        f"{int(part['wrong']):,} of {int(part['n']):,} samples are wrong; these {len(found)} are those of "
        "which the model was surest. Wrong labels, if there are any, are likely among them."
    )
    pictures = part.get("pictures") or []
    if not pictures:
        heads = ["sample", "true", "taken for", "sure"]
        rows = [[m["row"], m["true"], m["taken"], f"{_known(m['sure']):.1%}"] for m in found]
        return [tag("p", intro), table("The surest mistakes", heads, rows, (0, 1, 2))]
    items = []
    for mistake, picture in zip(found, pictures, strict=True):
        text = f"{mistake['true']} taken for {mistake['taken']}"
        sure = f"{_known(mistake['sure']):.1%} sure"
        image = _image(picture, f"sample {mistake['row']}: {text}, {sure}")
        items.append(tag("li", image, tag("strong", text), tag("br"), tag("span", sure, class_="quiet")))
    return [tag("p", intro), tag("ul", items, class_="pictures")]


def _image(encoded: Any, alt: str) -> Html:
    """A picture that is in the file. Raises ValueError for what is no base64 text."""
    if not isinstance(encoded, str) or not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", encoded):
        raise ValueError("a picture is not base64 text")
    return tag("img", src=f"data:image/png;base64,{encoded}", alt=alt)


# -- data ----------------------------------------------------------------------------------------------------


def data(run: Run) -> Any:
    """What was read, and what a look at it found."""
    made: list[Any] = [_facts(_read(run.info.get("data") or {}))]
    part = run.parts.get("data")
    if part is None:
        return [
            *made,
            *_unknown("Nobody looked at the data. This does:", "recorder.add(hornbeam.data.look(x, y))"),
        ]
    made += [
        tag("h3", "A look at the data"),
        tag("p", f"{int(part['samples']):,} samples. {part['note']}".strip()),
    ]
    heads = ["", "shape", "dtype", "from", "to", "mean", "deviation", "missing", "constant"]
    rows = [
        [str(a["name"]), str(a["shape"]), str(a["dtype"]), *map(str, a["numbers"])] for a in part["arrays"]
    ]
    made.append(table("Arrays, before the training", heads, rows, (0, 1, 2)))
    if part["classes"]:
        made.append(_class_bars(part["classes"]))
    made += [tag("p", _sentence(text)) for text in part["sentences"]]
    if part["advice"]:
        items = [
            tag("li", tag("strong", _sentence(a["what"])), " ", _sentence(a["why"])) for a in part["advice"]
        ]
        made += [tag("h3", "What to do about it"), tag("ol", items)]
    made += _sheet(part)
    return made


def _read(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name in ("training", "validation"):
        found = info.get(name)
        if not found:
            rows.append((name, "none" if name == "validation" else "not known"))
            continue
        samples, batches = found.get("samples"), found.get("batches")
        parts = [f"{samples:,} samples" if samples else "a stream", f"{batches:,} batches" if batches else ""]
        arrays = " and ".join(map(str, found.get("arrays") or []))
        parts += [f"of {arrays}" if arrays else "", f"fingerprint {found.get('fingerprint', '')[:12]}"]
        rows.append((name, ", ".join(p for p in parts if p and p != "fingerprint ")))
    return rows


def _class_bars(classes: Mapping[str, Any]) -> Html:
    names, counts = classes["names"], [int(c) for c in classes["counts"]]
    total, most = sum(counts), max(counts, default=1)
    rows = [
        [str(name), f"{count:,}", f"{count / total:.1%}", _bar([count / most])]
        for name, count in zip(names, counts, strict=True)
    ]
    return table("Samples of each class", ["class", "samples", "share", ""], rows, (0, 3))


def _bar(shares: Sequence[float]) -> Html:
    parts = [tag("i", style=f"width: {100 * min(max(share, 0), 1):.1f}%") for share in shares]
    return tag("span", parts, class_="bar", aria_hidden="true")


def _sheet(part: Mapping[str, Any]) -> list[Html]:
    made = []
    for name, pictures in part["pictures"].items():
        label = f"class {name}" if name else "samples"
        images = [_image(p, f"{label}, picture {i}") for i, p in enumerate(pictures, 1)]
        made.append((tag("dt", name or "samples"), tag("dd", images, class_="strip")))
    found = [tag("h3", "Some pictures"), tag("dl", made, class_="facts")] if made else []
    doubtful = part["doubtful"]
    if doubtful:
        items = [tag("li", _image(d["picture"], str(d["text"])), str(d["text"])) for d in doubtful]
        found += [tag("h3", "Labels to check"), tag("ul", items, class_="pictures")]
    return found


# -- model ---------------------------------------------------------------------------------------------------


def model(run: Run) -> Any:
    """Layers as a picture, as a table and in words; compile."""
    part = run.parts.get("model")
    if part is None:
        return tag(
            "p", "The model was not built before the training ended, so it is not known.", class_="note"
        )
    made: list[Any] = [tag("p", _totals(part))]
    layers = part["layers"]
    picture = architecture(layers)
    if picture is None:
        made.append(tag("p", "Its layers have no graph that could be drawn.", class_="note"))
    else:
        inner = tag(
            "div", picture, class_="tall", role="region", aria_label="Figure of the model", tabindex="0"
        )
        made.append(
            more(f"The picture of {len(layers)} layers", inner) if len(layers) > _MANY_LAYERS else inner
        )
    listed = table(
        "Layers; FLOPs and memory of the output are those of one sample",
        ["layer", "kind", "output", "parameters", "FLOPs", "sees", "memory"],
        [_layer_row(layer) for layer in layers],
        (0, 1, 2),
    )
    made.append(more("The table of layers", listed) if len(layers) > _MANY_LAYERS else listed)
    made += _explanation(run)
    made += [
        tag("h3", "How it is trained"),
        _facts(_compiled(part.get("compile") or {}, run.info.get("fit") or {})),
    ]
    return made


def _totals(part: Mapping[str, Any]) -> str:
    text = (
        f"{part['class']} {part['name']}: {int(part['params']):,} parameters ({_size(int(part['nbytes']))})"
    )
    text += f", {int(part['trained']):,} of them trained"
    flops = part.get("flops")
    return f"{text}; one sample takes {_count(int(flops))}FLOPs." if flops is not None else f"{text}."


def _layer_row(layer: Mapping[str, Any]) -> list[str]:
    flops, memory = layer["flops"], layer["memory"]
    return [
        str(layer["name"]),
        str(layer["kind"]),
        str(layer["output"]),
        f"{int(layer['params']):,}",
        "?" if flops is None else _count(int(flops)).strip(),
        str(layer["sees"]),
        "?" if memory is None else _size(int(memory)),
    ]


def _explanation(run: Run) -> list[Any]:
    part = run.parts.get("explanation")
    if part is None:
        return _unknown("Layers are explained by", "recorder.add(model.explain())")
    notes = [
        tag(
            "div", tag("h4", str(section["title"])), _facts([(str(a), str(b)) for a, b in section["entries"]])
        )
        for section in part["sections"]
    ]
    closing = [tag("p", str(text)) for text in part["closing"]]
    return [tag("h3", "What each layer does"), more(str(part["title"]), notes), *closing]


def _compiled(settings: Mapping[str, Any], fit: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for name in ("optimizer", "loss", "metrics"):
        if settings.get(name):
            rows.append((name, _named(settings[name])))
    rows += [(key.replace("_", " "), str(value)) for key, value in fit.items() if value is not None]
    return rows


def _named(value: Any) -> str:
    """A config in a line: Adam(learning_rate=0.001, ...)."""
    if isinstance(value, list):
        return ", ".join(map(_named, value))
    if not isinstance(value, Mapping):
        return str(value)
    if "class_name" not in value:
        return ", ".join(f"{key}: {_named(part)}" for key, part in value.items())
    config = value.get("config")
    if not isinstance(config, Mapping):
        return str(config)
    shown = [
        f"{key}={_named(part)}" for key, part in config.items() if part not in (None, False) and key != "name"
    ]
    return f"{value['class_name']}({', '.join(shown)})"


# -- profile -------------------------------------------------------------------------------------------------


def profile(run: Run) -> Any:
    """Time of a step, by layer and by kernel."""
    part = run.parts.get("profile")
    if part is None:
        return _unknown("Not measured. This does:", "recorder.add(model.profile(x, y))")
    kernels, seconds = _known(part["kernel_seconds"]), _known(part["seconds"])
    rate = f"{_count(int(_known(part['flops']) / max(kernels, 1e-12)))}FLOP/s"
    intro = f"One step takes {_time(seconds)}, of which {_time(kernels)} are spent in kernels, at {rate}."
    rows = []
    prefix = _prefix([str(layer["name"]) for layer in part["layers"]])
    most = max((_known(x["forward"]) + _known(x["backward"]) for x in part["layers"]), default=0.0) or 1.0
    for layer in part["layers"]:
        forward, backward = _known(layer["forward"]), _known(layer["backward"])
        roof = _known(layer["roof"])
        rows.append(
            [
                str(layer["name"]).removeprefix(prefix),
                _time(forward),
                _time(backward) if backward else "",
                f"{(forward + backward) / kernels:.1%}" if kernels else "",
                _bar([forward / most, backward / most]),
                f"{roof:.0%}" if math.isfinite(roof) else "",
            ]
        )
    heads = ["layer", "forward", "backward", "share", "", "of the roof"]
    by_kernel = [
        [str(k["what"]), f"{_known(k['runs']):.3g}", _time(_known(k["seconds"]))]
        for k in part["kernels"][:_MOST_KERNELS]
    ]
    return [
        tag("p", intro),
        table("Layers, the costliest first (forward, then backward in each bar)", heads, rows, (0, 4)),
        more("The costliest kernels", table("Kernels of one step", ["kernel", "runs", "time"], by_kernel)),
    ]


def _prefix(names: Sequence[str]) -> str:
    """The model's own name, if all paths of layers begin with it."""
    paths = [name for name in names if "/" in name]
    first = f"{paths[0].split('/')[0]}/" if paths else ""
    return first if all(path.startswith(first) for path in paths) else ""


# -- environment ---------------------------------------------------------------------------------------------


def environment(run: Run) -> Any:
    """The command, the seed, versions and machine."""
    info = run.info
    command, seed = str(info.get("command") or ""), info.get("seed")
    commit = (info.get("environment") or {}).get("commit")
    made: list[Any] = (
        [tag("p", "This command made the run:"), tag("pre", tag("code", command))] if command else []
    )
    if commit:
        made += [tag("p", "It ran at this commit; changes that were not committed are not known:")]
        made += [tag("pre", tag("code", f"git checkout {commit}"))]
    if seed is None:
        text = "No seed was set, so weights and shuffles come out otherwise next time. This sets one:"
        made += _unknown(text, "hornbeam.utils.set_random_seed(0)")
    else:
        made.append(tag("p", f"The seed was {seed}: {_SAME_BITS}"))
    for again in info.get("resumed") or []:
        made.append(tag("p", f"It was cut off, and went on in epoch {again['epoch']} ({again['time']})."))
    facts = [(str(name), str(text)) for name, text in (info.get("environment") or {}).items()]
    return [*made, tag("h3", "Environment"), _facts(facts)]
