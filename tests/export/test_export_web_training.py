"""Pages in which a model is trained: their data, and the loop in Node."""

from __future__ import annotations

import base64
import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, web
from hornbeam.export import web_training
from hornbeam.runtime import FrozenModel
from tests.helpers.training_cases import CASES, mlp
from tests.helpers.web_engine import NODE

# The scripts of a page without those that show something; with samples in their order, as fit(shuffle=False).
LOOP = """
const { readFileSync } = require("fs"), { gunzipSync } = require("zlib");
const page = readFileSync(process.argv[2], "utf8");
const part = (id) => new Uint8Array(gunzipSync(Buffer.from(page.match(`id="${id}">([^<]*)<`)[1], "base64")));
const engine = new Engine(new WebAssembly.Instance(new WebAssembly.Module(part("engine")), {}));
const model = engine.load(part("model"));
const trainer = new Hornbeam.Trainer(model, Hornbeam.readData(part("data"), model.metadata.training, ARRAYS));
const inOrder = () => Uint32Array.from({ length: trainer.rows }, (_, i) => i);
if (process.argv[3] === "in order") trainer.shuffled = inOrder;
const epoch = () => { while (trainer.next() !== "epoch"); };
const numbers = ({ data }) => Array.from(data, Number);
const weights = () => JSON.stringify(Object.values(trainer.state).map(numbers));
"""


def in_node(page: Path, expression: str, order: str = "in order") -> Any:
    scripts = [web.read(name).decode() for name in ("elements.js", "trainer.js", "engine.js")]
    program = re.sub(r"^export ", "", "\n".join(scripts), flags=re.M) + LOOP
    program += f"console.log(JSON.stringify((() => {{ {expression} }})()));"
    command = [str(NODE), "-", str(page), order]
    done = subprocess.run(command, input=program, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def exported(folder: Path, case: str = "mlp", **options: Any) -> tuple[hb.Model, Any, Any, Path]:
    hb.utils.set_random_seed(1)
    model, x, y = CASES[case]()
    page = folder / "m.html"
    data = {"training_data": (x, y), "validation_data": (x, y), **options}
    model.export(page, format="web", verbose=False, batch_size=8, **data)
    return model, x, y, page


def model_in(page: Path) -> FrozenModel:
    (packed,) = re.findall(r'id="model">([^<]*)<', page.read_text())
    return FrozenModel.from_bytes(gzip.decompress(base64.b64decode(packed)))


@pytest.mark.skipif(NODE is None, reason="needs Node.js (node on the PATH)")
@pytest.mark.parametrize("case", ["mlp", "cnn", "dropout", "several"])
def test_epochs_are_those_of_fit(case: str, tmp_path: Path) -> None:
    model, x, y, page = exported(tmp_path, case)
    epochs = in_node(page, "for (let i = 0; i < 3; i++) epoch(); return trainer.epochs;")
    history = model.fit(x, y, 8, 3, validation_data=(x, y), shuffle=False, verbose=0).history
    for i, epoch in enumerate(epochs):
        assert epoch["time"] == i + 1
        for kind, prefix in (("training", ""), ("validation", "val_")):
            expected = {name: history[prefix + name][i] for name in epoch[kind]}
            assert epoch[kind] == pytest.approx(expected, rel=1e-4), (kind, i)


@pytest.mark.skipif(NODE is None, reason="needs Node.js (node on the PATH)")
def test_the_losses_of_batches(tmp_path: Path) -> None:
    model, x, y, page = exported(tmp_path)
    steps = in_node(page, "epoch(); return trainer.steps;")
    assert [step["time"] for step in steps] == [8 / 20, 16 / 20, 1]
    losses = []
    for start in (0, 8, 16):
        losses.append(float(model.train_on_batch(x[start : start + 8], y[start : start + 8])[0]))
        model.reset_metrics()
    assert [step["loss"] for step in steps] == pytest.approx(losses, rel=1e-4)


@pytest.mark.skipif(NODE is None, reason="needs Node.js (node on the PATH)")
def test_an_epoch_takes_every_sample_once_and_begins_anew_alike(tmp_path: Path) -> None:
    *_, page = exported(tmp_path)
    script = """
    const order = Array.from(trainer.shuffled());
    trainer.reset("state");
    const begin = weights();
    epoch();
    const end = weights();
    trainer.reset("state");
    const again = weights();
    epoch();
    return [order, begin === again, begin !== end, weights() === end, trainer.updates];"""
    order, *equal, updates = in_node(page, script, "shuffled")
    assert sorted(order) == list(range(20))
    assert order != list(range(20))
    assert equal == [True, True, True]
    assert updates == 3


def test_what_the_page_holds(tmp_path: Path) -> None:
    model, x, y, page = exported(tmp_path, epochs=7, validation_data=None)
    frozen = model_in(page)
    about = frozen.metadata["training"]
    assert (about["batch_size"], about["epochs"], about["rows"]) == (8, 7, [20])
    assert about["learning_rate"] == "optimizer/learning_rate"
    assert [array["dtype"] for array in about["arrays"]] == ["float32", "int64"]
    (packed,) = re.findall(r'id="data">([^<]*)<', page.read_text())
    assert gzip.decompress(base64.b64decode(packed)) == x.tobytes() + y.tobytes()
    state = frozen.run({}, "state")
    read = [spec.name for spec in frozen.signatures["stateless_predict"].inputs][1:]
    inputs = {model.input_names[0]: x, **{name: state[name] for name in read}}
    (scores,) = frozen.run(inputs, "stateless_predict").values()
    np.testing.assert_allclose(scores, model.predict(x, verbose=0), rtol=1e-6, atol=1e-7)
    assert [spec.name for spec in frozen.signatures["layers"].outputs] == [
        layer.name for layer in model.layers
    ]


def test_a_page_without_data_has_no_script_for_training(tmp_path: Path) -> None:
    model, _, _ = mlp()
    model.export(tmp_path / "m.html", format="web", verbose=False)
    assert "Trainer = class" not in (tmp_path / "m.html").read_text()


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: hb.Model, message: str, **data: Any) -> None:
        with pytest.raises(ValueError, match=message):
            model.export(tmp_path / "m.html", format="web", **data)
        assert not list(tmp_path.iterdir())

    class Own(hb.Model):
        def train_step(self, data: Any) -> Any:
            return super().train_step(data)

    model, x, y = mlp()
    inputs = hb.Input((6,))
    own = Own(inputs, layers.Dense(3)(inputs))
    own.compile("sgd", "mse")
    plain = hb.Sequential([hb.Input((6,)), layers.Dense(3)])
    refuse(own, "overrides train_step or test_step", training_data=(x, x[:, :3]))
    refuse(plain, "not compiled", training_data=(x, y))
    refuse(model, r"training_data must be \(x, y\)", training_data=x)
    refuse(model, "validation_data needs training_data", validation_data=(x, y))
    refuse(model, "structure, shapes and dtypes", training_data=(x, y), validation_data=(x, y.astype("int8")))
    refuse(model, "input_signature follows", training_data=(x, y), input_signature=[model.input])
    refuse(model, "label|class", training_data=(x, y + 3))
    refuse(model, "batch_size needs", batch_size=8)
    for name in ("batch_size", "epochs"):
        refuse(model, f"{name} must", training_data=(x, y), **{name: 0})
    monkeypatch.setattr(web_training, "_MAX_BYTES", 100)
    refuse(model, "MiB in the page.*pass about . rows, or smaller dtypes", training_data=(x, y))
