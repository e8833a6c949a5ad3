# ruff: noqa: E501, SIM905, C901
"""Run one program, cell by cell, in this process: `child.py SIDE PROGRAM.json RESULT.json`."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import io
import json
import os
import signal
import subprocess
import sys
import time
import traceback
import types
from pathlib import Path
from typing import Any

import numpy as np

CELL_SECONDS = 45
STEPS = 3
ROWS = 256


class SlowError(BaseException):
    """A cell that took too much processor time."""


class KerasIsTfKeras(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """`import keras.x` is `import tf_keras.x`, for programs of Keras 2 under the original."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname.split(".")[0] != "keras":
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: Any) -> types.ModuleType:
        return importlib.import_module("tf_" + spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Leave the module as it is."""


def _images(count: int, shape: tuple[int, ...], classes: int, column: bool = False) -> Any:
    rng = np.random.default_rng(count)
    y = rng.integers(0, classes, count).astype("uint8")
    x = rng.integers(0, 80, (count, *shape), dtype="uint8")
    x[:, 4:12, 4:12] += (y * (160 // classes)).astype("uint8").reshape(-1, *[1] * len(shape))
    return x, (y[:, None].astype("int64") if column else y)


def _texts(count: int, classes: int) -> Any:
    rng = np.random.default_rng(count)
    y = rng.integers(0, classes, count)
    x = np.empty(count, object)
    for i in range(count):
        x[i] = [1, *(int(v) for v in rng.integers(4, 400, rng.integers(20, 60)) * (1 + y[i] % 2))]
    return x, y


def replace_datasets(keras: Any, samples: int) -> None:
    """Let the data sets of Keras return random data of their shapes."""
    pairs = {
        "mnist": lambda n: _images(n, (28, 28), 10),
        "fashion_mnist": lambda n: _images(n, (28, 28), 10),
        "cifar10": lambda n: _images(n, (32, 32, 3), 10, True),
        "cifar100": lambda n: _images(n, (32, 32, 3), 100, True),
        "imdb": lambda n: _texts(n, 2),
        "reuters": lambda n: _texts(n, 46),
        "boston_housing": lambda n: (np.random.default_rng(n).random((n, 13)) * 9, np.arange(n) % 50.0),
        "california_housing": lambda n: (
            np.random.default_rng(n).random((n, 8)).astype("float32") * 9,
            (np.arange(n) % 50 * 1e4).astype("float32"),
        ),
    }
    for name, make in pairs.items():
        small, text = name.endswith("housing"), name in ("imdb", "reuters")

        def load(*args: Any, make: Any = make, small: bool = small, text: bool = text, **kwargs: Any) -> Any:
            size = 404 if small else samples if not text else min(samples, 12000)
            train, test = make(size), make(102 if small else 10000 if not text else 2000)
            limit = kwargs.get("num_words") or kwargs.get("nb_words")
            if limit and not small:
                train, test = ((_cut(x, limit), y) for x, y in (train, test))
            return tuple(train), tuple(test)

        with contextlib.suppress(Exception):
            module = getattr(keras.datasets, name)
            module.load_data = load
            if name in ("imdb", "reuters"):
                module.get_word_index = lambda *a, **k: {f"word{i}": i for i in range(1, 1000)}


def _cut(x: Any, limit: int) -> Any:
    for i, row in enumerate(x):
        x[i] = [v if v < limit else 2 for v in row]
    return x


def replace_sklearn_data() -> None:
    """Let scikit-learn return a random table in the form of California's housing data."""
    try:
        import sklearn.datasets
    except ImportError:
        return

    def fetch(*args: Any, return_X_y: bool = False, **kwargs: Any) -> Any:
        rng = np.random.default_rng(0)
        data, target = np.abs(rng.normal(3, 2, (3000, 8))), rng.random(3000) * 5
        names = "MedInc HouseAge AveRooms AveBedrms Population AveOccup Latitude Longitude".split()
        bunch = sklearn.utils.Bunch(
            data=data, target=target, feature_names=names, target_names=["MedHouseVal"]
        )
        return (data, target) if return_X_y else bunch

    sklearn.datasets.fetch_california_housing = fetch


def avoid_downloads(keras: Any) -> None:
    """Let models have random weights by default, and draw nothing by graphviz."""

    def wrap(make: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return make(*args, **(kwargs if len(args) > 1 else {"weights": None, **kwargs}))

        return call

    for name in dir(keras.applications):
        make = getattr(keras.applications, name)
        if name[0].isupper() and callable(make):
            setattr(keras.applications, name, wrap(make))
            for module in vars(keras.applications).values():
                if isinstance(module, types.ModuleType) and hasattr(module, name):
                    setattr(module, name, getattr(keras.applications, name))
    keras.utils.plot_model = lambda *args, **kwargs: None


def shorten_training(keras: Any) -> None:
    """Let `fit`, `evaluate` and `predict` see a few batches only."""

    def less(data: Any) -> Any:
        if isinstance(data, np.ndarray) or type(data).__name__ in ("EagerTensor", "Tensor", "StringTensor"):
            return data[:ROWS] if len(getattr(data, "shape", ())) else data
        if isinstance(data, (list, tuple)) and data and not isinstance(data[0], (int, float, str)):
            return type(data)(less(part) for part in data)
        if isinstance(data, dict):
            return {key: less(value) for key, value in data.items()}
        if hasattr(data, "take") and hasattr(data, "prefetch"):
            return data.take(STEPS)
        return data

    def wrap(method: Any, limits: tuple[str, ...]) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            streams = not isinstance(args[0] if args else kwargs.get("x"), (np.ndarray, list, tuple, dict))
            for name in limits:
                if isinstance(kwargs.get(name), (int, float)):
                    kwargs[name] = min(int(kwargs[name]), STEPS)
            epochs = kwargs.get("epochs", kwargs.get("nb_epoch"))
            if isinstance(epochs, int):
                key = "epochs" if "epochs" in kwargs else "nb_epoch"
                kwargs[key] = min(epochs, kwargs.get("initial_epoch", 0) + 2)
            if not (streams and any(kwargs.get(name) for name in limits[:1])):
                args = tuple(less(a) if i < 2 else a for i, a in enumerate(args))
                kwargs = {k: less(v) if k in ("x", "y", "sample_weight") else v for k, v in kwargs.items()}
            if kwargs.get("validation_data") is not None and not kwargs.get("validation_steps"):
                kwargs["validation_data"] = less(kwargs["validation_data"])
            return method(self, *args, **kwargs)

        return call

    model = keras.models.Model
    for name, limits in {
        "fit": ("steps_per_epoch", "validation_steps"),
        "evaluate": ("steps",),
        "fit_generator": ("steps_per_epoch", "validation_steps"),
    }.items():
        if hasattr(model, name):
            setattr(model, name, wrap(getattr(model, name), limits))


class Info:
    """Result of `tfds.load(with_info=True)` beside the data."""

    def __init__(self, classes: int, count: int) -> None:
        label = types.SimpleNamespace(
            names=[f"class{i}" for i in range(classes)],
            num_classes=classes,
            int2str=lambda i: f"class{int(i)}",
        )
        self.features = {"label": label}
        part = types.SimpleNamespace(num_examples=count)
        self.splits = {"train": part, "test": part, "validation": part}


def datasets_module() -> types.ModuleType:
    """Return a stand-in of tensorflow_datasets: `load` of small random data."""
    module = types.ModuleType("tensorflow_datasets")

    def load(name: str, split: Any = None, batch_size: Any = None, as_supervised: bool = False, with_info: bool = False, **kwargs: Any) -> Any:  # fmt: skip
        import tensorflow as tf

        rng, count = np.random.default_rng(0), 96
        label = rng.integers(0, 2, count)
        kind = name.split("/")[0].split(":")[0]
        classes, data = 10, {}
        if kind == "imdb_reviews":
            classes = 2
            words = np.array("the a film movie was good bad very not it is and of".split())
            data = {"text": np.array([" ".join(rng.choice(words, 30)) for _ in range(count)]), "label": label}
        elif kind in ("iris", "penguins"):
            classes, data = (
                3,
                {"features": rng.random((count, 4)).astype("float32"), "label": rng.integers(0, 3, count)},
            )
        else:
            shape = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3), "omniglot": (105, 105, 3), "stl10": (96, 96, 3)}  # fmt: skip
            size = shape.get(kind, (120, 140, 3))
            classes = {
                "mnist": 10,
                "fashion_mnist": 10,
                "cifar10": 10,
                "cats_vs_dogs": 2,
                "tf_flowers": 5,
            }.get(kind, 10)
            data = {
                "image": rng.integers(0, 255, (count, *size), dtype="uint8"),
                "label": rng.integers(0, classes, count),
            }
            if kind == "oxford_iiit_pet":
                data["segmentation_mask"] = rng.integers(1, 4, (count, *size[:2], 1), dtype="uint8")

        def part(_: Any) -> Any:
            value: Any = {k: tf.constant(v) if v.dtype.kind in "UO" else v for k, v in data.items()}
            if as_supervised:
                value = (value[next(iter(data))], value["label"])
            if batch_size == -1:
                value = tf.nest.map_structure(tf.constant, value)
                return value
            dataset = tf.data.Dataset.from_tensor_slices(value)
            return dataset.batch(batch_size) if batch_size else dataset

        names = (
            ("trainA", "trainB", "testA", "testB") if kind == "cycle_gan" else ("train", "test", "validation")
        )
        many = isinstance(split, (list, tuple))
        result = (
            {n: part(n) for n in names}
            if split is None
            else type(split)(map(part, split))
            if many
            else part(split)
        )
        return (result, Info(classes, count)) if with_info else result

    module.load = load  # type: ignore[attr-defined]
    module.as_numpy = lambda data: data  # type: ignore[attr-defined]
    module.disable_progress_bar = lambda: None  # type: ignore[attr-defined]
    return module


