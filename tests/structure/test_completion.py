"""Editors find the public names: completion by jedi."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hornbeam
from tests.helpers.public_names import submodules

jedi = pytest.importorskip("jedi")

SOURCES = Path(hornbeam.__file__).parents[1]
LISTED = [name for name in submodules() if hasattr(sys.modules[name], "__all__")] + [
    f"hornbeam.datasets.{name}" for name in hornbeam.datasets.__all__
]


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], jedi.Script]:
    """Open code in an editor whose interpreter finds the package where the tests find it."""
    # The cache of the user's home is shared with other processes, and may be older than the sources.
    jedi.settings.cache_directory = str(tmp_path_factory.mktemp("cache"))
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
