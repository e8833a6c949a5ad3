"""Augmentations put together: RandAugment, AugMix, layers one after another."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import ops, random, tree
from hornbeam._internal.validation import check_choice, check_int, check_sizes
from hornbeam.core.convert import as_tensor
from hornbeam.core.lazy import evaluate
from hornbeam.core.registry import deserialize, exported, serialize
from hornbeam.core.tensor import Tensor
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
from hornbeam.layers.augmentation.colour import RandomBrightness, RandomColorDegeneration, RandomContrast
from hornbeam.layers.augmentation.filters import RandomSharpness
from hornbeam.layers.augmentation.geometry import (
    INTERPOLATIONS,
    RandomRotation,
    RandomShear,
    RandomTranslation,
)
from hornbeam.layers.augmentation.tones import AutoContrast, Equalization, RandomPosterization, Solarization
from hornbeam.layers.call import is_array
from hornbeam.layers.layer import Layer

_PLACES = ("random_shear", "random_translation", "random_rotation")
_COLOURS = ("random_brightness", "random_color_degeneration", "random_contrast", "random_sharpness")


class _Policy(RandomImageLayer):
    """A layer that picks from others, which are its attributes of the names in `_choices`.

    What is picked is a computed number: only the chosen layer runs, and it is another one for every batch in
    compiled code too.
    """

    _choices: tuple[str, ...]

    def _set_layers(self, interpolation: str, value_range: Any, factor: tuple[float, float]) -> None:
        """The layers to choose from, all as strong as `factor` says."""
        common: dict[str, Any] = {
            "seed": self.seed,
            "data_format": self.data_format,
            "bounding_box_format": self.bounding_box_format,
            "dtype": self.dtype_policy,
        }
        moving = {"interpolation": interpolation, **common}
        tinting = {"value_range": value_range, **common}
        fixed = {key: value for key, value in tinting.items() if key != "seed"}
        makers: dict[str, Callable[[], ImageLayer]] = {
            "random_shear": lambda: RandomShear(factor, factor, **moving),
            "random_translation": lambda: RandomTranslation(factor, factor, **moving),
            "random_rotation": lambda: RandomRotation(factor, **moving),
            "random_brightness": lambda: RandomBrightness(factor, **tinting),
            "random_color_degeneration": lambda: RandomColorDegeneration(factor, **tinting),
            "random_contrast": lambda: RandomContrast(factor, **tinting),
            "random_sharpness": lambda: RandomSharpness(factor, **tinting),
            "random_posterization": lambda: RandomPosterization(max(1, int(8 * factor[1])), **tinting),
            "solarization": lambda: Solarization(factor, factor, **tinting),
            "auto_contrast": lambda: AutoContrast(**fixed),
            "equalization": lambda: Equalization(**fixed),
        }
        for name in self._choices:
            setattr(self, name, makers[name]())

    def _draw_all(self, size: Size, seed: Any) -> dict[str, Transformation]:
        return {name: getattr(self, name)._draw(size, seed) for name in self._choices}

    def _switch(
        self, method: str, index: Any, transforms: dict[str, Transformation], value: Any, last: bool = False
    ) -> Any:
        """`value` after `method` of the layer number `index`; with `last` none for one more."""

        def branch(name: str) -> Callable[..., Any]:
            return lambda x, drawn: getattr(getattr(self, name), method)(x, drawn.get(name))

        branches = [branch(name) for name in self._choices]
        if last:
            branches.append(lambda x, _: x)
        if _traced():
            return ops.switch(index, branches, value, transforms)
        # Outside of compiled code the number can be read: one layer is traced instead of all, and computing
        # now keeps what is compiled to one layer at a time, whatever follows on what.
        made = ops.switch(int(index), branches, value, transforms)
        evaluate([x.node for x in tree.flatten(made) if isinstance(x, Tensor)])
        return made


def _traced() -> bool:
    return bool(current_level()) or current_variable_tracer() is not None


def _in_turn(step: Callable[[Any, Any], Any], value: Any, items: Any) -> Any:
    """`value = step(value, item)` for each slice of the tensors `items` along their first axis.

    In compiled code that is one loop, so that all layers are compiled once and not once for every step.
    """
    steps = tree.flatten(items)[0].shape[0]
    if not steps:
        return value
    if _traced():
        return ops.scan(lambda state, item: (step(state, item), ()), value, items)[0]
    for i in range(steps):
        value = step(value, tree.map_structure(operator.itemgetter(i), items))
    return value


@exported("keras.layers")
class RandAugment(_Policy):
    """In training, `num_ops` layers one after another, drawn from eleven for each batch.

    Drawn from: shear, translation, rotation, brightness, colour degeneration, contrast, sharpness,
    posterization, solarization, automatic contrast, equalization. factor: how strong they are, from 0 to
    factor, or between two given bounds in [0, 1]. Cubuk et al., "RandAugment", 2020.

    Raises ValueError for other values, ShapeError unless there are three channels.

    >>> hornbeam.layers.RandAugment(seed=1)(np.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    _choices = (*_PLACES, *_COLOURS, "random_posterization", "solarization", "auto_contrast", "equalization")

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_ops: int = 2,
        factor: Any = 0.5,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.value_range = value_range_of("RandAugment", value_range)
        (self.num_ops,) = check_sizes("num_ops", num_ops, 1, minimum=0, where="RandAugment")
        self.factor = factor_range("RandAugment", "factor", factor, 0.0)
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS, where="RandAugment")
        self._set_layers(interpolation, value_range, self.factor)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        return {
            "layer_idxes": random.randint((self.num_ops,), 0, len(self._choices), seed=seed),
            "transforms": self._draw_all(size, seed),
        }

    def _through(self, method: str, transformation: Transformation, value: Any) -> Any:
        """`value` after `method` of the layers that were drawn."""
        transforms = transformation["transforms"]
        value = tree.map_structure(as_tensor, value)
        indices = as_tensor(transformation["layer_idxes"])
        return _in_turn(lambda x, index: self._switch(method, index, transforms, x), value, indices)

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        x = ops.cast(images, self.compute_dtype)
        return self._through("transform_images", transformation, x) if training else x

    def transform_bounding_boxes(
        self, bounding_boxes: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if not training:
            return bounding_boxes
        return self._through("transform_bounding_boxes", transformation, bounding_boxes)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if not training:
            return segmentation_masks
        return self._through("transform_segmentation_masks", transformation, segmentation_masks)


@exported("keras.layers")
class AugMix(_Policy):
    """In training, mixes each image with what chains of random layers make of it.

    y = m x + (1 - m) sum of w_i c_i(x), with w of the Dirichlet distribution and m of the beta distribution
    of alpha. Each of `num_chains` chains c_i is `chain_depth` layers, drawn for each batch from shear,
    translation, rotation, posterization, solarization, automatic contrast, equalization, or nothing; with
    all_ops also brightness, colour degeneration, contrast and sharpness. factor: how strong they are, from 0
    to factor, or between two given bounds in [0, 1]. Boxes stay as they are. Hendrycks et al., "AugMix",
    2020.

    Raises ValueError for other values, ShapeError unless there are three channels.

    >>> hornbeam.layers.AugMix(num_chains=2, chain_depth=1, seed=1)(np.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    _few = (*_PLACES, "random_posterization", "solarization", "auto_contrast", "equalization")

    def __init__(
        self,
        value_range: Any = (0, 255),
        num_chains: int = 3,
        chain_depth: int = 3,
        factor: Any = 0.3,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: str = "bilinear",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.value_range = value_range_of("AugMix", value_range)
        self.num_chains = check_int("num_chains", num_chains, minimum=1, where="AugMix")
        self.chain_depth = check_int("chain_depth", chain_depth, minimum=1, where="AugMix")
        self.factor = factor_range("AugMix", "factor", factor, 0.0)
        if not is_number(alpha) or alpha <= 0:
            raise ValueError(f"AugMix: alpha must be a number above 0, got {alpha!r}")
        self.alpha = alpha
        self.all_ops = all_ops
        self.interpolation = check_choice("interpolation", interpolation, INTERPOLATIONS, where="AugMix")
        self._choices = (*self._few, *_COLOURS) if all_ops else self._few
        self._set_layers(interpolation, value_range, self.factor)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        """chain_transforms: for each step of one chain after another, the number of its layer (the number
        after all is none), and what every layer draws.
        """
        steps = self.num_chains * self.chain_depth
        weights = random.gamma((self.num_chains,), self.alpha, seed=seed)

        def by_step(drawn: Any) -> Any:
            return ops.reshape(drawn, (steps, size.batch, *drawn.shape[1:]))

        drawn = self._draw_all(size._replace(batch=steps * size.batch), seed)
        return {
            "chain_mixing_weights": weights / ops.sum(weights),
            "weight_sample": random.beta((), self.alpha, self.alpha, seed=seed),
            "chain_transforms": {
                "layer_idxes": random.randint((steps,), 0, len(self._choices) + 1, seed=seed),
                "transforms": tree.map_structure(lambda x: by_step(x) if is_array(x) else x, drawn),
            },
        }

    def _mixed(self, method: str, transformation: Transformation, value: Tensor) -> Tensor:
        chains = transformation["chain_transforms"]
        leaves = tree.flatten(chains["transforms"])
        arrays = [i for i, leaf in enumerate(leaves) if is_array(leaf)]
        # Each chain begins with the images and counts by what it ends with.
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
            made, total = state
            now = list(leaves)
            for i, drawn in zip(arrays, item["drawn"], strict=True):
                now[i] = drawn
            made = ops.where(item["first"], value, made)
            transforms = tree.pack_sequence_as(chains["transforms"], now)
            made = self._switch(method, item["index"], transforms, made, last=True)
            return made, total + item["weight"] * made

        _, total = _in_turn(step, (value, ops.zeros_like(value)), items)
        keep = ops.cast(transformation["weight_sample"], value.dtype)
        return keep * value + (1 - keep) * total

    def transform_images(
        self, images: Any, transformation: Transformation = None, training: bool = True
    ) -> Tensor:
        x = ops.cast(images, self.compute_dtype)
        if not training:
            return x
        return ops.clip(self._mixed("transform_images", transformation, x), *self.value_range)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Transformation = None, training: bool = True
    ) -> Any:
        if not training:
            return segmentation_masks
        x = ops.cast(segmentation_masks, self.compute_dtype)
        return self._mixed("transform_segmentation_masks", transformation, x)


@exported("keras.layers")
class Pipeline(Layer):
    """Layers one after another, e.g. preprocessing that is mapped over a data set.

    >>> flip, crop = hornbeam.layers.RandomFlip(), hornbeam.layers.CenterCrop(2, 2)
    >>> hornbeam.layers.Pipeline([flip, crop])(np.ones((1, 4, 4, 3))).shape
    (1, 2, 2, 3)
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        self._pipeline_layers = list(layers)

    @property
    def layers(self) -> list[Layer]:
        """The layers, in their order."""
        return self._pipeline_layers

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        for layer in self._pipeline_layers:
            # What comes out of a layer carries its mask.
            inputs, mask = layer(inputs, training=training, mask=mask), None
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {"layers": [serialize(layer) for layer in self._pipeline_layers], "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        if not isinstance(config.get("layers"), (list, tuple)):
            raise ValueError(f'Pipeline: the config needs a list "layers", got {config.get("layers")!r}')
        return cls(**{**config, "layers": [deserialize(layer) for layer in config["layers"]]})
