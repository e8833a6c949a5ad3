"""Forged certificates are found, or it is stated that they cannot be."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hornbeam.certificate import Verification, read, verify
from hornbeam.certificate.confidence import Draw, draw_segments, fewest_found, miss_probability
from hornbeam.certificate.hashing import canonical, head_of
from hornbeam.certificate.statement import start_of
from hornbeam.saving import load_model
from tests.helpers.certified_training import arrays, small_model, train

Statement = dict[str, Any]


def checked(folder: Path, **arguments: Any) -> Verification:
    return verify(folder / "run.cert", data=folder / "data.npz", **arguments)


def forge(folder: Path, change: Callable[[Statement], None], signed_anew: bool = True) -> None:
    """Change a certificate, as a forger does who computes its chain again."""
    statement = read(folder / "run.cert")
    change(statement)
    predicate = statement["predicate"]
    if signed_anew:
        chain = predicate["chain"]
        chain["head"] = head_of(chain["entries"], start_of(predicate["buildDefinition"]))
    (folder / "run.cert").write_bytes(canonical(statement) + b"\n")


def entries(statement: Statement) -> list[dict[str, Any]]:
    return statement["predicate"]["chain"]["entries"]


def test_an_honest_training_is_made_again_from_its_states_and_from_the_start(run: Path) -> None:
    result = checked(run, model=run / "m.keras")
    assert result.holds, str(result)
    assert "no step was forged" in result.conclusion
    assert any("accuracy" in line for line in result.checked)
    assert len(str(result).splitlines()) < 24, "one screen"
    for path in (run / "states").iterdir():
        path.unlink()
    (run / "states").rmdir()
    result = checked(run)
    assert result.holds, str(result)
    assert "from the first step on" in str(result)


def test_some_segments(run: Path) -> None:
    result = checked(run, steps=0.3, generator=random.Random(1))
    assert result.holds, str(result)
    assert any("in the other segments" in line for line in result.unchecked)


def test_without_data_only_the_chain_is_checked(run: Path) -> None:
    result = verify(run / "run.cert", model=run / "m.keras")
    assert result.holds
    assert "segments of the training: give --data" in str(result)


def test_weights_that_were_changed_and_signed_anew(run: Path) -> None:
    model = load_model(run / "m.keras")
    model.set_weights([weight + 0.001 for weight in model.get_weights()])
    model.save(run / "other.keras")
    result = checked(run, steps=0, model=run / "other.keras")
    assert any("other.keras are others" in line for line in result.problems)

    def change(statement: Statement) -> None:
        statement["subject"][0]["digest"]["hornbeamArrays1"] = "0" * 64

    forge(run, change)
    assert "the final weights are others than those of the certificate" in checked(run).problems


def test_an_edited_chain_without_a_new_head(run: Path) -> None:
    forge(run, lambda s: entries(s)[2].update(state="0" * 64), signed_anew=False)
    assert "the chain is broken" in checked(run).problems[0]


def test_steps_left_out(run: Path) -> None:
    forge(run, lambda s: entries(s).__delitem__(2))
    assert "steps are missing before step 9" in checked(run).problems[0]


def test_a_last_epoch_left_out(run: Path) -> None:
    def change(statement: Statement) -> None:
        del entries(statement)[-4:]
        statement["predicate"]["buildDefinition"]["externalParameters"]["fit"]["epochs"] = 2

    forge(run, change)
    assert "the final weights are others than those of the certificate" in checked(run).problems


def test_steps_that_were_never_made(run: Path) -> None:
    """Claimed as a further epoch with invented hashes."""

    def change(statement: Statement) -> None:
        last = entries(statement)[-1]
        more = [{**last, "done": done, "step": last["step"] + done, "state": "1" * 64} for done in (3, 6, 9)]
        for entry in more:
            del entry["metrics"]
        entries(statement).extend(more)
        steps = last["step"] // last["epoch"]
        end = {**last, "epoch": last["epoch"] + 1, "step": last["step"] + steps, "state": "2" * 64}
        entries(statement).append(end)
        statement["predicate"]["buildDefinition"]["externalParameters"]["fit"]["epochs"] = 4

    forge(run, change)
    (run / "states").rename(run / "elsewhere")
    assert "the state at step 36" in checked(run).problems[0]


def test_metrics_that_were_edited(run: Path) -> None:
    forge(run, lambda s: entries(s)[-1]["metrics"].update(val_accuracy="0.99"))
    problem = checked(run, steps=0.1).problems[0]
    assert "val_accuracy is 0.99 in the certificate" in problem


def test_an_evaluation_that_was_edited(run: Path) -> None:
    forge(run, lambda s: s["predicate"]["evaluations"][0]["metrics"].update(accuracy="1.0"))
    assert "evaluation: accuracy is 1.0 in the certificate" in checked(run).problems[0]


def test_other_data(run: Path) -> None:
    stored = dict(np.load(run / "data.npz"))
    stored["x"][5, 2] += np.float32(1e-6)
    np.savez(run / "data.npz", **stored)
    assert "other data than in the certificate: data/x, validation/x" in checked(run).problems


def test_other_order_of_the_data(run: Path) -> None:
    stored = dict(np.load(run / "data.npz"))
    stored["x"], stored["y"] = stored["x"][::-1], stored["y"][::-1]
    np.savez(run / "data.npz", **stored)
    assert "other data" in checked(run).problems[0]


def test_other_test_data(run: Path) -> None:
    stored = dict(np.load(run / "data.npz"))
    stored["y_test"] = 1 - stored["y_test"]
    np.savez(run / "data.npz", **stored)
    assert "other test data than in the certificate" in checked(run).problems


def test_another_seed(run: Path) -> None:
    def change(statement: Statement) -> None:
        statement["predicate"]["buildDefinition"]["externalParameters"]["seed"] = 4

    forge(run, change)
    assert any("the seed gives others" in line for line in checked(run, steps=0.1).unchecked)
    (run / "states").rename(run / "elsewhere")
    assert "the state at step 0" in checked(run).problems[0]


def test_a_chain_spliced_from_two_trainings(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    train(other, seed=4)
    spliced = entries(read(other / "run.cert"))[4:]

    def change(statement: Statement) -> None:
        entries(statement)[4:] = spliced
        source = read(other / "run.cert")
        statement["subject"] = source["subject"]
        statement["predicate"]["evaluations"] = source["predicate"]["evaluations"]

    forge(run, change)
    for path in sorted((other / "states").iterdir())[4:]:
        path.replace(run / "states" / path.name)
    assert "step 11" in checked(run).problems[0], "the segment that leads from one training to the other"
    for seed in range(8):  # found by each draw of this segment, and by no other
        is_drawn = 3 in draw_segments(12, 0.4, random.Random(seed)).chosen
        assert checked(run, steps=0.4, generator=random.Random(seed)).holds == (not is_drawn)


def test_trained_on_test_data_is_shown(run: Path) -> None:
    stored = dict(np.load(run / "data.npz"))
    stored["x_test"], stored["y_test"] = stored["x"][:20], stored["y"][:20]
    np.savez(run / "data.npz", **stored)
    assert "20 of 20 test samples are in the training data" in checked(run).findings


def test_a_seed_that_was_chosen_is_not_found_and_the_result_says_so(tmp_path: Path) -> None:
    (x, y), scores = arrays(), {}
    for seed in range(3):
        model = small_model(seed)
        scores[seed] = model.fit(x, y, epochs=1, verbose=0).history["loss"][0]
    train(tmp_path, seed=min(scores, key=lambda seed: scores[seed]))
    result = verify(tmp_path / "run.cert", data=tmp_path / "data.npz")
    assert result.holds
    assert "never proven: that the data are honest, that the seed was not chosen" in str(result)


# -- what follows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("total", "share"), [(50, 0.1), (200, 0.1), (1000, 0.02), (1000, 0.3)])
def test_a_draw_misses_forged_segments_as_often_as_stated(total: int, share: float) -> None:
    drawn = len(draw_segments(total, share, random.Random(0)).chosen) - 1
    forged = set(range(fewest_found(total - 1, drawn)))
    draws = (draw_segments(total, share, random.Random(seed)) for seed in range(1000))
    missed = sum(not forged & set(draw.chosen) for draw in draws)
    expected = 1000 * miss_probability(total - 1, len(forged), drawn)
    assert expected <= 10
    assert missed < expected + 4 * expected**0.5 + 1


def test_the_conclusion_names_the_fraction() -> None:
    assert "fewer than 1 in 50 segments" in Draw((*range(226), 9999), 10_000).conclusion()
    assert "needs more of them" in Draw((1, 2, 9), 10).conclusion()
    assert "no step was forged" in Draw((0, 1), 2).conclusion()
