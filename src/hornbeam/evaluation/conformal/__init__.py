"""Conformal prediction: sets of classes and intervals that contain the truth as often as they promise.

A model that was trained predicts samples that it has not seen, the calibration data. A score says how badly
each prediction fits the truth, and the quantile of these scores bounds what is accepted for new samples. The
promise holds for any model and any distribution, if calibration data and new samples are exchangeable: drawn
alike, in an order that says nothing.

    P(Y in C(X)) >= coverage,  with C(x) = {y : s(x, y) <= q},
    q = the ceil((n + 1) coverage)-th smallest of the n calibration scores

It holds on average over calibration data and new samples; `coverage_range` says how far one calibration may
be off. `Model.calibrate`, `predict_sets` and `predict_interval` do this for a model; the functions here take
arrays.

Source: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World" (2005); Lei et al.,
"Distribution-Free Predictive Inference for Regression" (2018).
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
