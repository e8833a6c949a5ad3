"""Differences that stay, each with its reason, and public names that need no case of their own.

Keys are `family/case/aspect`, as a failing check prints them; `*` stands for anything.
"""

from __future__ import annotations

from tests.helpers.keras_signatures import DIFFERENT as SIGNATURES

_FULL_POLICY = "the policy is written in full, as every other layer writes it; both sides read both"
_SEED = "Keras forgets the seed in this one config; without it a layer would not come back as it was"
_LAPACK = "decompositions are computed and given in 32 bits at least"
_FLOATS = "integers are computed as floats, and stay floats"
_OWN_DTYPE = "the result has the dtype of the values that are normalized, or of the predictions"
_TRUTH = "truth values are not numbers: cast them first"
_TOO_LARGE = "a number that the dtype cannot hold is refused"
_REVERSED = "outputs that come in reversed order have a mask in reversed order"
_SPARSEMAX = "the projection of the paper (its rows sum to one); Keras's rows do not"
_INDEX = "64-bit integers, as without JAX, which has 32 by default"
_KNOWN = "what follows from the arguments is known"
_FORGOTTEN = "Keras's config forgets an argument: what it describes comes back as another one"
_TENSORFLOW = "as Keras computes it on TensorFlow; on JAX it differs from that"

DIFFERENT: dict[str, str] = {
    **{"signatures/{}/{}".format(*name.rsplit(".", 1)): reason for name, reason in SIGNATURES.items()},
    "layers/*go_backwards=True*mask*/masks": _REVERSED,
    "layers/*MultiHeadAttention*return_attention_scores*/masks": "there an inner mask leaks",
    "layers/GroupQueryAttention*return_attention_scores*/masks": "there an inner mask leaks",
    "ops/*clip(x, -1, 1) dtypes": _TOO_LARGE,
    "ops/*initial=-1.0) dtypes": _TOO_LARGE,
    "ops/*saturate_cast* dtypes": _TOO_LARGE,
    "ops/*hard_tanh(x) dtypes": _FLOATS,
    "ops/*relu6(x) dtypes": "integers stay integers, as with relu",
    "ops/activations/ops.sparsemax(t, axis=-1)": _SPARSEMAX,
    "activations/sparsemax*": _SPARSEMAX,
    "losses/Huber*config*": _FORGOTTEN,
    "losses/CosineSimilarity*config*": _FORGOTTEN,
    "losses/SparseCategoricalCrossentropy*config": _FORGOTTEN,
    "losses/SparseTopKCategoricalAccuracy*config": _FORGOTTEN,
    "losses/*IoU*/config": _INDEX,
    "losses/*IoU*/*config*": _INDEX,
    "losses/AUC*label_weights*config*": "Keras writes a tensor, this a list; both sides read lists",
    "losses/CategoricalGeneralizedCrossEntropy*/our config there": "Keras does not find its own class",
    "training/stateful/*": "as on TensorFlow: states go from batch to batch; on JAX they are lost",
    "training/masks/history": "as on TensorFlow: metrics see the mask; on JAX it is lost behind the gradient",
    "training/*/metrics_names": "losses first, then metrics",
    "optimizers/Lamb*/our config there": "Keras does not find its own Lamb by a config",
    "optimizers/*Nadam*/state's names": "Keras gives this one no name of its own",
    "optimizers/*Adafactor*/state's names": "Keras gives these no names of their own",
    "ops/*top_k* dtypes": _TRUTH,
    "ops/*segment_m* dtypes": _TRUTH,
    "ops/*histogram(*": "counts are integers",
    "ops/*space_to_depth*channels_first*": _TENSORFLOW,
    "ops/products/* dtypes": "products of truth values count; Keras's are truth values",
    "ops/linear algebra/ops.abs(ops.qr(x*": "a wide matrix has no derivative of its QR here; " + _LAPACK,
    "ops/linear algebra/ops.abs(ops.svd*dtypes": _LAPACK,
    "ops/linear algebra/ops.svd*dtypes": _LAPACK,
    "ops/linear algebra/ops.abs(ops.qr*dtypes": _LAPACK,
    "ops/linear algebra/ops.pinv*dtypes": _LAPACK,
    "ops/*batch_normalization* dtypes": _OWN_DTYPE,
    "ops/losses/*from_logits=True* dtypes": _OWN_DTYPE,
    "ops/*layer_normalization* dtypes": _FLOATS,
    "ops/*rms_normalization* dtypes": _FLOATS,
    "ops/control/ops.custom_gradient* dtypes": _FLOATS,
    "ops/images/ops.image.affine_transform*'nearest', 'reflect')": _TENSORFLOW,
    "ops/images/ops.image.map_coordinates*order=0*": _TENSORFLOW,
    "ops/images/ops.image.affine_transform*affine*": "the last two numbers have no part in an affine map",
    "initializers/Identity*/*config*": _FORGOTTEN,
    "ops/statistics/ops.corrcoef(x) symbols": "rows by rows; Keras infers rows by columns",
    "ops/shapes/ops.ndim(x) symbols": "a number, not a tensor",
    "ops/shapes/ops.repeat(x, np*symbols": _KNOWN,
    "ops/windows/ops.adaptive_average_pool*symbols": "Keras infers a wrong shape",
    "ops/losses/ops.categorical_crossentropy*axis=0) symbols": "Keras infers a wrong shape",
    "ops/images/ops.image.gaussian_blur*": _TENSORFLOW,
    "ops/images/ops.image.sobel_edges(img)": _TENSORFLOW,
    "layers/SpatialDropout*/config": _FULL_POLICY,
    "layers/Discretization*/config": _FULL_POLICY,
    "layers/*SimpleRNN(*/config": _SEED,
    "layers/EinsumDense*(None,*/symbols": "a size that the input gives stays known",
    "layers/MultiHeadAttention*attention_axes=2*/symbols": "Keras infers a wrong shape",
    "layers/MultiHeadAttention*query_mask*": "a query_mask that is passed counts; Keras drops it",
    "layers/CategoryEncoding*float16": "as the layer's spec says; there the count is not cast",
    "layers/ReversibleEmbedding*reverse*float16": "as the layer's spec says; there the inputs are not cast",
    "layers/TimeDistributed(BatchNormalization*": "one call for all steps, normalized together",
}

