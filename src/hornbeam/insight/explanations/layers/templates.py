"""Sentences about families of layers; names in braces are attributes of `Facts`."""

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
    "a model of its own with {inner_layers}; expand_nested=True explains them",
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
            "data of shape {output} and dtype {dtype}, with any number of samples",
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
            "each of {input_channels} has {filters_a_channel} of its own over "
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
            "first each of {input_channels} by itself over {window}{stride_clause}, then {mixtures} of the "
            "{separable_channels} results{activation}",
            "{windows}",
            "a convolution in two cheaper steps: {separable_savings}",
            "the following layers get {input_channels}, and their receptive field stays as it was",
        ),
    ),
    (
        (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
        Template(
            "each position is added to {window} of the output, {strides} apart, by {filters}{activation}",
            "{transposed_windows}",
            "enlarges images with learned weights (decoders, segmentation)",
            "the image stays {input_grid}; UpSampling and a Conv enlarge it too, with fewer checkerboard "
            "artifacts",
        ),
    ),
    (
        (layers.Conv1D, layers.Conv2D, layers.Conv3D),
        Template(
            "{filters} over {window} in {channels_of_a_filter}, at every position{stride_clause}{activation}",
            "{windows}",
            {
                "is_pointwise_convolution": "mixes the channels of each position and changes their number, "
                "without neighbors",
                "": "detects the same pattern at every position, with {shared_weights} shared weights"
                "{dense_weights_clause}",
            },
            {
                "is_pointwise_convolution": "the following layers get {input_channels}",
                "": "the following layers get {input_channels}, and their receptive field stays as it was",
            },
        ),
    ),
    (
        (
            layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
            layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
        ),
        Template(
            "the {extreme_or_mean} of {window} in each channel, with stride {strides}",
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
            "the {extreme_or_mean} over the {input_grid} positions of each channel",
            "{positions} × {input_channels} become {channel_values}",
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
            "the {extreme_or_mean} of windows whose size gives {output_grid} positions",
            "{input_grid} positions become {output_grid}",
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
                "is_nearest": "repeats each position {scale_factors} times",
                "": "{interpolation} interpolation to {scale_factors} times the size",
            },
            "{upsampled}",
            "enlarges images without weights; a following convolution smooths them",
            "the image stays {input_grid}",
        ),
    ),
    # -- products
    (
        layers.Dense,
        Template(
            "{weighted_sums} of {all_features}{at_positions}{activation}",
            "the last axis of {input} becomes {units_text}",
            {
                "is_last": "the answer: {answer}",
                "": "combines the {features} into {new_features}{linear_clause}",
            },
            {
                "is_last": "the model would end with {input}, which the loss does not expect",
                "": "the next layer reads the {feature_values} themselves: one nonlinearity fewer",
            },
        ),
    ),
    (
        layers.EinsumDense,
        Template(
            "the product {equation} with its kernel{activation}",
            _BECOMES + " by the equation",
            "a Dense over chosen axes: heads of attention, projections of several axes at once",
            "the following layer gets the axes as they were",
        ),
    ),
    (
        layers.Embedding,
        Template(
            "looks up each of {input_values} in a table of {table_rows} rows; each row is {embedding_width} "
            "that are learned{mask_clause}",
            "{embedded} values",
            "codes of words or categories have no order; rows of similar use become similar",
            "the following layers would read the codes 0 ... {last_code} as magnitudes",
        ),
    ),
    # -- attention and recurrence
    (
        (layers.MultiHeadAttention, layers.GroupedQueryAttention),
        Template(
            "{heads} of {head_size} numbers: each of {input_steps} takes a mean of the values of "
            "{key_steps}, weighted by softmax(q·k / √{head_size})",
            "{input}, unchanged, from {attention_weights} attention weights",
            "any step reaches any other in one layer, and the weights depend on the content",
            "steps would not interact here; the cost that is saved grows with steps × steps",
        ),
    ),
    (
        (layers.Attention, layers.AdditiveAttention),
        Template(
            "each of {queries} takes a mean of the values, weighted by the softmax of {attention_score}",
            "one value for each query: {output}",
            "looks up by similarity instead of by position",
            "the queries would pass on without what they look up",
        ),
    ),
    (
        (layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D),
        Template(
            "an LSTM whose state is an image: {frames} through {cell_filters} of {cell_window}, {cell_sums} "
            "sums at each position",
            "{output}: {returned_frames}",
            "keeps positions while it remembers changes over time",
            "frames would not interact",
        ),
    ),
    (
        layers.RNN,
        Template(
            "reads {recurrent_steps} of {recurrent_inputs} in order{direction_clause} and keeps a state of "
            "{state_clause}; returns {returned}",
            "{output}: {returned}",
            {
                "is_gated": "order matters, and sequences of any length fit; the gates decide what is "
                "remembered",
                "": "order matters, and sequences of any length fit",
            },
            {
                "returns_sequences": "steps would not interact",
                "": "the following layer gets {input}, all steps, instead of one summary",
            },
        ),
    ),
    (
        layers.Bidirectional,
        Template(
            "two {inner_kind} layers, one forwards and one backwards in time, merged by {merge_mode}",
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
            "{wrapped} with its kernel divided by its largest singular value ({power_iterations} an update)",
            _BECOMES,
            "no difference of inputs grows by more than a factor of 1 (critics of GANs)",
            "{wrapped} alone, without a bound",
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
            (layers.LayerNormalization, "the {feature_values} of each position get mean 0 and variance 1"),
            (layers.GroupNormalization, "channels in {groups} groups get mean 0 and variance 1"),
            (layers.RMSNormalization, "the {feature_values} of each position are divided by their RMS"),
            (layers.UnitNormalization, "the {feature_values} of each position are scaled to norm 1"),
        )
    ),
    # -- noise and activations
    (
        (layers.GaussianNoise, layers.GaussianDropout, layers.AlphaDropout, layers.ActivityRegularization),
        Template(
            "in training it {noise}, on {input_values}; in inference it does nothing",
            "{unchanged}",
            "small changes of the values must not change the output",
            _TRAINING_ONLY,
        ),
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
    (
        (layers.Reshape, layers.Permute),
        Template(
            {"is_permutation": "axes in the order {dims}", "": "the same {input_values} in another shape"},
            "{input_product} values as {output}",
            "the following layer needs its axes so",
            "it would get {input}",
        ),
    ),
    (
        layers.RepeatVector,
        Template(
            "the same vector {repetitions} times, once a step",
            "{repetitions} × {input} = {repeated_size} values",
            "a following recurrent layer reads it at every step (decoders)",
            "the following layer would get no steps",
        ),
    ),
    (
        layers.Add,
        Template(
            "{merged_tensors} of shape {input} added elementwise",
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
                "{merged_tensors} of shape {input} " + merged,
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
            "joins {merged_tensors} along axis {axis}",
            "{concatenated} along axis {axis}: {output}",
            "the following layers read all branches and weight them themselves",
            "one of the branches would be lost",
        ),
    ),
    (
        layers.Dot,
        Template(
            "the {similarity} of two tensors along axes {axes}",
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
            "masks the steps at which all values are {mask_value}: the following layers skip them",
            "{unchanged}",
            "padding at the end of short sequences is not data",
            "padding is read as if it were data",
        ),
    ),
)  # fmt: skip
