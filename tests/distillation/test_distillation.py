"""Students and teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.distillation import DistillationLoss, Distiller, FeatureDistillation, LogitsDistillation

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
LABELS = (X @ RNG.normal(size=(4, 3))).argmax(1)
CROSSENTROPY = hb.losses.SparseCategoricalCrossentropy(from_logits=True)


def network(units: int, name: str) -> hb.Model:
    hidden = layers.Dense(units, "relu", name=f"{name}_hidden")
    return hb.Sequential([hb.Input((4,)), hidden, layers.Dense(3, name=f"{name}_logits")], name=name)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_logits_by_hand() -> None:
    t, s = RNG.normal(size=(5, 3)).astype("float32"), RNG.normal(size=(5, 3)).astype("float32")
    p, q = softmax(t / 2), softmax(s / 2)
    expected = (p * np.log(p / q)).sum(-1).mean() * 4
    for loss in ("kl_divergence", hb.losses.KLDivergence()):
        result = LogitsDistillation(2.0, loss).compute_loss(ops.array(t), ops.array(s))
        assert float(result) == pytest.approx(expected, rel=1e-5)
    plain = LogitsDistillation(2.0, "mse").compute_loss(ops.array(t), ops.array(s))
    assert float(plain) == pytest.approx(((t - s) ** 2).mean() / 4, rel=1e-5)
    pair = FeatureDistillation(["mae", None]).compute_loss([ops.array(t)] * 2, [ops.array(s)] * 2)
    assert float(pair) == pytest.approx(np.abs(t - s).mean(), rel=1e-5)


def test_a_student_learns_from_its_teacher() -> None:
    hb.utils.set_random_seed(0)
    teacher, student = network(32, "teacher"), network(8, "student")
    teacher.compile(hb.optimizers.Adam(0.02), CROSSENTROPY)
    teacher.fit(X, LABELS, epochs=20, verbose=0)
    before = teacher.get_weights()
    features = FeatureDistillation("mse", "teacher_logits", "student_logits")
    distiller = Distiller(teacher, student, [LogitsDistillation(2.0), features], [1.0, 0.1], 0.3)
    distiller.compile(hb.optimizers.Adam(0.02), CROSSENTROPY, metrics=["accuracy"])
    history = distiller.fit(X, LABELS, epochs=30, verbose=0).history
    assert set(history) == {"loss", "accuracy", "student_loss", "distillation_loss", "total_loss"}
    assert history["distillation_loss"][-1] < history["distillation_loss"][0] / 3
    assert history["accuracy"][-1] > 0.8
    first = 0.3 * history["student_loss"][0] + 0.7 * history["distillation_loss"][0]
    assert history["total_loss"][0] == pytest.approx(first, rel=1e-4)
    for ours, theirs in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(distiller.predict(X, verbose=0), student.predict(X, verbose=0))


@pytest.mark.parametrize(("weight", "gone"), [(1.0, "distillation_loss"), (0.0, "student_loss")])
def test_one_of_the_two_alone(weight: float, gone: str) -> None:
    distiller = Distiller(network(8, "a"), network(8, "b"), LogitsDistillation(), student_loss_weight=weight)
    distiller.compile("sgd", CROSSENTROPY)
    logs = distiller.fit(X, LABELS, verbose=0).history
    assert logs[gone] == [0.0]
    assert logs["total_loss"][0] > 0


def test_saving(tmp_path: Path) -> None:
    losses = [LogitsDistillation(2.0), FeatureDistillation("mse", "a_hidden", "b_hidden")]
    distiller = Distiller(network(8, "a"), network(8, "b"), losses, [1.0, 2.0], 0.25)
    distiller.compile("sgd", CROSSENTROPY)
    distiller.fit(X, LABELS, verbose=0)
    config = distiller.get_config()
    again = Distiller.from_config(config)
    assert again.get_config() == config
    distiller.student.save(tmp_path / "student.keras")
    student = hb.models.load_model(tmp_path / "student.keras")
    np.testing.assert_array_equal(student.predict(X, verbose=0), distiller.predict(X, verbose=0))


class Vector(DistillationLoss):
    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        return ops.mean(teacher_outputs - student_outputs, axis=0)


def test_mistakes() -> None:
    teacher, student = network(8, "a"), network(4, "b")
    wide = hb.Sequential([hb.Input((4,)), layers.Dense(7)])
    for text, wrong in [
        ("must have the same outputs", lambda: Distiller(teacher, wide, LogitsDistillation())),
        ("the teacher must be a Model", lambda: Distiller(3, student, LogitsDistillation())),
        ("from 0 to 1", lambda: Distiller(teacher, student, LogitsDistillation(), student_loss_weight=2)),
        ("must be a DistillationLoss", lambda: Distiller(teacher, student, "mse")),
        ("2 distillation_loss_weights for 1", lambda: Distiller(teacher, student, [Vector()], [1, 2])),
        ("no layer 'c'", lambda: Distiller(teacher, student, FeatureDistillation("mse", "c"))),
        ("above 0", lambda: LogitsDistillation(0)),
        ("must not be None", lambda: FeatureDistillation(None)),
        ("needs the student's loss", lambda: Distiller(teacher, student, Vector()).compile("sgd")),
    ]:
        with pytest.raises(ValueError, match=text):
            wrong()
    distiller = Distiller(teacher, student, Vector())
    distiller.compile("sgd", CROSSENTROPY)
    with pytest.raises(ValueError, match="must return a scalar"):
        distiller.fit(X, LABELS, verbose=0)
    with pytest.raises(NotImplementedError, match="must define compute_loss"):
        DistillationLoss().compute_loss(X, X)
