"""Editors and type checkers find the public names: completion by jedi, checks by mypy."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hornbeam

jedi = pytest.importorskip("jedi")

SOURCES = Path(hornbeam.__file__).parents[1]
LISTED = [f"hornbeam.{name}" for name in hornbeam._MODULES if hasattr(getattr(hornbeam, name), "__all__")] + [
    f"hornbeam.datasets.{name}" for name in hornbeam.datasets.__all__
]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], jedi.Script]:
    """Open code in an editor whose interpreter finds the package where the tests find it."""
    project = jedi.Project(tmp_path_factory.mktemp("project"), sys_path=[str(SOURCES), *sys.path])
    environment = jedi.InterpreterEnvironment()
    return lambda code: jedi.Script(code, project=project, environment=environment)


@pytest.fixture
def completions(script: Callable[[str], jedi.Script]) -> Callable[[str], set[str]]:
    return lambda code: {completion.name for completion in script(code).complete()}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("hornbeam.la", {"layers"}),
        ("hornbeam.Seq", {"Sequential"}),
        ("hornbeam.layers.Co", {"Concatenate", "Conv1D", "Conv2D", "Conv2DTranspose"}),
        ("hornbeam.layers.AvgP", {"AvgPool1D", "AvgPool2D", "AvgPool3D"}),
        ("hornbeam.ops.softm", {"softmax"}),
        ("hornbeam.losses.", {"mse", "Huber", "SparseCategoricalCrossentropy"}),
        ("hornbeam.callbacks.Early", {"EarlyStopping"}),
        ("hornbeam.optimizers.schedules.Cos", {"CosineDecay", "CosineDecayRestarts"}),
        ("hornbeam.datasets.mnist.load", {"load_data"}),
        ("hornbeam.applications.ResNet50", {"ResNet50", "ResNet50V2"}),
        ("hornbeam.applications.resnet.pre", {"preprocess_input"}),
        ("hornbeam.data.", {"Dataset", "look", "split", "k_fold"}),
        ("hornbeam.evaluation.", {"compare", "confusion", "evaluate"}),
        ("hornbeam.insight.", {"explain", "report", "grad_cam"}),
        ("hornbeam.Sequential([hornbeam.layers.Dense(1)]).fi", {"fit"}),
        ("model = hornbeam.Sequential()\nmodel.fi", {"fit"}),
        ("x = hornbeam.Input((2,))\nmodel = hornbeam.Model(x, x)\nmodel.fi", {"fit"}),
        ("hornbeam.Sequential().fit([1.0], [2.0]).hist", {"history"}),
        ("hornbeam.Input((2,)).sh", {"shape"}),
        ("hornbeam.ops.relu(1.0).num", {"numpy"}),
    ],
)  # fmt: skip
def test_names_are_completed(completions: Callable[[str], set[str]], code: str, names: set[str]) -> None:
    assert names <= completions(f"import hornbeam\n{code}")


@pytest.mark.parametrize(
    "code",
    [
        "import hornbeam as keras\nkeras.layers.Co",
        "from hornbeam import layers\nlayers.Co",
        "from hornbeam.layers import Co",
    ],
)
def test_every_spelling_of_an_import_is_completed(completions: Callable[[str], set[str]], code: str) -> None:
    assert {"Concatenate", "Conv2D"} <= completions(code)


@pytest.mark.parametrize("module", ["hornbeam", *LISTED])
def test_every_public_name_is_completed(completions: Callable[[str], set[str]], module: str) -> None:
    public = importlib.import_module(module).__all__
    assert set(public) - completions(f"import hornbeam\n{module}.") == set()


def test_unknown_names_are_not_completed(completions: Callable[[str], set[str]]) -> None:
    assert completions("import hornbeam\nhornbeam.layers.NoSuch") == set()


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("hornbeam.layers.Dense(", ["units", "activation", "use_bias", "kernel_initializer"]),
        ("hornbeam.layers.Conv2D(", ["filters", "kernel_size", "strides", "padding"]),
        ("hornbeam.ops.softmax(", ["x", "axis"]),
        ("hornbeam.optimizers.Adam(", ["learning_rate", "beta_1", "beta_2", "epsilon"]),
        ("hornbeam.callbacks.EarlyStopping(", ["monitor", "min_delta", "patience", "verbose"]),
        ("hornbeam.applications.ResNet50(", ["include_top", "weights", "input_tensor", "input_shape"]),
        ("hornbeam.Model(", ["inputs", "outputs"]),
        ("hornbeam.Sequential(", ["layers", "trainable", "name"]),
        ("hornbeam.Sequential().compile(", ["optimizer", "loss", "loss_weights", "metrics"]),
        ("hornbeam.Sequential().fit(", ["x", "y", "batch_size", "epochs"]),
        ("hornbeam.Sequential().predict(", ["x", "batch_size", "verbose", "steps"]),
    ],
)
def test_arguments_are_shown(script: Callable[[str], jedi.Script], call: str, arguments: list[str]) -> None:
    signatures = script(f"import hornbeam\n{call}").get_signatures()
    assert arguments in [[p.name for p in signature.params][: len(arguments)] for signature in signatures]


@pytest.mark.parametrize(
    "name",
    [
        "layers.Dense",
        "layers.MaxPool2D",
        "ops.softmax",
        "callbacks.EarlyStopping",
        "Sequential",
        "Model",
        "datasets.mnist.load_data",
        "evaluation.compare",
        "utils.FeatureSpace",
        "preprocessing.image.ImageDataGenerator",
    ],
)
def test_definitions_are_found(script: Callable[[str], jedi.Script], name: str) -> None:
    target = hornbeam
    for part in name.split("."):
        target = getattr(target, part)
    definitions = script(f"import hornbeam\nhornbeam.{name}").infer()
    assert [(d.name, d.module_name) for d in definitions] == [(target.__name__, target.__module__)]


def test_the_definition_of_an_architecture_is_found(script: Callable[[str], jedi.Script]) -> None:
    """Its function is the result of a call, so that the assignment is the definition."""
    definitions = script("import hornbeam\nhornbeam.applications.ResNet50").goto(follow_imports=True)
    assert [(d.name, d.module_name) for d in definitions] == [("ResNet50", "hornbeam.applications.resnet")]


PROGRAM = """\
import hornbeam as keras
from hornbeam import layers, ops
from hornbeam.callbacks import EarlyStopping

