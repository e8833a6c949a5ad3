"""`Model.calibrate`, `predict_sets` and `predict_interval`."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from hornbeam._internal.typing import ArrayLike
from hornbeam._internal.validation import check_choice
from hornbeam.data.splits.sealed import check_not_sealed
from hornbeam.diagnostics.predictions import Predictions, predictions
from hornbeam.errors import CalibrationError
from hornbeam.evaluation.conformal import intervals as interval_module
from hornbeam.evaluation.conformal import sets as set_module
from hornbeam.evaluation.conformal.intervals import ConformalIntervals, calibrate_intervals
from hornbeam.evaluation.conformal.outputs import Outputs
from hornbeam.evaluation.conformal.sets import ConformalSets, calibrate_sets
from hornbeam.models import Model
from hornbeam.training.sources import is_stream, make_data
from hornbeam.training.steps import host_part, training_state

METHODS = ("auto", *set_module.METHODS, *interval_module.METHODS)


def calibrate_model(
    model: Model,
    x: Any,
    y: Any = None,
    coverage: float = 0.9,
    *,
    method: str = "auto",
    by_class: bool = False,
    groups: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    batch_size: int | None = None,
) -> ConformalSets | ConformalIntervals:
    """Do as `Model.calibrate`."""
    check_not_sealed((x, y), "calibrate() fits thresholds to it")
    check_choice("method", method, METHODS)
    state = training_state(model)
    if not is_stream(x):
        _refuse_trained_samples(model, x)
    predicted = predictions(model, x, y, batch_size=batch_size, purpose="")
    is_classifier = None if method == "auto" else method in set_module.METHODS
    outputs = Outputs.of(model, predicted.y_pred, predicted.y, is_classifier)
    result = _calibrated(outputs, predicted, coverage, method, by_class, groups, weights)
    state.conformal.set({**result.to_config(), "outputs": outputs.kind}, model)
    return result


def _calibrated(
    outputs: Outputs,
    predicted: Predictions,
    coverage: float,
    method: Any,
    by_class: bool,
    groups: Any,
    weights: Any,
) -> ConformalSets | ConformalIntervals:
    options = {"groups": groups, "weights": weights}
    if outputs.kind != "numbers":
        return calibrate_sets(
            outputs.probabilities(predicted.y_pred),
            predicted.y,
            coverage,
            method="lac" if method == "auto" else method,
            by_class=by_class,
            **options,
        )
    if by_class:
        raise ValueError("by_class is for classifiers, and this model predicts numbers")
    if method == "auto":
        columns = predicted.y_pred.shape[1] if predicted.y_pred.ndim == 2 else 1
        if columns != 1:
            raise ValueError(
                f"the model has {columns} outputs: say method='cqr' if they are two quantiles, "
                "method='normalized' if they are a value and the scale of its error"
            )
        method = "absolute"
    return calibrate_intervals(predicted.y_pred, predicted.y, coverage, method=method, **options)


def _refuse_trained_samples(model: Model, x: Any) -> None:
    """Raise CalibrationError if more of the samples were trained on than chance explains."""
    data = make_data(x, None, None, None, "predict", run_host_layers=host_part(model))
    trained = training_state(model).training_samples.count(data)
    if trained:
        raise CalibrationError(
            f"calibrate() got data that fit() was trained on (at least {trained:,} of {data.samples:,} "
            "samples): their errors are smaller than those of new samples, so that nothing can be promised. "
            "Hold samples out: data.split(x, y)"
        )


def calibration_of_model(model: Model, method: str) -> tuple[ConformalSets | ConformalIntervals, Outputs]:
    """Return the calibration of a model, and the kind of its outputs. Raises ValueError without one."""
    config = training_state(model).conformal.get(model)
    if config is None:
        raise ValueError(
            f"{method}() needs a calibration of the present weights: call model.calibrate(x, y) after "
            "the last fit(), on samples that were not trained on"
        )
    kind = ConformalSets if config["kind"] == "sets" else ConformalIntervals
    return kind.from_config(config), Outputs(config["outputs"])


def predict_with(
    model: Model, x: Any, kind: str, groups: Any, weights: Any, batch_size: int | None
) -> np.ndarray:
    """Return the sets or intervals of new samples."""
    method, other = ("predict_sets", "predict_interval")[:: 1 if kind == "sets" else -1]
    calibration, outputs = calibration_of_model(model, method)
    if isinstance(calibration, ConformalSets) != (kind == "sets"):
        raise ValueError(f"{method}() does not fit the outputs of this model: call {other}()")
    y_pred = cast("Any", model.predict(x, batch_size, verbose=0))
    values = outputs.probabilities(y_pred) if kind == "sets" else y_pred
    return calibration.predict(values, groups=groups, weights=weights)
