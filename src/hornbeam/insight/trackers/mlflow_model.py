"""The flavor `hornbeam` of MLflow: models that `mlflow.pyfunc` loads, and thereby its servers."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.extras import required

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.models.model import Model as Description
    from mlflow.models.model import ModelInfo

    from hornbeam._internal.typing import Tree
    from hornbeam.models import Model

FLAVOR = "hornbeam"
# The module that files name; it must not move.
_LOADER = "hornbeam.mlflow"
_FILE = "model.keras"


def library() -> Any:
    """Return the module `mlflow`, with what models need. Raises ImportError without it."""
    with required("hornbeam.mlflow needs mlflow", "mlflow"):
        import mlflow
        import mlflow.models
        import mlflow.pyfunc
        import mlflow.types
    return mlflow


def signature_of(model: Model) -> ModelSignature | None:
    """Return the `mlflow.models.ModelSignature` of a model, None for one without known inputs.

    Sizes that the model leaves open are -1. Several inputs are named.
    """
    mlflow = library()
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        return None
    names = model.input_names if len(inputs) > 1 else [None]
    output_names = model.output_names if len(outputs) > 1 else [None]
    return mlflow.models.ModelSignature(
        _schema(mlflow, inputs, names), _schema(mlflow, outputs, output_names)
    )


def _schema(mlflow: Any, tensors: list[Any], names: list[Any]) -> Any:
    specs = []
    for tensor, name in zip(tensors, names, strict=True):
        # The first axis counts samples, also of models that were built for a fixed number.
        shape = (-1, *(-1 if size is None else size for size in tensor.shape[1:]))
        dtype = np.dtype(str if str(tensor.dtype) == "string" else str(tensor.dtype))
        specs.append(mlflow.types.TensorSpec(dtype, shape, name))
    return mlflow.types.Schema(specs)


def save_model(
    model: Model,
    path: str | os.PathLike[str],
    *,
    signature: ModelSignature | None = None,
    input_example: Tree = None,
    pip_requirements: list[str] | str | None = None,
    extra_pip_requirements: list[str] | str | None = None,
    metadata: dict[str, Any] | None = None,
    mlflow_model: Description | None = None,
) -> None:
    """Save a model in a folder of MLflow's form, with a `.keras` file in it.

    Args:
        model: The model.
        path: Folder, which must not exist.
        signature: `mlflow.models.ModelSignature`, by default that of the model's inputs and outputs.
        input_example: Sample input that is saved, too.
        pip_requirements: Packages that the model needs, by default this version of Hornbeam.
        extra_pip_requirements: Packages that it needs besides.
        metadata: Values for the file `MLmodel`.
        mlflow_model: `mlflow.models.Model` that gets the flavor; `log_model` gives it.

    Raises:
        ImportError: Without mlflow.

    Example:
        >>> hornbeam.mlflow.save_model(model, "digits")  # doctest: +SKIP
        >>> mlflow.pyfunc.load_model("digits").predict(x)  # doctest: +SKIP
    """
    from hornbeam._native import __version__

    mlflow = library()
    described = mlflow.models.Model() if mlflow_model is None else mlflow_model
    described.add_flavor(FLAVOR, hornbeam_version=__version__, data=f"data/{_FILE}")
    requirements = pip_requirements
    if requirements is None:
        # What MLflow finds itself by running the model in another process takes seconds.
        requirements = [f"hornbeam=={__version__}"]
        if extra_pip_requirements is not None:
            more = (
                [extra_pip_requirements]
                if isinstance(extra_pip_requirements, str)
                else extra_pip_requirements
            )
            requirements, extra_pip_requirements = [*requirements, *more], None
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # An example would make sure of the signature, which is the model's own.
        warnings.filterwarnings("ignore", ".*An input example was not provided")
        file = Path(folder, _FILE)
        model.save(file)
        mlflow.pyfunc.save_model(
            os.fspath(path),
            loader_module=_LOADER,
            data_path=str(file),
            mlflow_model=described,
            signature=signature_of(model) if signature is None else signature,
            input_example=input_example,
            pip_requirements=requirements,
            extra_pip_requirements=extra_pip_requirements,
            metadata=metadata,
        )


def log_model(
    model: Model,
    name: str = "model",
    *,
    run_id: str | None = None,
    registered_model_name: str | None = None,
    **options: Any,
) -> ModelInfo:
    """Log a model to a run, and register it if asked.

    Args:
        model: The model.
        name: Name of the logged model.
        run_id: Run, by default the active one.
        registered_model_name: Name in the registry of models.
        **options: Arguments of `save_model`, such as `signature`.

    Returns:
        `mlflow.models.model.ModelInfo`, whose `model_uri` `load_model` takes.

    Raises:
        ImportError: Without mlflow.

    Example:
        >>> info = hornbeam.mlflow.log_model(model, "digits")  # doctest: +SKIP
        >>> hornbeam.mlflow.load_model(info.model_uri)  # doctest: +SKIP
    """
    return library().models.Model.log(
        artifact_path=None,
        name=name,
        flavor=sys.modules[__name__],
        run_id=run_id,
        registered_model_name=registered_model_name,
        model=model,
        **options,
    )


def load_model(model_uri: str | os.PathLike[str], dst_path: str | None = None) -> Model:
    """Load a model that `save_model` or `log_model` wrote, to train or to predict.

    Args:
        model_uri: Folder, or an address of MLflow such as `models:/digits/1` or `runs:/ID/model`.
        dst_path: Folder for downloads, by default a temporary one.

    Returns:
        The model, compiled as it was.

    Raises:
        ImportError: Without mlflow.
        ValueError: For a model of another flavor.

    Example:
        >>> model = hornbeam.mlflow.load_model("models:/digits/1")  # doctest: +SKIP
    """
    from hornbeam.saving import load_model as load_file

    mlflow = library()
    uri = os.fspath(model_uri)
    folder = (
        uri
        if os.path.isdir(uri)
        else mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=dst_path)
    )
    flavors = mlflow.models.Model.load(folder).flavors
    if FLAVOR not in flavors:
        known = ", ".join(flavors) or "none"
        raise ValueError(f"{uri} has no flavor hornbeam, but {known}: load it with the module of that flavor")
    model: Model = load_file(Path(folder, "data", _FILE))
    return model


class PyfuncModel:
    """A model behind the interface of `mlflow.pyfunc`.

    Args:
        model: The model.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predict with a model that was loaded by `mlflow.pyfunc`.

        Args:
            data: Array, DataFrame, or dict of arrays by input.
            params: Arguments of `Model.predict`, such as `batch_size`.

        Returns:
            An array, or for several outputs a dict of arrays by name.
        """
        if hasattr(data, "to_numpy"):
            data = data.to_numpy()
        elif not isinstance(data, Mapping):
            data = np.asarray(data)
        results = self.model.predict(data, verbose=0, **(params or {}))
        if isinstance(results, (list, tuple)):
            return dict(zip(self.model.output_names, results, strict=True))
        return results
