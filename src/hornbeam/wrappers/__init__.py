"""Models as estimators of scikit-learn, for its pipelines and searches (extra `sklearn`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam._internal.extras import install_command
from hornbeam._internal.lazy_imports import attach

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]

if TYPE_CHECKING:
    from hornbeam.wrappers.estimators import SKLearnClassifier as SKLearnClassifier
    from hornbeam.wrappers.estimators import SKLearnRegressor as SKLearnRegressor
    from hornbeam.wrappers.estimators import SKLearnTransformer as SKLearnTransformer


if not TYPE_CHECKING:  # there, it would let misspelled names pass
    _getattr, __dir__, _ = attach(__name__)

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            return _getattr(name)
        try:
            from hornbeam.wrappers import estimators
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != "sklearn":
                raise
            raise ImportError(f"{name} needs scikit-learn: {install_command('sklearn')}") from error
        value = getattr(estimators, name)
        globals()[name] = value
        return value
