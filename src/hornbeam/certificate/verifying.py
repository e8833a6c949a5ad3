"""Check a certificate: its chain, its data, and segments of its training that are made again."""

from __future__ import annotations

import os
import random
import runpy
import secrets
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from hornbeam._internal.context import override
from hornbeam._internal.row_hash import hash_samples
from hornbeam.certificate import facts
from hornbeam.certificate.confidence import Draw, draw_segments
from hornbeam.certificate.hashing import hash_arrays, plain
from hornbeam.certificate.recorder import current_replay
from hornbeam.certificate.replay import Replay, ReplayEnd, difference
from hornbeam.certificate.signing import is_signed_by
from hornbeam.certificate.state import STEERING, weights_of
from hornbeam.certificate.statement import chain_problems, parse, read_bytes
from hornbeam.certificate.verification import Verification
from hornbeam.errors import CertificateError, ModelFileError, UnknownObjectError
from hornbeam.random import random_state, set_random_seed, set_random_state
from hornbeam.saving import load_model
from hornbeam.saving.arrays import load_arrays
from hornbeam.saving.building import build_model, check_built, check_names, parse_config
from hornbeam.saving.files import parse_json
from hornbeam.training.resuming import set_global_words

Arrays = dict[str, np.ndarray]
DataLike: TypeAlias = "str | os.PathLike[str] | Mapping[str, np.ndarray] | None"
# Names of the arrays of a data file, each with the name that `load_data` and examples give it.
_NAMES = {"x": "x_train", "y": "y_train", "x_val": "", "y_val": "", "x_test": "", "y_test": "",
          "sample_weight": ""}  # fmt: skip


def verify(
    path: str | os.PathLike[str],
    data: DataLike = None,
    program: str | os.PathLike[str] | None = None,
    steps: float = 1.0,
    model: str | os.PathLike[str] | None = None,
    states: str | os.PathLike[str] | None = None,
    key: str | os.PathLike[str] | None = None,
    generator: random.Random | None = None,
) -> Verification:
    """Check a certificate, and make segments of its training again.

    Without `program` no code is run: the model is rebuilt from its config as `load_model` does. States and
    data are read within the limits of `saving.budget`.

    Args:
        path: The certificate.
        data: An `.npz` file, or a dict, with the arrays `x`, `y` (or `x_train`, `y_train`), for validation
            data `x_val`, `y_val`, for evaluations `x_test`, `y_test`. None makes nothing again, unless
            `program` is given.
        program: Script that trained, as text also with its arguments ("train.py --seed 3", "hornbeam mnist
            --certificate m.cert"). It is run until its `fit` with a certificate begins: only for a script
            that you trust.
        steps: Fraction of the segments that are made again, from 0 to 1. The last one is always among them.
            Without states all are, from the first step on.
        model: A `.keras` file whose weights are compared with those of the certificate.
        states: Folder of the states; None looks beside the certificate.
        key: PEM file of the public Ed25519 key that must have signed the certificate.
        generator: Source of the random segments; None for one that cannot be foreseen.

    Returns:
        `Verification` with what was checked, what was not, what differs, and what follows.

    Raises:
        CertificateError: If the file is not a certificate, or the training cannot be made again as asked.
        FileNotFoundError: If a file does not exist.

    Example:
        >>> print(hornbeam.certificate.verify("run.cert", data="digits.npz"))  # doctest: +SKIP
    """
    if not 0 <= steps <= 1:
        raise ValueError(f"steps must be a fraction from 0 to 1, got {steps!r}")
    content, source = read_bytes(path), os.fspath(path)
    statement = parse(content, source)
    result = Verification(source, problems=chain_problems(statement))
    _check_signature(content, key, result)
    predicate = statement["predicate"]
    _add_facts(predicate, result)
    if result.problems:
        return result
    arrays = {} if data is None else load_data(data)
    trained = None
    chain = predicate["chain"]
    segments = len(chain["entries"]) - 1
    if steps == 0 or segments < 1 or (data is None and program is None):
        result.unchecked.append(f"the {segments:,} segments of the training: give --data or --program")
    else:
        folder = _folder_of_states(Path(path), chain, states)
        generator = generator or random.Random(secrets.randbits(128))
        draw = draw_segments(segments, steps if folder is not None else 1.0, generator)
        replay = Replay(statement, draw, folder, result)
        with _kept_random_state():
            _make_again(replay, predicate, arrays, program)
        trained = replay.trained
        if result.holds:
            _add_segments(draw, folder, chain["entries"], result)
    if model is not None:
        loaded = load_model(model)
        trained = loaded if trained is None else trained
        same = hash_arrays(weights_of(loaded)) == stated_weights(statement)
        sentence = f"the weights of {os.fspath(model)}"
        (result.checked if same else result.problems).append(
            sentence if same else f"{sentence} are others than those of the certificate"
        )
    _check_evaluations(predicate, arrays, trained, result)
    if not result.holds:
        result.conclusion = ""
    return result