def _shell(command: str) -> None:
    subprocess.run(command, shell=True, timeout=CELL_SECONDS, capture_output=True)


def _plain(value: Any) -> Any:
    """Return a small value to compare, or None."""
    try:
        array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    except Exception:
        return None
    if array.dtype.kind in "biuf" and array.size <= 200 and not isinstance(value, type):
        return [list(array.shape), [float(v) for v in array.ravel()]]
    return None


def run_cell(code: str, scope: dict[str, Any], number: int) -> dict[str, Any]:
    """Execute a cell; its record has its error, its output and the value of its last expression."""
    record: dict[str, Any] = {"error": "", "value": None}
    start = time.perf_counter()
    out = io.StringIO()
    signal.setitimer(signal.ITIMER_PROF, CELL_SECONDS)  # processor time, whatever else the machine does
    try:
        with contextlib.redirect_stdout(out):
            tree = ast.parse(code)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            name = f"cell{number}"
            Path(name + ".py").write_text(code)
            exec(compile(tree, name + ".py", "exec", dont_inherit=True), scope)
            if last is not None:
                expression = ast.Expression(last.value)
                value = eval(compile(expression, name + ".py", "eval", dont_inherit=True), scope)
                record["value"] = _plain(value)
                if value is not None:
                    record["text"] = repr(value)[:300]
    except SlowError:
        record["error"] = "slow"
    except SystemExit:
        record["error"] = "exit"
    except BaseException as error:
        record["error"] = f"{type(error).__name__}: {error}"[:1200]
        record["trace"] = traceback.format_exc()[-3500:]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    record["seconds"] = round(time.perf_counter() - start, 2)
    record["out"] = out.getvalue()[-3000:]
    return record


