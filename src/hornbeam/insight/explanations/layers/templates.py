"""Sentences about families of layers, which `Facts` formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hornbeam import layers
from hornbeam.layers.augmentation.base import RandomImageLayer

# A sentence, or sentences by the name of a condition in `Facts`; the first true one counts, "" is always
# true.
Sentence = str | dict[str, str]


@dataclass(frozen=True)
class Template:
    """Sentences of a family: its operation, the arithmetic of its output, its purpose, and its removal."""

    operation: Sentence
    output: Sentence
    purpose: Sentence
    removal: Sentence


_BECOMES = "{input} becomes {output}"
_TRAINING_ONLY = "predictions cost the same; the training loss falls faster"

MODEL = Template(
    "a model of its own with {inner_layers: layer}; expand_nested=True explains them",
    "{inputs} becomes {output}",
    "a part with a name, which can be shared, trained separately or frozen",
    "all of its layers are removed",
)
UNKNOWN = Template(
    "{own_description}",
    "{inputs} becomes {output}",
    "not known",
    "not known: explain(ablate=True) measures it where shapes allow",
)

# The first row whose classes match counts, so special classes come before general ones.
TEMPLATES: tuple[tuple[Any, Template], ...] = (
    (
        layers.InputLayer,
        Template(
            "data of shape {output} and dtype {layer.dtype}, with any number of samples",
            "{output_product} values a sample",
            "with a known shape all weights are created at once, and wrong shapes are reported before any "
            "data",
            "weights would be created at the first batch",
        ),
    ),
    # -- windows
    (
        (layers.DepthwiseConv1D, layers.DepthwiseConv2D),
        Template(
            "each of {channels: channel} has {layer.depth_multiplier: filter} of its own over "
            "{window}{stride_clause}{activation}",
            "{windows}",
            "reads neighbors at a fraction of the cost of a full convolution, because channels are not mixed"
            "{depthwise_savings}",
            "no layer reads neighbors at this depth; a following 1×1 convolution only mixes channels",
        ),
    ),
    (
        (layers.SeparableConv1D, layers.SeparableConv2D),
        Template(
            "first each of {channels: channel} by itself over {window}{stride_clause}, then "
            "{layer.filters: linear combination} of the {separable_channels:,} results{activation}",
            "{windows}",
            "a convolution in two cheaper steps: {separable_savings}",
            "the following layers get {channels: channel}, and their receptive field stays as it was",
        ),
    ),
    (
        (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
        Template(
            "each position is added to {window} of the output, {layer.strides:×} apart, by "
            "{layer.filters: filter}{activation}",
            "{transposed_windows}",
            "enlarges images with learned weights (decoders, segmentation)",
            "the image stays {spatial:×}; UpSampling and a Conv enlarge it too, with fewer checkerboard "
            "artifacts",
        ),
    ),
    (
        (layers.Conv1D, layers.Conv2D, layers.Conv3D),
        Template(
            "{layer.filters: filter} over {window} in {channels_of_a_filter}, at every position"
            "{stride_clause}{activation}",
            "{windows}",
            {
                "is_pointwise": "mixes the channels of each position and changes their number, "
                "without neighbors",
                "": "detects the same pattern at every position, with {shared_weights:,} shared weights"
                "{dense_weights_clause}",
            },
            {
                "is_pointwise": "the following layers get {channels: channel}",
                "": "the following layers get {channels: channel}, and their receptive field stays as it was",
            },
        ),
    ),
    (
        (
            layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
            layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
        ),
        Template(
            "the {extreme_or_mean} of {window} in each channel, with stride {layer.strides:×}",
            "{windows}",
            "{fewer_values}: the following layers cost less, see more of the input, and depend less on exact "
            "positions",
            "all following layers work on {input} instead of {output}",
        ),
    ),
    (
        (
            layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D,
            layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D,
        ),
        Template(
            "the {extreme_or_mean} over the {spatial:×} positions of each channel",
            "{positions: position} × {channels: channel} become {channels: value}",
            "the result does not depend on positions, and images of any size fit{flatten_clause}",
            "a Flatten instead enlarges the next Dense by the number of positions, and fixes the size of "
            "images",
        ),
    ),
    (
        (
            layers.AdaptiveAveragePooling1D, layers.AdaptiveAveragePooling2D, layers.AdaptiveAveragePooling3D,
            layers.AdaptiveMaxPooling1D, layers.AdaptiveMaxPooling2D, layers.AdaptiveMaxPooling3D,
        ),
        Template(
            "the {extreme_or_mean} of windows whose size gives {layer.output_size:×} positions",
            "{spatial:×} positions become {layer.output_size:×}",
            "images of any size give an output of one size",
            "the following layers get as many positions as the image has",
        ),
    ),
    (
        (
            layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D,
            layers.Cropping1D, layers.Cropping2D, layers.Cropping3D,
        ),
        Template(
            {
                "is_cropping": "removes a border ({border} at the two ends of each axis)",
                "": "adds a border of zeros ({border} at the two ends of each axis)",
            },
            "{bordered}",
            {
                "is_cropping": "matches sizes: removes earlier padding, or values that depend on the border",
                "": "matches sizes: for skip connections, or so that windows cover the border as often as "
                "the middle",
            },
            "the following sizes differ by the border",
        ),
    ),
    (
        (layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D),
        Template(
            {
                "is_nearest": "repeats each position {factors:×} times",
                "": "{layer.interpolation} interpolation to {factors:×} times the size",
            },
            "{upsampled}",
            "enlarges images without weights; a following convolution smooths them",
            "the image stays {spatial:×}",
        ),
    ),
    # -- products
    (
        layers.Dense,
        Template(
            {
                "reads_one": "{layer.units: weighted sum} of {width: input}{at_positions}{activation}",
                "": "{layer.units: weighted sum} of all {width: input}{at_positions}{activation}",
            },
            "the last axis of {input} becomes {layer.units:,}",
            {
                "is_last": "the answer: {answer}",
                "": "combines the {width: input} into {layer.units: feature}{linear_clause}",
            },
            {
                "is_last": "the model would end with {input}, which the loss does not expect",
                "": "the next layer reads the {width: value} themselves: one nonlinearity fewer",
            },
        ),
    ),
    (
        layers.EinsumDense,
        Template(
            "the product {layer.equation} with its kernel{activation}",
            _BECOMES + " by the equation",
            "a Dense over chosen axes: heads of attention, projections of several axes at once",
            "the following layer gets the axes as they were",
        ),
    ),
    (
        layers.Embedding,
        Template(
            "looks up each of {input_values} in a table of {layer.input_dim:,} rows; each row is "
            "{layer.output_dim: number} that are learned{mask_clause}",
            "{embedded} values",
            "codes of words or categories have no order; rows of similar use become similar",
            "the following layers would read the codes 0 ... {last_code:,} as magnitudes",
        ),
    ),
    # -- attention and recurrence
    (
        (layers.MultiHeadAttention, layers.GroupedQueryAttention),
        Template(
            "{heads: head} of {head_size} numbers: each of {steps: step} takes a mean of the values of "
            "{keys: step}, weighted by softmax(q·k / √{head_size})",
            "{input}, unchanged, from {attention_weights} attention weights",
            "any step reaches any other in one layer, and the weights depend on the content",
            "steps would not interact here; the cost that is saved grows with steps × steps",
        ),
    ),
    *(
        (
            kind,
            Template(
                "each of {steps: query/queries} takes a mean of the values, weighted by the softmax of "
                + score,
                "one value for each query: {output}",
                "looks up by similarity instead of by position",
                "the queries would pass on without what they look up",
            ),
        )
        for kind, score in (
            (layers.AdditiveAttention, "tanh(q + k) summed"),
            (layers.Attention, "the product q·k"),
        )
    ),
    (
        (layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D),
        Template(
            "an LSTM whose state is an image: {steps: frame} through {layer.cell.filters: filter} of "
            "{layer.cell.kernel_size:×}, {cell_sums} sums at each position",
            {"layer.return_sequences": "{output}: every frame", "": "{output}: the last state"},
            "keeps positions while it remembers changes over time",
            "frames would not interact",
        ),
    ),
    (
        layers.RNN,
        Template(
            "reads {steps: step} of {width: value} in order{direction_clause} and keeps a state of "
            "{state_clause}; returns {returned}",
            "{output}: {returned}",
            {
                "is_gated": "order matters, and sequences of any length fit; the gates decide what is "
                "remembered",
                "": "order matters, and sequences of any length fit",
            },
            {
                "layer.return_sequences": "steps would not interact",
                "": "the following layer gets {input}, all steps, instead of one summary",
            },
        ),
    ),
    (
        layers.Bidirectional,
        Template(
            "two {inner_kind} layers, one forwards and one backwards in time, merged by {layer.merge_mode!r}",
            "{bidirectional_output}",
            "each step depends on the steps before and after it",
            "a single {inner_kind} has half the weights and takes half the time, and depends on earlier "
            "steps only",
        ),
    ),
    # -- normalization
    (
        layers.BatchNormalization,
        Template(
            "in training each of {normalized_channels} gets mean 0 and variance 1 over the batch, then a "
            "learned scale and shift; in inference the moving averages are used{momentum_clause}",
            "{unchanged}",
            "the following layers get values of one scale whatever the earlier layers do, which allows "
            "larger learning rates",
            "smaller learning rates and careful initial weights; a bias in the layer before has an effect "
            "again",
        ),
    ),
    (
        layers.SpectralNormalization,
        Template(
            "{layer.layer.name} with its kernel divided by its largest singular value "
            "({layer.power_iterations: power iteration} an update)",
            _BECOMES,
            "no difference of inputs grows by more than a factor of 1 (critics of GANs)",
            "{layer.layer.name} alone, without a bound",
        ),
    ),
    *(
        (
            kind,
            Template(
                operation + "{learned_clause}",
                "{unchanged}",
                "values of one scale for the following layers, the same in training and inference, for any "
                "batch size",
                "deep models (Transformers above all) train slowly or not at all without it",
            ),
        )
        for kind, operation in (
            (layers.LayerNormalization, "the {width: value} of each position get mean 0 and variance 1"),
            (layers.GroupNormalization, "channels in {layer.groups} groups get mean 0 and variance 1"),
            (layers.RMSNormalization, "the {width: value} of each position are divided by their RMS"),
            (layers.UnitNormalization, "the {width: value} of each position are scaled to norm 1"),
        )
    ),
    # -- noise and activations
    *(
        (
            kind,
            Template(
                "in training it " + effect + ", on {input_values}; in inference it does nothing",
                "{unchanged}",
                "small changes of the values must not change the output",
                _TRAINING_ONLY,
            ),
        )
        for kind, effect in (
            (layers.GaussianNoise, "adds noise of deviation {layer.stddev:g}"),
            (layers.GaussianDropout, "multiplies by noise around 1 (rate {layer.rate:g})"),
            (
                layers.AlphaDropout,
                "sets a fraction of {layer.rate:g} to the negative limit of selu, keeping mean and variance",
            ),
            (layers.ActivityRegularization, "adds a penalty on the values to the loss"),
        )
    ),
    (
        (layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
        Template(
            "in training {dropped} are set to 0 at random, different ones for each sample{rescaled_clause}; "
            "in inference it does nothing",
            "{unchanged}",
            "no unit can rely on another one, which keeps a large layer from memorizing samples",
            _TRAINING_ONLY + "; watch the gap to the validation loss",
        ),
    ),
    (
        (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax),
        Template(
            "{own_activation}, on {input_values}",
            "{unchanged}",
            {
                "is_last": "brings the output into the form that the loss expects",
                "": "two linear layers in a row are one linear layer: the nonlinearity between them makes "
                "depth useful",
            },
            {
                "is_last": "the model would return logits: the loss then needs from_logits=True",
                "": "the layers before and after act as one linear map",
            },
        ),
    ),
    # -- structure
    (
        layers.Flatten,
        Template(
            "flattens {input} to a vector; no value changes",
            "{input_product}",
            "a Dense reads vectors",
            "a following Dense would work along the last axis only, at each position with the same weights",
        ),
    ),
    *(
        (
            kind,
            Template(
                operation,
                "{input_product} values as {output}",
                "the following layer needs its axes so",
                "it would get {input}",
            ),
        )
        for kind, operation in (
            (layers.Reshape, "the same {input_values} in another shape"),
            (layers.Permute, "axes in the order {layer.dims}"),
        )
    ),
    (
        layers.RepeatVector,
        Template(
            "the same vector {layer.n:,} times, once a step",
            "{layer.n:,} × {input} = {output_size:,} values",
            "a following recurrent layer reads it at every step (decoders)",
            "the following layer would get no steps",
        ),
    ),
    (
        layers.Add,
        Template(
            "{input_count: tensor} of shape {input} added elementwise",
            "{merged_output}",
            "a skip connection: its input is kept, the other branch learns only the difference, and "
            "gradients pass unchanged",
            "the branches stay separate: one of them would be lost",
        ),
    ),
    *(
        (
            kind,
            Template(
                "{input_count: tensor} of shape {input} " + merged,
                "{merged_output}",
                "merges branches without weights",
                "the branches stay separate: one of them would be lost",
            ),
        )
        for kind, merged in (
            (layers.Subtract, "subtracted elementwise"),
            (layers.Multiply, "multiplied elementwise"),
            (layers.Average, "averaged elementwise"),
            (layers.Maximum, "reduced to their elementwise maximum"),
            (layers.Minimum, "reduced to their elementwise minimum"),
        )
    ),
    (
        layers.Concatenate,
        Template(
            "joins {input_count: tensor} along axis {layer.axis}",
            "{concatenated} along axis {layer.axis}: {output}",
            "the following layers read all branches and weight them themselves",
            "one of the branches would be lost",
        ),
    ),
    (
        layers.Dot,
        Template(
            "the {similarity} of two tensors along axes {layer.axes}",
            "{inputs} become {output}",
            "measures how similar two vectors are",
            "the two would not be compared",
        ),
    ),
    (
        layers.Identity,
        Template("returns its input", "{unchanged}", "a placeholder, or a name", "nothing changes"),
    ),
    # -- preprocessing
    (
        layers.Normalization,
        Template(
            "(x - mean) / deviation with the statistics of adapt(), on {input_values}",
            "{unchanged}",
            "inputs of one scale train faster; inside of the model the statistics are saved and deployed "
            "with it",
            "all data must be normalized by hand, with the statistics of the training data",
        ),
    ),
    (
        layers.Rescaling,
        Template(
            "x × {scale}{offset_clause}, on {input_values}",
            "{unchanged}",
            {
                "scales_bytes": "pixels of 0 ... 255 are far too large for initial weights",
                "": "brings inputs into the range that initial weights are made for",
            },
            "all data must be rescaled by hand",
        ),
    ),
    (
        RandomImageLayer,
        Template(
            "in training each image is changed at random ({kind}); in inference it does nothing",
            "{output}",
            "an image that is slightly rotated, shifted or recolored keeps its label: more data at no cost",
            "the training loss falls faster, and images unlike those of the training are recognized less "
            "often",
        ),
    ),
    (
        (
            layers.TextVectorization, layers.StringLookup, layers.IntegerLookup, layers.Hashing,
            layers.HashedCrossing,
        ),
        Template(
            "maps strings or categories to integers by its vocabulary ({kind})",
            _BECOMES,
            "graphs compute with numbers; inside of the model the vocabulary is saved and deployed with it",
            "all data must be encoded by hand, with the same vocabulary",
        ),
    ),
    (
        (layers.CategoryEncoding, layers.Discretization),
        Template(
            "maps values to bins or categories ({kind})",
            _BECOMES,
            "a number with a nonlinear effect, or a code, becomes one input a category",
            "the following layers would read codes as magnitudes",
        ),
    ),
    (
        layers.Masking,
        Template(
            "masks the steps at which all values are {layer.mask_value:g}: the following layers skip them",
            "{unchanged}",
            "padding at the end of short sequences is not data",
            "padding is read as if it were data",
        ),
    ),
)  # fmt: skip
