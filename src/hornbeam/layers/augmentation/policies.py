"""Policies of several augmentations: RandAugment, AugMix, and pipelines of layers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam import ops, random, tree
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_choice, check_int, check_sizes
from hornbeam.core.convert import as_tensor
from hornbeam.core.lazy import evaluate
from hornbeam.core.registry import deserialize, exported, serialize
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self, TensorLike, Unpack
from hornbeam.core.variable import current_variable_tracer
from hornbeam.ir.limits import count_elements
from hornbeam.ir.trace import current_level
from hornbeam.layers.augmentation.base import (
    ImageLayer,
    RandomImageLayer,
    Size,
    Transformation,
    factor_range,
    is_number,
    value_range_of,
)
from hornbeam.layers.augmentation.color import RandomBrightness, RandomColorDegeneration, RandomContrast
from hornbeam.layers.augmentation.filters import RandomSharpness
from hornbeam.layers.augmentation.geometry import (
    INTERPOLATIONS,
    RandomRotation,
    RandomShear,
    RandomTranslation,
)
from hornbeam.layers.augmentation.histogram import (
    AutoContrast,
    Equalization,
    RandomPosterization,
    Solarization,
)
from hornbeam.layers.call import is_array
from hornbeam.layers.layer import Layer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.random.keys import SeedLike

_GEOMETRY = ("random_shear", "random_translation", "random_rotation")
_COLORS = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")


class _Policy(RandomImageLayer):
    """A layer that picks from other layers, its attributes of the names in `_choices`.

    The choice is a computed number: only the chosen layer runs, and it changes with every batch in compiled
    code too.
    """

    _choices: tuple[str, ...]

    def _set_layers(
        self, interpolation: str, value_range: tuple[float, float], factor: tuple[float, float]
    ) -> None:
        """Create the layers to choose from, of a common strength."""
        common: dict[str, Any] = {
            "seed": self.seed,
            "data_format": self.data_format,
            "bounding_box_format": self.bounding_box_format,
            "dtype": self.dtype_policy,
        }
        geometry = {"interpolation": interpolation, **common}
        color = {"value_range": value_range, **common}
        deterministic = {key: value for key, value in color.items() if key != "seed"}
        makers: dict[str, Callable[[], ImageLayer]] = {
            "random_shear": lambda: RandomShear(factor, factor, **geometry),
            "random_translation": lambda: RandomTranslation(factor, factor, **geometry),
            "random_rotation": lambda: RandomRotation(factor, **geometry),
            "random_brightness": lambda: RandomBrightness(factor, **color),
            "random_color_degeneration": lambda: RandomColorDegeneration(factor, **color),
            "random_contrast": lambda: RandomContrast(factor, **color),
            "random_sharpness": lambda: RandomSharpness(factor, **color),
            "random_posterization": lambda: RandomPosterization(max(1, int(8 * factor[1])), **color),
            "solarization": lambda: Solarization(factor, factor, **color),
            "auto_contrast": lambda: AutoContrast(**deterministic),
            "equalization": lambda: Equalization(**deterministic),
        }
        for name in self._choices:
            setattr(self, name, makers[name]())

    def _draw_all(self, size: Size, seed: SeedLike) -> dict[str, Transformation]:
        return {name: getattr(self, name)._draw(size, seed) for name in self._choices}

    def _switch(
        self,
        method: str,
        index: Tensor,
        transforms: dict[str, Transformation],
        value: Tree,
        or_none: bool = False,
    ) -> Tree:
        """Apply `method` of the layer at `index` to `value`; with `or_none` the index after the last applies
        none.
        """

        def branch(name: str) -> Callable[..., Any]:
            return lambda x, drawn: getattr(getattr(self, name), method)(x, drawn.get(name))

        branches = [branch(name) for name in self._choices]
        if or_none:
            branches.append(lambda x, _: x)
        if _is_traced():
            return ops.switch(index, branches, value, transforms)
        # In eager code the index is known: one layer is traced instead of all, and evaluation limits what is
        # compiled to one layer at a time, whatever their order.
        outputs = ops.switch(int(index), branches, value, transforms)
        evaluate([x.node for x in tree.flatten(outputs) if isinstance(x, Tensor)])
        return outputs


def _is_traced() -> bool:
    return bool(current_level()) or current_variable_tracer() is not None


def _scan(step: Callable[[Any, Any], Any], value: Any, items: Any) -> Any:
    """Compute `value = step(value, item)` for each slice of the tensors `items` along their first axis.

    In compiled code this is one loop, so that all layers are compiled once and not for every step.
    """
    steps = tree.flatten(items)[0].shape[0]
    if not steps:
        return value
    if _is_traced():
        return ops.scan(lambda state, item: (step(state, item), ()), value, items)[0]
    for i in range(steps):
        value = step(value, tree.map_structure(operator.itemgetter(i), items))
    return value


@exported("keras.layers")
class RandAugment(_Policy):
    """Apply `num_ops` random layers in sequence, drawn from eleven for each batch, in training.

    The layers are shear, translation, rotation, brightness, color degeneration, contrast, sharpness,
    posterization, solarization, automatic contrast and equalization.

    Args:
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        num_ops: Number of layers in sequence.
        factor: Bounds of the strength, in [0, 1]: a pair, or one number for (0, factor).
        interpolation: "nearest" or "bilinear".
        seed: Seed of the random state; drawn at random by default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If images do not have three channels.

    Example:
        >>> hornbeam.layers.RandAugment(seed=1)(np.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)

    Source: Cubuk et al. 2020, RandAugment.
    """

    _choices = (*_GEOMETRY, *_COLORS, "random_posterization", "solarization", "auto_contrast", "equalization")

    def __init__(
        self,
        value_range: tuple[float, float] = (0, 255),
        num_ops: int = 2,
        factor: float | tuple[float, float] = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.value_range = value_range_of("RandAugment", value_range)
        (self.num_ops,) = check_sizes("num_ops", num_ops, 1, minimum=0, where="RandAugment")
        self.factor = factor_range("RandAugment", "factor", factor, 0.0)
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS, where="RandAugment")
        self._set_layers(interpolation, value_range, self.factor)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        return {
            "layer_idxes": random.randint((self.num_ops,), 0, len(self._choices), seed=seed),
            "transforms": self._draw_all(size, seed),
        }

    def _apply_drawn(self, method: str, transformation: Transformation, value: Tree) -> Tree:
        """Apply `method` of the drawn layers to `value`."""
        transforms = transformation["transforms"]
        value = tree.map_structure(as_tensor, value)
        indices = as_tensor(transformation["layer_idxes"])
        return _scan(lambda x, index: self._switch(method, index, transforms, x), value, indices)

    def transform_images(
        self, images: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        x = ops.cast(images, self.compute_dtype)
        return self._apply_drawn("transform_images", transformation, x) if training else x

    def transform_bounding_boxes(
        self, bounding_boxes: Mapping[str, Any], transformation: Transformation = None, training: bool = True
    ) -> Tree:
        if not training:
            return bounding_boxes
        return self._apply_drawn("transform_bounding_boxes", transformation, bounding_boxes)

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tree:
        if not training:
            return segmentation_masks
        return self._apply_drawn("transform_segmentation_masks", transformation, segmentation_masks)


@exported("keras.layers")
class AugMix(_Policy):
    """Mix each image with the results of chains of random layers, in training.

    Formula: `y = m x + (1 - m) sum_i w_i c_i(x)`, w of the Dirichlet and m of the Beta distribution with
    alpha. Each chain c_i consists of layers drawn for each batch from shear, translation, rotation,
    posterization, solarization, automatic contrast, equalization and identity. Boxes do not change.

    Args:
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        num_chains: Number of chains.
        chain_depth: Number of layers in a chain.
        factor: Bounds of the strength, in [0, 1]: a pair, or one number for (0, factor).
        alpha: Parameter of both distributions, above 0.
        all_ops: Whether brightness, color degeneration, contrast and sharpness are drawn too.
        interpolation: "nearest" or "bilinear".
        seed: Seed of the random state; drawn at random by default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.
        ShapeError: If images do not have three channels.

    Example:
        >>> hornbeam.layers.AugMix(num_chains=2, chain_depth=1, seed=1)(np.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)

    Source: Hendrycks et al. 2020, AugMix.
    """

    _basic_choices = (*_GEOMETRY, "random_posterization", "solarization", "auto_contrast", "equalization")

    def __init__(
        self,
        value_range: tuple[float, float] = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: float | tuple[float, float] = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.value_range = value_range_of("AugMix", value_range)
        self.num_chains = check_int("num_chains", num_chains, minimum=1, where="AugMix")
        self.chain_depth = check_int("chain_depth", chain_depth, minimum=1, where="AugMix")
        self.factor = factor_range("AugMix", "factor", factor, 0.0)
        if not is_number(alpha) or alpha <= 0:
            raise ValueError(f"AugMix: alpha must be a positive number, got {alpha!r}")
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS, where="AugMix")
        self._choices = (*self._basic_choices, *_COLORS) if all_ops else self._basic_choices
        self._set_layers(interpolation, value_range, self.factor)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        """Draw the weights, and for each step of all chains its layer and the transformations of all layers.

        The index of the layer after the last means none.
        """
        steps = self.num_chains * self.chain_depth
        weights = random.gamma((self.num_chains,), self.alpha, seed=seed)

        def split_steps(drawn: Any) -> Any:
            return ops.reshape(drawn, (steps, size.batch, *drawn.shape[1:]))

        drawn = self._draw_all(size._replace(batch=steps * size.batch), seed)
        return {
            "chain_mixing_weights": weights / ops.sum(weights),
            "weight_sample": random.beta((), self.alpha, self.alpha, seed=seed),
            "chain_transforms": {
                "layer_idxes": random.randint((steps,), 0, len(self._choices) + 1, seed=seed),
                "transforms": tree.map_structure(lambda x: split_steps(x) if is_array(x) else x, drawn),
            },
        }

    def _mix(self, method: str, transformation: Transformation, value: Tensor) -> Tensor:
        chains = transformation["chain_transforms"]
        leaves = tree.flatten(chains["transforms"])
        arrays = [i for i, leaf in enumerate(leaves) if is_array(leaf)]
        # Each chain starts with the images; only its last output is weighted.
        count_elements(self.num_chains * self.chain_depth)
        first = np.arange(self.num_chains * self.chain_depth) % self.chain_depth == 0
        weights = ops.repeat(transformation["chain_mixing_weights"], self.chain_depth)
        items = {
            "first": as_tensor(first),
            "weight": ops.where(np.roll(first, -1), ops.cast(weights, value.dtype), 0),
            "index": as_tensor(chains["layer_idxes"]),
            "drawn": [as_tensor(leaves[i]) for i in arrays],
        }

        def step(state: Any, item: Any) -> Any:
            current, total = state
            step_leaves = list(leaves)
            for i, drawn in zip(arrays, item["drawn"], strict=True):
                step_leaves[i] = drawn
            current = ops.where(item["first"], value, current)
            transforms = tree.pack_sequence_as(chains["transforms"], step_leaves)
            current = self._switch(method, item["index"], transforms, current, or_none=True)
            return current, total + item["weight"] * current

        _, total = _scan(step, (value, ops.zeros_like(value)), items)
        keep = ops.cast(transformation["weight_sample"], value.dtype)
        return keep * value + (1 - keep) * total

    def transform_images(
        self, images: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        x = ops.cast(images, self.compute_dtype)
        if not training:
            return x
        return ops.clip(self._mix("transform_images", transformation, x), *self.value_range)

    def transform_segmentation_masks(
        self, segmentation_masks: TensorLike, transformation: Transformation = None, training: bool = True
    ) -> Tree:
        if not training:
            return segmentation_masks
        x = ops.cast(segmentation_masks, self.compute_dtype)
        return self._mix("transform_segmentation_masks", transformation, x)


@exported("keras.layers")
class Pipeline(Layer):
    """Apply layers in sequence, for example preprocessing that is mapped over a data set.

    Args:
        layers: List of layers.
        name: Name of the layer, generated by default.

    Example:
        >>> flip, crop = hornbeam.layers.RandomFlip(), hornbeam.layers.CenterCrop(2, 2)
        >>> hornbeam.layers.Pipeline([flip, crop])(np.ones((1, 4, 4, 3))).shape
        (1, 2, 2, 3)
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        self._pipeline_layers = list(layers)

    @property
    def layers(self) -> list[Layer]:
        """The layers in their order."""
        return self._pipeline_layers

    def call(self, inputs: Tree, training: bool = True, mask: Tree = None) -> Tree:
        for layer in self._pipeline_layers:
            # Outputs of a layer carry their mask.
            inputs, mask = layer(inputs, training=training, mask=mask), None
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {"layers": [serialize(layer) for layer in self._pipeline_layers], "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        if not isinstance(config.get("layers"), (list, tuple)):
            raise ValueError(f'Pipeline: the config needs a list "layers", got {config.get("layers")!r}')
        return cls(**{**config, "layers": [deserialize(layer) for layer in config["layers"]]})