def stated_weights(statement: dict[str, Any]) -> str:
    """Return the hash of the weights that a certificate is about."""
    return str(statement["subject"][0]["digest"]["hornbeamArrays1"])


def _check_signature(content: bytes, key: str | os.PathLike[str] | None, result: Verification) -> None:
    envelope = parse_json(content, result.path)
    signed = "payloadType" in envelope
    if key is None:
        result.unchecked.append("who wrote it: " + ("give --key" if signed else "it is not signed"))
    elif signed and is_signed_by(envelope, key):
        result.checked.append(f"signature by the key {os.fspath(key)}")
    else:
        result.problems.append(f"it is not signed by the key {os.fspath(key)}")


def _add_facts(predicate: dict[str, Any], result: Verification) -> None:
    if not result.problems:
        entries = predicate["chain"]["entries"]
        result.checked.append(f"the chain of {len(entries):,} states, with settings and hashes of the data")
    if not predicate["runDetails"]["metadata"]["complete"]:
        result.unchecked.append("the end of the training: it was interrupted")
    written, here = predicate["runDetails"]["builder"]["version"], facts.versions()
    for name in ("hornbeam", "numpy"):
        if written.get(name) != here[name]:
            result.unchecked.append(
                f"written with {name} {written.get(name)!s:.40}, checked with {here[name]}"
            )
    result.unchecked.extend(f"caveat: {caveat:.300}" for caveat in predicate["caveats"][:5])


def _folder_of_states(
    path: Path, chain: dict[str, Any], states: str | os.PathLike[str] | None
) -> Path | None:
    if states is not None:
        if not Path(states).is_dir():
            raise FileNotFoundError(f"states={os.fspath(states)!r} is not a folder")
        return Path(states)
    # A name from the file leads nowhere else than beside it.
    beside = path.parent / Path(chain["states"]).name if chain["states"] else None
    return beside if beside is not None and beside.is_dir() else None


def load_data(data: str | os.PathLike[str] | Mapping[str, np.ndarray]) -> Arrays:
    """Return the arrays of a data file, or those of a dict, by the first of their names in `_NAMES`."""
    stored = data if isinstance(data, Mapping) else load_arrays(data)
    arrays = {name: stored[name] if name in stored else stored[other] for name, other in _NAMES.items()
              if name in stored or other in stored}  # fmt: skip
    if not arrays:
        source = "data" if isinstance(data, Mapping) else os.fspath(data)
        raise CertificateError(f"{source} has none of the arrays {', '.join(_NAMES)}")
    return arrays


def _add_segments(draw: Draw, folder: Path | None, entries: list[Any], result: Verification) -> None:
    steps = entries[-1]["step"] - entries[0]["step"]
    repeated = sum(entries[number + 1]["step"] - entries[number]["step"] for number in draw.chosen)
    origin = "the first step on" if folder is None else "saved states"
    result.checked.append(
        f"{repeated:,} of {steps:,} steps, in {len(draw.chosen):,} of {draw.total:,} segments, made again "
        f"from {origin}; the metrics at the ends of their epochs"
    )
    if len(draw.chosen) < draw.total:
        result.unchecked.append(f"{steps - repeated:,} steps in the other segments")
    result.conclusion = draw.conclusion()


# -- making it again -----------------------------------------------------------------------------------------


@contextmanager
def _kept_random_state() -> Iterator[None]:
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)


def _make_again(
    replay: Replay, predicate: dict[str, Any], arrays: Arrays, program: str | os.PathLike[str] | None
) -> None:
    """Run the training until the replay ends it."""
    try:
        if program is not None:
            _run_program(replay, program)
        else:
            _fit_again(replay, predicate, arrays)
    except ReplayEnd:
        return
    raise CertificateError(
        "the program ended without a fit() that writes a certificate" if program else "fit() did nothing"
    )


def _run_program(replay: Replay, program: str | os.PathLike[str]) -> None:
    text = os.fspath(program)
    words = [text] if os.path.exists(text) else shlex.split(text, posix=os.name != "nt")
    path = str(Path(words[0]).resolve())
    before = sys.argv, list(sys.path)
    sys.argv, sys.path[:0] = [path, *words[1:]], [os.path.dirname(path)]
    replay.checks_program = True
    try:
        with override(current_replay, replay):
            if words[0] == "hornbeam":
                runpy.run_module("hornbeam", run_name="__main__")
            else:
                runpy.run_path(path, run_name="__main__")
    except SystemExit:  # without a fit() to certify, as `_make_again` says
        return
    finally:
        sys.argv, sys.path[:] = before