def main() -> None:
    """Install the side, run the cells, write the records."""
    side, program, result = sys.argv[1:4]
    task = json.loads(Path(program).read_text())
    os.environ["MPLBACKEND"] = "Agg"
    start = time.process_time()
    if side == "ours":
        import hornbeam

        hornbeam.install_as_keras(verbose=False)
    elif side == "tf_keras":
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        sys.meta_path.insert(0, KerasIsTfKeras())
    elif os.environ.get("KERAS_BACKEND") == "hornbeam":
        importlib.import_module("keras_hornbeam")
    keras = importlib.import_module("keras")
    replace_datasets(keras, task["samples"])
    if side == "tf_keras":  # whose modules are other objects than those of `import keras`
        replace_datasets(importlib.import_module("tensorflow").keras, task["samples"])
    replace_sklearn_data()
    avoid_downloads(keras)
    shorten_training(keras)
    sys.modules["tensorflow_datasets"] = datasets_module()
    main_module = types.ModuleType("__main__")
    scope = vars(main_module)
    sys.modules["__main__"] = main_module
    tab = types.SimpleNamespace(
        selected=lambda *names: "tensorflow" in names
    )  # of pages for several libraries
    scope.update(_shell=_shell, display=print, tab=tab, __file__=str(Path(task["name"]).name))
    sys.argv = [Path(task["name"]).name, *task.get("arguments", [])]

    def stop(*args: Any) -> None:
        raise SlowError

    signal.signal(signal.SIGPROF, stop)
    sys.path.insert(0, os.getcwd())
    records: list[dict[str, Any]] = []
    for number, code in enumerate(task["cells"]):
        records.append(run_cell(code, scope, number))
        data = {"cells": records, "seconds": time.process_time() - start, "complete": False}
        Path(result).write_text(json.dumps(data))
    data["complete"] = True
    Path(result).write_text(json.dumps(data))
    os._exit(0)


if __name__ == "__main__":
    main()
