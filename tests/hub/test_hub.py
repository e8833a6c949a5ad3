"""Models on the hub: pushed to one in memory, loaded, cached, and mistakes; and what cards say."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.hub.client import Address, parse_address
from tests.helpers import hub_server, malicious_files


class Hub:
    """A hub, and programs that use it with a cache of their own."""

    def __init__(self, endpoint: str, home: Path) -> None:
        self.settings = {
            "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }  # fmt: skip

    def run(self, program: str, **settings: str) -> str:
        """Run lines of Python and return what they print. Its library reads its settings when imported."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        lines = "import hornbeam as hb\nfrom hornbeam.errors import *\n" + textwrap.dedent(program)
        done = subprocess.run(
            [sys.executable, "-c", lines], capture_output=True, text=True, timeout=120,
            env={**kept, **self.settings, **settings},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def error(self, call: str, **settings: str) -> str:
        """Return the type and the text of the error of a call."""
        lines = f"try:\n    {call}\nexcept Exception as error:\n    print(type(error).__name__, error)"
        return self.run(lines, **settings)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    with hub_server.serving() as endpoint:
        yield Hub(endpoint, tmp_path / "home")


@pytest.fixture
def model() -> hb.Model:
    model = hb.Sequential([hb.Input((4,)), layers.Dense(3, activation="softmax", name="scores")], name="net")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def put(name: str, **files: bytes) -> None:
    hub_server.repositories[name] = {"main": {key.replace("__", "."): x for key, x in files.items()}}
    commit = hub_server.commit_of(hub_server.repositories[name]["main"])
    hub_server.repositories[name][commit] = hub_server.repositories[name]["main"]


# -- with a hub ----------------------------------------------------------------------------------------------


def test_push_and_load(hub: Hub, model: hb.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m.keras")
    pushed = hub.run(
        f"""
        model = hb.saving.load_model({str(tmp_path / "m.keras")!r})
        print(hb.hub.push(model, "hf://user/digits", hb.hub.ModelCard("Classifies."), safetensors=True))
        """,
        HF_TOKEN=hub_server.TOKEN,
    )
    assert "/user/digits/commit/" in pushed
    files = hub_server.repositories["user/digits"]["main"]
    expected = {"README.md", "config.json", "metadata.json", "model.weights.h5", "model.safetensors"}
    assert set(files) == expected
    assert b"Classifies." in files["README.md"]
    load = f"""
        import numpy as np
        model = hb.hub.load("hf://user/digits")
        np.save({str(tmp_path / "kernel.npy")!r}, model.get_weights()[0])
        print(model.optimizer.name, hb.hub.download("hf://user/digits/model.safetensors"))
        """
    assert hub.run(load).startswith(f"adam {tmp_path / 'home'}")
    np.testing.assert_array_equal(np.load(tmp_path / "kernel.npy"), model.get_weights()[0])
    (tmp_path / "kernel.npy").unlink()
    hub_server.repositories.clear()  # from the cache
    hub.run(load, HF_HUB_OFFLINE="1")
    np.testing.assert_array_equal(np.load(tmp_path / "kernel.npy"), model.get_weights()[0])


def test_a_keras_file(hub: Hub, model: hb.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m.keras")
    content = (tmp_path / "m.keras").read_bytes()
    put("user/one", net__keras=content, README__md=b"text", train__py=b"raise SystemExit(1)")
    assert hub.run('print(hb.hub.load("hf://user/one").name)') == "net\n"
    put("user/two", a__keras=content, b__keras=content)
    assert "has 2 .keras files" in hub.error('hb.hub.load("hf://user/two")')


def test_code_of_a_repository_is_not_run(hub: Hub, tmp_path: Path) -> None:
    config = malicious_files.sequential(
        malicious_files.layer("Lambda", function={"class_name": "__lambda__", "config": {}})
    )
    bad = malicious_files.write(tmp_path / "bad.keras", config).read_bytes()
    put("user/bad", net__keras=bad, pytorch_model__bin=b"\x80\x02cposix\nsystem\n.")
    message = hub.error('hb.hub.load("hf://user/bad")')
    assert message.startswith("ModelFileError")
    assert "code of a lambda, which is never run" in message
    put("user/pickle", pytorch_model__bin=b"\x80\x02cposix\nsystem\n.")
    assert "no model of Keras" in hub.error('hb.hub.load("hf://user/pickle")')
    program = 'hb.saving.load_arrays(hb.hub.download("hf://user/pickle/pytorch_model.bin"))'
    assert "posix.system: code is never run" in hub.error(program)


def test_mistakes_say_what_to_do(hub: Hub, model: hb.Model) -> None:
    put("user/empty", README__md=b"")
    for call, text in [
        ('hb.hub.load("hf://user/none")', "does not exist, or is private.*Compare the name.*hf auth login"),
        ('hb.hub.load("hf://user/empty@v9")', "no branch, tag or commit 'v9'"),
        ('hb.hub.download("hf://user/empty/x.bin")', "has no file 'x.bin'"),
        ('hb.hub.push(hb.Sequential([hb.Input((2,)), hb.layers.Dense(1)]), "hf://user/new")',
         "answers 403: this account may not do that. Log in"),
    ]:  # fmt: skip
        message = hub.error(call)
        assert message.startswith("DownloadError hf://user/"), message
        for part in text.split(".*"):
            assert part in message
    assert "user/new" not in hub_server.repositories


def test_without_a_network(hub: Hub) -> None:
    message = hub.error('hb.hub.load("hf://user/x")', HF_HUB_OFFLINE="1")
    assert "not completely, in the cache" in message
    assert "HF_HUB_OFFLINE=1 forbids" in message
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    assert "the hub cannot be reached (http://127.0.0.1:9)" in hub.error('hb.hub.load("hf://u/x")', **nowhere)
    push = 'hb.hub.push(hb.Sequential([hb.Input((2,)), hb.layers.Dense(1)]), "hf://u/x")'
    assert "Connect, and try again" in hub.error(push, HF_TOKEN=hub_server.TOKEN, **nowhere)


# -- without one ---------------------------------------------------------------------------------------------


def test_the_library_is_needed_only_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"hf:// needs huggingface_hub .*pip install"):
        hb.hub.load("hf://user/model")


def test_addresses() -> None:
    assert parse_address("hf://user/m.odel-1", None, False) == Address("user/m.odel-1", None, None)
    assert parse_address("hf://user/model@v1.0", None, False) == Address("user/model", "v1.0", None)
    assert parse_address("hf://u/m/a/b.bin", "main", True) == Address("u/m", "main", "a/b.bin")
    assert parse_address("hf://u/m@abc/b.bin", None, True) == Address("u/m", "abc", "b.bin")
    for text in ("hf://model", "user/model", "hf://user/model/file", "hf://user/ model", "", 3):
        with pytest.raises(ValueError, match=r"must look like 'hf://user/model' or"):
            hb.hub.load(text)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must look like 'hf://user/model/file'"):
        hb.hub.download("hf://user/model")
    with pytest.raises(ValueError, match="pass one"):
        hb.hub.load("hf://user/model@v1", revision="v2")


def test_other_functions_name_the_ones_of_the_hub(model: hb.Model) -> None:
    for call, text in [
        (lambda: hb.saving.load_model("hf://user/net"), r"hornbeam\.hub\.load\(\)"),
        (lambda: model.load_weights("hf://user/net/x.safetensors"), r"hornbeam\.hub\.download\(\)"),
        (lambda: model.save("hf://user/net"), r"hornbeam\.hub\.push\(model, 'hf://user/net'\)"),
        (lambda: hb.applications.ResNet50(weights="hf://user/net/x.pth"),
         r"hornbeam\.hub\.download\('hf://user/net/x\.pth'\)"),
    ]:  # fmt: skip
        with pytest.raises((ValueError, FileNotFoundError), match=text):
            call()


def test_prepared_files(model: hb.Model, tmp_path: Path) -> None:
    hb.hub.prepare(model, tmp_path / "net", "user/digits", "# mine")
    assert (tmp_path / "net" / "README.md").read_text() == "# mine"
    (tmp_path / "net" / "README.md").unlink()
    again = hb.saving.load_model(tmp_path / "net")
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    with pytest.raises(FileExistsError, match="name a new folder"):
        hb.hub.prepare(model, tmp_path / "net")


# -- cards ---------------------------------------------------------------------------------------------------


def card_of(model: hb.Model, **facts: Any) -> str:
    return hb.hub.ModelCard(**facts).text(model, "user/digits")


def test_a_card_states_facts(model: hb.Model) -> None:
    x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    result = hb.evaluation.evaluate(model, x, np.arange(40) % 3)
    text = card_of(
        model, description="Three classes.", data="Noise.", evaluation=result, evaluated_on="other noise",
        license="mit", tags=["toy: yes"],
    )  # fmt: skip
    accuracy = result["accuracy"]
    assert accuracy.interval is not None
    for part in (
        'license: "mit"', 'tags: ["hornbeam", "toy: yes"]', "# digits", "Three classes.", "Noise.",
        "15, of which 15 are trainable", "`(None, 4)`", "40 samples: other noise.", "- scores: Dense",
        f"| accuracy | {accuracy.value:.4f} | {accuracy.interval} | {accuracy.interval.method} |",
        'hb.hub.load("hf://user/digits")', 'keras.saving.load_model("hf://user/digits")',
    ):  # fmt: skip
        assert part in text


def test_a_card_says_what_it_does_not_know(model: hb.Model) -> None:
    text = card_of(model)
    for part in ("states no purpose", "states no training data", "states no evaluation"):
        assert part in text
    assert "license" not in text


def test_cards_of_other_models() -> None:
    assert "not built" in card_of(hb.Sequential([layers.Dense(3)]))
    long = hb.Sequential([hb.Input((2,)), *(layers.Dense(2) for _ in range(70))])
    assert "of 70 layers" in card_of(long)
    assert "- dense" not in card_of(long)

    class Net(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    net = Net()
    net(np.ones((1, 2), "float32"))
    assert "| output | not fixed |" in card_of(net)
