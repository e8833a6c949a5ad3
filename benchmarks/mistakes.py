"""Run the programs of tests/helpers/planted under Hornbeam and Keras, and write the table of what is said.

    python benchmarks/mistakes.py [--keras PYTHON] > benchmarks/mistakes.md

Keras runs on JAX unless KERAS_BACKEND is set. Whether its messages are about the mistake was judged by hand:
`KERAS` below has the words that prove it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.helpers.planted import listen

ROOT = Path(__file__).resolve().parents[1]

TOPICS = ("shapes", "labels", "splits", "scales", "training", "sequences", "saving", "own_code", "use")
RIGHT = ("right_tables", "right_images", "right_sequences", "right_code")
for module in (*TOPICS, *RIGHT):
    importlib.import_module(f"tests.helpers.planted.{module}")

# Programs with hornbeam.data, and with a layer of Keras that needs TensorFlow.
CANNOT_RUN = ("has no attribute 'data'", "requires TensorFlow")

# Keras's messages that name the layer, the argument or the data concerned. Left out are bare messages of JAX,
# and those that are about something else.
KERAS = {
    "images_without_channel_axis": "expected min_ndim=4",
    "channels_first": "expected axis -1 of input shape to have value 3",
    "pooled_to_nothing": "output size would be zero",
    "flatten_of_any_size": "must be fully-defined",
    "residual_of_other_width": "incompatible shapes",
    "u_net_of_odd_size": "requires inputs with matching shapes",
    "more_x_than_y": "'x' sizes: 300",
    "no_feature_axis": "expected ndim=3",
    "lstm_on_lstm": "expected ndim=3",
    "one_image_of_other_size": "to have value 64",
    "reshape_loses_numbers": "total size of the tensor must be unchanged",
    "two_inputs_one_array": "but it received 1 input",
    "ragged_sentences": "Unrecognized data type",
    "labels_are_strings": "Invalid dtype: str",
    "integers_for_one_hot_loss": "must have the same shape",
    "softmax_on_one_unit": "will always return the value 1",
    "validation_split_of_a_generator": "`validation_split` is only supported",
    "frame_with_strings": "Invalid dtype: str",
    "frame_with_dates": "Invalid dtype: datetime64",
    "dummies_of_each_part": "to have value 3",
    "misspelt_metric": "metric identifier: acuracy",
    "misspelt_optimizer": "optimizer identifier: adamm",
    "misspelt_activation": "identifier: rellu",
    "learning_rate_as_text": "`learning_rate` should be float",
    "schedule_returns_nothing": "should be a float. Got: None",
    "plateau_beside_schedule": "its learning rate is not settable",
    "plateau_by_ten": "does not support a factor",
    "dropout_of_eighty": "Expected a float value between 0 and 1",
    "fit_without_compile": "You must call `compile()`",
    "legacy_names_with_scheduler": "not recognized: {'lr'",
    "checkpoint_without_validation": "only with val_loss available",
    "history_of_old_name": "acc",
    "test_images_for_labels": "must have the same shape",
    "generator_runs_out": "Your input ran out of data",
    "generator_of_rows": "Expected shape (None, 4)",
    "texts_without_vectorization": "Invalid dtype: str",
    "mask_lost_in_flatten": "does not support masking",
    "weights_of_another_net": "could not be loaded",
    "weights_fit_in_part": "could not be loaded",
    "weights_of_other_shape": "could not be loaded",
    "weights_file_as_model": "No model config found",
    "weights_without_their_ending": "must end in `.weights.h5`",
    "weights_before_build": "not yet been built",
    "missing_file": "File not found",
    "own_layer_unknown_on_load": "could not be deserialized",
    "lambda_on_load": "`Lambda` layer",
    "numpy_on_keras_tensor": "A KerasTensor is symbolic",
    "layer_not_called": "must be KerasTensors",
    "other_input": "not connected to `inputs`",
    "half_a_number_of_units": "invalid value for `units`",
    "sample_of_two_inputs": "doesn't match the expected structure",
    "predict_classes": "no attribute 'predict_classes'",
}

HEAD = """# Mistakes of beginners

Written by `python benchmarks/mistakes.py`, which runs small programs with one planted mistake each,
and right ones ([tests/helpers/planted](../tests/helpers/planted)), on synthetic data.

- Hornbeam says {ours} of {count} mistakes; {misleading} more end in an error that leads elsewhere,
  and {silent} are silent.
- Keras {version} on JAX says {theirs} of the {can_run} that it can run. Its messages were judged by
  hand: one counts if it names the layer, the argument or the data concerned, with or without a
  remedy.
