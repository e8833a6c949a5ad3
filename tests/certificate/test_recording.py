"""Contents of certificates, trainings that are refused, and files from strangers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hornbeam as hb
from hornbeam import _native
from hornbeam.certificate import read, verify
from hornbeam.certificate.hashing import canonical, hash_arrays, head_of
from hornbeam.certificate.statement import MAX_BYTES, chain_problems, parse, start_of
from hornbeam.cli import main
from hornbeam.errors import CertificateError
from tests.helpers.certified_training import arrays, small_model, train

PROGRAM = """
import numpy as np
import hornbeam as hb
from hornbeam import layers

hb.utils.set_random_seed(3)
rng = np.random.default_rng(0)
x = rng.normal(size=(96, 4)).astype("float32")
y = (x.sum(1) > 0).astype("int32")
model = hb.Sequential([hb.Input((4,)), layers.Dense(8, "relu"), layers.Dropout(0.2), layers.Dense(2)])
model.compile("adam", hb.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
data = hb.data.Dataset.from_tensor_slices((x, y)).shuffle(96).map(lambda x, y: (x * 2, y)).batch(8)
certificate = hb.callbacks.Certificate("run.cert", every=5, states="states")
model.fit(data, epochs=2, callbacks=[certificate], verbose=0)
open("done", "a").write("trained ")
"""


def test_the_same_training_writes_the_same_bytes(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.mkdir()
    train(again)
    assert (again / "run.cert").read_bytes() == (run / "run.cert").read_bytes()


def test_the_argument_of_fit(tmp_path: Path) -> None:
    x, y = arrays()
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_val=x[:20], y_val=y[:20])
    stop = hb.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    options: Any = {"validation_data": (x[:20], y[:20]), "class_weight": {0: 1.5, 1: 1}}
    path = tmp_path / "run.cert"
    small_model().fit(x, y, epochs=4, callbacks=stop, certificate=path, verbose=0, **options)
    statement = read(tmp_path / "run.cert")
    assert (
        statement["predicate"]["buildDefinition"]["externalParameters"]["callbacks"][0][0] == "EarlyStopping"
    )
    result = verify(tmp_path / "run.cert", data=tmp_path / "data.npz")
    assert result.holds, str(result)
    assert (tmp_path / "run.cert").stat().st_size < 20_000


def test_a_program_is_made_again_and_ends_where_its_fit_begins(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "hornbeam", "verify", "run.cert", "--program", "train.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal: program: program/train.py" in done.stdout
    assert (tmp_path / "done").read_text() == "trained "
    (tmp_path / "train.py").write_text(PROGRAM.replace("* 2", "* 3"))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "other program than in the certificate" in done.stdout


def test_a_program_with_arguments(tmp_path: Path) -> None:
    script = PROGRAM.replace("import numpy", "import sys\nimport numpy", 1)
    (tmp_path / "train.py").write_text(script.replace("seed(3)", "seed(int(sys.argv[2]))"))
    subprocess.run([sys.executable, "train.py", "--seed", "5"], cwd=tmp_path, check=True)
    program = f"{tmp_path.as_posix()}/train.py --seed "
    assert verify(tmp_path / "run.cert", program=f"{program} 5").holds
    assert (
        "seed: 5 in the certificate, 6" in verify(tmp_path / "run.cert", program=f"{program} 6").problems[0]
    )


def test_a_program_that_exits_before_its_fit(run: Path) -> None:
    (run / "exits.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(CertificateError, match="ended without a fit"):
        verify(run / "run.cert", program=run / "exits.py")


def test_without_the_program_nothing_of_it_is_run(tmp_path: Path) -> None:
    (x, y) = arrays()
    data = hb.data.Dataset.from_tensor_slices((x, y)).batch(8)
    small_model().fit(data, certificate=tmp_path / "run.cert", verbose=0)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    with pytest.raises(
        CertificateError, match="only made again by its program, --program: the training data"
    ):
        verify(tmp_path / "run.cert", data=tmp_path / "data.npz")


def test_a_resumed_training_has_the_certificate_of_one_that_was_not(tmp_path: Path) -> None:
    x, y = arrays()
    np.savez(tmp_path / "data.npz", x=x, y=y)

    def fit(name: str, epochs: int, resume: Path | None) -> None:
        certificate = hb.callbacks.Certificate(tmp_path / name, every=5)
        small_model().fit(x, y, 8, epochs=epochs, callbacks=certificate, resume=resume, verbose=0)

    fit("whole.cert", 4, None)
    fit("parts.cert", 2, tmp_path / "checkpoints")
    fit("parts.cert", 4, tmp_path / "checkpoints")
    assert (tmp_path / "whole.cert").read_bytes() == (tmp_path / "parts.cert").read_bytes()
    assert verify(tmp_path / "parts.cert", data=tmp_path / "data.npz").holds


def test_kernels_with_other_last_bits_are_no_forgery(run: Path, tmp_path: Path) -> None:
    """The portable kernels split multiply-adds: `verify` says that it cannot tell."""
    available = set(_native.cpu_features()["available"])
    command = [sys.executable, "-m", "hornbeam", "verify", "run.cert", "--data", "data.npz"]

    def checked(isa: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HORNBEAM_ISA": isa, "COLUMNS": "1000"}
        return subprocess.run(command, cwd=run, capture_output=True, text=True, env=environment)

    for isa in sorted(available - {"portable"}):
        done = checked(isa)
        assert done.returncode == 0, done.stdout + done.stderr
    if "portable" not in available:
        pytest.skip("this build has no portable kernels")
    done = checked("portable")
    assert done.returncode == 1
    assert "cannot tell: the training was made with fused multiply-adds" in done.stderr, done.stderr
    assert "NOT hold" not in done.stdout


def test_going_on_with_other_kernels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = arrays()

    def fit(epochs: int) -> None:
        certificate = tmp_path / "run.cert"
        small_model().fit(x, y, epochs=epochs, resume=tmp_path / "kept", certificate=certificate, verbose=0)

    fit(1)
    features = {**_native.cpu_features(), "isa": "portable"}
    monkeypatch.setattr(_native, "cpu_features", lambda: features)
    with pytest.raises(CertificateError, match="began with fused multiply-adds, and would go on with split"):
        fit(2)


def test_arrays_hash_by_content_dtype_and_shape() -> None:
    array = np.arange(12, dtype="int32").reshape(3, 4)
    assert hash_arrays([array]) == hash_arrays([np.asfortranarray(array)])
    others = [array.reshape(4, 3), array.astype("int64"), array[::-1], array.T]
    assert len({hash_arrays([each]) for each in (array, *others)}) == 5


# -- refusals ------------------------------------------------------------------------------------------------


class Assigning(hb.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.set_weights(self.model.get_weights())


def refused(path: Path, x: Any, y: Any = None, **arguments: Any) -> str:
    with pytest.raises(CertificateError) as caught:
        small_model().fit(x, y, certificate=path, verbose=0, **arguments)
    assert not path.exists()
    return str(caught.value)


def test_what_cannot_be_certified_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (x, y), path = arrays(), tmp_path / "run.cert"
    generator = ((x[:8], y[:8]) for _ in range(9))
    assert "are a generator" in refused(path, generator, steps_per_epoch=3)
    assert 'the engine "reference"' in refused(path, x, y, engine="reference")
    assert "Assigning calls set_weights()" in refused(path, x, y, callbacks=[Assigning()])
    swap = hb.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: x.assign(1))
    assert "LambdaCallback calls assign()" in refused(path, x, y, callbacks=[swap])
    assert "list of another library" not in refused(path, generator, steps_per_epoch=3)
    monkeypatch.setenv("HORNBEAM_AUTOTUNE", "file")
    assert "HORNBEAM_AUTOTUNE" in refused(path, x, y)


def test_an_impure_function_of_a_pipeline_is_hashed_with_a_warning(tmp_path: Path) -> None:
    x, y = arrays()
    rng = np.random.default_rng(0)
    data = hb.data.Dataset.from_tensor_slices((x, y)).map(lambda x, y: (x + rng.normal(), y)).batch(8)
    with pytest.warns(UserWarning, match="may depend on more than its arguments"):
        small_model().fit(data, certificate=tmp_path / "run.cert", verbose=0)
    assert "SHA-256 of its source" in read(tmp_path / "run.cert")["predicate"]["caveats"][0]


# -- files from strangers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"[]", "expected a JSON object"),
        (b"[" * 100_000, "is not"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": 1.5}', "in the place of floats"),
        (b'{"a": ' * 50 + b"1" + b"}" * 50, "levels"),
        (b'{"a": "\\ud800"}', "not a certificate"),
        (b'{"predicateType": "https://slsa.dev/provenance/v1"}', "not a certificate of this version"),
        (b'{"payloadType": "text"}', "the envelope"),
        (b" " * (MAX_BYTES + 1), "at most"),
    ],
)
def test_files_that_are_no_certificates(content: bytes, message: str) -> None:
    with pytest.raises(CertificateError, match=message):
        parse(content, "x.cert")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_certificates_are_refused_or_do_not_hold(certified: Path, data: st.DataObject) -> None:
    content = bytearray((certified / "run.cert").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        cut = data.draw(st.integers(0, 3))
        content[at : at + cut] = data.draw(st.binary(max_size=3))
    try:
        statement = parse(bytes(content), "x.cert")
    except CertificateError:
        return
    original = read(certified / "run.cert")
    for name in ("buildDefinition", "chain"):  # what the head binds
        if statement["predicate"][name] != original["predicate"][name] and name != "chain":
            assert chain_problems(statement)
    if statement["predicate"]["chain"]["entries"] != original["predicate"]["chain"]["entries"]:
        assert chain_problems(statement)


WRONG: list[Any] = [None, -1, 0, 1 << 60, "", "x", [], {}, [[]], True]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_certificate_with_odd_values_ends_in_clear_errors(certified: Path, data: st.DataObject) -> None:
    statement = json.loads((certified / "run.cert").read_bytes())
    definition, chain = statement["predicate"]["buildDefinition"], statement["predicate"]["chain"]
    parameters = definition["externalParameters"]
    part = data.draw(st.sampled_from([parameters, parameters["fit"], chain, chain["entries"][-1]]))
    part[data.draw(st.sampled_from(sorted({*part} - {"states"})))] = data.draw(st.sampled_from(WRONG))
    path = certified / "odd.cert"
    with contextlib.suppress(TypeError, ValueError):
        chain["head"] = head_of(chain["entries"], start_of(definition))
    path.write_bytes(canonical(statement))
    with contextlib.suppress(CertificateError):
        result = verify(path, data=certified / "data.npz")
        explained = any("the seed gives others" in line for line in result.unchecked)
        assert not result.holds or explained or statement == read(certified / "run.cert")


def test_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(run / "data.npz")
    assert main(["verify", str(run / "run.cert"), "--data", data, "--steps", "30%"]) == 0
    assert "everything that was checked holds" in capsys.readouterr().out
    (run / "run.cert").write_bytes((run / "run.cert").read_bytes().replace(b"accuracy", b"accuracz", 1))
    assert main(["verify", str(run / "run.cert"), "--data", data]) == 1
    with pytest.raises(SystemExit):
        main(["verify", "x.cert", "--steps", "200%"])


def test_signatures(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for name in ("mine", "other"):
        private = Ed25519PrivateKey.generate()
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        (tmp_path / f"{name}.pem").write_bytes(
            private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        )
        public = private.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / f"{name}.pub").write_bytes(public)
    x, y = arrays()
    certificate = hb.callbacks.Certificate(tmp_path / "signed.cert", key=tmp_path / "mine.pem")
    small_model().fit(x, y, callbacks=[certificate], verbose=0)
    assert verify(tmp_path / "signed.cert", key=tmp_path / "mine.pub").holds
    assert not verify(tmp_path / "signed.cert", key=tmp_path / "other.pub").holds
    assert not verify(run / "run.cert", key=tmp_path / "mine.pub").holds
