"""Notebooks: what a kernel shows of every object, progress, Keras's beginner notebooks, and mistakes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.notebooks import Kernel, outputs, write
from tests.helpers.paths import ROOT

pytest.importorskip("ipykernel")
pytest.importorskip("nbclient")
nbconvert = pytest.importorskip("nbconvert")
# The clients of Jupyter leave sockets and event loops to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SETUP = """
import numpy as np, hornbeam as hb
from hornbeam import layers
hb.utils.set_random_seed(0)
(x, y), (x_test, y_test) = hb.datasets.mnist.load_data()
x, x_test = x[:600, ..., None] / 255.0, x_test[:200, ..., None] / 255.0
y, y_test = y[:600], y_test[:200]
def build():
    model = hb.Sequential([hb.Input((28, 28, 1)), layers.Conv2D(4, 3, activation="relu"),
                           layers.MaxPooling2D(4), layers.Flatten(), layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
model = build()
doctor = hb.callbacks.Doctor(verbose=0)
history = model.fit(x, y, epochs=3, validation_split=0.2, verbose=0, callbacks=[doctor])
dataset = hb.data.Dataset.from_tensor_slices((x, y)).shuffle(100).batch(32)
explanation = model.explain()
"""

# Expression -> what its HTML contains.
OBJECTS = {
    "model": "<svg",
    "hb.Sequential([layers.Dense(3)])": "not built",
    "history": "<svg",
    "model(x[:2])": "Tensor",
    "hb.ops.ones((1000, 1000))": "1000 × 1000 · float32 · native engine",
    "model.weights[0]": "kernel",
    "dataset": "shuffle → batch(32)",
    "model.profile(x, y, steps=2)": "per layer",
    "hb.lr_find(model, x, y, verbose=0, steps=20)": "<svg",
    "explanation": "layer by layer",
    "explanation['conv2d']": "<dt>weights</dt>",
    "model.explain_training(x, y)": "The optimizer: Adam",
    "hb.evaluation.evaluate(model, x_test, y_test)": "Wilson",
    "hb.evaluation.confusion(model, x_test, y_test)": "background: rgb(",
    "hb.evaluation.calibration(model, x_test, y_test)": "<polygon",
    "hb.evaluation.mistakes(model, x_test, y_test)": "data:image/png;base64",
    "doctor": "class=",
    "hb.data.look((x * 255).astype('uint8'), y)": "data:image/png;base64",
    "hb.utils.plot_model(model, None)": "<svg",
    "hb.insight.plot_history(history)": "<svg",
    "hb.insight.plot_filters(model)": "data:image/png;base64",
    "hb.insight.saliency(model, x[:2])": "data:image/png;base64",
    "hb.insight.plot_embeddings(x[:50, ::4, ::4].reshape(50, -1), y[:50])": "<circle",
}
# Objects without HTML, and the text that they show.
TEXTS = {
    "model.optimizer": "<Adam name=adam, learning_rate=0.001>",
    "model.layers[-1]": "<Dense name=dense, built=True>",
    "hb.callbacks.EarlyStopping()": "<EarlyStopping of val_loss>",
    "hb.regularizers.L2(0.1)": "<L2 l2=0.1>",
    "hb.optimizers.schedules.CosineDecay(0.1, 10)": "<CosineDecay initial_learning_rate=0.1",
    "hb.losses.MeanSquaredError()": "<MeanSquaredError",
    "model.metrics": "<CompileMetrics accuracy>",
    "hb.Input((3,))": "<KerasTensor shape=(None, 3)",
    "model.evaluate(x_test, y_test, verbose=0)": "[",
    "hb.engines.current_engine()": "<engine native>",
}


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    assert kernel.run(SETUP) == []
    yield kernel
    kernel.close()


def is_complete(html: str) -> bool:
    """Return True for one element with one style sheet that loads nothing."""
    return (
        html.startswith('<div class="hornbeam"><style>')
        and html.count("<style>") == 1
        and not re.search(r"https?://(?!www\.w3\.org)|@import|url\(|<script|<link", html)
        and len(html) < 60_000
    )


# -- one output an object ------------------------------------------------------------------------------------


@pytest.mark.parametrize("expression", OBJECTS)
def test_an_object_is_shown_once(kernel: Kernel, expression: str) -> None:
    (output,) = kernel.run(expression)
    assert output["type"] == "execute_result"
    assert OBJECTS[expression] in output["data"]["text/html"]
    assert is_complete(output["data"]["text/html"])
    text = output["data"]["text/plain"]
    assert text.strip()
    assert " object at 0x" not in text
    assert max(map(len, text.splitlines())) <= (100 if "RateCurve" not in text else 140)
    (output,) = kernel.run(f"display({expression})")
    assert output["type"] == "display_data"
    assert kernel.run(f"{expression};") == []


@pytest.mark.parametrize("expression", OBJECTS)
def test_an_object_is_printed_once(kernel: Kernel, expression: str) -> None:
    (output,) = kernel.run(f"print({expression})")
    assert output["type"] == "stream"
    assert output["text"].strip()
    assert max(map(len, output["text"].splitlines())) <= 100


@pytest.mark.parametrize("expression", TEXTS)
def test_a_text_says_what_it_is(kernel: Kernel, expression: str) -> None:
    (output,) = kernel.run(expression)
    assert TEXTS[expression] in output["data"]["text/plain"]
    assert " object at 0x" not in output["data"]["text/plain"]


def test_reports_are_displayed_by_show(kernel: Kernel) -> None:
    for expression in ("explanation", "hb.insight.plot_history(history)"):
        (output,) = kernel.run(f"{expression}.show()")
        assert output["type"] == "display_data"
        assert is_complete(output["data"]["text/html"])


def test_a_figure_of_matplotlib_is_an_image_before_pyplot_is_imported(kernel: Kernel) -> None:
    pytest.importorskip("matplotlib")
    (output,) = kernel.run("hb.insight.plot_history(history).to_matplotlib()")
    assert output["data"]["image/png"]


def test_rich_writes_text_alone() -> None:
    """A console without force_jupyter=False displays itself in a kernel, whatever its file is."""
    users = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "src" / "hornbeam").rglob("*.py")
        if re.search(r"\bConsole\(", path.read_text(encoding="utf-8"))
    ]
    assert users == ["src/hornbeam/visualization/terminal.py"]


# -- progress ------------------------------------------------------------------------------------------------


SLOW = """
class Slow(hb.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        import time; time.sleep(0.02)
"""


def test_progress_is_one_output_that_grows(kernel: Kernel) -> None:
    schedule, progress = kernel.run(SLOW + "h = build().fit(x, y, epochs=3, callbacks=[Slow()])")
    assert schedule["text"] == "600 samples / 32 = 19 updates per epoch, 57 in total\n"
    assert progress["type"] == "display_data"
    lines = progress["data"]["text/plain"].splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    html = progress["data"]["text/html"]
    assert is_complete(html)
    assert html.count("<tr>") == 4
    assert 'class="bar"' not in html
    # 57 steps of 20 ms: four messages a second, and one for each epoch.
    assert 3 <= kernel.messages["update_display_data"] <= 12


def test_quick_epochs_do_not_flood_the_browser(kernel: Kernel) -> None:
    _, progress = kernel.run("h = build().fit(x[:64], y[:64], epochs=200)")
    assert kernel.messages["update_display_data"] < 20
    lines = progress["data"]["text/plain"].splitlines()
    assert lines[-1].startswith("Epoch 200/200")
    assert len(lines) == 51
    assert "… 150 more, in history.history" in lines
    assert len(progress["data"]["text/html"]) < 25_000


def test_a_curve_that_grows(kernel: Kernel) -> None:
    code = "build().fit(x, y, epochs=3, validation_split=0.2, callbacks=[Slow()], plot=True)"
    shown = kernel.run(SLOW + code)
    kinds = [output["type"] for output in shown]
    assert kinds == ["stream", "display_data", "display_data", "execute_result"]
    assert shown[2]["data"]["text/html"].count("<polyline points=") == 4
    assert kernel.messages["update_display_data"] >= 4
    # The history, whose curves were drawn just above, is a line here, and drawn in other cells.
    assert "<svg" not in shown[3]["data"]["text/html"]
    (later,) = kernel.run("_")
    assert "<svg" in later["data"]["text/html"]


def test_texts_fit_the_output(kernel: Kernel) -> None:
    (output,) = kernel.run("hb.applications.MobileNetV2(weights=None).summary()")
    assert max(map(len, output["text"].splitlines())) <= 100
    (output,) = kernel.run("hb.applications.MobileNetV2(weights=None)")
    assert is_complete(output["data"]["text/html"])


def test_lines_where_they_are_asked_for(kernel: Kernel) -> None:
    (output,) = kernel.run("h = build().fit(x, y, epochs=2, verbose=2)")
    assert output["type"] == "stream"
    assert len(output["text"].splitlines()) == 2
    assert kernel.run("h = build().fit(x, y, verbose=0)") == []
    (output,) = kernel.run("p = model.predict(x_test)")
    assert re.fullmatch(r"7/7 - .*\n", output["text"])


def test_an_interrupted_cell_keeps_the_model(kernel: Kernel) -> None:
    kernel.run(SLOW + "interrupted = build()")
    code = "interrupted.fit(x, y, epochs=10_000, callbacks=[Slow()])"
    shown = kernel.run(code, interrupt_after=1.5)
    progress = shown[1]["data"]
    assert re.search(r"Epoch \d+/10000 ended after \d+ of 19 steps$", progress["text/plain"])
    assert "left" not in progress["text/html"].split("</style>")[1]
    assert "the model keeps its weights" in shown[2]["text"]
    assert [part["type"] for part in shown] == ["stream", "display_data", "stream", "error"]
    text = kernel.text("h = interrupted.fit(x, y)")
    assert re.search(r"the training goes on: the model has had \d+ updates; build the model again", text)
    assert "Epoch 1/1" in text


def test_an_error_leaves_the_epochs_before_it(kernel: Kernel) -> None:
    stop = "hb.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: 1 / (2 - epoch))"
    shown = kernel.run(f"build().fit(x[:64], y[:64], epochs=9, callbacks=[{stop}])")
    assert [part["type"] for part in shown] == ["stream", "display_data", "error"]
    assert [line[:9] for line in shown[1]["data"]["text/plain"].splitlines()] == [
        f"Epoch {i}/9" for i in (1, 2, 3)
    ]


# -- notebooks of Keras --------------------------------------------------------------------------------------

# The calls of "TensorFlow 2 quickstart for beginners", in their order.
QUICKSTART = [
    "%load_ext hornbeam",
    "import tensorflow as tf\nprint('version', tf.__version__)",
    "mnist = tf.keras.datasets.mnist\n(x, y), (x_test, y_test) = mnist.load_data()\n"
    "x, x_test = x[:2000] / 255.0, x_test[:500] / 255.0\ny, y_test = y[:2000], y_test[:500]",
    "model = tf.keras.models.Sequential([tf.keras.layers.Flatten(input_shape=(28, 28)),\n"
    "    tf.keras.layers.Dense(128, activation='relu'), tf.keras.layers.Dropout(0.2),\n"
    "    tf.keras.layers.Dense(10)])",
    "predictions = model(x[:1]).numpy()\npredictions",
    "tf.nn.softmax(predictions).numpy()",
    "loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
    "loss_fn(y[:1], predictions).numpy()",
    "model.compile(optimizer='adam', loss=loss_fn, metrics=['accuracy'])",
    "model.fit(x, y, epochs=2)",
    "model.evaluate(x_test, y_test, verbose=2)",
    "probability_model = tf.keras.Sequential([model, tf.keras.layers.Softmax()])",
    "probability_model(x_test[:5])",
]
# Those of Keras's "Simple MNIST convnet".
CONVNET = [
    "%load_ext hornbeam",
    "import numpy as np\nimport keras\nfrom keras import layers",
    "num_classes = 10\ninput_shape = (28, 28, 1)\n"
    "(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()\n"
    "x_train = np.expand_dims(x_train[:1000].astype('float32') / 255, -1)\n"
    "x_test = np.expand_dims(x_test[:300].astype('float32') / 255, -1)\n"
    "print('x_train shape:', x_train.shape)\n"
    "y_train = keras.utils.to_categorical(y_train[:1000], num_classes)\n"
    "y_test = keras.utils.to_categorical(y_test[:300], num_classes)",
    "model = keras.Sequential([keras.Input(shape=input_shape),\n"
    "    layers.Conv2D(32, kernel_size=(3, 3), activation='relu'), layers.MaxPooling2D(pool_size=(2, 2)),\n"
    "    layers.Conv2D(64, kernel_size=(3, 3), activation='relu'), layers.MaxPooling2D(pool_size=(2, 2)),\n"
    "    layers.Flatten(), layers.Dropout(0.5), layers.Dense(num_classes, activation='softmax')])\n"
    "model.summary()",
    "model.compile(loss='categorical_crossentropy', optimizer='adam', metrics=['accuracy'])\n"
    "model.fit(x_train, y_train, batch_size=128, epochs=1, validation_split=0.1)",
    "score = model.evaluate(x_test, y_test, verbose=0)\nprint('Test loss:', score[0])",
]


@pytest.mark.parametrize("cells", [QUICKSTART, CONVNET], ids=["tensorflow", "keras"])
def test_a_beginner_notebook_runs_cell_by_cell(cells: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "book.ipynb", cells)
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--execute",
        "--to",
        "notebook",
        "--output",
        "out",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = outputs(tmp_path / "out.ipynb")
    assert shown[0][0]["text"][-1].endswith("until %unload_ext hornbeam\n")
    for parts in shown:
        assert len([part for part in parts if part["output_type"] == "execute_result"]) <= 1
    # Old spellings, and the split that differs from Keras's, are said on stderr, a line each.
    remarks = [part["text"] for parts in shown for part in parts if part.get("name") == "stderr"]
    assert len(remarks) == 1
    assert all(line.startswith("hornbeam: ") for lines in remarks for line in lines)
    page = nbconvert.HTMLExporter().from_filename(str(tmp_path / "out.ipynb"))[0]
    assert page.count('<div class="hornbeam">') >= 2


# -- mistakes ------------------------------------------------------------------------------------------------

# Cells in the order of the notebook, and what each must show.
MISTAKES: list[tuple[str, str]] = [
    # Cells that are run again.
    ("model = build()\nmodel.layers[-1].name", "'dense_"),
    ("model.compile('adam', 'mse')\nmodel = build()\nmodel.loss", "'sparse_categorical_crossentropy'"),
    ("h = build().fit(x, y)", "Epoch 1/1"),
    ("again = build()\n_ = again.fit(x, y, verbose=0)\n_ = again.fit(x, y)",
     "the training goes on: the model has had 19 updates"),
    ("fresh = hb.Sequential.from_config(build().get_config())\nfresh.fit(x, y)", "compile"),
    ("class Net(hb.Model):\n    def call(self, x):\n        pass\nNet()(x)", "Net.call() returned None"),
    # Calls that are left out, or made in another way.
    ("model.summary", "<bound method Model.summary of <Sequential"),
    ("print(model)", "<Sequential name="),
    ("history['loss']", "history.history['loss'] has the values of the epochs"),
    ("history.loss", "history.history['loss'] has its values"),
    ("history.plot()", "hornbeam.insight.plot_history(history) draws it"),
    ("model.predict(x[0])", "add it with x[None]"),
    ("model.fit(x, y[:10])", "600"),
    ("await model.fit(x, y, verbose=0)", "can't be used in 'await' expression"),
    ("import asyncio\nawait asyncio.sleep(0)\n'awaited'", "'awaited'"),
    ("import threading\nt = threading.Thread(target=model.fit, args=(x, y), kwargs={'verbose': 0})\n"
     "t.start(); t.join()\n'joined'", "'joined'"),
    ("%timeit -n1 -r1 model.predict(x, verbose=0)", "per loop"),
    # Colab's lines, before and after the extension.
    ("%tensorflow_version 2.x", "`%tensorflow_version` not found"),
    ("import sys, types\nsys.modules['keras'] = types.ModuleType('keras')\n%load_ext hornbeam",
     "restart the kernel"),
    ("del sys.modules['keras']\n%load_ext hornbeam", "mean Hornbeam here, until %unload_ext hornbeam"),
    ("%load_ext hornbeam", "already loaded"),
    ("import keras\nkeras.Sequential is hb.Sequential", "True"),
    ("!pip install -q tensorflow==2.15", "tensorflow means Hornbeam in this notebook"),
    ("%pip install keras tf-keras", "keras and tf-keras mean Hornbeam"),
    ("%tensorflow_version 2.x", "with the names of TensorFlow 2"),
    ("from google.colab import drive", "google.colab exists in Colab only"),
    ("try:\n    import google.colab\nexcept ModuleNotFoundError:\n    print('elsewhere')", "elsewhere"),
    ("import tensorflow as tf\ntf.config.list_physical_devices('GPU')", "[]"),
    ("keras.layers.Dens(3)", "Did you mean"),
    ("%unload_ext hornbeam\nimport importlib.util\nimportlib.util.find_spec('tensorflow') is None", "True"),
    # Drawings.
    ("hb.utils.plot_model(hb.Sequential([layers.Dense(1)]))", "no graph of layers"),
    ("import matplotlib.pyplot as plt\nplt.plot(history.history['loss'])\nplt.show()", "<Figure size"),
    ("print(hb.insight.plot_history(history))", "loss"),
    ("len(repr(hb.ops.ones((2000, 2000)))) < 300", "True"),
]  # fmt: skip


def test_mistakes_in_notebooks(kernel: Kernel) -> None:
    """The cells of one session, in their order: some of them change what the next ones meet."""
    wrong = []
    for code, words in MISTAKES:
        text = kernel.text(code)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        if words not in plain or " object at 0x" in plain:
            wrong.append(f"{code!r} shows {plain[:300]!r}, not {words!r}")
    assert wrong == []
