"""A sealed test set can be evaluated and nothing else; every look is counted."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV

import hornbeam as hb
from hornbeam import layers
from hornbeam.data import seal
from hornbeam.errors import SealedError, TestSetWarning
from hornbeam.wrappers import SKLearnClassifier
from tests.helpers.builders import compiled_model


def build_model() -> Any:
    return compiled_model(
        (3,),
        [layers.Dense(2, activation="softmax")],
        "adam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 3)).astype("float32"), rng.integers(0, 2, 40)


def test_evaluate_gives_the_numbers_and_counts(data: Any, capsys: Any) -> None:
    model, sealed = build_model(), seal(*data, name="my test set")
    plain = model.evaluate(*(part.copy() for part in data), verbose=0)
    assert model.evaluate(sealed, verbose=2) == plain
    assert "first use of my test set (40 samples): the score is unbiased" in capsys.readouterr().out
    with pytest.warns(TestSetWarning, match="second use of my test set .* is optimistic"):
        model.evaluate(sealed, verbose=0)
    assert model.evaluate(*data, verbose=2) == plain  # the arrays that were sealed
    assert "third use" in capsys.readouterr().out
    assert sealed.apply(lambda x, y: (x.shape, y.shape)) == ((40, 3), (40,))
    assert "fourth use" in capsys.readouterr().out
    assert sealed.uses == 4
    assert repr(sealed) == "<my test set, sealed: 40 samples, used 4 times>"


def train(model: Any, sealed: Any, x: Any, y: Any) -> dict[str, Any]:
    """Everything that would learn, tune or choose by a sealed set."""
    x_new, y_new = x.copy(), y.copy()
    search = GridSearchCV(SKLearnClassifier(build_model()), {"fit_kwargs": [{"epochs": 1}]}, cv=2)
    return {
        "fit": lambda: model.fit(sealed),
        "fit with y": lambda: model.fit(sealed, y_new),
        "fit as a part": lambda: model.fit([sealed], y_new),
        "validation": lambda: model.fit(x_new, y_new, validation_data=sealed, verbose=0),
        "validation pair": lambda: model.fit(x_new, y_new, validation_data=(sealed, y_new), verbose=0),
        "fit on its arrays": lambda: model.fit(x, y),
        "fit on rows of them": lambda: model.fit(x[5:20], y[5:20]),
        "validation on its arrays": lambda: model.fit(x_new, y_new, validation_data=(x, y), verbose=0),
        "one batch": lambda: model.train_on_batch(x[:8], y[:8]),
        "predict": lambda: model.predict(sealed),
        "call": lambda: model(sealed),
        "adapt": lambda: layers.Normalization().adapt(sealed),
        "split": lambda: hb.data.split(sealed),
        "folds": lambda: hb.data.k_fold(sealed),
        "estimator": lambda: SKLearnClassifier(build_model()).fit(sealed, y_new),
        "search": lambda: search.fit(sealed, y_new),
        "array": lambda: np.asarray(sealed),
        "slice": lambda: sealed[:3],
        "loop": lambda: list(sealed),
        "unpack": lambda: [*sealed],
        "attribute": lambda: sealed.x,
        "copy": lambda: copy.deepcopy(sealed),
        "pickle": lambda: pickle.dumps(sealed),
        "in fit": lambda: model.fit(
            x_new, y_new, verbose=0, epochs=1,
            callbacks=[hb.callbacks.LambdaCallback(on_epoch_end=lambda *_: model.evaluate(sealed))],
        ),
        "arrays in fit": lambda: model.fit(
            x_new, y_new, verbose=0, epochs=1,
            callbacks=[hb.callbacks.LambdaCallback(on_epoch_end=lambda *_: model.evaluate(x, y))],
        ),
    }  # fmt: skip


def test_everything_else_is_refused(data: Any) -> None:
    model, sealed = build_model(), seal(*data)
    for name, attempt in train(model, sealed, *data).items():
        try:
            attempt()
        except SealedError as error:
            assert "is sealed" in str(error)  # noqa: PT017
        else:
            pytest.fail(f"{name} went through")
    with pytest.raises(ValueError, match="bring their own y"):
        model.evaluate(sealed, data[1])
    assert sealed.uses == 0


def test_other_data_are_left_alone(data: Any) -> None:
    x = np.random.default_rng(1).normal(size=(80, 3)).astype("float32")
    y = np.arange(80) % 2
    odd = seal(x[1::2], y[1::2])
    model = build_model()
    model.fit(x[::2], y[::2], validation_data=(x[:20:2], y[:20:2]), verbose=0)
    with pytest.raises(SealedError):
        model.fit(x, y, verbose=0)
    del odd
    model.fit(x, y, verbose=0)  # the seal is gone


def test_what_was_sealed_knows_validation_data(data: Any) -> None:
    model = build_model()
    x, y = data
    model.fit(x, y, validation_data=(x.copy(), y.copy()), verbose=0)
    with pytest.warns(TestSetWarning, match="validation_data"):
        model.evaluate(seal(x, y), verbose=0)


def test_uses_of_all_processes_count(data: Any, tmp_path: Path) -> None:
    path = tmp_path / "uses" / "count.jsonl"
    other = seal(data[0] + 1, data[1], path=path)
    other.apply(len_of)
    code = (
        "import numpy as np, hornbeam as hb\nrng = np.random.default_rng(0)\n"
        "x, y = rng.normal(size=(40, 3)).astype('float32'), rng.integers(0, 2, 40)\n"
        f"sealed = hb.data.seal(x, y, path={str(path)!r})\nsealed.apply(lambda x, y: 0)"
    )
    said = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout[:12]
        for _ in range(2)
    ]
    assert said == ["first use of", "second use o"]
    sealed = seal(*data, path=path)
    assert (sealed.uses, other.uses) == (2, 1)
    sentence = sealed.record_use("x")
    assert sentence.startswith("third use of this test set (40 samples): the score is optimistic")
    path.write_text("{}\n")
    with pytest.raises(ValueError, match="line 1, does not record a use of a test set"):
        sealed.uses  # noqa: B018


def len_of(x: Any, y: Any) -> int:
    return len(x)


def test_frames_weights_and_strings(data: Any) -> None:
    x, y = data
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    model, weight = build_model(), np.linspace(0, 1, 40)
    sealed = seal(frame, y, weight)
    assert model.evaluate(sealed, verbose=2) == model.evaluate(x, y, sample_weight=weight, verbose=2)
    assert sealed.apply(lambda x, y, w: w.sum()) == weight.sum()
    assert seal(["a", "b"], [0, 1]).fingerprint != seal(["a", "c"], [0, 1]).fingerprint
    with pytest.raises(hb.ir.types.ShapeError):
        seal(x, y[:3])