# Layers (a pattern of how they are made) whose results in half precision are chance or words.
WITHOUT_HALF = r"nothing yet"
# What Keras on JAX says where it does not get through in half precision: carries of a GRU that change their
# dtype, and products that only a GPU has.
# Spectrograms of bfloat16 are refused.
KERAS_CANNOT = (
    r"Expected `float16`, `float32` or `float64`|carry input and carry output must have equal types"
    r"|is not supported by dot_general on CPU"
)
# Cases that Keras on JAX cannot run: heads whose values have another size than their keys, masks of ConvLSTM.
KERAS_CANNOT_RUN = (
    r"MultiHeadAttention\(2, 4, value_dim=3|MultiHeadAttention\(2, 3, use_bias=False, value_dim=2"
    r"|ConvLSTM.* mask "
)

# Arguments of layers that raise an error here: what stands for them in the report.
ARGUMENTS_MISSING: dict[str, str] = {}

# Layers that change images at random.
_IMAGES = (
    "AugMix CutMix MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter "
    "RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur "
    "RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation "
    "RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom"
)

# Public names without a case in the tables, a namespace.
WITHOUT_CASE: dict[str, dict[str, str]] = {
    "layers": {
        "Input": "symbolic: every model has one",
        "InputLayer": "symbolic: every model has one",
        "InputSpec": "a description, not a layer",
        "Lambda": "its function has no config; test_training.py runs one",
        "Layer": "the base class",
        "Wrapper": "a base class",
        **{
            name: "Keras needs TensorFlow for it; tests/layers compares with what it gave there"
            for name in ("HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization")
        },
        **{
            name: "chance; tests/layers/augmentation compares it with recorded numbers"
            for name in _IMAGES.split()
        },
        "MaxNumBoundingBoxes": "boxes; tests/layers/augmentation compares it with recorded numbers",
        "Pipeline": "layers one after the other; the layers are cases",
        **{
            name: "runs what another library brings; tests/interop compares it with that"
            for name in ("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper")
        },
        "OnnxGraph": "Keras has none; tests/saving compares it with onnxruntime",
        "add": "Add()(...), one line",
        "average": "Average()(...), one line",
        "concatenate": "Concatenate()(...), one line",
        "deserialize": "every case's configs go through it",
        "dot": "Dot()(...), one line",
        "maximum": "Maximum()(...), one line",
        "minimum": "Minimum()(...), one line",
        "multiply": "Multiply()(...), one line",
        "serialize": "every case's configs go through it",
        "subtract": "Subtract()(...), one line",
    },
    "ops": {"vectorize": "NumPy's, around vectorized_map, which is a case"},
    "activations": {
        "deserialize": "every case's config goes through it",
        "get": "every case is asked for by name",
        "serialize": "every case's config goes through it",
    },
    "regularizers": {
        "Regularizer": "the base class",
        **{name: "every case's config goes through it" for name in ("deserialize", "get", "serialize")},
    },
    "constraints": {
        "Constraint": "the base class",
        **{name: "every case's config goes through it" for name in ("deserialize", "get", "serialize")},
    },
    "initializers": {
        "Initializer": "the base class",
        "RandomInitializer": "the base class",
        "compute_fans": "ours; the variances of the cases come from it",
        **{name: "every case's config goes through it" for name in ("deserialize", "get", "serialize")},
    },
    "optimizers.schedules": {
        "LearningRateSchedule": "the base class",
        **{name: "every case's config goes through it" for name in ("deserialize", "serialize")},
    },
    "optimizers": {
        "legacy": "a module with the names of old optimizers",
        "MultiOptimizer": "its parts are cases",
        "OptimizerMap": "a table of optimizers, which are cases",
        "Optimizer": "the base class",
        "schedules": "a module, with a table of its own",
        **{name: "every case's config goes through it" for name in ("deserialize", "get", "serialize")},
    },
    "losses": {
        "CTC": "ops.ctc_loss has a case, and the class wraps it",
        "Loss": "the base class",
        "LossFunctionWrapper": "a base class",
        "ctc": "ops.ctc_loss has a case",
        **{name: "every case's config goes through it" for name in ("deserialize", "get", "serialize")},
    },
    "metrics": {
        "MeanMetricWrapper": "a base class: most cases are of its subclasses",
        "Metric": "the base class",
    },
}