- No warning and no error in {quiet} of {right} right programs under Hornbeam.

The programs are our own, and many of the checks are older than they are: the numbers describe these
programs, not those of all beginners. The mistakes were written before the tests and checks were
read; after a first run their data grew from 64 rows to 320 (in one to 900), which some checks need:
two mistakes that were silent with few rows are said with these. The right programs were written
after the checks were read, and none was changed. "Words" are those of the whole message.
"""


def run(module: str) -> dict[str, list]:
    """Return (error, warnings, at, printed) for each program."""
    keras = importlib.import_module(module)
    programs = {name: mistake.program for name, mistake in listen.MISTAKES.items()}
    if module == "hornbeam":
        programs |= listen.RIGHT
    said: dict[str, list] = {"": [getattr(keras, "__version__", "")]}
    for name, program in programs.items():
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            keras.utils.set_random_seed(0)
            said[name] = list(listen.listen(program, keras))
            os.chdir(ROOT)
    return said


def side(python: str, module: str) -> dict[str, list]:
    environment = {"KERAS_BACKEND": "jax", **os.environ}
    command = [python, __file__, "--side", module]
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def message(said: list, words: str) -> str:
    """Return the message that has the words, in one line."""
    error, warnings = said[:2]
    text = next((each for each in [error, *warnings] if words in each), "")
    text = re.sub(re.escape(tempfile.gettempdir()) + r"/\w+", "/folder", text)
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")


# "model 'a', output 'b' (layer 'c'): ", and what follows an error of a layer.
_WHERE = re.compile(
    r"^(model|layer) '[^']*'( \(\w+\))?(, \w+ '[^']*')?( \(layer '[^']*'\))?:? "
    r"| in layer '[^']*' \(\w+\), called with .*$"
)


def brief(text: str) -> str:
    """Return the first sentence, without where it happened, shortened."""
    first = re.split(r"(?<=[\w)\]'\"])\. (?=[A-Z])", _WHERE.sub("", text))[0]
    return first if len(first) <= 140 else first[:137].rsplit(" ", 1)[0] + " ..."


def row(name: str, ours: list, theirs: list) -> str:
    program, by, words = listen.MISTAKES[name]
    doc = (program.__doc__ or "").strip().replace("|", "\\|")
    can_run = not any(each in theirs[0] for each in CANNOT_RUN)
    heard = message(theirs, KERAS[name]) if name in KERAS else ""
    keras = (str(len(heard.split())) if heard else "no") if can_run else "cannot run"
    if by == "silent":
        return f"| {doc} | | silent | | {words} | {keras} |"
    if by == "line":
        text = re.findall(rf"[^(;\n]*{words}[^);\n]*", ours[3])[-1].strip()
        return f"| {doc} | the last line | line | {len(text.split())} | {text} | {keras} |"
    text = message(ours, words)
    return f"| {doc} | {ours[2]} | {by} | {len(text.split())} | {brief(text)} | {keras} |"


def page(ours: dict[str, list], theirs: dict[str, list]) -> str:
    kinds = [mistake.by for mistake in listen.MISTAKES.values()]
    can_run = [n for n in listen.MISTAKES if not any(each in theirs[n][0] for each in CANNOT_RUN)]
    lines = [
        HEAD.format(
            ours=sum(kinds.count(kind) for kind in ("error", "warning", "line")),
            misleading=kinds.count("misleading"),
            silent=kinds.count("silent"),
            count=len(kinds),
            version=theirs[""][0],
            theirs=sum(bool(message(theirs[name], KERAS[name])) for name in can_run if name in KERAS),
            can_run=len(can_run),
            quiet=sum(not ours[name][0] and not ours[name][1] for name in listen.RIGHT),
            right=len(listen.RIGHT),
        )
    ]
    for topic in TOPICS:
        module = f"tests.helpers.planted.{topic}"
        names = [n for n, mistake in listen.MISTAKES.items() if mistake.program.__module__ == module]
        lines += [
            f"## {(sys.modules[module].__doc__ or '').strip().rstrip('.')}",
            "",
            "| mistake | said at | by | words | first sentence, or why nothing is said | Keras, words |",
            "|---|---|---|---|---|---|",
            *(row(name, ours[name], theirs[name]) for name in names),
            "",
        ]
    return "\n".join(lines).rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keras", default=sys.executable, help="a Python with Keras and JAX")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print("\n" + json.dumps(run(args.side)))
    else:
        print(page(side(sys.executable, "hornbeam"), side(args.keras, "keras")))


if __name__ == "__main__":
    main()