def _fit_again(replay: Replay, predicate: dict[str, Any], arrays: Arrays) -> None:
    """Rebuild the model from its config, and call `fit` as the certificate states."""
    if predicate["needsProgram"]:
        reasons = "; ".join(predicate["needsProgram"][:5])
        raise CertificateError(f"this training is only made again by its program, --program: {reasons:.500}")
    parameters = predicate["buildDefinition"]["externalParameters"]
    if "x" not in arrays or "y" not in arrays:
        raise CertificateError("the data have no x and y (or x_train and y_train)")
    if parameters["seed"] is not None and parameters["seed"] < 1 << 32:
        set_random_seed(parameters["seed"])
    model = _rebuilt(parameters["model"])
    validation = None
    if parameters["validation"] == "data":
        if "x_val" not in arrays or "y_val" not in arrays:
            raise CertificateError("the data have no x_val and y_val, on which the training was validated")
        validation = arrays["x_val"], arrays["y_val"]
    set_global_words(parameters["start"])
    settings = _settings(parameters["fit"])
    callbacks = [_rebuilt_callback(name, arguments) for name, arguments in parameters["callbacks"]]
    try:
        model.fit(
            arrays["x"],
            arrays["y"],
            sample_weight=arrays.get("sample_weight"),
            validation_data=validation,
            callbacks=[*callbacks, replay],
            verbose=0,
            engine="native",
            **settings,
        )
    except (ValueError, TypeError) as error:
        if isinstance(error, CertificateError):
            raise
        raise CertificateError(f"fit() refuses these data or settings: {error}") from error


def _settings(stated: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `fit` for the settings in a certificate."""
    settings = dict(stated)
    settings["steps_per_epoch"] = settings.pop("steps")
    try:
        settings["validation_split"] = float(settings["validation_split"])
        if settings["class_weight"] is not None:
            settings["class_weight"] = {int(key): float(value) for key, value in settings["class_weight"]}
    except (ValueError, TypeError) as error:
        raise CertificateError(f"the settings of fit() in the certificate are not valid: {error}") from error
    return settings


def _rebuilt(text: str) -> Any:
    """Return the compiled model of a config, with the weights that its seeds give."""
    try:
        config = parse_config(text.encode())
        check_names("the certificate", config, None)
        model = build_model("the certificate", config, None, len(text), len(text), initialized=True)
        check_built("the certificate", model)
    except (ModelFileError, UnknownObjectError) as error:
        raise CertificateError(f"the model cannot be rebuilt: {error}. Give --program") from error
    if not getattr(model, "compiled", False):
        raise CertificateError("the model of the certificate has no settings of compile()")
    return model


def _rebuilt_callback(name: str, arguments: dict[str, Any]) -> Any:
    kinds = {kind.__name__: kind for kind in STEERING}
    if name not in kinds:
        raise CertificateError(f"the certificate names the callback {name!r:.80}, which is not known")
    try:
        return kinds[name](**{key: _number(value) for key, value in arguments.items()})
    except (TypeError, ValueError) as error:
        raise CertificateError(
            f"the callback {name} of the certificate cannot be rebuilt: {error}"
        ) from error


def _number(value: Any) -> Any:
    """Return the float whose text a certificate has; other values stay."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


# -- evaluations ---------------------------------------------------------------------------------------------


def _check_evaluations(predicate: dict[str, Any], arrays: Arrays, trained: Any, result: Verification) -> None:
    """Evaluate the model on the test data again, and search these in the training data."""
    evaluations = predicate["evaluations"]
    if "x_test" not in arrays:
        if evaluations:
            result.unchecked.append(f"{len(evaluations)} evaluation(s): give x_test and y_test in --data")
        return
    x, y = arrays["x_test"], arrays.get("y_test")
    if trained is None:
        result.unchecked.append("the model on the test data: make steps again, or give --model")
    elif not evaluations and y is not None:
        result.findings.append(f"evaluated here, {_evaluated(trained, x, y, 32, result)}")
    for evaluation in evaluations if trained is not None else ():
        if facts.evaluated_facts("test", x, y) != evaluation["data"]:
            result.problems.append("other test data than in the certificate")
            continue
        sentence = _evaluated(trained, x, y, evaluation["batchSize"], result)
        if (present := plain(result.metrics)) != evaluation["metrics"]:
            result.problems.append(f"evaluation: {difference(evaluation['metrics'], present)}")
        else:
            result.checked.append(f"evaluation {sentence}")
    if "x" in arrays and arrays["x"].shape[1:] == x.shape[1:]:
        train, test = (hash_samples([arrays[name]], [np.float32]) for name in ("x", "x_test"))
        count = int(np.isin(test, train).sum())
        result.findings.append(f"{count:,} of {len(test):,} test samples are in the training data")


def _evaluated(model: Any, x: Any, y: Any, batch_size: int, result: Verification) -> str:
    """Put the metrics of a model on the test data into the result, and describe them."""
    metrics = model.evaluate(x, y, batch_size, verbose=0, return_dict=True)
    result.metrics = {name: float(value) for name, value in metrics.items()}
    return f"on {len(x):,} test samples: " + ", ".join(f"{k} {v:.4g}" for k, v in result.metrics.items())