(x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
y = keras.utils.to_categorical(y, 10)
model = keras.models.Sequential(
    [
        keras.Input((28, 28)),
        layers.Rescaling(1 / 255),
        layers.Reshape((28, 28, 1)),
        layers.Conv2D(8, (3, 3), padding="same", kernel_regularizer=keras.regularizers.L2(1e-4)),
        layers.MaxPool2D(),
        layers.Flatten(),
        layers.Dense(10, activation=keras.activations.softmax, kernel_initializer="he_normal"),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 100)),
    loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(3)],
)
history = model.fit(x, y, epochs=2, validation_split=0.1, callbacks=[EarlyStopping(patience=2)])
best: float = max(history.history["val_accuracy"])

inputs = keras.Input(shape=(4,), dtype="float32", name="four")
outputs = layers.Dense(1)(layers.concatenate([inputs, ops.square(inputs)]))
functional = keras.Model(inputs=inputs, outputs=outputs, name="small")
functional.compile("sgd", "mse")
functional.summary()
functional.save("model.keras")
restored = keras.models.load_model("model.keras")
restored.predict(x_test)


class Scale(layers.Layer):
    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.factor = self.add_weight(shape=(1,), initializer="ones", name="factor")

    def call(self, x: keras.KerasTensor) -> keras.Tensor:
        return ops.multiply(x, self.factor)


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs and logs["loss"] < 0.1:
            self.model.stop_training = True
"""

WRONG = """\
import hornbeam as keras
keras.layers.Dens(1)
keras.callbacks.EarlyStopping(patienc=2)
keras.layers.Dense(activation="relu")
keras.Model(inputs=keras.Input((1,)), outputs=keras.Input((1,)), nam="x")
keras.layer.Dense(1)
keras.models.Sequental([])
keras.Model(keras.Input((1,)), keras.Input((1,))).fitt()
keras.applications.ResNet51()
keras.callbacks.EarlyStoping()
keras.ops.softmaxx(1.0)
keras.utils.to_categoricl([1], 2)
keras.data.Datasets
keras.evaluation.comparee
keras.dtype_policies.DTypePolicies
keras.mixed_precision.Polycy
keras.preprocessing.image.ImageGenerator
keras.config.set_floatxx("float32")
"""


@pytest.fixture(scope="module")
def mypy_errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[int, str]]]:
    """Check files as a user would who has the package installed: (line, message) by file."""
    pytest.importorskip("mypy")
    names = [
        f"{module}.{name}"
        for module in ["hornbeam", *LISTED]
        for name in importlib.import_module(module).__all__
    ]
    sources = {"program": PROGRAM, "wrong": WRONG, "exports": "\n".join(["import hornbeam", *names])}
    folder = tmp_path_factory.mktemp("programs")
    for stem, code in sources.items():
        (folder / f"{stem}.py").write_text(code)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        *(f"{stem}.py" for stem in sources),
    ]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert run.stderr == ""
    errors: dict[str, list[tuple[int, str]]] = {stem: [] for stem in sources}
    for line in run.stdout.splitlines():
        if match := re.match(r"(\w+)\.py:(\d+): error: (.*)", line):
            errors[match[1]].append((int(match[2]), match[3]))
    return errors


def test_a_program_has_no_type_errors(mypy_errors: dict[str, list[tuple[int, str]]]) -> None:
    assert mypy_errors["program"] == []


def test_unknown_names_and_arguments_are_reported(mypy_errors: dict[str, list[tuple[int, str]]]) -> None:
    lines = range(2, len(WRONG.splitlines()) + 1)
    assert sorted({line for line, _ in mypy_errors["wrong"]}) == list(lines)


def test_every_public_name_is_exported(mypy_errors: dict[str, list[tuple[int, str]]]) -> None:
    assert mypy_errors["exports"] == []
