"""`Model`: a layer that can be trained, saved and summarised."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hornbeam import dtype_policies, tree
from hornbeam._internal.naming import nearest
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import KerasTensor, holds_strings, record_call
from hornbeam.ir.types import HornbeamTypeError
from hornbeam.layers import Layer
from hornbeam.layers.config import recorded_arguments
from hornbeam.models.host import strings_to_array
from hornbeam.training.model_call import call_as_one_node
from hornbeam.training.trainer import Trainer


@exported("keras.models")
@exported("keras")
class Model(Trainer, Layer):
    """A network: layers, and how they are connected.

    There are three ways to make one. `Model(inputs, outputs)` from symbolic tensors (a functional model); a
    subclass that
    makes layers in `__init__` and uses them in `call`; and `Sequential([...])`.

    >>> x = hornbeam.Input((784,))
    >>> model = hornbeam.Model(x, hornbeam.layers.Dense(10)(x))
    """

    takes_strings = True  # for the layers inside

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if _is_functional_call(args, kwargs):
            from hornbeam.models.functional import Functional, functional_class

            # Model(inputs, outputs), or a subclass that passes them to super().__init__: a functional model.
            self.__class__ = functional_class(type(self))
            Functional.__init__(self, *args, **kwargs)  # type: ignore[arg-type]
            return
        if type(self) is Model and args:
            raise TypeError("a functional model needs both: Model(inputs, outputs), got one argument")
        Layer.__init__(self, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the model to tensors, arrays or symbols; see `Layer.__call__`.

        In eager code a model of Hornbeam's own layers becomes one node, traced once for each shape: what is
        read of it is computed as `predict` does.
        """
        if len(args) == 1 and not kwargs:
            found = call_as_one_node(self, args[0])
            if found is not None:
                return found
        return super().__call__(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The model's function on tensors. Subclasses write it."""
        raise NotImplementedError(
            f"{type(self).__name__} does not define call(self, inputs): write it, or make the model as "
            f"Model(inputs, outputs)"
        )

    def _record(self, call: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Record a call on symbolic tensors. Layers for strings cannot be traced: a model of such gives what
        it was built for.
        """
        from hornbeam.models.host import has_host_layers

        if not has_host_layers(self):
            return super()._record(call, args, kwargs)
        if getattr(self, "_symbolic_inputs", None) is None:
            raise ValueError(
                f"model {self.name!r} has layers for strings: inside of another model it must be a "
                "functional one, or a Sequential that begins with an Input"
            )
        made = tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype), self.output)
        note, outputs = record_call(self, args, kwargs, made)
        self._inbound = (*self._inbound, note)
        return outputs

    def _compiled_inputs(self) -> Any:
        """The symbolic tensors at which the compiled part begins, or None where they are not known."""
        return getattr(self, "_symbolic_inputs", None)

    # -- layers ------------------------------------------------------------------------------------

    def _run_host_layers(self, x: Any) -> Any:
        host = next((layer for layer in self._flatten_layers() if getattr(layer, "on_host", False)), None)
        if host is None or not any(map(holds_strings, tree.flatten(strings_to_array(x)))):
            return x
        raise HornbeamTypeError(
            f"model {self.name!r} calls {host.describe()} on strings in a call() of its own: fit, evaluate "
            "and predict compile call(), and a compiled graph holds numbers. Apply the layer to the data, "
            "dataset.map(lambda x, y: (layer(x), y)), or make the model functional or Sequential: there such "
            "layers run before the graph. model(x) itself runs on strings"
        )

    @property
    def layers(self) -> list[Layer]:
        """The layers directly in this model."""
        return [layer for layer in self._sublayers() if isinstance(layer, Layer)]

    @layers.setter
    def layers(self, value: Any) -> None:
        raise AttributeError("`layers` of a model is found by itself and cannot be set: choose another name")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer with a name, or at an index of `layers`. Raises ValueError if there is none."""
        if (name is None) == (index is None):
            raise ValueError("get_layer() takes either a name or an index")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"model {self.name!r} has {len(layers)} layers, there is no index {index}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        raise ValueError(
            f"model {self.name!r} has no layer {name!r}.{nearest(str(name), names)} It has: "
            f"{', '.join(names)}"
        )

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of `input_shape` (batch first, None where unknown), by a trial run of
        `call`."""
        self._build_sublayers(input_shape)

    def _build_for(self, call: Any) -> None:
        """Called on data: layers inside build themselves when their turn comes."""
        if self.built:
            return
        if type(self).build is Model.build:
            self._mark_built(call.shapes)
        else:
            super()._build_for(call)

    # -- looking -----------------------------------------------------------------------------------

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print a table of the layers: output shape, parameters, FLOPs a sample, receptive field, memory."""
        from hornbeam.insight.summary import summarize

        summarize(
            self,
            line_length=line_length,
            positions=positions,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
        )

    def explain(
        self,
        x: Any = None,
        y: Any = None,
        *,
        expand_nested: bool = False,
        ablate: bool = False,
        batch_size: int = 32,
        epochs: int = 1,
        seeds: int = 3,
        samples: int | None = 4000,
    ) -> Any:
        """What each layer does in this model: its output and its weights with the arithmetic, what it costs,
        what it sees of the input, what it is put for, and what changes if it goes.

        x, y: arrays, as for `fit`; with them the share of time is measured (`profile`), in training if there
        is a y and the model is compiled. expand_nested: explain the layers of inner models too. ablate: train
        anew without each layer, where shapes allow, and say whether that is worse, better, or whether nobody
        can tell; batch_size, epochs, seeds and samples (the most that are used) are those of this training.
        Weights, the optimizer and random states stay as they are.

        Returns a `hornbeam.insight.Explanation`: print it, or read its `sections`; notebooks show it. Raises
        ValueError for a model that is not built, and with `ablate` for one that is not compiled or has no
        data.

        >>> print(model.explain())  # doctest: +SKIP
        """
        from hornbeam.insight.explanations.model import explain

        return explain(
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

    def explain_training(
        self,
        x: Any = None,
        y: Any = None,
        *,
        samples: int | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
    ) -> Any:
        """How the compiled model is trained: batches, epochs and updates with the arithmetic; what the
        optimizer does, with its formula and the numbers of this run; the loss, and what guessing gives.

        After `fit` it speaks of that run; samples, batch_size and epochs speak of another one. x, y: arrays,
        as for `fit`; with them, one update is made on the first batch, measured, and taken back.

        Returns a `hornbeam.insight.Explanation`. Raises ValueError for a model that is not compiled, or
        without a `fit`, x or samples.

        >>> print(model.explain_training(x, y, batch_size=128, epochs=12))  # doctest: +SKIP
        """
        from hornbeam.insight.explanations.training import explain_training

        return explain_training(self, x, y, samples=samples, batch_size=batch_size, epochs=epochs)

    # -- saving ------------------------------------------------------------------------------------

    def save(
        self, filepath: str | os.PathLike[str], overwrite: bool = True, zipped: Any = None, **kwargs: Any
    ) -> None:
        """Save architecture, weights and optimizer to a `.keras` file."""
        if kwargs:
            raise TypeError(f"save() does not know {', '.join(map(repr, kwargs))}")
        from hornbeam.saving import save_model

        save_model(self, filepath, overwrite=overwrite, zipped=zipped)

    def save_weights(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        max_shard_size: Any = None,
        *,
        names: Any = None,
    ) -> None:
        """Save the weights to a `.weights.h5`, `.safetensors` or `.npz` file; see `saving.save_weights`."""
        if max_shard_size is not None:
            raise NotImplementedError(
                "files in shards are not in this version of Hornbeam: leave max_shard_size away"
            )
        from hornbeam.saving import save_weights

        save_weights(self, filepath, overwrite=overwrite, names=names)

    def load_weights(
        self,
        filepath: str | os.PathLike[str],
        skip_mismatch: bool = False,
        *,
        names: Any = None,
        **kwargs: Any,
    ) -> None:
        """Load weights from a `.weights.h5`, `.safetensors` or `.npz` file, or an `.h5` file as Keras 2 wrote
        it. skip_mismatch: leave weights alone whose shapes differ. names: what the file calls the weights;
        see `saving.load_weights`."""
        if kwargs:
            raise TypeError(f"load_weights() does not know {', '.join(map(repr, kwargs))}")
        from hornbeam.saving import load_weights

        load_weights(self, filepath, skip_mismatch=skip_mismatch, names=names)

    def __reduce__(self) -> Any:
        """Pickled and copied (`copy.deepcopy`) by the bytes of the `.keras` file."""
        from hornbeam.saving.pickling import packed, unpacked

        return unpacked, packed(self)

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        *,
        training: bool = False,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the model's inference, or a step of its training, for programs without Hornbeam.

        filepath: a folder; for "onnx" also a file that ends in ".onnx", for "litert" one that ends in
        ".tflite". format: "tf_saved_model" for TensorFlow, "onnx" for onnxruntime and others (the folder has
        an example that runs), "stablehlo" for XLA's compilers, "litert" for phones. verbose: whether to say
        what was written (by default it is). input_signature: a structure for each argument (see
        `hornbeam.export.ExportArchive`), by default the model's inputs with any number of rows, or with one
        for the last two formats.
        training: with "onnx", a file that ends in ".onnx" with one training step: forward, backward and the
        optimizer's update (see docs/saving.md). The model must be compiled; it stays as it is. batch_size:
        the rows of a training batch, None for any number. input_signature is then `(x, y)`, by default the
        model's inputs, and targets of the shapes that its losses ask for.

        Raises NotImplementedError for another format, ImportError without the format's library, ValueError
        for a model that is not built (or compiled, for training) or cannot be written for any number of rows.

        >>> model.export("step.onnx", format="onnx", training=True)  # doctest: +SKIP
        """
        from hornbeam.export import FORMATS, export_step

        if format not in FORMATS or kwargs:
            given = ", ".join([f"format={format!r}", *kwargs])
            raise NotImplementedError(
                f"export({given}) is not in this version of Hornbeam: format may be one of "
                f"{', '.join(FORMATS)}, without further arguments, and save() writes .keras files"
            )
        if training:
            export_step(self, filepath, format, verbose, input_signature, batch_size)
        elif batch_size is not None:
            raise ValueError("batch_size goes with training=True: give input_signature a batch size")
        else:
            FORMATS[format](self, filepath, verbose, input_signature)

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, dict[str, Any]]:
        """All variables by path: trainable, non-trainable, the optimizer's and the metrics'.

        value_format: "backend_tensor" for Tensors, "numpy_array" for arrays.
        """
        if value_format not in ("backend_tensor", "numpy_array"):
            raise ValueError(f'value_format must be "backend_tensor" or "numpy_array", got {value_format!r}')

        def values(variables: Any) -> dict[str, Any]:
            return {
                v.path: np.array(v.numpy()) if value_format == "numpy_array" else v.value for v in variables
            }

        return {name: values(variables) for name, variables in self._state_parts()}

    def set_state_tree(self, state_tree: dict[str, dict[str, Any]]) -> None:
        """Set variables from what `get_state_tree` returned. Raises ValueError for unknown paths."""
        for name, variables in self._state_parts():
            known = {variable.path: variable for variable in variables}
            for path, value in state_tree.get(name, {}).items():
                if path not in known:
                    raise ValueError(
                        f"model {self.name!r} has no variable {path!r} among its "
                        f"{name}.{nearest(path, known)}"
                    )
                known[path].assign(value)

    def _state_parts(self) -> Iterator[tuple[str, list[Any]]]:
        metrics = [variable for metric in self.metrics for variable in metric.variables]
        ids = {id(variable) for variable in metrics}
        yield "trainable_variables", self.trainable_variables
        yield "non_trainable_variables", [v for v in self.non_trainable_variables if id(v) not in ids]
        yield "optimizer_variables", self.optimizer.variables if self.optimizer is not None else []
        yield "metrics_variables", metrics

    # -- config ------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """What a subclass was made with. Raises TypeError for arguments that have no config."""
        dtype = dtype_policies.serialize(self.dtype_policy)
        base = {"name": self.name, "trainable": self.trainable, "dtype": dtype}
        return {**base, **recorded_arguments(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model that a config describes."""
        from hornbeam.core.registry import custom_object_scope
        from hornbeam.models.functional import Functional, functional_from_config, is_functional_config

        with custom_object_scope(custom_objects or {}):
            if is_functional_config(config) and (
                cls is Model or issubclass(cls, Functional) or _takes_functional(cls)
            ):
                return functional_from_config(cls, config)
            return super().from_config(config)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON, without weights. Keyword arguments go to `json.dumps`."""
        from hornbeam.core.registry import serialize

        return json.dumps(serialize(self), **kwargs)


def _is_functional_call(args: tuple, kwargs: dict[str, Any]) -> bool:
    if not ("inputs" in kwargs or "outputs" in kwargs or len(args) >= 2):
        return False
    values = [
        kwargs.get("inputs", args[0] if args else None),
        kwargs.get("outputs", args[-1] if args else None),
    ]
    if any(value is None or not tree.flatten(value) for value in values):
        raise ValueError("a functional model needs both: Model(inputs=..., outputs=...)")
    return True


def _takes_functional(cls: type) -> bool:
    import inspect

    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    return {"inputs", "outputs"} <= set(parameters) or {"args", "kwargs"} <= set(parameters)
