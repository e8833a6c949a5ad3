"""A folder of certificates is checked in one table, whatever one of them holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam.certificate import Submission, read, verify, verify_folder
from hornbeam.certificate.hashing import canonical, head_of
from hornbeam.certificate.statement import start_of
from hornbeam.certificate.submissions import certificates_of
from hornbeam.cli import main
from hornbeam.errors import CertificateError
from tests.helpers.certified_training import arrays, small_model, train


@pytest.fixture(scope="module")
def homework(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five submissions: an honest one, its copy, an edited one, none, and one without an evaluation."""
    root = tmp_path_factory.mktemp("class")
    folder = root / "homework"
    (folder / "ben").mkdir(parents=True)
    train(folder, "anna.cert", seed=1, states=False)
    shutil.move(folder / "data.npz", root / "data.npz")
    shutil.copy(folder / "anna.cert", folder / "ben" / "run.cert")
    statement = read(folder / "anna.cert")
    statement["predicate"]["evaluations"][0]["metrics"]["accuracy"] = "0.99"
    (folder / "carl.cert").write_bytes(canonical(statement) + b"\n")
    (folder / "dora.cert").write_text("my homework")
    x, y = arrays()
    small_model(2).fit(x, y, 8, epochs=2, certificate=folder / "emil.cert", verbose=0)
    return folder


@pytest.fixture(scope="module")
def submissions(homework: Path) -> dict[str, Submission]:
    return {one.name: one for one in verify_folder(homework, homework.parent / "data.npz")}


def test_each_has_a_state_and_reasons(submissions: dict[str, Submission]) -> None:
    assert [one.state for one in submissions.values()] == [
        "holds", "holds", "does NOT hold", "cannot be checked", "holds",
    ]  # fmt: skip
    assert list(submissions) == ["anna", "ben", "carl", "dora", "emil"]
    assert submissions["anna"].remarks == ["the same weights as ben, carl"]
    assert any("0.99" in remark for remark in submissions["carl"].remarks)
    assert "is not a certificate" in submissions["dora"].remarks[0]


def test_metrics_are_those_computed_here(submissions: dict[str, Submission], homework: Path) -> None:
    stated = read(homework / "anna.cert")["predicate"]["evaluations"][0]["metrics"]
    assert submissions["anna"].metrics["accuracy"] == float(stated["accuracy"])
    assert submissions["carl"].metrics == {}
    x, y = arrays()
    model = small_model(2)
    model.fit(x, y, 8, epochs=2, verbose=0)
    assert submissions["emil"].metrics == model.evaluate(*arrays(1, 20), verbose=0, return_dict=True)


def test_a_certificate_without_an_evaluation_is_evaluated(homework: Path) -> None:
    (x, y), (x_test, y_test) = arrays(), arrays(1, 20)
    result = verify(homework / "emil.cert", {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test})
    assert any(line.startswith("evaluated here, on 20 test samples: accuracy 0.") for line in result.findings)


def test_test_samples_in_the_training_data_are_a_remark(homework: Path) -> None:
    (x, y), (x_test, y_test) = arrays(), arrays(1, 20)
    data = {"x": x, "y": y, "x_test": np.concatenate([x_test, x[:3]]), "y_test": np.append(y_test, y[:3])}
    [emil] = [one for one in verify_folder(homework, data) if one.name == "emil"]
    assert "3 of 23 test samples are in the training data" in emil.remarks


def test_a_layer_that_fills_the_memory_ends_its_own_row(homework: Path, tmp_path: Path) -> None:
    shutil.copytree(homework, tmp_path, dirs_exist_ok=True)
    statement = read(tmp_path / "emil.cert")
    parameters = statement["predicate"]["buildDefinition"]["externalParameters"]
    parameters["model"] = parameters["model"].replace('"units": 8', '"units": 8000000000')
    assert "8000000000" in parameters["model"]
    (tmp_path / "emil.cert").write_bytes(canonical(statement) + b"\n")
    [emil] = [one for one in verify_folder(tmp_path, homework.parent / "data.npz") if one.name == "emil"]
    assert emil.state == "does NOT hold"  # the chain begins with the hash of the model
    predicate = statement["predicate"]
    predicate["chain"]["head"] = head_of(
        predicate["chain"]["entries"], start_of(predicate["buildDefinition"])
    )
    (tmp_path / "emil.cert").write_bytes(canonical(statement) + b"\n")
    [emil] = [one for one in verify_folder(tmp_path, homework.parent / "data.npz") if one.name == "emil"]
    assert emil.state == "cannot be checked"
    assert "the model cannot be rebuilt" in emil.remarks[0]


def test_the_command_prints_a_table(homework: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(homework), "--data", str(homework.parent / "data.npz")]) == 1
    printed = capsys.readouterr().out
    assert "3 of 5 hold" in printed
    assert "accuracy" in printed
    for name in ("anna", "ben", "carl", "dora", "emil"):
        assert f" {name} " in printed


def test_what_is_for_one_certificate_is_refused(homework: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(homework), "--program", "train.py"]) == 1
    assert "--program is for one certificate" in capsys.readouterr().err


def test_data_without_arrays_end_the_command(homework: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    with pytest.raises(CertificateError, match="none of the arrays"):
        next(verify_folder(homework, tmp_path / "other.npz"))
    with pytest.raises(CertificateError, match=r"no \.cert file"):
        next(verify_folder(tmp_path))
    assert main(["verify", str(homework), "--data", str(tmp_path / "no.npz")]) == 1


def test_names_of_folders(tmp_path: Path) -> None:
    for name in ("a.cert", "b/run.cert", "c/one.cert", "c/two.cert", "d/deep/run.cert"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list(certificates_of(tmp_path)) == ["a", "b", "c/one", "c/two"]
    assert hb.certificate.verify_folder is verify_folder