# Why tests of Keras's own fail here, most frequent kinds first.
KERAS_TESTS = (
    "Checks that are stricter: labels, class weights and modes of callbacks that do not fit, scores (logits) "
    "where a loss expects probabilities, NaN and infinite data, layers that return nothing, fractional "
    "weights of integer counts. They are errors, which `hornbeam run` reports in one line",
    "Shapes and dtypes that cannot run are refused while a model is built or a metric updated; Keras refuses "
    "them when it runs, or guesses: floats as indices or bits, attention and normalization of other sizes, "
    "data without a batch axis, diagonals of matrices that are not square",
    "Classes of operations whose first argument is a string, `Cast('int8')(x)`: here are functions alone, "
    "`cast(x, 'int8')`",
    "Sparse results are dense while a model is built, as they are inside of models; float8 is a format of "
    "quantized weights, not a dtype to cast to",
    "Errors of another class that name the cause, such as TypeError for an object of the wrong kind",
    "Keras infers a wrong shape, or None where the size follows from the arguments",
    "What Keras refuses and Hornbeam computes: ragged inputs by masks, QR of unknown sizes, "
    "histograms of matrices, transforms of integers, integers where Keras wants a float, a weight's name as "
    "the first argument, configs without a name",
    "Lambdas in files are code of a stranger: they are neither saved nor loaded",
    "`train_step(state, data)` is Keras's on JAX; here it is `train_step(data)` on every engine",
    "A training argument that a script writes into its model is kept in predict",
    "Text datasets give arrays of str, not tensors of TensorFlow",
    "A failed save leaves no broken file",
    "A layer on images does not change the dict that it gets, boxes move as their images do, and "
    "`transform_images` and the like take batches",
    "Configs keep arguments that Keras forgets: another object would come back without them",
    "Warnings are Python's, not of a logger, and name the line of the script; extra entries in a dict of "
    "inputs need none",
    "RemoteMonitor sends with Python itself and does not need `requests`",
    "Random numbers of a seed are others than those of JAX: a shuffle that keeps its first element, a mean "
    "at twice its standard deviation",
)
