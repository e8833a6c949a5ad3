"""`Model`: a layer that can be trained, saved and summarised."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from hornbeam import dtype_policies, tree
from hornbeam._internal.call_errors import explain_arguments
from hornbeam._internal.entry_points import entry_point
from hornbeam._internal.typing import ArrayLike, Config, ShapeLike, ShapeTree, Tree
from hornbeam._internal.validation import check_int
from hornbeam.core.registry import custom_object_scope, exported
from hornbeam.core.symbolic import KerasTensor, holds_strings, record_call
from hornbeam.core.typing import RegularizerLike, Self, SymbolicTree
from hornbeam.dtype_policies.policy import DTypePolicyLike
from hornbeam.ir.types import HornbeamTypeError
from hornbeam.layers import Layer
from hornbeam.layers.config import recorded_arguments
from hornbeam.models.host import has_host_layers, strings_to_array
from hornbeam.models.saving_methods import SavingMethods
from hornbeam.training.methods import TrainingMethods
from hornbeam.training.model_call import call_as_one_node

if TYPE_CHECKING:
    from hornbeam.core.typing import DataLike
    from hornbeam.models.calibration import PredictionCalibration
    from hornbeam.quantizers import QuantizationConfig
    from hornbeam.training.callbacks.base import History
    from hornbeam.visualization.explanation import Explanation


class _FunctionalHooks(NamedTuple):
    """Functional models, which are defined on top of `Model`."""

    model: type
    class_for: Callable[[type], type]
    from_config: Callable[[type, Config], Any]


_functional: _FunctionalHooks


def register_functional(
    model: type, class_for: Callable[[type], type], from_config: Callable[[type, Config], Any]
) -> None:
    """Set what `Model(inputs, outputs)` and `Model.from_config` build; called by `functional.py`."""
    global _functional
    _functional = _FunctionalHooks(model, class_for, from_config)


@exported("keras.models")
@exported("keras")
class Model(SavingMethods, TrainingMethods):
    """A network: layers, and their connections.

    A model is made in three ways: as `Model(inputs, outputs)` from symbolic tensors (a functional model), as
    a subclass that creates layers in `__init__` and applies them in `call`, and as `Sequential([...])`.

    Args:
        *args: `inputs` and `outputs` of a functional model: symbolic tensors, or lists or dicts of them. None
            for a subclass.
        **kwargs: `inputs` and `outputs` by name, and options of `Layer`: `name`, `trainable`, `dtype`.

    Example:
        >>> x = hornbeam.Input((784,))
        >>> model = hornbeam.Model(x, hornbeam.layers.Dense(10)(x))
    """

    if TYPE_CHECKING:  # of functional and Sequential models

        @property
        def inputs(self) -> list[KerasTensor]: ...

        @property
        def outputs(self) -> list[KerasTensor]: ...

        @property
        def input_names(self) -> list[str]: ...

        @property
        def output_names(self) -> list[str]: ...

        @property
        def input_shape(self) -> ShapeTree: ...

        @property
        def output_shape(self) -> ShapeTree: ...

    @overload
    def __init__(
        self,
        inputs: SymbolicTree,
        outputs: SymbolicTree,
        name: str | None = None,
        *,
        activity_regularizer: RegularizerLike = None,
        trainable: bool = True,
        dtype: DTypePolicyLike | None = None,
        autocast: bool = True,
    ) -> None: ...

    @overload
    def __init__(
        self,
        *,
        activity_regularizer: RegularizerLike = None,
        trainable: bool = True,
        dtype: DTypePolicyLike | None = None,
        autocast: bool = True,
        name: str | None = None,
    ) -> None: ...

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if _is_functional_call(args, kwargs):
            # Model(inputs, outputs), or a subclass that passes them to super().__init__: a functional model.
            self.__class__ = _functional.class_for(type(self))
            _functional.model.__init__(self, *args, **kwargs)  # type: ignore[misc]
            return
        if type(self) is Model and args:
            holds_layers = any(isinstance(leaf, Layer) for leaf in tree.flatten(args))
            raise TypeError(
                "a functional model needs both: Model(inputs, outputs), got one argument"
                + (". For layers one after the other write Sequential([...])" if holds_layers else "")
            )
        Layer.__init__(self, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Tree:
        """Apply the model to tensors, arrays or symbolic tensors; see `Layer.__call__`.

        In eager code a model of Hornbeam's own layers becomes one node, traced once for each shape: its
        results are computed as `predict` does.
        """
        self._check_initialized()
        if len(args) == 1 and not kwargs:
            outputs = call_as_one_node(self, args[0])
            if outputs is not None:
                return outputs
        return super().__call__(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Tree:
        """Compute the outputs. Subclasses define it.

        Args:
            *args: Inputs.
            **kwargs: Further arguments, such as `training` and `mask`.

        Returns:
            Outputs, in any structure.
        """
        forward = " (it has forward(), which is call() here)" if "forward" in vars(type(self)) else ""
        raise NotImplementedError(
            f"{type(self).__name__} does not define call(self, inputs){forward}: write it, or make the model "
            "as Model(inputs, outputs)"
        )

    def _hb_record(self, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record a call on symbolic tensors.

        Layers for strings cannot be traced: the outputs of a model with such layers have the types that it
        was built for.
        """
        if not has_host_layers(self):
            return super()._hb_record(call, args, kwargs)
        if getattr(self, "_symbolic_inputs", None) is None:
            raise ValueError(
                f"model {self.name!r} has layers for strings: inside of another model it must be a "
                "functional one, or a Sequential that begins with an Input"
            )
        symbols = tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype), self.output)
        record, outputs = record_call(self, args, kwargs, symbols)
        self._hb_inbound = (*self._hb_inbound, record)
        return outputs

    def _run_host_layers(self, x: Tree) -> Any:
        host = next((layer for layer in self._flatten_layers() if getattr(layer, "on_host", False)), None)
        if host is None or not any(map(holds_strings, tree.flatten(strings_to_array(x)))):
            return x
        raise HornbeamTypeError(
            f"model {self.name!r} calls {host.describe()} on strings in a call() of its own: fit, evaluate "
            "and predict compile call(), and a compiled graph holds numbers. Apply the layer to the data, "
            "dataset.map(lambda x, y: (layer(x), y)), or make the model functional or Sequential: there such "
            "layers run before the graph. model(x) itself runs on strings"
        )

    def build(self, input_shape: ShapeLike | Sequence[ShapeLike] | Mapping[str, ShapeLike]) -> None:
        """Create the weights, by tracing `call` on symbolic tensors.

        Args:
            input_shape: Shape of the inputs, batch first, None where unknown.
        """
        self._build_sublayers(input_shape)

    def _build_for(self, call: Any) -> None:
        """Build for the data of a call: layers inside build themselves at their own calls."""
        if self.built:
            return
        if type(self).build is Model.build:
            self._mark_built(call.shapes)
        else:
            super()._build_for(call)

    # -- quantization ------------------------------------------------------------------------------

    def quantize(
        self,
        mode: str | None = None,
        config: QuantizationConfig | str | None = None,
        filters: str | Sequence[str] | Callable[[Layer], bool] | None = None,
        *,
        type_check: bool = True,
    ) -> None:
        """Quantize the layers of this model that have quantized forms (see `Layer.quantize`).

        GPTQ and AWQ quantize the blocks of a model of sequences, on its own inputs; all other layers stay as
        they are.

        Args:
            mode: "int8", "int4", "float8", "gptq" or "awq".
            config: Config of `hornbeam.quantizers`, instead of the mode or beside it. GPTQ and AWQ need one.
            filters: Layers to quantize: a regular expression that is searched in their names, a list of such,
                or a function of a layer. All by default.
            type_check: Whether subclasses of layers that can be quantized stay as they are.

        Raises:
            ValueError: If the model is not built, a layer is quantized already, or an argument is invalid.

        Example:
            >>> model.quantize("int8", filters="^block")  # doctest: +SKIP
        """
        from hornbeam.layers.quantize_model import quantize_model
        from hornbeam.quantizers.configs import resolve_config

        resolved = resolve_config(mode, config)
        quantize_model(self, resolved.mode, resolved, filters, type_check)
        self._hb_trainer.forget_steps()

    # -- insight -----------------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        from hornbeam.models.model_html import model_html

        return model_html(self)

    @explain_arguments
    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print a table of the layers: output shape, parameters, FLOPs per sample, receptive field, memory.

        A narrow terminal hides memory and FLOPs, and shortens names. Files, pipes and `print_fn` receive the
        whole table.

        Args:
            line_length: Width of the table in characters, by default that of the terminal or of COLUMNS.
            positions: None: columns are as wide as their contents.
            print_fn: Function that receives the text, instead of `print`.
            expand_nested: Also list the layers of inner models.
            show_trainable: Also show whether each layer is trained.
            layer_range: Names of the first and the last layer to list.

        Raises:
            ValueError: If `line_length` is not an integer of at least 1.
        """
        from hornbeam.models.summary import summarize

        if line_length is not None:
            check_int("line_length", line_length, minimum=1, where="summary")
        summarize(
            self,
            line_length=line_length,
            positions=positions,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
        )

    @explain_arguments
    def explain(
        self,
        x: Tree = None,
        y: Tree = None,
        *,
        expand_nested: bool = False,
        ablate: bool = False,
        batch_size: int = 32,
        epochs: int = 1,
        seeds: int = 3,
        samples: int | None = 4000,
    ) -> Explanation:
        """Explain each layer of this model: output and weights with the arithmetic, cost, purpose, effect.

        Weights, the optimizer and random states stay as they are.

        Args:
            x: Arrays of inputs, as for `fit`. With them the proportion of time is measured (`profile`).
            y: Arrays of targets. With them, on a compiled model, the time is that of training.
            expand_nested: Also explain the layers of inner models.
            ablate: Train again without each layer, where shapes allow it, and report whether the result is
                worse, better, or not distinguishable.
            batch_size: Samples of an update in these trainings.
            epochs: Epochs of these trainings.
            seeds: Repetitions of these trainings with other seeds.
            samples: Largest number of samples for these trainings, None for all.

        Returns:
            `hornbeam.insight.Explanation`: print it, or read its `sections`; notebooks show it.

        Raises:
            ValueError: For a model that is not built, and with `ablate` for one that is not compiled or
                without data.

        Example:
            >>> print(model.explain())  # doctest: +SKIP
        """
        explanation: Explanation = entry_point("explain")(
            self,
            x,
            y,
            expand_nested=expand_nested,
            ablate=ablate,
            batch_size=batch_size,
            epochs=epochs,
            seeds=seeds,
            samples=samples,
        )
        return explanation

    @explain_arguments
    def explain_training(
        self,
        x: Tree = None,
        y: Tree = None,
        *,
        samples: int | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        history: History | None = None,
    ) -> Explanation:
        """Explain the training of the compiled model, with the numbers of a run.

        It covers batches, epochs and updates with the arithmetic; the optimizer with its formula; the loss,
        and its value for a constant prediction.

        Args:
            x: Arrays of inputs, as for `fit`. With them, one update is computed on the first batch, measured,
                and undone.
            y: Arrays of targets.
            samples: Number of samples, by default that of the last `fit`.
            batch_size: Samples of an update, by default that of the last `fit`.
            epochs: Number of epochs, by default that of the last `fit`.
            history: History of the `fit` to explain, by default the last one.

        Returns:
            `hornbeam.insight.Explanation`: print it, or read its `sections`; notebooks show it.

        Raises:
            ValueError: For a model that is not compiled, and without a `fit`, x or samples.

        Example:
            >>> print(model.explain_training(x, y, batch_size=128, epochs=12))  # doctest: +SKIP
        """
        explanation: Explanation = entry_point("explain_training")(
            self, x, y, samples=samples, batch_size=batch_size, epochs=epochs, history=history
        )
        return explanation

    # -- prediction sets and intervals -------------------------------------------------------------

    @explain_arguments
    def calibrate(
        self,
        x: DataLike,
        y: Tree = None,
        coverage: float = 0.9,
        *,
        method: str = "auto",
        by_class: bool = False,
        groups: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        batch_size: int | None = None,
    ) -> PredictionCalibration:
        """Calibrate prediction sets or intervals, by split conformal prediction.

        `predict_sets` or `predict_interval` then contain the truth with a probability of at least
        `coverage`, if calibration and new samples are exchangeable: drawn alike. The calibration is saved
        with the model and exported with it; it holds for the present weights, until they change.

        Args:
            x: Arrays of inputs (samples, ...) as for `evaluate`, which were neither trained on nor used to
                choose the model. Or a Dataset of batches (x, y).
            y: Arrays of targets (samples, ...).
            coverage: Number in (0, 1).
            method: Score, see `evaluation.conformal`. "lac", "aps" or "raps" for classes; "absolute", or of a
                model with two outputs "normalized" (a value, and the scale of its error) or "cqr" (two
                quantiles) for numbers. "auto" is "lac" for classes, and "absolute" for one number.
            by_class: True gives the coverage to each class, for classifiers.
            groups: Group of each sample (samples,): gives the coverage to each group. `predict_sets` and
                `predict_interval` then need the groups, too.
            weights: Weight of each sample (samples,), density of the new inputs / density of these, under a
                covariate shift. `predict_sets` and `predict_interval` then need weights, too.
            batch_size: Samples of a step, 32 by default.

        Returns:
            The calibration, `ConformalSets` or `ConformalIntervals`: print it, or measure its coverage by
            `evaluate`.

        Raises:
            CalibrationError: For samples that were trained on, and for fewer than the coverage needs; the
                message has their number. Samples of generators and datasets, and those of a `fit` before the
                model was saved, are not known.
            ValueError: For outputs or targets that do not fit, NaN, or unknown methods.
            SealedError: If the data are sealed.

        Example:
            >>> model.calibrate(x_calibration, y_calibration, coverage=0.9)  # doctest: +SKIP
            >>> model.predict_sets(x_new)  # doctest: +SKIP
        """
        calibration: PredictionCalibration = entry_point("calibrate_model")(
            self,
            x,
            y,
            coverage,
            method=method,
            by_class=by_class,
            groups=groups,
            weights=weights,
            batch_size=batch_size,
        )
        return calibration

    def predict_sets(
        self,
        x: DataLike,
        *,
        groups: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Return the classes that each sample may have, after `calibrate`.

        Args:
            x: Arrays of inputs (samples, ...), as for `predict`.
            groups: Group of each sample (samples,), after a calibration by group.
            weights: Weight of each sample (samples,), after a calibration with weights.
            batch_size: Samples of a step, 32 by default.

        Returns:
            Booleans (samples, classes): True for the classes in the set. It has the most probable class.

        Raises:
            ValueError: Without a calibration of the present weights, or for a model of numbers.
            CalibrationError: For a group without calibration data.

        Example:
            >>> [np.flatnonzero(row) for row in model.predict_sets(x_new)]  # doctest: +SKIP
        """
        sets: np.ndarray = entry_point("predict_with")(self, x, "sets", groups, weights, batch_size)
        return sets

    def predict_interval(
        self,
        x: DataLike,
        *,
        groups: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        """Return the range in which the number of each sample is expected, after `calibrate`.

        Args:
            x: Arrays of inputs (samples, ...), as for `predict`.
            groups: Group of each sample (samples,), after a calibration by group.
            weights: Weight of each sample (samples,), after a calibration with weights.
            batch_size: Samples of a step, 32 by default.

        Returns:
            Array (samples, 2) of lower and upper bounds.

        Raises:
            ValueError: Without a calibration of the present weights, or for a classifier.
            CalibrationError: For a group without calibration data.

        Example:
            >>> low, high = model.predict_interval(x_new).T  # doctest: +SKIP
        """
        bounds: np.ndarray = entry_point("predict_with")(self, x, "intervals", groups, weights, batch_size)
        return bounds

    # -- config ------------------------------------------------------------------------------------

    def get_config(self) -> Config:
        """Return the arguments that a subclass was constructed with.

        Raises:
            TypeError: For arguments that have no config.
        """
        dtype = dtype_policies.serialize(self.dtype_policy)
        base = {"name": self.name, "trainable": self.trainable, "dtype": dtype}
        return {**base, **recorded_arguments(self)}

    @classmethod
    def from_config(cls, config: Config, custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Build the model that a config describes, with new weights.

        Args:
            config: Result of `get_config`.
            custom_objects: Classes and functions of the user's by name.

        Returns:
            A model.
        """
        with custom_object_scope(custom_objects or {}):
            is_functional = {"name", "layers", "input_layers", "output_layers"} <= set(config)
            if is_functional and (
                cls is Model or issubclass(cls, _functional.model) or takes_inputs_and_outputs(cls)
            ):
                return _functional.from_config(cls, config)
            return super().from_config(config)


def _is_functional_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if not ("inputs" in kwargs or "outputs" in kwargs or len(args) >= 2):
        return False
    values = [
        kwargs.get("inputs", args[0] if args else None),
        kwargs.get("outputs", args[-1] if args else None),
    ]
    if any(value is None or not tree.flatten(value) for value in values):
        raise ValueError("a functional model needs both: Model(inputs=..., outputs=...)")
    return True


def takes_inputs_and_outputs(cls: type) -> bool:
    """Return whether the constructor of a model class takes `inputs` and `outputs`."""
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    return {"inputs", "outputs"} <= set(parameters) or {"args", "kwargs"} <= set(parameters)
